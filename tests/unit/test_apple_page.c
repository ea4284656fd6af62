// SPDX-License-Identifier: Apache-2.0
//
// Pages of devices: Apple's own answers, and every odd value.
#include "apple/apple.h"

#include "apple/apple_extra.h"
#include "support/apple_laws.h"
#include "support/cmocka_all.h"
#include "support/vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTORS "protocol/vectors/apple-responses/"

static void assert_text(struct text t, const char *expected)
{
	if (!text_equal_string(t, expected)) {
		fail_msg("\"%.*s\" is not \"%s\"", TEXT_ARGS(t), expected);
	}
}

static void assert_instant(int64_t instant_us, const char *expected)
{
	char spelling[INSTANT_TEXT_SIZE];

	assert_string_equal(instant_format(spelling, instant_us, true), expected);
}

static enum err parse(struct apple_page *page, const char *json)
{
	return apple_parse_checked(page, text_of(json));
}

// A page whose only device has these members.
static void parse_members(struct apple_page *page, const char *members)
{
	struct buffer json CLEANUP(buffer_fini) = BUFFER(8 << 20);

	buffer_add_format(&json, "{\"cursor\":\"c\",\"more_to_follow\":false,\"devices\":[{%s}]}", members);
	assert_int_equal(apple_parse_checked(page, buffer_text(&json)), OK);
	assert_int_equal(page->count + page->rejected, 1);
}

static void parse_shared(struct apple_page *page, const char *name,
	enum err (*parser)(struct apple_page *page, char *bytes, size_t length, struct fault *fault))
{
	char path[200];
	size_t length;
	char *content;

	(void)snprintf(path, sizeof path, VECTORS "%s", name);
	content = shared_read(SOURCE_DIRECTORY, path, &length);
	assert_int_equal(parser(page, content, length, NULL), OK);
	apple_check_laws(page);
	assert_int_equal(page->bytes, length);
	assert_int_equal(page->fields_ignored, 0);
	assert_int_equal(page->rejected, 0);
}

static void check_the_macbook(const struct device_record *record)
{
	assert_text(record->serial_number, "C02T0HL0GGC0");
	assert_text(record->description, "MBP 13.3 SPACE GRAY/2.0GHZ/8GB/256GB-USA");
	assert_text(record->model, "MacBook Pro");
	assert_text(record->os, "OSX");
	assert_text(record->device_family, "Mac");
	assert_text(record->color, "SPACE GRAY");
	assert_text(record->profile_uuid, "C1F123098EB5074580041E69883004C3");
	assert_text(record->profile_status, "assigned");
	assert_text(record->device_assigned_by, "apple-dep@acme.co");
	assert_instant(record->profile_assign_time_us, "2018-09-08T16:49:09Z");
	assert_instant(record->device_assigned_date_us, "2017-10-16T01:55:30Z");
	assert_true(record->profile_push_time_us == INSTANT_NONE && record->op_date_us == INSTANT_NONE);
	assert_true(record->mdm_migration_deadline_us == INSTANT_NONE);
	assert_int_equal(record->operation, DEVICE_PRESENT);
	assert_int_equal(record->extra.length, 0);
	assert_int_equal(record->asset_tag.length, 0);
}

static void a_page_of_the_live_service_is_read_whole(void **state)
{
	struct apple_page page;

	(void)state;
	parse_shared(&page, "micromdm/device_response.json", apple_page_parse);
	assert_int_equal(page.count, 1);
	check_the_macbook(&page.devices[0]);
	assert_text(page.devices[0].response_status, "");
	assert_text(page.cursor, "MDowOjE1MzY0Mjc2OTg5MTQ6MTUzNjQyNzY5ODkxNDp0cnVlOjE1MzY0Mjc2OTg5MTQ");
	assert_instant(page.fetched_until_us, "2018-09-08T17:28:18Z");
	assert_false(page.more_to_follow);
	apple_page_fini(&page);
}

static void device_details_of_the_live_service_are_read_whole(void **state)
{
	struct apple_page page;

	(void)state;
	parse_shared(&page, "micromdm/device_details_response.json", apple_details_parse);
	assert_int_equal(page.count, 1);
	check_the_macbook(&page.devices[0]);
	assert_text(page.devices[0].response_status, "SUCCESS");
	assert_int_equal(page.cursor.length, 0);
	apple_page_fini(&page);
}

