// SPDX-License-Identifier: Apache-2.0
//
// Memory that is freed between what is still used. The C library's own allocator is asked, also where a sanitizer takes malloc's place.
#include "depbroker/spare_memory.h"
#include "support/cmocka_all.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1024, PIECES = 48 << 10, USED_ONE_IN = 256, MIB = 1 << 20, SPARE_MIB = PIECES / 1024 };

void *__libc_malloc(size_t size);
void __libc_free(void *memory);

static char *pieces[PIECES];

static size_t resident_mib(void)
{
	size_t all, resident;
	FILE *statm = fopen("/proc/self/statm", "r");

	assert_non_null(statm);
	assert_int_equal(fscanf(statm, "%zu %zu", &all, &resident), 2);
	fclose(statm);
	return resident * (size_t)sysconf(_SC_PAGESIZE) / MIB;
}

// As a long list does: the last piece is used, so that the allocator gives nothing back by itself.
static void leave_spare_memory(void)
{
	for (size_t i = 0; i < PIECES; i++) {
		pieces[i] = __libc_malloc(PIECE);
		assert_non_null(pieces[i]);
		memset(pieces[i], 1, PIECE);
	}
	for (size_t i = 0; i < PIECES; i++) {
		if (i % USED_ONE_IN != USED_ONE_IN - 1) {
			__libc_free(pieces[i]);
			pieces[i] = NULL;
		}
	}
}

static void free_the_rest(void)
{
	for (size_t i = 0; i < PIECES; i++) {
		__libc_free(pieces[i]);
		pieces[i] = NULL;
	}
}

static void much_spare_memory_goes_back_and_what_is_used_stays(void **state)
{
	const size_t before_mib = resident_mib();

	(void)state;
	leave_spare_memory();
	assert_true(resident_mib() >= before_mib + SPARE_MIB * 3 / 4); // otherwise this shows nothing
	spare_memory_return(8 * MIB);
	assert_true(resident_mib() <= before_mib + SPARE_MIB / 4);
	for (size_t i = USED_ONE_IN - 1; i < PIECES; i += USED_ONE_IN) {
		assert_int_equal(pieces[i][PIECE - 1], 1);
	}
	free_the_rest();
}

static void little_spare_memory_is_kept_for_the_next_page(void **state)
{
	const size_t before_mib = resident_mib();

	(void)state;
	leave_spare_memory();
	spare_memory_return((size_t)2 * SPARE_MIB * MIB);
	assert_true(resident_mib() >= before_mib + SPARE_MIB * 3 / 4);
	free_the_rest();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(much_spare_memory_goes_back_and_what_is_used_stays),
		cmocka_unit_test(little_spare_memory_is_kept_for_the_next_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
