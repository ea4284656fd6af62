// SPDX-License-Identifier: Apache-2.0
//
// Bodies with several events, byte by byte.
#include "support/cmocka_all.h"
#include "tenants/event_batch.h"

#include <string.h>

#define AT_US (INT64_C(1795525200) * SECOND_US) // 2026-11-24T13:00:00Z

static void a_batch_has_each_event_as_it_is_alone_with_its_id_and_the_newest_time(void **state)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(EVENT_BATCH_BYTES_MAX + 1024);
	struct event_batch batch;

	(void)state;
	event_batch_begin(&batch, &out);
	assert_true(event_batch_add(&batch, TEXT("msg_a"), TEXT("{\"type\":\"x\"}"), AT_US + 1));
	assert_true(event_batch_add(&batch, TEXT("msg_b"), TEXT("{\"type\":\"y\"}"), AT_US));
	event_batch_end(&batch);
	assert_int_equal(batch.count, 2);
	assert_true(text_equal(buffer_text(&out), TEXT("{\"type\":\"batch\",\"data\":{\"events\":[{\"id\":\"msg_a\",\"type\":\"x\"},"
		"{\"id\":\"msg_b\",\"type\":\"y\"}]},\"timestamp\":\"2026-11-24T13:00:00.000001Z\"}")));
}

static void what_has_no_room_is_left_out_but_never_the_first_one(void **state)
{
	static char large[EVENT_BATCH_BYTES_MAX];
	struct buffer out CLEANUP(buffer_fini) = BUFFER(EVENT_BATCH_BYTES_MAX + 1024);
	struct event_batch batch;
	size_t before;

	(void)state;
	memset(large, ' ', sizeof large);
	large[0] = '{';
	large[sizeof large - 1] = '}';
	event_batch_begin(&batch, &out);
	assert_true(event_batch_add(&batch, TEXT("msg_a"), (struct text){ large, sizeof large }, AT_US));
	before = out.length;
	assert_false(event_batch_add(&batch, TEXT("msg_b"), TEXT("{\"type\":\"y\"}"), AT_US));
	assert_int_equal(out.length, before);
	event_batch_end(&batch);
	assert_false(out.overflow);
	buffer_clear(&out);
	event_batch_begin(&batch, &out);
	assert_true(event_batch_add(&batch, TEXT("msg_a"), TEXT("{}"), AT_US));
	assert_false(event_batch_add(&batch, TEXT("msg_b"), (struct text){ large, sizeof large }, AT_US));
	assert_int_equal(batch.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_has_each_event_as_it_is_alone_with_its_id_and_the_newest_time),
		cmocka_unit_test(what_has_no_room_is_left_out_but_never_the_first_one),
	};

	return cmocka_run_group_tests_name("event_batch", tests, NULL, NULL);
}