static void an_empty_page_still_moves_the_cursor(void **state)
{
	struct apple_page page;

	(void)state;
	parse_shared(&page, "micromdm/empty_sync_response.json", apple_page_parse);
	assert_int_equal(page.count, 0);
	assert_text(page.cursor, "MDowOjE1MzY0Mjg0ODkzMDc6MTUzNjQyODQ4OTMwNzp0cnVlOjE1MzY0Mjg0ODkzMDc");
	apple_page_fini(&page);
	parse_shared(&page, "synthetic/sync-stuck-cursor.json", apple_page_parse);
	assert_true(page.more_to_follow);
	apple_page_fini(&page);
}

static void records_of_newer_protocols_keep_what_is_new(void **state)
{
	struct apple_page page;

	(void)state;
	parse_shared(&page, "synthetic/sync-duplicates.json", apple_page_parse);
	assert_int_equal(page.count, 5);
	assert_int_equal(page.devices[0].operation, DEVICE_DELETED);
	assert_int_equal(page.devices[1].operation, DEVICE_ADDED);
	assert_text(page.devices[1].device_assigned_by, "-1");
	assert_int_equal(page.devices[2].operation, DEVICE_MODIFIED);
	assert_instant(page.devices[2].op_date_us, "2026-01-01T00:00:03Z");
	assert_text(page.devices[2].extra, "{\"eid\":\"89049032000000000000000000000001\","
		"\"imei\":[\"350000000000006\"],\"wifi_mac_address\":\"02:00:00:00:00:01\"}");
	assert_text(page.devices[3].extra, "{\"released_by_replacement\":true}");
	assert_text(page.devices[4].extra, "{\"is_replacement_device\":true}");
	assert_instant(page.devices[4].mdm_migration_deadline_us, "2026-02-01T00:00:00Z");
	assert_text(page.devices[4].asset_tag, "");
	apple_page_fini(&page);
}

