// SPDX-License-Identifier: Apache-2.0
//
// Positions of deliveries, attempts, and what the status of a client counts.
#include "store/deliveries.h"
#include "store/endpoints.h"
#include "store/instances.h"
#include "support/cmocka_all.h"
#include "support/store_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOMENT INT64_C(1764158400123456)

static struct store_world world;

static int open_world(void **state)
{
	(void)state;
	store_world_open(&world);
	beat(&world, "a");
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	store_world_close(&world);
	return 0;
}

static int64_t fresh_tenant(void)
{
	static int number;
	char slug[32];

	(void)snprintf(slug, sizeof slug, "tenant-%d", ++number);
	return new_tenant(&world, slug);
}

// Events for an instance (0: nobody) in a lane, numbered on.
static void write_events(struct stream_fence *fence, int64_t instance_id, int lane, int count)
{
	struct stored_event events[16];
	struct pg_call call;

	for (int i = 0; i < count; i++) {
		events[i] = (struct stored_event){ .event = { .seq = fence->event_seq + 1 + i, .at_us = clock_wall_us(),
			.type = EVENT_DEVICE_ADDED, .serial_number = TEXT("S") }, .instance_id = instance_id, .lane = lane };
	}
	store_stream_advance(begin(&call, store_worker(fence->tenant_id)), fence, count, NULL);
	(void)store_event_insert(&call.transaction, fence->tenant_id, events, (size_t)count);
	run_and_end(&call, &world);
	fence->write_seq++;
	fence->event_seq += count;
}

static struct position_row position_of(int64_t tenant_id, int64_t endpoint_id, int lane)
{
	struct position_row row = { .lane = -1 };
	struct pg_call call;
	const unsigned statement = store_position_list(begin(&call, store_worker(tenant_id)), tenant_id);

	run(&call, &world);
	for (size_t i = 0; i < pg_row_count(&call.transaction, statement); i++) {
		store_position_read(&call.transaction, statement, i, &row);
		if (row.endpoint_id == endpoint_id && row.lane == lane) {
			break;
		}
	}
	end(&call);
	assert_true(row.endpoint_id == endpoint_id && row.lane == lane);
	return row;
}

static void settle(const struct stream_fence *fence, int64_t was, const struct position_row *next, enum err expected)
{
	struct pg_call call;

	store_position_settle(begin(&call, store_worker(fence->tenant_id)), fence, was, next);
	if (expected == OK) {
		run_and_end(&call, &world);
	} else {
		refuse(&call, &world, expected);
	}
}

static void a_position_moves_forward_for_its_owner_only(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct position_row next = { .endpoint_id = new_instance(&world, tenant_id, "main"), .lane = 3, .acked_seq = 5,
		.next_try_at_us = INSTANT_NONE, .first_failed_at_us = INSTANT_NONE };
	struct stream_fence fence = take(&world, tenant_id, "a");
	struct stream_fence wrong;
	struct position_row row;

	(void)state;
	settle(&fence, 0, &next, OK);
	settle(&fence, 0, &next, ERR_FENCED); // again
	next.acked_seq = 4;
	settle(&fence, 5, &next, ERR_FENCED); // back
	next.acked_seq = 6;
	settle(&fence, 4, &next, ERR_FENCED); // not where the caller believes
	wrong = fence;
	wrong.epoch--;
	settle(&wrong, 5, &next, ERR_FENCED);
	wrong = fence;
	wrong.node_id = TEXT("b");
	settle(&wrong, 5, &next, ERR_FENCED);
	row = position_of(tenant_id, next.endpoint_id, 3);
	assert_int_equal(row.acked_seq, 5);
	assert_int_equal(position_of(tenant_id, next.endpoint_id, 2).acked_seq, 0);
	settle(&fence, 5, &next, OK);
	(void)take(&world, tenant_id, "a");
	next.acked_seq = 7;
	settle(&fence, 6, &next, ERR_FENCED);
	assert_int_equal(position_of(tenant_id, next.endpoint_id, 3).acked_seq, 6);
}

