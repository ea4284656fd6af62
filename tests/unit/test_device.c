// SPDX-License-Identifier: Apache-2.0
//
// A device's record as JSON and as a fingerprint: expected bytes, and what does and does not count as a change.
#include "support/cmocka_all.h"
#include "tenants/device.h"

#include <jansson.h>
#include <string.h>

static struct device_record bare(void)
{
	return (struct device_record){
		.serial_number = TEXT("C02XK1ABCD"),
		.profile_assign_time_us = INSTANT_NONE,
		.profile_push_time_us = INSTANT_NONE,
		.device_assigned_date_us = INSTANT_NONE,
		.mdm_migration_deadline_us = INSTANT_NONE,
		.op_date_us = INSTANT_NONE,
	};
}

static struct device_record full(void)
{
	struct device_record record = bare();

	record.model = TEXT("MacBook \"Air\"");
	record.description = TEXT("M\xc3\xbcll");
	record.color = TEXT("SILVER");
	record.asset_tag = TEXT("4711");
	record.device_family = TEXT("Mac");
	record.os = TEXT("OSX");
	record.profile_status = TEXT("pushed");
	record.profile_uuid = TEXT("0123456789ABCDEF0123456789ABCDEF");
	record.device_assigned_by = TEXT("-1");
	record.profile_assign_time_us = INT64_C(1764000000) * SECOND_US;
	record.profile_push_time_us = INT64_C(1764000001) * SECOND_US;
	record.device_assigned_date_us = INT64_C(1763999999) * SECOND_US;
	record.mdm_migration_deadline_us = INT64_C(1766592000) * SECOND_US + 500000;
	record.op_date_us = INT64_C(1764000002) * SECOND_US;
	record.operation = DEVICE_MODIFIED;
	record.response_status = TEXT("SUCCESS");
	record.extra = TEXT(" {\"imei\":[\"350000000000006\"], \"x\":1} ");
	return record;
}

