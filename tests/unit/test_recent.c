// SPDX-License-Identifier: Apache-2.0
#include "api/recent.h"
#include "support/cmocka_all.h"

#include <stdio.h>

#define KEY  TEXT("abcdefgh")
#define SLUG TEXT("acme")

static void nothing(void *argument)
{
	(void)argument;
}

// As if the transaction were over.
static struct recent_rows *read_rows(struct recent *recent, struct text key_id, struct text slug)
{
	return recent_begin(recent, key_id, slug, nothing, NULL);
}

static void put(struct recent *recent, struct text key_id, struct text slug, int64_t tenant_id)
{
	struct recent_rows *rows = read_rows(recent, key_id, slug);

	recent_keep(rows, tenant_id);
	recent_leave(rows);
}

static bool has(struct recent *recent, struct text key_id, struct text slug)
{
	struct recent_rows *rows = recent_find(recent, key_id, slug);

	recent_leave(rows);
	return rows != NULL;
}

static void rows_are_found_by_key_and_tenant(void **state)
{
	struct recent *recent = recent_open();

	(void)state;
	assert_false(has(recent, KEY, SLUG));
	put(recent, KEY, SLUG, 1);
	assert_true(has(recent, KEY, SLUG));
	assert_false(has(recent, KEY, TEXT("birch")));
	assert_false(has(recent, TEXT("abcdefgi"), SLUG));
	assert_false(has(recent, TEXT("abcdefg"), SLUG));
	recent_close(recent);
}

static void what_was_not_kept_is_not_found(void **state)
{
	struct recent *recent = recent_open();
	struct recent_rows *rows = read_rows(recent, KEY, SLUG);

	(void)state;
	assert_false(has(recent, KEY, SLUG));
	recent_leave(rows);
	assert_false(has(recent, KEY, SLUG));
	recent_close(recent);
}

static void a_change_forgets_the_tenant_and_what_is_being_read(void **state)
{
	struct recent *recent = recent_open();
	struct recent_rows *reading = read_rows(recent, KEY, TEXT("cedar"));

	(void)state;
	put(recent, KEY, SLUG, 1);
	put(recent, KEY, TEXT("birch"), 2);
	recent_forget(recent, 1);
	assert_false(has(recent, KEY, SLUG));
	assert_true(has(recent, KEY, TEXT("birch")));
	recent_keep(reading, 3); // it may have been read before the change
	recent_leave(reading);
	assert_false(has(recent, KEY, TEXT("cedar")));
	recent_close(recent);
}

static void rows_in_use_outlive_being_forgotten(void **state)
{
	struct recent *recent = recent_open();

	(void)state;
	put(recent, KEY, SLUG, 1);
	struct recent_rows *rows = recent_find(recent, KEY, SLUG);

	assert_non_null(rows);
	recent_forget(recent, 1);
	assert_int_equal(recent_transaction(rows)->op.rc, OK);
	recent_leave(rows);
	recent_close(recent);
}

static void so_many_are_kept_and_no_more(void **state)
{
	struct recent *recent = recent_open();
	char slug[24];

	(void)state;
	for (int i = 0; i < RECENT_MAX + 1; i++) {
		(void)snprintf(slug, sizeof slug, "tenant-%d", i);
		put(recent, KEY, text_of(slug), i + 1);
	}
	assert_false(has(recent, KEY, TEXT("tenant-0")));
	assert_true(has(recent, KEY, text_of(slug)));
	recent_close(recent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_found_by_key_and_tenant),
		cmocka_unit_test(what_was_not_kept_is_not_found),
		cmocka_unit_test(a_change_forgets_the_tenant_and_what_is_being_read),
		cmocka_unit_test(rows_in_use_outlive_being_forgotten),
		cmocka_unit_test(so_many_are_kept_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