static void a_position_comes_back(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const struct position_row failed = { .endpoint_id = new_instance(&world, tenant_id, "main"), .lane = 7, .attempts = 3,
		.next_try_at_us = MOMENT, .first_failed_at_us = MOMENT - 1 };
	struct stream_fence fence = take(&world, tenant_id, "a");
	struct position_row row = position_of(tenant_id, failed.endpoint_id, 7);
	struct pg_call call;

	(void)state;
	assert_int_equal(row.attempts, 0);
	assert_int_equal(row.next_try_at_us, INSTANT_NONE);
	assert_int_equal(row.first_failed_at_us, INSTANT_NONE);
	settle(&fence, 0, &failed, OK);
	row = position_of(tenant_id, failed.endpoint_id, 7);
	assert_int_equal(row.acked_seq, 0);
	assert_int_equal(row.attempts, 3);
	assert_int_equal(row.next_try_at_us, MOMENT);
	assert_int_equal(row.first_failed_at_us, MOMENT - 1);
	store_endpoint_enable(begin(&call, store_api(tenant_id)), tenant_id, failed.endpoint_id);
	run_and_end(&call, &world);
	row = position_of(tenant_id, failed.endpoint_id, 7);
	assert_int_equal(row.attempts, 0);
	assert_int_equal(row.next_try_at_us, INSTANT_NONE);
}

static void a_position_says_whether_something_is_left(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct position_row next = { .endpoint_id = new_instance(&world, tenant_id, "main"), .lane = 1, .acked_seq = 1,
		.next_try_at_us = INSTANT_NONE, .first_failed_at_us = INSTANT_NONE };
	struct stream_fence fence = take(&world, tenant_id, "a");

	(void)state;
	write_events(&fence, next.endpoint_id, 1, 2);
	assert_true(position_of(tenant_id, next.endpoint_id, 1).pending);
	assert_false(position_of(tenant_id, next.endpoint_id, 0).pending);
	settle(&fence, 0, &next, OK);
	assert_true(position_of(tenant_id, next.endpoint_id, 1).pending);
	next.acked_seq = 2;
	settle(&fence, 1, &next, OK);
	assert_false(position_of(tenant_id, next.endpoint_id, 1).pending);
}

static void a_new_instance_begins_at_the_end_of_the_log(void **state)
{
	struct stream_fence fence = take(&world, fresh_tenant(), "a");

	(void)state;
	write_events(&fence, 0, 0, 3);
	assert_int_equal(position_of(fence.tenant_id, new_instance(&world, fence.tenant_id, "late"), 0).acked_seq, 3);
}

static void an_instance_is_disabled_once_and_enabled_again(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t instance_id = new_instance(&world, tenant_id, "main");
	struct instance_row row;
	struct pg_call call;

	(void)state;
	(void)store_endpoint_disable(begin(&call, store_worker(tenant_id)), tenant_id, instance_id, TEXT("410 Gone"));
	(void)store_endpoint_disable(&call.transaction, tenant_id, instance_id, TEXT("later"));
	(void)store_instance_list(&call.transaction, tenant_id);
	run(&call, &world);
	store_instance_read(&call.transaction, 2, 0, &row);
	assert_true(row.webhook_disabled_at_us > MOMENT);
	assert_true(text_equal_string(row.webhook_disabled_reason, "410 Gone"));
	end(&call);
	store_endpoint_enable(begin(&call, store_api(tenant_id)), tenant_id, instance_id);
	(void)store_instance_list(&call.transaction, tenant_id);
	run(&call, &world);
	store_instance_read(&call.transaction, 3, 0, &row);
	assert_int_equal(row.webhook_disabled_at_us, INSTANT_NONE);
	assert_int_equal(row.webhook_disabled_reason.length, 0);
	end(&call);
}

static void attempts_come_back_newest_first(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t now_us = clock_wall_us();
	char long_error[500];
	const struct attempt_row attempts[] = {
		{ .endpoint_id = 1, .seq = 9, .attempt = 1, .at_us = now_us, .status = 0, .error = { long_error, sizeof long_error },
			.took_ms = 30000 },
		{ .endpoint_id = 1, .seq = 8, .attempt = 2, .at_us = now_us + 1, .status = 200, .took_ms = 12 },
		{ .endpoint_id = 2, .seq = 8, .attempt = 1, .at_us = now_us + 2, .status = 200, .took_ms = 12 },
	};
	struct attempt_row row;
	struct pg_call call;

	(void)state;
	memset(long_error, 'e', sizeof long_error);
	(void)store_attempt_insert(begin(&call, store_worker(tenant_id)), tenant_id, attempts, 3);
	(void)store_attempt_list(&call.transaction, tenant_id, 1, 10);
	(void)store_attempt_list(&call.transaction, tenant_id, 1, 1);
	run(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 1), 2);
	assert_int_equal(pg_row_count(&call.transaction, 2), 1);
	store_attempt_read(&call.transaction, 1, 0, &row);
	assert_int_equal(row.endpoint_id, 1);
	assert_int_equal(row.seq, 8);
	assert_int_equal(row.attempt, 2);
	assert_int_equal(row.at_us, now_us + 1);
	assert_int_equal(row.status, 200);
	assert_int_equal(row.error.length, 0);
	assert_int_equal(row.took_ms, 12);
	store_attempt_read(&call.transaction, 1, 1, &row);
	assert_int_equal(row.error.length, 400);
	assert_int_equal(row.took_ms, 30000);
	end(&call);
}