static void assert_json(struct device_record record, const char *expected)
{
	struct buffer json CLEANUP(buffer_fini) = BUFFER(4096);
	json_t *parsed;

	device_json_write(&json, &record);
	assert_string_equal(json.bytes, expected);
	parsed = json_loads(json.bytes, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(parsed);
	json_decref(parsed);
}

static void json_has_apples_names_in_a_fixed_order_and_then_the_unknown_members(void **state)
{
	(void)state;
	assert_json(full(),
		"{\"serial_number\":\"C02XK1ABCD\",\"model\":\"MacBook \\\"Air\\\"\",\"description\":\"M\xc3\xbcll\",\"color\":\"SILVER\","
		"\"asset_tag\":\"4711\",\"device_family\":\"Mac\",\"os\":\"OSX\",\"profile_status\":\"pushed\","
		"\"profile_uuid\":\"0123456789ABCDEF0123456789ABCDEF\",\"device_assigned_by\":\"-1\","
		"\"profile_assign_time\":\"2025-11-24T16:00:00Z\",\"profile_push_time\":\"2025-11-24T16:00:01Z\","
		"\"device_assigned_date\":\"2025-11-24T15:59:59Z\",\"mdm_migration_deadline\":\"2025-12-24T16:00:00.500000Z\","
		"\"imei\":[\"350000000000006\"], \"x\":1}");
}

static void json_leaves_out_what_is_absent(void **state)
{
	struct device_record record = bare();

	(void)state;
	assert_json(record, "{\"serial_number\":\"C02XK1ABCD\"}");
	record.extra = TEXT("{}");
	assert_json(record, "{\"serial_number\":\"C02XK1ABCD\"}");
	record.extra = TEXT("{ }");
	assert_json(record, "{\"serial_number\":\"C02XK1ABCD\"}");
	record.serial_number = TEXT_NONE;
	record.extra = TEXT("{\"a\":{}}");
	assert_json(record, "{\"a\":{}}");
}

static void assert_fingerprint(struct device_record record, const char *expected)
{
	struct buffer hex CLEANUP(buffer_fini) = BUFFER(64);

	device_fingerprint(&record);
	buffer_add_hex(&hex, record.fingerprint, sizeof record.fingerprint);
	assert_string_equal(hex.bytes, expected);
}

static void fingerprints_have_these_bytes(void **state)
{
	struct device_record record = bare();

	(void)state;
	assert_fingerprint(record, "c3a421e41f68b100fee7f67026c2ca75");
	record.model = TEXT("MacBook Air");
	record.device_family = TEXT("Mac");
	record.os = TEXT("OSX");
	record.profile_status = TEXT("assigned");
	record.profile_uuid = TEXT("0123456789ABCDEF0123456789ABCDEF");
	record.device_assigned_by = TEXT("-1");
	record.profile_assign_time_us = INT64_C(1764000000) * SECOND_US;
	record.device_assigned_date_us = INT64_C(1763999999) * SECOND_US;
	record.extra = TEXT("{\"imei\":[\"350000000000006\"],\"is_replacement_device\":true}");
	assert_fingerprint(record, "9a6a4cf45b1946f9e4baf3f15f972724");
}

static bool same_fingerprint(struct device_record a, struct device_record b)
{
	device_fingerprint(&a);
	device_fingerprint(&b);
	return memcmp(a.fingerprint, b.fingerprint, sizeof a.fingerprint) == 0;
}

static void every_member_that_may_change_changes_the_fingerprint(void **state)
{
	static const size_t texts[] = {
		offsetof(struct device_record, serial_number), offsetof(struct device_record, model),
		offsetof(struct device_record, description), offsetof(struct device_record, color),
		offsetof(struct device_record, asset_tag), offsetof(struct device_record, device_family),
		offsetof(struct device_record, os), offsetof(struct device_record, profile_status),
		offsetof(struct device_record, profile_uuid), offsetof(struct device_record, device_assigned_by),
		offsetof(struct device_record, extra),
	};
	static const size_t instants[] = {
		offsetof(struct device_record, profile_assign_time_us), offsetof(struct device_record, profile_push_time_us),
		offsetof(struct device_record, device_assigned_date_us), offsetof(struct device_record, mdm_migration_deadline_us),
	};
	static const struct text other = { "{\"other\":1}", 11 };
	static const int64_t instant = 1;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct device_record record = full();

		memcpy((char *)&record + texts[i], &other, sizeof other);
		assert_false(same_fingerprint(record, full()));
	}
	for (size_t i = 0; i < sizeof instants / sizeof *instants; i++) {
		struct device_record record = full();

		memcpy((char *)&record + instants[i], &instant, sizeof instant);
		assert_false(same_fingerprint(record, full()));
	}
}

static void the_answer_around_a_record_does_not_change_its_fingerprint(void **state)
{
	struct device_record record = full();

	(void)state;
	record.operation = DEVICE_PRESENT;
	record.op_date_us = INSTANT_NONE;
	record.response_status = TEXT_NONE;
	memset(record.fingerprint, 0xff, sizeof record.fingerprint);
	assert_true(same_fingerprint(record, full()));
}

static void moving_a_letter_to_the_next_member_changes_the_fingerprint(void **state)
{
	struct device_record a = bare();
	struct device_record b = bare();

	(void)state;
	a.model = TEXT("AB");
	a.description = TEXT("C");
	b.model = TEXT("A");
	b.description = TEXT("BC");
	assert_false(same_fingerprint(a, b));
	a = b = bare();
	a.model = TEXT("A");
	b.description = TEXT("A");
	assert_false(same_fingerprint(a, b));
}

static void absent_and_empty_are_the_same(void **state)
{
	struct device_record a = bare();
	struct device_record b = bare();

	(void)state;
	a.model = TEXT("");
	b.model = TEXT_NONE;
	assert_true(same_fingerprint(a, b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_has_apples_names_in_a_fixed_order_and_then_the_unknown_members),
		cmocka_unit_test(json_leaves_out_what_is_absent),
		cmocka_unit_test(fingerprints_have_these_bytes),
		cmocka_unit_test(every_member_that_may_change_changes_the_fingerprint),
		cmocka_unit_test(the_answer_around_a_record_does_not_change_its_fingerprint),
		cmocka_unit_test(moving_a_letter_to_the_next_member_changes_the_fingerprint),
		cmocka_unit_test(absent_and_empty_are_the_same),
	};

	return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
