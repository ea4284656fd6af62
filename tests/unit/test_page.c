// SPDX-License-Identifier: Apache-2.0
//
// What a page means: the rules of dep-api.md, section 7, one by one, and against a model that compares every pair.
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/page.h"

#include <stdio.h>

#define ROW(serial, operation_, op_date) \
	{ .serial_number = { "" serial, sizeof(serial) - 1 }, .operation = (operation_), .op_date_us = (op_date) }

static void one_item_a_serial_number_in_the_order_of_their_records(void **state)
{
	static const struct device_record records[] = {
		ROW("B", DEVICE_MODIFIED, 5),
		ROW("A", DEVICE_ADDED, 1),
		ROW("B", DEVICE_MODIFIED, 4),
		ROW("C", DEVICE_PRESENT, INSTANT_NONE),
	};
	struct page_plan plan CLEANUP(page_plan_fini);

	(void)state;
	page_plan_make(&plan, records, 4);
	assert_int_equal(plan.count, 3);
	assert_int_equal(plan.items[0].record, 0);
	assert_int_equal(plan.items[1].record, 1);
	assert_int_equal(plan.items[2].record, 3);
	assert_int_equal(plan.duplicates, 1);
	assert_int_equal(plan.gone, 0);
}

static void the_greatest_op_date_counts_wherever_it_stands(void **state)
{
	static const struct device_record records[] = { // as in the protocol notes' own example of duplicates
		ROW("DEPB00000001", DEVICE_DELETED, 2),
		ROW("DEPB00000001", DEVICE_ADDED, 1),
	};
	struct page_plan plan CLEANUP(page_plan_fini);

	(void)state;
	page_plan_make(&plan, records, 2);
	assert_int_equal(plan.count, 1);
	assert_int_equal(plan.items[0].record, 0);
	assert_true(plan.items[0].gone);
	assert_int_equal(plan.gone, 1);
}

static void on_a_tie_the_later_position_counts(void **state)
{
	static const struct device_record records[] = {
		ROW("A", DEVICE_DELETED, 7),
		ROW("A", DEVICE_ADDED, 7),
		ROW("B", DEVICE_ADDED, 7),
		ROW("B", DEVICE_DELETED, 7),
		ROW("C", DEVICE_PRESENT, INSTANT_NONE),
		ROW("C", DEVICE_DELETED, INSTANT_NONE),
	};
	struct page_plan plan CLEANUP(page_plan_fini);

	(void)state;
	page_plan_make(&plan, records, 6);
	assert_int_equal(plan.count, 3);
	assert_int_equal(plan.items[0].record, 1);
	assert_false(plan.items[0].gone);
	assert_int_equal(plan.items[1].record, 3);
	assert_true(plan.items[1].gone);
	assert_int_equal(plan.items[2].record, 5);
	assert_int_equal(plan.gone, 2);
}

static void a_record_without_op_date_is_the_oldest(void **state)
{
	static const struct device_record records[] = {
		ROW("A", DEVICE_DELETED, 0),
		ROW("A", DEVICE_PRESENT, INSTANT_NONE),
	};
	struct page_plan plan CLEANUP(page_plan_fini);

	(void)state;
	page_plan_make(&plan, records, 2);
	assert_int_equal(plan.items[0].record, 0);
	assert_true(plan.items[0].gone);
}

static void only_deleted_is_gone(void **state)
{
	static const struct device_record records[] = {
		ROW("A", DEVICE_PRESENT, INSTANT_NONE),
		ROW("B", DEVICE_ADDED, 1),
		ROW("C", DEVICE_MODIFIED, 1), // of a device that moved here: the same as added
		ROW("D", DEVICE_DELETED, 1),
	};
	struct page_plan plan CLEANUP(page_plan_fini);

	(void)state;
	page_plan_make(&plan, records, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(plan.items[i].gone, i == 3);
	}
}

static void serial_numbers_that_begin_alike_are_different(void **state)
{
	static const struct device_record records[] = {
		ROW("AB", DEVICE_ADDED, 1),
		ROW("A", DEVICE_ADDED, 2),
		ROW("ABC", DEVICE_ADDED, 3),
	};
	struct page_plan plan CLEANUP(page_plan_fini);

	(void)state;
	page_plan_make(&plan, records, 3);
	assert_int_equal(plan.count, 3);
}

static void an_empty_page_is_an_empty_plan(void **state)
{
	struct page_plan plan;

	(void)state;
	page_plan_make(&plan, NULL, 0);
	assert_null(plan.items);
	assert_int_equal(plan.count, 0);
	page_plan_fini(&plan);
	page_plan_fini(&plan);
}

enum { RECORDS_MAX = 40, SERIALS = 12 };