static void a_serial_number_is_made_canonical_or_its_record_is_parked(void **state)
{
	static const struct {
		const char *member;
		const char *serial; // NULL: parked
	} cases[] = {
		{ "\"serial_number\":\"c02xk1abcd\"", "C02XK1ABCD" },
		{ "\"serial_number\":\" \\tc02x\\r\\n \"", "C02X" },
		{ "\"serial_number\":\"\xc3\xa9\xc3\x89z\"", "\xc3\xa9\xc3\x89Z" },
		{ "\"serial_number\":\"A234567890123456789012345678901234567890123456789012345678901234\"",
			"A234567890123456789012345678901234567890123456789012345678901234" },
		{ "\"serial_number\":\"A2345678901234567890123456789012345678901234567890123456789012345\"", NULL },
		{ "\"serial_number\":\"A\",\"serial_number\":\"a \"", "A" },
		{ "\"serial_number\":\"A\",\"serial_number\":\"B\"", NULL },
		{ "\"serial_number\":\"A\",\"serial_number\":17", NULL },
		{ "\"serial_number\":\"A\",\"serial_number\":null", "A" },
		{ "\"serial_number\":\"A B\"", NULL },
		{ "\"serial_number\":\"A\\u0000B\"", NULL },
		{ "\"serial_number\":\"A\\u007fB\"", NULL },
		{ "\"serial_number\":\"\\ud83d\"", NULL },
		{ "\"serial_number\":\"A\xff\"", NULL },
		{ "\"serial_number\":\"A\xc3\"", NULL },
		{ "\"serial_number\":\"\xed\xa0\x80\"", NULL },
		{ "\"serial_number\":\"  \"", NULL },
		{ "\"serial_number\":\"\"", NULL },
		{ "\"serial_number\":null", NULL },
		{ "\"serial_number\":17", NULL },
		{ "\"serial_number\":true", NULL },
		{ "\"serial_number\":[\"A\"]", NULL },
		{ "\"Serial_Number\":\"A\"", NULL },
		{ "\"serial_number \":\"A\"", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct apple_page page;

		parse_members(&page, cases[i].member);
		if (cases[i].serial != NULL) {
			assert_int_equal(page.count, 1);
			assert_text(page.devices[0].serial_number, cases[i].serial);
		} else {
			assert_int_equal(page.rejected, 1);
		}
		apple_page_fini(&page);
	}
}

static void a_parked_record_is_shown_as_far_as_it_can_be(void **state)
{
	struct apple_page page;

	(void)state;
	parse_members(&page, "\"serial_number\":\"AB C\\u0007D\"");
	assert_text(page.rejects[0].serial, "AB C");
	assert_non_null(strstr(page.rejects[0].why, "blanks"));
	assert_text(page.rejects[0].record, "{\"serial_number\":\"AB C\\u0007D\"}");
	apple_page_fini(&page);
	parse_members(&page, "\"model\":\"iPad\",\"n\":[1e400,null,{\"deep\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}]");
	assert_text(page.rejects[0].serial, "");
	assert_text(page.rejects[0].record, "{\"model\":\"iPad\",\"n\":[1e400,null,{\"deep\":[[[[[[[[[[[[[null]]]]]]]]]]]]]}]}");
	apple_page_fini(&page);
}

static void a_parked_record_is_cut_between_characters(void **state)
{
	struct buffer members CLEANUP(buffer_fini) = BUFFER(1 << 14);
	struct apple_page page;

	(void)state;
	buffer_add_string(&members, "\"model\":\"");
	for (int i = 0; i < 1500; i++) {
		buffer_add_string(&members, "\xe2\x82\xac");
	}
	buffer_add_string(&members, "\"");
	parse_members(&page, members.bytes);
	assert_int_equal(page.rejects[0].record.length, 1999 - (1999 - 10) % 3);
	assert_true(text_is_utf8(page.rejects[0].record));
	apple_page_fini(&page);
}

static void members_of_version_10_are_kept_as_what_they_are_documented_to_be(void **state)
{
	static const struct {
		const char *members, *extra;
		bool is_replacement, released;
		unsigned ignored;
	} cases[] = {
		{ "\"imei\":[\"1\",\"2\"],\"meid\":[],\"eid\":\"e\"", "{\"eid\":\"e\",\"imei\":[\"1\",\"2\"],\"meid\":[]}", false, false, 0 },
		{ "\"imei\":\"1\",\"meid\":[1],\"eid\":[\"e\"]", "", false, false, 3 },
		{ "\"ethernet_mac_address\":\"a\"", "{\"ethernet_mac_address\":\"a\"}", false, false, 0 },
		{ "\"ethernet_mac_address\":[\"a\"]", "{\"ethernet_mac_address\":[\"a\"]}", false, false, 0 },
		{ "\"ethernet_mac_address\":{},\"wifi_mac_address\":true,\"bluetooth_mac_address\":null", "", false, false, 2 },
		{ "\"is_replacement_device\":true", "{\"is_replacement_device\":true}", true, false, 0 },
		{ "\"is_replacement_device\":\"true\",\"released_by_replacement\":1", "", false, false, 2 },
		{ "\"is_replacement_device\":false,\"released_by_replacement\":true",
			"{\"is_replacement_device\":false,\"released_by_replacement\":true}", false, true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buffer members CLEANUP(buffer_fini) = BUFFER(512);
		struct apple_page page;

		buffer_add_format(&members, "\"serial_number\":\"A\",%s", cases[i].members);
		parse_members(&page, members.bytes);
		assert_int_equal(page.count, 1);
		assert_text(page.devices[0].extra, cases[i].extra);
		assert_int_equal(page.devices[0].is_replacement, cases[i].is_replacement);
		assert_int_equal(page.devices[0].released_by_replacement, cases[i].released);
		assert_int_equal(page.fields_ignored, cases[i].ignored);
		apple_page_fini(&page);
	}
}

static void one_bad_record_does_not_cost_the_others(void **state)
{
	struct apple_page page;

	(void)state;
	assert_int_equal(parse(&page, "{\"devices\":[null,{\"serial_number\":\"A\"},[],\"B\",17,{},{\"serial_number\":\"C\"}],"
		"\"cursor\":\"c\",\"more_to_follow\":true}"), OK);
	assert_int_equal(page.count, 2);
	assert_text(page.devices[0].serial_number, "A");
	assert_text(page.devices[1].serial_number, "C");
	assert_int_equal(page.rejected, 5);
	assert_int_equal(page.rejects_kept, 5);
	apple_page_fini(&page);
}

static void only_the_first_parked_records_are_kept_and_all_are_counted(void **state)
{
	struct buffer json CLEANUP(buffer_fini) = BUFFER(10000);
	struct apple_page page;

	(void)state;
	buffer_add_string(&json, "{\"cursor\":\"c\",\"more_to_follow\":false,\"devices\":[{}");
	for (int i = 1; i < APPLE_REJECTS_KEPT + 50; i++) {
		buffer_add_string(&json, ",{}");
	}
	buffer_add_string(&json, "]}");
	assert_int_equal(apple_parse_checked(&page, buffer_text(&json)), OK);
	assert_int_equal(page.rejects_kept, APPLE_REJECTS_KEPT);
	assert_int_equal(page.rejected, APPLE_REJECTS_KEPT + 50);
	apple_page_fini(&page);
}

static void a_bad_value_spoils_its_own_field_only(void **state)
{
	static const char *const values[] = {
		"17", "true", "[]", "{\"a\":1}", "\"a\\u0000b\"", "\"\xff\"", "1e999999", "[[[[]]]]", "-0",
	};

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct buffer members CLEANUP(buffer_fini) = BUFFER(1000);
		struct apple_page page;

		buffer_add_format(&members, "\"serial_number\":\"A\",\"model\":%s,\"op_date\":%s,\"op_type\":%s,\"color\":\"RED\"",
			values[i], values[i], values[i]);
		parse_members(&page, members.bytes);
		assert_int_equal(page.count, 1);
		assert_int_equal(page.fields_ignored, 3);
		assert_text(page.devices[0].model, "");
		assert_text(page.devices[0].color, "RED");
		assert_true(page.devices[0].op_date_us == INSTANT_NONE);
		assert_int_equal(page.devices[0].operation, DEVICE_PRESENT);
		apple_page_fini(&page);
	}
}

static void absent_null_and_empty_are_the_same(void **state)
{
	static const char *const members[] = {
		"\"serial_number\":\"A\"",
		"\"serial_number\":\"A\",\"model\":null,\"op_date\":null,\"op_type\":null,\"imei\":null,\"profile_uuid\":null",
		"\"serial_number\":\"A\",\"model\":\"\",\"op_date\":\"\",\"op_type\":\"\",\"imei\":\"\",\"profile_uuid\":\"\"",
	};
	struct apple_page pages[3];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		parse_members(&pages[i], members[i]);
		assert_int_equal(pages[i].fields_ignored, 0);
		assert_int_equal(pages[i].devices[0].extra.length, 0);
		assert_true(pages[i].devices[0].op_date_us == INSTANT_NONE);
		assert_memory_equal(pages[i].devices[0].fingerprint, pages[0].devices[0].fingerprint, DEVICE_FINGERPRINT_SIZE);
	}
	for (size_t i = 0; i < 3; i++) {
		apple_page_fini(&pages[i]);
	}
}

