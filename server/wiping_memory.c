// SPDX-License-Identifier: Apache-2.0
//
// Every block of memory is overwritten when it is given back, whoever gives it back: libcurl, OpenSSL, libmicrohttpd and the others
// leave headers, keys and answers in what they free. The program's own functions take the place of the C library's for all of them.
//
// What the C library frees inside of itself, stacks and registers are out of reach here.
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZER_HAS_FREE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZER_HAS_FREE 1
#endif
#endif

#ifndef SANITIZER_HAS_FREE
#include "depbroker/text.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

extern void __libc_free(void *memory);
extern void *__libc_malloc(size_t size);
extern void *__libc_realloc(void *memory, size_t size);

void free(void *memory)
{
	if (memory != NULL) {
		explicit_bzero(memory, malloc_usable_size(memory));
	}
	__libc_free(memory);
}

void free_wiped(void *memory, size_t length)
{
	(void)length;
	free(memory);
}

static void *grow(void *memory, size_t old_size, size_t size)
{
	void *larger = __libc_malloc(size);

	if (larger != NULL) {
		memcpy(larger, memory, old_size);
		free(memory);
	}
	return larger;
}

void *realloc(void *memory, size_t size)
{
	const size_t old_size = memory == NULL ? 0 : malloc_usable_size(memory);

	if (memory != NULL && size > old_size) {
		return grow(memory, old_size, size);
	}
	if (memory != NULL) {
		explicit_bzero((char *)memory + size, old_size - size); // it is cut where it lies
	}
	return __libc_realloc(memory, size);
}
#endif