// --- the status ---

static struct tenant_status_row status_after(int64_t tenant_id, const struct tenant_status_row *status, bool count)
{
	struct tenant_status_row row;
	struct pg_call call;
	unsigned statement;

	(void)store_tenant_status_run(begin(&call, store_worker(tenant_id)), tenant_id, status, count);
	statement = store_tenant_by_id(&call.transaction, tenant_id);
	run(&call, &world);
	store_tenant_status_read(&call.transaction, statement, 0, &row);
	end(&call);
	return row; // without its texts
}

static void the_status_of_a_run_comes_back(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const struct tenant_status_row status = { .sync_phase = TEXT("changes"), .sync_reason = TEXT("up_to_date"),
		.sync_error = TEXT("it's \xe2\x82\xac"), .synced_at_us = MOMENT, .sync_next_at_us = MOMENT + 1 };
	struct tenant_status_row row;
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_api(tenant_id));

	(void)state;
	(void)store_tenant_status_token(t, tenant_id, TEXT("active"), MOMENT + 2);
	run_and_end(&call, &world);
	t = begin(&call, store_worker(tenant_id));
	(void)store_tenant_status_run(t, tenant_id, &status, false);
	(void)store_tenant_by_id(t, tenant_id);
	run(&call, &world);
	store_tenant_status_read(t, 1, 0, &row);
	assert_true(text_equal_string(row.token_state, "active"));
	assert_int_equal(row.token_expires_at_us, MOMENT + 2);
	assert_true(text_equal(row.sync_phase, status.sync_phase));
	assert_true(text_equal(row.sync_reason, status.sync_reason));
	assert_true(text_equal(row.sync_error, status.sync_error));
	assert_int_equal(row.synced_at_us, MOMENT);
	assert_int_equal(row.sync_next_at_us, MOMENT + 1);
	assert_true(row.updated_at_us > MOMENT);
	end(&call);
	t = begin(&call, store_worker(tenant_id));
	(void)store_tenant_status_token(t, tenant_id, TEXT("rejected"), INSTANT_NONE);
	(void)store_tenant_by_id(t, tenant_id);
	run(&call, &world);
	store_tenant_status_read(t, 1, 0, &row);
	assert_true(text_equal_string(row.token_state, "rejected"));
	assert_int_equal(row.token_expires_at_us, INSTANT_NONE);
	end(&call);
}

static struct device_row device_with(const char *serial, int64_t instance_id, const char *profile_uuid, const char *profile_status)
{
	return (struct device_row){
		.apple = { .serial_number = text_of(serial), .profile_uuid = text_of(profile_uuid),
			.profile_status = text_of(profile_status), .profile_assign_time_us = INSTANT_NONE, .profile_push_time_us = INSTANT_NONE,
			.device_assigned_date_us = INSTANT_NONE, .mdm_migration_deadline_us = INSTANT_NONE, .op_date_us = INSTANT_NONE },
		.gone_at_us = INSTANT_NONE, .instance_id = instance_id, .assign_at_us = INSTANT_NONE, .first_seen_at_us = MOMENT,
		.changed_at_us = MOMENT,
	};
}

static void put_profile(int64_t tenant_id, int64_t instance_id, int64_t token_id, const char *uuid, char digit)
{
	char digest[32];
	const struct profile_row profile = { .instance_id = instance_id, .content_digest = { digest, sizeof digest },
		.content = TEXT("{}"), .profile_uuid = text_of(uuid), .token_id = token_id };
	struct pg_call call;

	memset(digest, digit, sizeof digest);
	(void)store_profile_put(begin(&call, store_worker(tenant_id)), tenant_id, &profile);
	run_and_end(&call, &world);
}