static void of_a_member_that_is_there_twice_the_later_one_counts(void **state)
{
	struct apple_page page;

	(void)state;
	parse_members(&page, "\"serial_number\":\"A\",\"model\":\"x\",\"model\":\"y\",\"op_type\":\"deleted\",\"op_type\":\"added\"");
	assert_text(page.devices[0].model, "y");
	assert_int_equal(page.devices[0].operation, DEVICE_ADDED);
	assert_int_equal(page.fields_ignored, 2);
	apple_page_fini(&page);
}

static void malformed_dates_are_absent(void **state)
{
	static const char *const dates[] = {
		"\"yesterday\"", "\"2026-02-30T00:00:00Z\"", "\"2026-01-01\"", "\"0001-01-01T00:00:00Z\"", "1767225600", "\"Z\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
		struct buffer members CLEANUP(buffer_fini) = BUFFER(1000);
		struct apple_page page;

		buffer_add_format(&members, "\"serial_number\":\"A\",\"profile_push_time\":%s,\"device_assigned_date\":"
			"\"2026-01-01T00:00:00Z\"", dates[i]);
		parse_members(&page, members.bytes);
		assert_true(page.devices[0].profile_push_time_us == INSTANT_NONE);
		assert_instant(page.devices[0].device_assigned_date_us, "2026-01-01T00:00:00Z");
		assert_int_equal(page.fields_ignored, 1);
		apple_page_fini(&page);
	}
}

