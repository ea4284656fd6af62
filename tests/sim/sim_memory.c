// SPDX-License-Identifier: Apache-2.0
//
// sim_memory.c - the memory of a schedule: the simulation's own, and (where the linker wraps malloc) what the code under test allocates.
// Both are gone at the end of a schedule, so that a process that crashed leaks nothing into the next one.
#include "sim/sim.h"

#include "depbroker/spare_memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define POOL_SIZE ((size_t)1 << 32) // of addresses: memory comes as it is touched, and is kept for the next schedule

enum { KEPT_SLOTS_MIN = 1 << 11 /* a power of two */, CLASSES = 33, CLASS_MIN = 5, LARGE_MIN = 64 * 1024 };

struct pool {
	char *bytes; // POOL_SIZE of them
	size_t used;
	bool is_kept; // after a schedule, for the next one
};

static struct pool own = { .is_kept = true };
static struct text *kept; // a hash table of the texts that sim_keep gave
static size_t kept_count, kept_slots;

static void *take(struct pool *pool, size_t size)
{
	if (pool->bytes == NULL) {
		pool->bytes = mmap(NULL, POOL_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		assert(pool->bytes != MAP_FAILED);
		if (pool->is_kept) { // all that is used of it is used in each schedule
			(void)madvise(pool->bytes, POOL_SIZE, MADV_HUGEPAGE);
		}
	}

	void *memory = pool->bytes + pool->used;

	pool->used += (size + 15) & ~(size_t)15;
	assert(pool->used <= POOL_SIZE);
	return memory;
}

static bool has(const struct pool *pool, const void *memory)
{
	return (uintptr_t)memory - (uintptr_t)pool->bytes < pool->used;
}

void *sim_take_unset(size_t size)
{
	return take(&own, size);
}

void *sim_take(size_t size)
{
	return memset(take(&own, size), 0, size);
}

static size_t hash_of(struct text text)
{
	uint64_t hash = text.length;

	for (size_t i = 0; i < text.length; i += sizeof hash) {
		uint64_t word = 0;

		memcpy(&word, text.bytes + i, text.length - i < sizeof word ? text.length - i : sizeof word);
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	return (size_t)hash;
}

static struct text *slot_of(struct text text)
{
	size_t at = hash_of(text) & (kept_slots - 1);

	while (kept[at].bytes != NULL && !text_equal(kept[at], text)) {
		at = (at + 1) & (kept_slots - 1);
	}
	return &kept[at];
}

static void grow_kept(void)
{
	const struct text *before = kept;
	const size_t slots_before = kept_slots;

	kept_slots = slots_before > 0 ? 2 * slots_before : KEPT_SLOTS_MIN;
	kept = sim_take(kept_slots * sizeof *kept);
	for (size_t i = 0; i < slots_before; i++) {
		if (before[i].bytes != NULL) {
			*slot_of(before[i]) = before[i];
		}
	}
}

static struct text copy_of(struct text text)
{
	char *copy = sim_take_unset(text.length + 1);

	memcpy(copy, text.bytes, text.length);
	copy[text.length] = '\0';
	return (struct text){ copy, text.length };
}

struct text sim_keep(struct text text)
{
	if (text.bytes == NULL || has(&own, text.bytes)) {
		return text;
	}
	if (text.length == 0) {
		return TEXT("");
	}
	if (sim.life != NULL && text_equal(text, sim_node_id(sim.life))) { // as in every statement
		return sim_node_id(sim.life);
	}
	if (text.length > 64) { // events' bodies: each another one
		return copy_of(text);
	}
	if (2 * kept_count >= kept_slots) {
		grow_kept();
	}

	struct text *slot = slot_of(text);

	if (slot->bytes == NULL) {
		*slot = copy_of(text);
		kept_count++;
	}
	return *slot;
}

int64_t sim_number(struct text text, char letter, struct text *rest)
{
	int64_t number = 0;
	size_t at = 1;

	if (text.length < 2 || text.bytes[0] != letter || text.bytes[1] < '0' || text.bytes[1] > '9') {
		return -1;
	}
	for (; at < text.length && text.bytes[at] >= '0' && text.bytes[at] <= '9'; at++) {
		number = number * 10 + (text.bytes[at] - '0');
	}
	if (rest != NULL) {
		*rest = (struct text){ text.bytes + at, text.length - at };
	}
	return number;
}

struct text sim_numbered(char letter, int64_t number)
{
	char bytes[24];
	size_t at = sizeof bytes;

	assert(number >= 0);
	do {
		bytes[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	bytes[--at] = letter;
	return sim_keep((struct text){ bytes + at, sizeof bytes - at });
}

struct text sim_format(const char *format, ...)
{
	char bytes[200];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(bytes, sizeof bytes, format, arguments);
	va_end(arguments);
	return sim_keep(text_of(bytes));
}

#ifdef SIM_WRAP_MALLOC

// A block has its class in front; a freed one waits for the next of its class.
struct block {
	struct block *next;
	size_t class;
	char bytes[];
};

static struct pool theirs = { .is_kept = true };
static struct block *waiting[CLASSES];
static struct pool large; // zeroes that come from the system as they are touched: a table of which a few places are used costs a page

void *__real_malloc(size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
	if (!sim.runs) {
		return __real_malloc(size);
	}

	const size_t class = size <= (size_t)1 << CLASS_MIN ? CLASS_MIN : 64 - (size_t)__builtin_clzl(size - 1);
	struct block *block = waiting[class];

	if (block != NULL) {
		waiting[class] = block->next;
	} else {
		block = take(&theirs, sizeof *block + ((size_t)1 << class));
	}
	block->class = class;
	return block->bytes;
}

void *__wrap_calloc(size_t count, size_t size)
{
	if (sim.runs && count * size >= LARGE_MIN) {
		return take(&large, count * size);
	}

	void *memory = __wrap_malloc(count * size);

	return memory != NULL ? memset(memory, 0, count * size) : NULL;
}

void __wrap_free(void *memory)
{
	if (memory == NULL || has(&large, memory)) {
		return;
	}
	if (!has(&theirs, memory)) {
		__real_free(memory);
		return;
	}

	struct block *block = CONTAINER_OF(memory, struct block, bytes);

	block->next = waiting[block->class];
	waiting[block->class] = block;
}

void *__wrap_realloc(void *memory, size_t size)
{
	if (memory == NULL) {
		return __wrap_malloc(size);
	}
	assert(!has(&large, memory));
	if (!has(&theirs, memory)) {
		return __real_realloc(memory, size);
	}

	const size_t room = (size_t)1 << CONTAINER_OF(memory, struct block, bytes)->class;

	if (size <= room) {
		return memory;
	}

	void *larger = __wrap_malloc(size);

	memcpy(larger, memory, room);
	__wrap_free(memory);
	return larger;
}

static void forget_theirs(void)
{
	memset(waiting, 0, sizeof waiting);
	theirs.used = 0;
	if (large.used > 0) {
		(void)madvise(large.bytes, large.used, MADV_DONTNEED);
		large.used = 0;
	}
}

#else

static void forget_theirs(void)
{
}

#endif

void spare_memory_keep(void)
{
}

void spare_memory_return(size_t most)
{
	(void)most; // all of it comes back at the end of the schedule
}

void sim_memory_reset(void)
{
	own.used = 0;
	kept = NULL;
	kept_count = 0;
	kept_slots = 0;
	forget_theirs();
}
