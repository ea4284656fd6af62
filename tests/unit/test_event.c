// SPDX-License-Identifier: Apache-2.0
//
// The bodies of webhooks, byte by byte: whoever has to change an expected text here gives stored events a second body.
#include "support/cmocka_all.h"
#include "tenants/event.h"

#include <string.h>

#define AT_US (INT64_C(1795525200) * SECOND_US) // 2026-11-24T13:00:00Z

static void bodies_have_these_bytes(void **state)
{
	static const struct {
		const char *tenant;
		int64_t incarnation;
		struct event_row row;
		const char *body;
	} cases[] = {
		{ "acme", 1,
			{ 17, AT_US, EVENT_DEVICE_ADDED, { "C02XK1ABCD", 10 }, { "main", 4 },
				{ "{\"serial_number\":\"C02XK1ABCD\",\"model\":\"MacBook Air\"}", 52 }, REMOVAL_NONE, { NULL, 0 } },
			"{\"type\":\"device.added\",\"timestamp\":\"2026-11-24T13:00:00.000000Z\",\"data\":{\"tenant\":\"acme\",\"seq\":17,"
			"\"incarnation\":1,\"serial_number\":\"C02XK1ABCD\",\"instance\":\"main\",\"device\":{\"serial_number\":\"C02XK1ABCD\","
			"\"model\":\"MacBook Air\"}}}" },
		{ "acme", 2, { 18, AT_US + 1, EVENT_DEVICE_CHANGED, { "A", 1 }, { "main", 4 }, { "{}", 2 }, REMOVAL_NONE, { NULL, 0 } },
			"{\"type\":\"device.changed\",\"timestamp\":\"2026-11-24T13:00:00.000001Z\",\"data\":{\"tenant\":\"acme\",\"seq\":18,"
			"\"incarnation\":2,\"serial_number\":\"A\",\"instance\":\"main\",\"device\":{}}}" },
		{ "acme", 1, { 19, AT_US + 999999, EVENT_DEVICE_REMOVED, { "A", 1 }, { "old", 3 }, { NULL, 0 }, REMOVAL_NONE, { NULL, 0 } },
			"{\"type\":\"device.removed\",\"timestamp\":\"2026-11-24T13:00:00.999999Z\",\"data\":{\"tenant\":\"acme\",\"seq\":19,"
			"\"incarnation\":1,\"serial_number\":\"A\",\"instance\":\"old\"}}" },
		{ "acme", 1, { 22, AT_US, EVENT_DEVICE_REMOVED, { "A", 1 }, { "old", 3 }, { "{}", 2 }, REMOVAL_UNLISTED, { "{}", 2 } },
			"{\"type\":\"device.removed\",\"timestamp\":\"2026-11-24T13:00:00.000000Z\",\"data\":{\"tenant\":\"acme\",\"seq\":22,"
			"\"incarnation\":1,\"serial_number\":\"A\",\"instance\":\"old\",\"reason\":\"unlisted\",\"device\":{}}}" },
		{ "acme", 1, { 20, AT_US, EVENT_DEVICE_ASSIGNED, { "A", 1 }, { "main", 4 }, { "{\"a\": [1, 2]}", 13 }, REMOVAL_NONE, { NULL, 0 } },
			"{\"type\":\"device.assigned\",\"timestamp\":\"2026-11-24T13:00:00.000000Z\",\"data\":{\"tenant\":\"acme\",\"seq\":20,"
			"\"incarnation\":1,\"serial_number\":\"A\",\"instance\":\"main\",\"device\":{\"a\": [1, 2]}}}" },
		{ "acme", 1, { 21, AT_US, EVENT_DEVICE_HELD, { "A", 1 }, { NULL, 0 }, { "{}", 2 }, REMOVAL_NONE, { NULL, 0 } },
			"{\"type\":\"device.held\",\"timestamp\":\"2026-11-24T13:00:00.000000Z\",\"data\":{\"tenant\":\"acme\",\"seq\":21,"
			"\"incarnation\":1,\"serial_number\":\"A\",\"device\":{}}}" },
		{ "acme", INT64_MAX, { INT64_MAX, 0, EVENT_PING, { NULL, 0 }, { "main", 4 }, { NULL, 0 }, REMOVAL_NONE, { NULL, 0 } },
			"{\"type\":\"ping\",\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"data\":{\"tenant\":\"acme\","
			"\"seq\":9223372036854775807,\"incarnation\":9223372036854775807,\"instance\":\"main\"}}" },
		{ "acme", 1, { 22, AT_US, EVENT_TOKEN_EXPIRING, { NULL, 0 }, { NULL, 0 }, { "{\"days\":7}", 10 }, REMOVAL_NONE, { NULL, 0 } },
			"{\"type\":\"token.expiring\",\"timestamp\":\"2026-11-24T13:00:00.000000Z\",\"data\":{\"tenant\":\"acme\",\"seq\":22,"
			"\"incarnation\":1,\"detail\":{\"days\":7}}}" },
		{ "", 3, { 5, AT_US, EVENT_ALERT_RAISED, { NULL, 0 }, { NULL, 0 }, { "{\"tenant\":\"acme\"}", 17 }, REMOVAL_NONE, { NULL, 0 } },
			"{\"type\":\"alert.raised\",\"timestamp\":\"2026-11-24T13:00:00.000000Z\",\"data\":{\"seq\":5,\"incarnation\":3,"
			"\"alert\":{\"tenant\":\"acme\"}}}" },
		{ "a\"b", 1, { 1, AT_US, EVENT_PING, { "\xff\n", 2 }, { "Z\xc3\xbcrich", 7 }, { NULL, 0 }, REMOVAL_NONE, { NULL, 0 } },
			"{\"type\":\"ping\",\"timestamp\":\"2026-11-24T13:00:00.000000Z\",\"data\":{\"tenant\":\"a\\\"b\",\"seq\":1,"
			"\"incarnation\":1,\"serial_number\":\"\xef\xbf\xbd\\n\",\"instance\":\"Z\xc3\xbcrich\"}}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buffer body CLEANUP(buffer_fini) = BUFFER(4096);

		event_body_write(&body, text_of(cases[i].tenant), cases[i].incarnation, &cases[i].row);
		assert_string_equal(body.bytes, cases[i].body);
	}
}

static void stored_numbers_of_types_never_change(void **state)
{
	static const char *const names[] = { NULL, "device.added", "device.changed", "device.removed", "device.assigned",
		"device.held", "ping", "token.expiring", "token.expired", "token.rejected", "terms.unsigned", "sync.failing",
		"tenant.quarantined", "token.renewed", "token.admin_changed", "token.refused", "endpoint.disabled", NULL };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *name = event_type_name((enum event_type)i);

		assert_true(text_equal(text_of(name), text_of(names[i])));
		assert_true((name == NULL) == (names[i] == NULL));
	}
}

static void stored_numbers_of_reasons_never_change(void **state)
{
	static const char *const names[] = { NULL, "deleted", "replaced", "unlisted", "inaccessible", "rerouted", NULL };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		assert_true(text_equal(text_of(removal_reason_name((enum removal_reason)i)), text_of(names[i])));
	}
	assert_string_equal(event_type_name((enum event_type)32), "device.replaced");
	assert_string_equal(event_type_name((enum event_type)48), "profile.unusable");
	assert_string_equal(event_type_name((enum event_type)49), "profile.undefined");
	assert_string_equal(event_type_name((enum event_type)50), "profile.drifted");
	assert_string_equal(event_type_name((enum event_type)20), "alert.raised");
	assert_string_equal(event_type_name((enum event_type)21), "alert.cleared");
	assert_string_equal(event_type_name((enum event_type)40), "device.enrolled");
	assert_string_equal(event_type_name((enum event_type)41), "device.unenrolled");
	assert_string_equal(event_type_name((enum event_type)42), "device.misrouted");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_have_these_bytes),
		cmocka_unit_test(stored_numbers_of_types_never_change),
		cmocka_unit_test(stored_numbers_of_reasons_never_change),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