static void only_the_word_deleted_removes_a_device(void **state)
{
	static const struct {
		const char *value;
		enum device_operation operation;
	} cases[] = {
		{ "\"added\"", DEVICE_ADDED }, { "\"modified\"", DEVICE_MODIFIED }, { "\"deleted\"", DEVICE_DELETED },
		{ "\"DELETED\"", DEVICE_DELETED }, { "\"delete\"", DEVICE_PRESENT }, { "\"deleted \"", DEVICE_PRESENT },
		{ "\"released\"", DEVICE_PRESENT }, { "[\"deleted\"]", DEVICE_PRESENT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buffer members CLEANUP(buffer_fini) = BUFFER(1000);
		struct apple_page page;

		buffer_add_format(&members, "\"serial_number\":\"A\",\"op_type\":%s", cases[i].value);
		parse_members(&page, members.bytes);
		assert_int_equal(page.devices[0].operation, cases[i].operation);
		apple_page_fini(&page);
	}
}

static void a_text_longer_than_the_limit_is_absent(void **state)
{
	struct buffer members CLEANUP(buffer_fini) = BUFFER(10000);
	struct apple_page page;

	(void)state;
	buffer_add_string(&members, "\"serial_number\":\"A\",\"model\":\"");
	for (int i = 0; i < APPLE_TEXT_MAX; i++) {
		buffer_add_string(&members, "m");
	}
	buffer_add_string(&members, "\"");
	parse_members(&page, members.bytes);
	assert_int_equal(page.devices[0].model.length, APPLE_TEXT_MAX);
	apple_page_fini(&page);
	members.bytes[members.length - 1] = 'm';
	buffer_add_string(&members, "\"");
	parse_members(&page, members.bytes);
	assert_int_equal(page.devices[0].model.length, 0);
	assert_int_equal(page.fields_ignored, 1);
	apple_page_fini(&page);
}

static void a_text_cut_between_surrogates_is_mended(void **state)
{
	struct apple_page page;

	(void)state;
	parse_members(&page, "\"serial_number\":\"A\",\"asset_tag\":\"Room \\ud83d\",\"model\":\"\\ud83d\\ude00\","
		"\"color\":\"\\\\ud83d\",\"description\":\"\\ude00\\ud83d\\ud83d\\ude00\"");
	assert_text(page.devices[0].asset_tag, "Room \xef\xbf\xbd");
	assert_text(page.devices[0].model, "\xf0\x9f\x98\x80");
	assert_text(page.devices[0].color, "\\ud83d");
	assert_text(page.devices[0].description, "\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80");
	apple_page_fini(&page);
}

static void unknown_members_are_kept_as_sorted_compact_json(void **state)
{
	struct apple_page page;

	(void)state;
	parse_members(&page, "\"zeta\" : [ 1 , 2.50 , -3e2, null, {\"b\":\"\\u00e9\\n\", \"a\":false} ], \"serial_number\":\"A\","
		"\"alpha\":123456789012345678901234567890,\"nothing\":null,\"empty\":\"\"");
	assert_text(page.devices[0].extra, "{\"alpha\":123456789012345678901234567890,\"zeta\":[1,2.50,-3e2,null,"
		"{\"b\":\"\xc3\xa9\\n\",\"a\":false}]}");
	assert_int_equal(page.fields_ignored, 0);
	apple_page_fini(&page);
}

static void the_order_of_members_does_not_change_the_fingerprint(void **state)
{
	struct apple_page a;
	struct apple_page b;
	struct apple_page c;

	(void)state;
	parse_members(&a, "\"serial_number\":\"A\",\"model\":\"iPad\",\"eid\":\"1\",\"meid\":[\"2\"]");
	parse_members(&b, "\"meid\":[ \"2\" ],\"model\":\"iPad\",\"eid\":\"1\",\"serial_number\":\"a\"");
	parse_members(&c, "\"meid\":[ \"3\" ],\"model\":\"iPad\",\"eid\":\"1\",\"serial_number\":\"a\"");
	assert_memory_equal(a.devices[0].fingerprint, b.devices[0].fingerprint, DEVICE_FINGERPRINT_SIZE);
	assert_memory_not_equal(a.devices[0].fingerprint, c.devices[0].fingerprint, DEVICE_FINGERPRINT_SIZE);
	apple_page_fini(&a);
	apple_page_fini(&b);
	apple_page_fini(&c);
}

static void what_a_database_cannot_store_is_left_out_of_the_extra_members(void **state)
{
	struct apple_page page;

	(void)state;
	parse_members(&page, "\"serial_number\":\"A\",\"a\":\"x\\u0000\",\"b\":[\"\xff\"],\"c\\u0000\":1,\"d\":1e100000,"
		"\"e\":{\"f\\u0000\":1},\"g\":1e99,\"h\":1,\"h\":2");
	assert_text(page.devices[0].extra, "{\"g\":1e99,\"h\":2}");
	assert_int_equal(page.fields_ignored, 6);
	assert_int_equal(page.extras_dropped, 0);
	apple_page_fini(&page);
}

static void add_repeated(struct buffer *out, const char *part, int times)
{
	for (int i = 0; i < times; i++) {
		buffer_add_string(out, part);
	}
}

static void too_many_too_large_or_too_deep_extras_are_dropped_and_the_device_stays(void **state)
{
	static const struct {
		const char *open;
		const char *part;
		const char *close;
		int fits;
		int too_much;
	} cases[] = {
		{ "\"a\":\"", "x", "\"", APPLE_EXTRA_MAX - 8, APPLE_EXTRA_MAX - 7 },
		{ "\"a\":[0", ",0", "]", 4000, 5000 },
	};
	struct apple_page page;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
		struct buffer members CLEANUP(buffer_fini) = BUFFER(100000);

		buffer_add_format(&members, "\"serial_number\":\"A\",%s", cases[i / 2].open);
		add_repeated(&members, cases[i / 2].part, i % 2 == 0 ? cases[i / 2].fits : cases[i / 2].too_much);
		buffer_add_string(&members, cases[i / 2].close);
		parse_members(&page, members.bytes);
		assert_int_equal(page.count, 1);
		assert_int_equal(page.extras_dropped, i % 2);
		assert_true((page.devices[0].extra.length > 0) == (i % 2 == 0));
		apple_page_fini(&page);
	}
	for (int depth = APPLE_EXTRA_DEPTH_MAX - 1; depth <= APPLE_EXTRA_DEPTH_MAX; depth++) {
		struct buffer members CLEANUP(buffer_fini) = BUFFER(1000);

		buffer_add_string(&members, "\"serial_number\":\"A\",\"a\":");
		add_repeated(&members, "[", depth);
		add_repeated(&members, "]", depth);
		parse_members(&page, members.bytes);
		assert_int_equal(page.extras_dropped, depth == APPLE_EXTRA_DEPTH_MAX ? 1 : 0);
		apple_page_fini(&page);
	}
}

