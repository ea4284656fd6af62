// SPDX-License-Identifier: Apache-2.0
#include "depbroker/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Most arenas hold little, and all of a block is wiped when it is freed.
#define FIRST_SIZE ((size_t)4 * 1024)
#define BLOCK_SIZE ((size_t)16 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t size;
	alignas(max_align_t) char bytes[];
};

static struct arena_block *block_with_room(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->blocks;
	size_t block_size;

	if (block != NULL && block->size - block->used >= size) {
		return block;
	}
	block_size = size > FIRST_SIZE ? size : block == NULL ? FIRST_SIZE : BLOCK_SIZE;
	block = reallocate(NULL, sizeof *block + block_size); // zeroed where it is taken: most of a block never is
	block->used = 0;
	block->size = block_size;
	if (block_size == size && arena->blocks != NULL) { // a block of its own: keep filling the current one
		block->next = arena->blocks->next;
		arena->blocks->next = block;
	} else {
		block->next = arena->blocks;
		arena->blocks = block;
	}
	return block;
}

static void *take(struct arena *arena, size_t size)
{
	const size_t unit = alignof(max_align_t);

	if (size > arena->budget_bytes) {
		return NULL;
	}
	const size_t rounded = (size + unit - 1) / unit * unit;

	if (rounded > arena->budget_bytes - arena->taken_bytes) {
		return NULL;
	}
	struct arena_block *block = block_with_room(arena, rounded);
	void *memory = block->bytes + block->used;

	block->used += rounded;
	arena->taken_bytes += rounded;
	return memory;
}

void *arena_take(struct arena *arena, size_t size)
{
	void *memory = take(arena, size);

	return memory != NULL ? memset(memory, 0, size) : NULL;
}

char *arena_copy(struct arena *arena, struct text t)
{
	char *copy = take(arena, t.length + 1);

	if (copy != NULL) {
		if (t.length > 0) {
			memcpy(copy, t.bytes, t.length);
		}
		copy[t.length] = '\0';
	}
	return copy;
}

char *arena_format(struct arena *arena, const char *format, ...)
{
	va_list arguments;
	char *out;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	assert(length >= 0);
	out = arena_take(arena, (size_t)length + 1);
	if (out != NULL) {
		va_start(arguments, format);
		(void)vsnprintf(out, (size_t)length + 1, format, arguments);
		va_end(arguments);
	}
	return out;
}

void arena_reset(struct arena *arena)
{
	for (struct arena_block *block = arena->blocks, *next; block != NULL; block = next) {
		next = block->next;
		free_wiped(block, sizeof *block + block->used); // a request may have held a secret
	}
	arena->blocks = NULL;
	arena->taken_bytes = 0;
}

void arena_fini(struct arena *arena)
{
	arena_reset(arena);
}
