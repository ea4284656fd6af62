// SPDX-License-Identifier: Apache-2.0
//
// The webhook body of NanoDEP's depsyncer, byte by byte.
#include "support/cmocka_all.h"
#include "tenants/nanodep_page.h"

#include <stdlib.h>
#include <string.h>

#define AT_US (INT64_C(1767225600) * SECOND_US) // 2026-01-01T00:00:00Z

static struct nanodep_page page_of(bool is_fetch)
{
	return (struct nanodep_page){ .is_fetch = is_fetch, .dep_name = TEXT("mdmserver1"), .incarnation = 1, .last_seq = 17, .at_us = AT_US + 123456 };
}

static struct event_row event_of(enum event_type type, const char *device)
{
	return (struct event_row){ .seq = 17, .at_us = AT_US, .type = type, .serial_number = TEXT("DEPB00000001"), .device_json = text_of(device) };
}

static void check(struct nanodep_page page, enum event_type type, const char *device, const char *wanted)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(4096);
	const struct event_row event = event_of(type, device);

	nanodep_page_begin(&page, &out);
	assert_true(nanodep_page_add(&page, &event));
	nanodep_page_end(&page, false);
	buffer_add(&out, "", 1);
	assert_string_equal(out.bytes, wanted);
}

#define SYNC_HEAD  "{\"topic\":\"dep.SyncDevices\",\"event_id\":\"\",\"created_at\":\"2026-01-01T00:00:00.123456Z\",\"device_response_event\":{"       \
	"\"dep_name\":\"mdmserver1\",\"device_response\":{\"cursor\":\"1-17\""
#define FETCH_HEAD "{\"topic\":\"dep.FetchDevices\",\"event_id\":\"\",\"created_at\":\"2026-01-01T00:00:00.123456Z\",\"device_response_event\":{"     \
	"\"dep_name\":\"mdmserver1\",\"device_response\":{\"cursor\":\"1-17\""
#define END ",\"fetched_until\":\"2026-01-01T00:00:00Z\",\"more_to_follow\":false}}}"

static void a_page_of_changes_has_the_operation_of_each_device(void **state)
{
	static const char device[] = "{\"serial_number\":\"DEPB00000001\",\"model\":\"MacBook Air\",\"os\":\"OSX\"}";
	static const struct {
		enum event_type type;
		const char *operation;
	} cases[] = {
		{ EVENT_DEVICE_ADDED, "added" },
		{ EVENT_DEVICE_CHANGED, "modified" },
		{ EVENT_DEVICE_ASSIGNED, "modified" },
		{ EVENT_DEVICE_REMOVED, "deleted" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buffer wanted CLEANUP(buffer_fini) = BUFFER(4096);

		buffer_add_format(&wanted, SYNC_HEAD ",\"devices\":[{\"model\":\"MacBook Air\",\"op_date\":\"2026-01-01T00:00:00Z\",\"op_type\":\"%s\","
			"\"os\":\"OSX\",\"serial_number\":\"DEPB00000001\"}]" END, cases[i].operation);
		check(page_of(false), cases[i].type, device, wanted.bytes);
		assert_true(nanodep_page_tells(cases[i].type));
	}
	assert_false(nanodep_page_tells(EVENT_DEVICE_HELD) || nanodep_page_tells(EVENT_PING) || nanodep_page_tells(EVENT_DEVICE_ENROLLED));
}

static void a_page_of_a_list_has_no_operations(void **state)
{
	(void)state;
	check(page_of(true), EVENT_DEVICE_ADDED, "{\"serial_number\":\"DEPB00000001\",\"model\":\"MacBook Air\"}",
		FETCH_HEAD ",\"devices\":[{\"model\":\"MacBook Air\",\"serial_number\":\"DEPB00000001\"}]" END);
}

static void members_are_in_the_order_and_spelling_of_go_and_unknown_ones_are_dropped(void **state)
{
	(void)state;
	check(page_of(true), EVENT_DEVICE_ADDED,
		"{\"serial_number\":\"DEPB00000001\",\"description\":\"a<b>&\xe2\x80\xa8\\u0000\xc3\xbc\",\"asset_tag\":\"1\",\"color\":\"2\",\"profile_uuid\":\"3\","
		"\"device_family\":\"Mac\",\"profile_status\":\"pushed\",\"device_assigned_by\":\"x@y\",\"profile_push_time\":\"2026-01-01T00:00:00.120000Z\","
		"\"profile_assign_time\":\"2026-01-01T00:00:00Z\",\"device_assigned_date\":\"2026-01-01T00:00:00Z\","
		"\"mdm_migration_deadline\":\"2026-01-01T00:00:00Z\",\"imei\":[\"1\"],\"eid\":\"9\",\"new\":{\"os\":\"no\"}}",
		FETCH_HEAD ",\"devices\":[{\"asset_tag\":\"1\",\"color\":\"2\",\"description\":\"a\\u003cb\\u003e\\u0026\\u2028\\u0000\xc3\xbc\","
		"\"device_assigned_by\":\"x@y\",\"device_assigned_date\":\"2026-01-01T00:00:00Z\",\"device_family\":\"Mac\","
		"\"mdm_migration_deadline\":\"2026-01-01T00:00:00Z\",\"model\":\"\",\"profile_assign_time\":\"2026-01-01T00:00:00Z\","
		"\"profile_push_time\":\"2026-01-01T00:00:00.12Z\",\"profile_status\":\"pushed\",\"profile_uuid\":\"3\",\"serial_number\":\"DEPB00000001\"}]" END);
}

static void a_page_without_devices_has_no_list(void **state)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(4096);
	struct nanodep_page page = page_of(false);

	(void)state;
	nanodep_page_begin(&page, &out);
	nanodep_page_end(&page, true);
	assert_true(text_equal(buffer_text(&out), TEXT(SYNC_HEAD ",\"fetched_until\":\"2026-01-01T00:00:00Z\",\"more_to_follow\":true}}}")));
}

static void what_has_no_room_is_left_out_whole_but_never_the_first_one(void **state)
{
	enum { LARGE = NANODEP_PAGE_BYTES_MAX + 1000 };
	struct buffer out CLEANUP(buffer_fini) = BUFFER(4 * LARGE);
	struct buffer device CLEANUP(buffer_fini) = BUFFER(2 * LARGE);
	struct nanodep_page page = page_of(true);
	struct event_row event = event_of(EVENT_DEVICE_ADDED, "");
	char *color = allocate(LARGE);
	size_t before;

	(void)state;
	memset(color, 'x', LARGE);
	buffer_add_string(&device, "{\"color\":\"");
	buffer_add(&device, color, LARGE);
	buffer_add_string(&device, "\",\"serial_number\":\"DEPB00000001\"}");
	free(color);
	event.device_json = buffer_text(&device);
	nanodep_page_begin(&page, &out);
	assert_true(nanodep_page_add(&page, &event));
	before = out.length;
	event.device_json = TEXT("{\"serial_number\":\"DEPB00000002\"}");
	assert_false(nanodep_page_add(&page, &event));
	assert_int_equal(out.length, before);
	assert_int_equal(page.count, 1);
	assert_false(out.overflow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_of_changes_has_the_operation_of_each_device),
		cmocka_unit_test(a_page_of_a_list_has_no_operations),
		cmocka_unit_test(members_are_in_the_order_and_spelling_of_go_and_unknown_ones_are_dropped),
		cmocka_unit_test(a_page_without_devices_has_no_list),
		cmocka_unit_test(what_has_no_room_is_left_out_whole_but_never_the_first_one),
	};

	return cmocka_run_group_tests_name("nanodep_page", tests, NULL, NULL);
}