static void extras_of_several_devices_do_not_mix(void **state)
{
	struct buffer json CLEANUP(buffer_fini) = BUFFER(1 << 20);
	struct apple_page page;

	(void)state;
	buffer_add_string(&json, "{\"cursor\":\"c\",\"more_to_follow\":false,\"devices\":[");
	for (int i = 0; i < 1000; i++) {
		buffer_add_format(&json, "%s{\"serial_number\":\"S%d\"", i > 0 ? "," : "", i);
		buffer_add_format(&json, i % 3 == 0 ? ",\"eid\":\"%d\"}" : "}", i);
	}
	buffer_add_string(&json, "]}");
	assert_int_equal(apple_parse_checked(&page, buffer_text(&json)), OK);
	assert_int_equal(page.count, 1000);
	for (int i = 0; i < 1000; i++) {
		char expected[40];

		(void)snprintf(expected, sizeof expected, "{\"eid\":\"%d\"}", i);
		assert_text(page.devices[i].extra, i % 3 == 0 ? expected : "");
	}
	apple_page_fini(&page);
}

static void a_page_without_certainty_about_its_position_is_refused(void **state)
{
	static const char *const pages[] = {
		"", " ", "{", "{}", "[]", "null", "17", "\"T_C_NOT_SIGNED\"", "<html></html>",
		"{\"devices\":[],\"more_to_follow\":false}",
		"{\"devices\":[],\"cursor\":\"c\"}",
		"{\"devices\":[],\"cursor\":\"\",\"more_to_follow\":false}",
		"{\"devices\":[],\"cursor\":null,\"more_to_follow\":false}",
		"{\"devices\":[],\"cursor\":17,\"more_to_follow\":false}",
		"{\"devices\":[],\"cursor\":\"a\\u0000\",\"more_to_follow\":false}",
		"{\"devices\":[],\"cursor\":\"a\xff\",\"more_to_follow\":false}",
		"{\"devices\":[],\"cursor\":\"c\",\"more_to_follow\":null}",
		"{\"devices\":[],\"cursor\":\"c\",\"more_to_follow\":\"false\"}",
		"{\"devices\":[],\"cursor\":\"c\",\"more_to_follow\":0}",
		"{\"devices\":[],\"cursor\":\"c\",\"cursor\":\"c\",\"more_to_follow\":false}",
		"{\"devices\":[],\"cursor\":\"c\",\"more_to_follow\":true,\"more_to_follow\":false}",
		"{\"devices\":[],\"devices\":[],\"cursor\":\"c\",\"more_to_follow\":false}",
		"{\"devices\":{},\"cursor\":\"c\",\"more_to_follow\":false}",
		"{\"devices\":\"A\",\"cursor\":\"c\",\"more_to_follow\":false}",
		"{\"devices\":[],\"cursor\":\"c\",\"more_to_follow\":false}}",
		"{\"devices\":[],\"cursor\":\"c\",\"more_to_follow\":false} x",
		"{\"devices\":[],\"cursor\":\"c\",\"more_to_follow\":false,}",
		"{\"devices\":[{\"serial_number\":\"A\",\"model\":\"\\q\"}],\"cursor\":\"c\",\"more_to_follow\":false}",
		"{\"devices\":[{\"serial_number\":\"A\",\"model\":\"\\u12\"}],\"cursor\":\"c\",\"more_to_follow\":false}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
		struct apple_page page;
		const enum err rc = parse(&page, pages[i]);

		if (rc != ERR_BAD_ANSWER) {
			fail_msg("%s gives %s", pages[i], err_name(rc));
		}
		apple_page_fini(&page);
	}
}