static void the_status_counts_devices(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t main_id = new_instance(&world, tenant_id, "main");
	const int64_t other_id = new_instance(&world, tenant_id, "other");
	const int64_t token_id = new_token(&world, tenant_id);
	struct device_row rows[] = {
		device_with("A", main_id, "new", "assigned"), device_with("B", main_id, "new", "pushed"), // these two are as wanted
		device_with("C", main_id, "old", "assigned"), device_with("D", main_id, "new", "removed"),
		device_with("E", other_id, "new", "assigned"), device_with("F", 0, "new", "assigned"), device_with("G", 0, NULL, "empty"),
		device_with("H", main_id, "new", "assigned"),
	};
	const struct tenant_status_row status = { .synced_at_us = INSTANT_NONE, .sync_next_at_us = INSTANT_NONE };
	struct tenant_status_row row;
	struct pg_call call;

	(void)state;
	put_profile(tenant_id, main_id, token_id, "old", 'o');
	put_profile(tenant_id, main_id, token_id, "new", 'n');
	put_profile(tenant_id, other_id, token_id, "others", 'n');
	rows[2].assign_state = ASSIGN_PENDING; // it is to get the new one
	rows[7].gone_at_us = MOMENT;
	(void)store_device_put(begin(&call, store_worker(tenant_id)), tenant_id, rows, sizeof rows / sizeof *rows);
	run_and_end(&call, &world);
	row = status_after(tenant_id, &status, false);
	assert_int_equal(row.devices, 0);
	row = status_after(tenant_id, &status, true);
	assert_int_equal(row.devices, 7);
	assert_int_equal(row.assigned, 2);
	assert_int_equal(row.held, 2);
	row = status_after(tenant_id, &status, false);
	assert_int_equal(row.devices, 7);
}

static int64_t announced(int64_t tenant_id)
{
	const struct tenant_status_row status = { .synced_at_us = INSTANT_NONE, .sync_next_at_us = INSTANT_NONE };

	return status_after(tenant_id, &status, false).announced_seq;
}

static void everything_is_announced_up_to_the_first_lane_that_waits(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	const int64_t first = new_instance(&world, tenant_id, "first");
	const int64_t second = new_instance(&world, tenant_id, "second");
	struct position_row next = { .endpoint_id = first, .lane = 1, .acked_seq = 2, .next_try_at_us = INSTANT_NONE,
		.first_failed_at_us = INSTANT_NONE };
	struct stream_fence fence = take(&world, tenant_id, "a");
	struct pg_call call;

	(void)state;
	write_events(&fence, 0, 0, 1);      // 1: nobody's
	assert_int_equal(announced(tenant_id), 1);
	write_events(&fence, first, 1, 2);  // 2, 3
	write_events(&fence, second, 4, 1); // 4
	write_events(&fence, 0, 0, 1);      // 5
	assert_int_equal(announced(tenant_id), 1);
	settle(&fence, 0, &next, OK); // 2
	assert_int_equal(announced(tenant_id), 2);
	next.acked_seq = 3;
	settle(&fence, 2, &next, OK);
	assert_int_equal(announced(tenant_id), 3);
	(void)store_endpoint_disable(begin(&call, store_worker(tenant_id)), tenant_id, second, TEXT("410"));
	run_and_end(&call, &world);
	assert_int_equal(announced(tenant_id), 5);
	store_endpoint_enable(begin(&call, store_api(tenant_id)), tenant_id, second);
	run_and_end(&call, &world);
	assert_int_equal(announced(tenant_id), 3);
	test_postgres_run(world.postgres, "update depbroker.endpoints n set url = null from depbroker.instances i where i.instance_id = n.endpoint_id and i.name = 'second'");
	assert_int_equal(announced(tenant_id), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_position_moves_forward_for_its_owner_only),
		cmocka_unit_test(a_position_comes_back),
		cmocka_unit_test(a_position_says_whether_something_is_left),
		cmocka_unit_test(a_new_instance_begins_at_the_end_of_the_log),
		cmocka_unit_test(an_instance_is_disabled_once_and_enabled_again),
		cmocka_unit_test(attempts_come_back_newest_first),
		cmocka_unit_test(the_status_of_a_run_comes_back),
		cmocka_unit_test(the_status_counts_devices),
		cmocka_unit_test(everything_is_announced_up_to_the_first_lane_that_waits),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