static size_t make_records(struct device_record records[RECORDS_MAX])
{
	static const char serials[SERIALS + 1] = "AABBCDEFGHIJ"; // of one or two letters, so that some begin alike
	const size_t count = random_below(RECORDS_MAX + 1);

	for (size_t i = 0; i < count; i++) {
		records[i] = (struct device_record){
			.serial_number = { serials + random_below(SERIALS - 1), 1 + random_below(2) },
			.operation = (enum device_operation)random_below(4),
			.op_date_us = random_chance(20) ? INSTANT_NONE : (int64_t)random_below(5) * SECOND_US,
		};
	}
	return count;
}

// The naive model: no record of the same serial number is younger, and none of the same age comes later.
static bool counts(const struct device_record *records, size_t count, size_t at)
{
	for (size_t i = 0; i < count; i++) {
		if (text_equal(records[i].serial_number, records[at].serial_number) &&
			(records[i].op_date_us > records[at].op_date_us ||
				(records[i].op_date_us == records[at].op_date_us && i > at))) {
			return false;
		}
	}
	return true;
}

static void plans_agree_with_a_naive_model(void **state)
{
	(void)state;
	for (size_t number = 0; number < 20000; number++) {
		struct device_record records[RECORDS_MAX];
		struct page_plan plan CLEANUP(page_plan_fini);
		size_t items = 0;
		size_t gone = 0;

		random_case("test_page", number);
		const size_t count = make_records(records);

		page_plan_make(&plan, records, count);
		for (size_t i = 0; i < count; i++) {
			if (counts(records, count, i)) {
				LAW(items < plan.count && plan.items[items].record == i);
				LAW(plan.items[items].gone == (records[i].operation == DEVICE_DELETED));
				gone += plan.items[items].gone ? 1 : 0;
				items++;
			}
		}
		LAW(plan.count == items && plan.duplicates == count - items && plan.gone == gone);
	}
}

enum { MANY = 3000, SERIAL_SIZE = 16 };

static char many_serials[MANY][SERIAL_SIZE];

static void make_many(struct device_record records[MANY])
{
	for (size_t i = 0; i < MANY; i++) {
		const int length = snprintf(many_serials[i], SERIAL_SIZE, "%c%zu", (char)('A' + random_below(26)), (i * 7919) % MANY);

		records[i] = (struct device_record){ .serial_number = { many_serials[i], (size_t)length }, .op_date_us = SECOND_US };
	}
}

static void of_many_records_the_one_that_is_there_twice_is_found(void **state)
{
	static struct device_record records[MANY];

	(void)state;
	for (size_t number = 0; number < 50; number++) {
		struct page_plan plan CLEANUP(page_plan_fini), other CLEANUP(page_plan_fini);

		random_case("test_page", number);
		make_many(records);
		page_plan_make(&plan, records, MANY);
		LAW(plan.count == MANY && plan.duplicates == 0);

		const size_t early = random_below(MANY / 2), late = MANY / 2 + random_below(MANY / 2);

		records[late].serial_number = records[early].serial_number;
		page_plan_make(&other, records, MANY);
		LAW(other.count == MANY - 1 && other.duplicates == 1);
		LAW(other.items[early].record == early + 1 && other.items[late - 1].record == late);
	}
}

static void sorted_items_stand_in_the_order_of_the_bytes_of_their_serial_numbers(void **state)
{
	static const struct device_record records[] = {
		ROW("ABCDEFGHIK", DEVICE_ADDED, 1),
		ROW("\xc3\xa9", DEVICE_DELETED, 1),
		ROW("ABCDEFGHI", DEVICE_ADDED, 1),
		ROW("B", DEVICE_ADDED, 1),
		ROW("ABCDEFGHIJ", DEVICE_ADDED, 1),
		ROW("ABCDEFGH", DEVICE_ADDED, 1),
	};
	static const uint32_t order[] = { 5, 2, 4, 0, 3, 1 };
	struct page_plan plan CLEANUP(page_plan_fini);

	(void)state;
	page_plan_make(&plan, records, 6);
	page_items_sort(plan.items, plan.count, records);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(plan.items[i].record, order[i]);
		assert_int_equal(plan.items[i].gone, order[i] == 1);
	}
	page_items_sort(NULL, 0, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_item_a_serial_number_in_the_order_of_their_records),
		cmocka_unit_test(the_greatest_op_date_counts_wherever_it_stands),
		cmocka_unit_test(on_a_tie_the_later_position_counts),
		cmocka_unit_test(a_record_without_op_date_is_the_oldest),
		cmocka_unit_test(only_deleted_is_gone),
		cmocka_unit_test(serial_numbers_that_begin_alike_are_different),
		cmocka_unit_test(an_empty_page_is_an_empty_plan),
		cmocka_unit_test(plans_agree_with_a_naive_model),
		cmocka_unit_test(of_many_records_the_one_that_is_there_twice_is_found),
		cmocka_unit_test(sorted_items_stand_in_the_order_of_the_bytes_of_their_serial_numbers),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