static void a_page_that_is_only_unusual_is_read(void **state)
{
	static const char *const pages[] = {
		"\xef\xbb\xbf{\"devices\":[{\"serial_number\":\"A\"}],\"cursor\":\"c\",\"more_to_follow\":false}",
		"\r\n{\"devices\":[{\"serial_number\":\"A\"}],\"cursor\":\"c\",\"more_to_follow\":false}\r\n\t ",
		"{\"cursor\":\"c\",\"new\":{\"a\":[1]},\"more_to_follow\":false,\"devices\":[{\"serial_number\":\"A\"}]}",
		"{\"devices\":[{\"serial_number\":\"A\"}],\"cursor\":\"c\",\"more_to_follow\":false,\"fetched_until\":\"now\"}",
	};
	struct apple_page page;

	(void)state;
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
		assert_int_equal(parse(&page, pages[i]), OK);
		assert_int_equal(page.count, 1);
		assert_true(page.fetched_until_us == INSTANT_NONE);
		assert_int_equal(page.fields_ignored, i == 3 ? 1 : 0);
		apple_page_fini(&page);
	}
	assert_int_equal(parse(&page, "{\"devices\":null,\"cursor\":\"c\",\"more_to_follow\":false}"), OK);
	assert_int_equal(page.count, 0);
	apple_page_fini(&page);
}

static void a_cursor_up_to_the_limit_is_kept_exactly(void **state)
{
	(void)state;
	for (int length = APPLE_CURSOR_MAX; length <= APPLE_CURSOR_MAX + 1; length++) {
		struct buffer json CLEANUP(buffer_fini) = BUFFER(10000);
		struct apple_page page;

		buffer_add_string(&json, "{\"more_to_follow\":false,\"cursor\":\"");
		add_repeated(&json, "c", length);
		buffer_add_string(&json, "\"}");
		if (length <= APPLE_CURSOR_MAX) {
			assert_int_equal(apple_parse_checked(&page, buffer_text(&json)), OK);
			assert_int_equal(page.cursor.length, length);
		} else {
			assert_int_equal(apple_parse_checked(&page, buffer_text(&json)), ERR_BUDGET);
		}
		apple_page_fini(&page);
	}
}

static enum err parse_details(struct apple_page *page, const char *json)
{
	const enum err rc = apple_details_parse(page, duplicate(text_of(json)), strlen(json), NULL);

	apple_check_laws(page);
	return rc;
}

static void details_take_the_serial_number_from_their_key(void **state)
{
	struct apple_page page;

	(void)state;
	assert_int_equal(parse_details(&page, "{\"devices\":{\" abc\":{\"response_status\":\"NOT_ACCESSIBLE\"},"
		"\"DEF\":{\"serial_number\":\"def\",\"response_status\":\"SUCCESS\"},"
		"\"GHI\":{\"serial_number\":\"OTHER\"},\"JKL\":null,\"\":{\"serial_number\":\"MNO\"}}}"), OK);
	assert_int_equal(page.count, 2);
	assert_text(page.devices[0].serial_number, "ABC");
	assert_text(page.devices[0].response_status, "NOT_ACCESSIBLE");
	assert_text(page.devices[1].serial_number, "DEF");
	assert_int_equal(page.rejected, 3);
	assert_text(page.rejects[0].serial, "GHI");
	assert_text(page.rejects[1].serial, "JKL");
	apple_page_fini(&page);
}

static void details_that_are_not_an_object_of_devices_are_refused(void **state)
{
	static const char *const answers[] = {
		"", "{}", "{\"devices\":[]}", "{\"devices\":null}", "{\"devices\":{},\"devices\":{}}", "[]", "OK",
	};

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		struct apple_page page;

		assert_int_equal(parse_details(&page, answers[i]), ERR_BAD_ANSWER);
		apple_page_fini(&page);
	}
}

static void a_zeroed_page_can_be_ended_twice(void **state)
{
	struct apple_page page = { 0 };

	(void)state;
	apple_page_fini(&page);
	apple_page_fini(&page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_of_the_live_service_is_read_whole),
		cmocka_unit_test(device_details_of_the_live_service_are_read_whole),
		cmocka_unit_test(an_empty_page_still_moves_the_cursor),
		cmocka_unit_test(records_of_newer_protocols_keep_what_is_new),
		cmocka_unit_test(a_serial_number_is_made_canonical_or_its_record_is_parked),
		cmocka_unit_test(a_parked_record_is_shown_as_far_as_it_can_be),
		cmocka_unit_test(a_parked_record_is_cut_between_characters),
		cmocka_unit_test(members_of_version_10_are_kept_as_what_they_are_documented_to_be),
		cmocka_unit_test(one_bad_record_does_not_cost_the_others),
		cmocka_unit_test(only_the_first_parked_records_are_kept_and_all_are_counted),
		cmocka_unit_test(a_bad_value_spoils_its_own_field_only),
		cmocka_unit_test(absent_null_and_empty_are_the_same),
		cmocka_unit_test(of_a_member_that_is_there_twice_the_later_one_counts),
		cmocka_unit_test(malformed_dates_are_absent),
		cmocka_unit_test(only_the_word_deleted_removes_a_device),
		cmocka_unit_test(a_text_longer_than_the_limit_is_absent),
		cmocka_unit_test(a_text_cut_between_surrogates_is_mended),
		cmocka_unit_test(unknown_members_are_kept_as_sorted_compact_json),
		cmocka_unit_test(the_order_of_members_does_not_change_the_fingerprint),
		cmocka_unit_test(what_a_database_cannot_store_is_left_out_of_the_extra_members),
		cmocka_unit_test(too_many_too_large_or_too_deep_extras_are_dropped_and_the_device_stays),
		cmocka_unit_test(extras_of_several_devices_do_not_mix),
		cmocka_unit_test(a_page_without_certainty_about_its_position_is_refused),
		cmocka_unit_test(a_page_that_is_only_unusual_is_read),
		cmocka_unit_test(a_cursor_up_to_the_limit_is_kept_exactly),
		cmocka_unit_test(details_take_the_serial_number_from_their_key),
		cmocka_unit_test(details_that_are_not_an_object_of_devices_are_refused),
		cmocka_unit_test(a_zeroed_page_can_be_ended_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
