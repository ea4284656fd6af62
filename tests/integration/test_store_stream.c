// SPDX-License-Identifier: Apache-2.0
//
// Who runs a client: claims, takes, heart-beats, and the fence before every write.
#include "store/deliveries.h"
#include "store/instances.h"
#include "store/run_row.h"
#include "store/tokens.h"
#include "support/cmocka_all.h"
#include "support/store_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct store_world world;

static int open_world(void **state)
{
	(void)state;
	store_world_open(&world);
	beat(&world, "a");
	beat(&world, "b");
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

static struct stream_row stream_of(int64_t tenant_id) // without its texts
{
	struct stream_row row;
	struct pg_call call;
	const unsigned statement = store_stream_select(begin(&call, store_worker(tenant_id)), tenant_id);

	run(&call, &world);
	store_stream_read(&call.transaction, statement, 0, &row);
	end(&call);
	return row;
}

static size_t try_to_take(int64_t tenant_id, const char *node_id)
{
	struct pg_call call;
	const unsigned statement = store_stream_take(begin(&call, store_worker(tenant_id)), tenant_id, text_of(node_id));
	size_t rows;

	run(&call, &world);
	rows = pg_row_count(&call.transaction, statement);
	end(&call);
	return rows;
}

static void stop_heart(const char *node_id)
{
	char sql[160];

	(void)snprintf(sql, sizeof sql, "update depbroker.nodes set alive_until = now() - interval '1 second' where node_id = '%s'",
		node_id);
	test_postgres_run(world.postgres, sql);
}

static void release(const char *node_id)
{
	struct pg_call call;

	store_node_release(begin(&call, store_directory()), text_of(node_id));
	run_and_end(&call, &world);
}

// --- the fence ---

static struct device_row some_device(void)
{
	return (struct device_row){
		.apple = { .serial_number = TEXT("C02FENCE"), .op_date_us = INSTANT_NONE, .profile_assign_time_us = INSTANT_NONE,
			.profile_push_time_us = INSTANT_NONE, .device_assigned_date_us = INSTANT_NONE,
			.mdm_migration_deadline_us = INSTANT_NONE },
		.gone_at_us = INSTANT_NONE, .assign_at_us = INSTANT_NONE, .first_seen_at_us = SECOND_US, .changed_at_us = SECOND_US,
	};
}

// All that a page writes.
static void add_page(struct pg_transaction *t, const struct stream_fence *fence)
{
	const struct stream_row next = {
		.cursor = TEXT("moved"), .sync = { .phase = SYNC_PHASE_CHANGES, .has_cursor = true }, .sync_next_at_us = INSTANT_NONE,
		.run_started_at_us = INSTANT_NONE, .synced_at_us = INSTANT_NONE,
	};
	const struct device_row device = some_device();
	const struct stored_event event = { .event = { .seq = fence->event_seq + 1, .at_us = clock_wall_us(),
		.type = EVENT_DEVICE_HELD, .serial_number = TEXT("C02FENCE") } };
	const struct ledger_entry entry = { .kind = "changes", .records = 1, .devices_changed = 1 };

	store_stream_advance(t, fence, 1, &next);
	(void)store_device_put(t, fence->tenant_id, &device, 1);
	(void)store_event_insert(t, fence->tenant_id, &event, 1);
	(void)store_ledger_insert(t, fence, 1, &entry);
}

static const struct stream_row quiet_next = {
	.cursor = { "as before", 9 }, .sync = { .phase = SYNC_PHASE_CHANGES, .has_cursor = true }, .sync_next_at_us = 7 * SECOND_US,
	.run_started_at_us = INSTANT_NONE, .synced_at_us = INSTANT_NONE,
};
static const struct tenant_status_row quiet_status = {
	.token_state = { "active", 6 }, .sync_phase = { "changes", 7 }, .sync_reason = { "up_to_date", 10 }, .synced_at_us = 5 * SECOND_US,
	.sync_next_at_us = 7 * SECOND_US,
};

static void expect_fenced(const struct stream_fence *fence)
{
	char *before = rows_of_tenant(&world, fence->tenant_id);
	char *after;
	struct pg_call call;

	add_page(begin(&call, store_worker(fence->tenant_id)), fence);
	refuse(&call, &world, ERR_FENCED);
	store_stream_finish(begin(&call, store_worker(fence->tenant_id)), fence, NULL, SECOND_US, 0);
	refuse(&call, &world, ERR_FENCED);
	store_stream_finish_quietly(begin(&call, store_worker(fence->tenant_id)), fence, &quiet_next, SECOND_US, 0, &quiet_status, false);
	refuse(&call, &world, ERR_FENCED);
	after = rows_of_tenant(&world, fence->tenant_id);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

// What is read to be acted on outside.
static void expect_nothing_to_act_on(const struct stream_fence *fence)
{
	struct pg_call call;

	store_stream_require(begin(&call, store_worker(fence->tenant_id)), fence);
	refuse(&call, &world, ERR_FENCED);
}

static void write_page(struct stream_fence *fence)
{
	struct pg_call call;

	add_page(begin(&call, store_worker(fence->tenant_id)), fence);
	run_and_end(&call, &world);
	fence->write_seq++;
	fence->event_seq++;
}

static void an_owner_that_knows_its_row_may_write(void **state)
{
	struct stream_fence fence = take(&world, fresh_tenant(), "a");
	struct stream_row row;

	(void)state;
	write_page(&fence);
	write_page(&fence);
	row = stream_of(fence.tenant_id);
	assert_int_equal(row.write_seq, 2);
	assert_int_equal(row.event_seq, 2);
	assert_true(row.sync.has_cursor);
	assert_int_equal(row.sync.phase, SYNC_PHASE_CHANGES);
}

static void a_stale_owner_writes_nothing(void **state)
{
	struct stream_fence right = take(&world, fresh_tenant(), "a");
	struct stream_fence wrong;
	struct pg_call call;

	(void)state;
	write_page(&right);
	wrong = right;
	wrong.epoch--;
	expect_fenced(&wrong);
	expect_nothing_to_act_on(&wrong);
	wrong = right;
	wrong.write_seq--;
	expect_fenced(&wrong);
	wrong = right;
	wrong.event_seq--;
	expect_fenced(&wrong);
	wrong = right;
	wrong.config_version--;
	expect_fenced(&wrong);
	expect_nothing_to_act_on(&wrong);
	wrong = right;
	wrong.node_id = TEXT("b");
	expect_fenced(&wrong);
	expect_nothing_to_act_on(&wrong);
	store_stream_require(begin(&call, store_worker(right.tenant_id)), &right);
	run_and_end(&call, &world);
	write_page(&right); // the right one is still right
}

static void the_former_owner_is_fenced_after_a_take(void **state)
{
	struct stream_fence former = take(&world, fresh_tenant(), "a");
	struct stream_fence now;

	(void)state;
	now = take(&world, former.tenant_id, "a"); // even by the same node
	assert_int_equal(now.epoch, former.epoch + 1);
	expect_fenced(&former);
	write_page(&now);
}

static void nobody_owns_a_finished_client(void **state)
{
	struct stream_fence fence = take(&world, fresh_tenant(), "a");
	struct pg_call call;

	(void)state;
	store_stream_finish(begin(&call, store_worker(fence.tenant_id)), &fence, NULL, SECOND_US, 0);
	run_and_end(&call, &world);
	fence.write_seq++;
	expect_fenced(&fence);
	assert_int_equal(take(&world, fence.tenant_id, "b").epoch, fence.epoch + 1);
}

static void a_quiet_end_is_told_with_the_stream_and_the_due_row(void **state)
{
	struct stream_fence fence = take(&world, fresh_tenant(), "a");
	char sql[600];
	struct pg_call call;

	(void)state;
	(void)snprintf(sql, sizeof sql, "update depbroker.sync_due set claimed_by = 'a' where tenant_id = %lld", (long long)fence.tenant_id);
	test_postgres_run(world.postgres, sql);
	store_stream_finish_quietly(begin(&call, store_worker(fence.tenant_id)), &fence, &quiet_next, 9 * SECOND_US, 0, &quiet_status, false);
	run_and_end(&call, &world);
	(void)snprintf(sql, sizeof sql, "select count(*) from depbroker.sync_stream s join depbroker.sync_due d using (tenant_id)"
		" join depbroker.tenant_status t using (tenant_id) where tenant_id = %lld and s.owner is null and s.write_seq = %lld"
		" and s.cursor = 'as before' and d.claimed_by is null and extract(epoch from d.due_at) = 9 and t.token_state = 'active'"
		" and t.sync_reason = 'up_to_date' and extract(epoch from t.synced_at) = 5 and extract(epoch from t.sync_next_at) = 7",
		(long long)fence.tenant_id, (long long)fence.write_seq + 1);
	assert_int_equal(ask_number(&world, sql), 1);
	fence.write_seq++;
	expect_fenced(&fence); // it is nobody's
}

static void a_quiet_end_after_a_wish_is_due_at_once(void **state)
{
	const struct stream_fence fence = take(&world, fresh_tenant(), "a");
	char sql[200];
	struct pg_call call;

	(void)state;
	(void)snprintf(sql, sizeof sql, "update depbroker.sync_due set claimed_by = 'a', wake = 1 where tenant_id = %lld", (long long)fence.tenant_id);
	test_postgres_run(world.postgres, sql);
	store_stream_finish_quietly(begin(&call, store_worker(fence.tenant_id)), &fence, &quiet_next, clock_wall_us() + 3600 * SECOND_US, 0,
		&quiet_status, false);
	run_and_end(&call, &world);
	(void)snprintf(sql, sizeof sql, "select count(*) from depbroker.sync_due where tenant_id = %lld and due_at between"
		" now() - interval '1 minute' and now()", (long long)fence.tenant_id);
	assert_int_equal(ask_number(&world, sql), 1);
}

static void update_tenant(struct pg_transaction *t, int64_t tenant_id)
{
	const struct tenant_row tenant = { .tenant_id = tenant_id, .display_name = TEXT("New"), .state = TEXT("active") };

	store_tenant_update(t, &tenant);
}

static void put_rules(struct pg_transaction *t, int64_t tenant_id)
{
	(void)store_rules_put(t, tenant_id, -1, &(struct rules_row){ .document = TEXT("{}"), .made_by = TEXT("key") });
}

static void remove_token(struct pg_transaction *t, int64_t tenant_id)
{
	store_token_remove(t, tenant_id);
}

static void every_change_of_the_configuration_stops_a_run(void **state)
{
	static void (*const changes[])(struct pg_transaction *t, int64_t tenant_id) = { update_tenant, put_rules, remove_token };
	const int64_t tenant_id = fresh_tenant();

	(void)state;
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		struct stream_fence fence = take(&world, tenant_id, "a");
		struct pg_call call;

		write_page(&fence);
		changes[i](begin(&call, store_api(tenant_id)), tenant_id);
		run_and_end(&call, &world);
		expect_fenced(&fence);
		expect_nothing_to_act_on(&fence);
	}
	struct stream_fence fence = take(&world, tenant_id, "a");

	(void)new_instance(&world, tenant_id, "late");
	expect_fenced(&fence);
	fence = take(&world, tenant_id, "a");
	(void)new_token(&world, tenant_id);
	expect_fenced(&fence);
}

static void a_write_that_was_made_is_seen_in_the_row(void **state) // what the owner does after ERR_UNKNOWN
{
	struct stream_fence fence = take(&world, fresh_tenant(), "a");
	const struct stream_fence believed = fence;

	(void)state;
	assert_int_equal(stream_of(fence.tenant_id).write_seq, believed.write_seq);
	write_page(&fence);
	assert_int_equal(stream_of(fence.tenant_id).write_seq, believed.write_seq + 1);
	expect_fenced(&believed); // once more would be twice
}

// --- takes ---

static void a_living_owner_is_not_replaced(void **state)
{
	const struct stream_fence fence = take(&world, fresh_tenant(), "a");

	(void)state;
	assert_int_equal(try_to_take(fence.tenant_id, "b"), 0);
	assert_int_equal(stream_of(fence.tenant_id).epoch, fence.epoch);
}

#define WAIT_UNTIL_ANOTHERS_LOCK(condition)                                                                        \
	"do $$ begin while not exists (select from pg_locks where pid <> pg_backend_pid() and " condition ") loop"       \
	" perform pg_sleep(0.001); end loop; end $$"

// run_row.h: the take waits for whoever changes the rules, and a statement sees only what was there when it began.
static void what_the_take_waited_for_is_in_the_row_that_is_read_after_it(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct pg_call change, load;
	struct run_row row;
	unsigned taken, read;

	(void)state;
	put_rules(begin(&change, store_api(tenant_id)), tenant_id);
	(void)pg_add(&change.transaction, "select pg_advisory_xact_lock(1)", NULL, 0); // it has written
	(void)pg_add(&change.transaction, WAIT_UNTIL_ANOTHERS_LOCK("locktype = 'transactionid' and not granted"), NULL, 0);
	(void)pg_add(begin(&load, store_worker(tenant_id)), WAIT_UNTIL_ANOTHERS_LOCK("locktype = 'advisory'"), NULL, 0);
	taken = store_stream_take(&load.transaction, tenant_id, TEXT("a"));
	read = store_run_select(&load.transaction, tenant_id);
	pg_call_start(&change, &world.pg, 30000);
	pg_call_start(&load, &world.pg, 30000);
	assert_int_equal(pg_call_wait(&change, &world.pg), OK);
	assert_int_equal(pg_call_wait(&load, &world.pg), OK);
	assert_int_equal(pg_row_count(&load.transaction, taken), 1);
	store_run_read(&load.transaction, read, &row);
	assert_int_equal(row.rules.version, 1);
	end(&change);
	end(&load);
}

static void a_client_whose_owner_lost_its_heart_beat_is_taken(void **state)
{
	struct stream_fence fence = take(&world, fresh_tenant(), "a");
	struct stream_fence next;

	(void)state;
	stop_heart("a");
	next = take(&world, fence.tenant_id, "b");
	assert_int_equal(next.epoch, fence.epoch + 1);
	expect_fenced(&fence);
	beat(&world, "a");
	expect_fenced(&fence); // it is late
	write_page(&next);
}

static void an_owner_without_a_heart_beat_may_write_until_somebody_takes(void **state)
{
	struct stream_fence fence = take(&world, fresh_tenant(), "a");

	(void)state;
	stop_heart("a");
	write_page(&fence);
	beat(&world, "a");
}

static void a_client_of_a_released_node_is_taken_at_once(void **state)
{
	const struct stream_fence fence = take(&world, fresh_tenant(), "a");

	(void)state;
	assert_int_equal(try_to_take(fence.tenant_id, "b"), 0);
	release("a");
	assert_int_equal(take(&world, fence.tenant_id, "b").epoch, fence.epoch + 1);
	beat(&world, "a");
}

static void a_heart_beat_is_good_for_its_time_and_can_be_renewed(void **state)
{
	const char *const is_alive = "select count(*) from depbroker.nodes where node_id = 'c' and "
		"alive_until between now() and now() + interval '10 seconds'";
	struct pg_call call;

	(void)state;
	for (int i = 0; i < 2; i++) {
		(void)store_node_beat(begin(&call, store_directory()), TEXT("c"));
		run_and_end(&call, &world);
		assert_int_equal(ask_number(&world, is_alive), 1);
		stop_heart("c");
		assert_int_equal(ask_number(&world, is_alive), 0);
	}
	release("c");
}

// --- claims ---

enum { CLAIMS_MAX = 64 };

struct claims {
	struct due_row rows[CLAIMS_MAX];
	size_t count;
};

static void claim_with(struct claims *claims, const char *node_id, int limit, bool one_suspect)
{
	struct pg_call call;
	const unsigned statement = store_due_claim(begin(&call, store_directory()), text_of(node_id), limit, one_suspect, (struct due_share){ 1, 0 });

	run(&call, &world);
	claims->count = pg_row_count(&call.transaction, statement);
	assert_true(claims->count <= CLAIMS_MAX);
	for (size_t i = 0; i < claims->count; i++) {
		store_due_read(&call.transaction, statement, i, &claims->rows[i]);
		assert_true(claims->rows[i].slug.length > 0);
		claims->rows[i].slug = TEXT_NONE;
	}
	end(&call);
}

static void claim(struct claims *claims, const char *node_id, int limit)
{
	claim_with(claims, node_id, limit, true);
}

static const struct due_row *claimed(const struct claims *claims, int64_t tenant_id)
{
	for (size_t i = 0; i < claims->count; i++) {
		if (claims->rows[i].tenant_id == tenant_id) {
			return &claims->rows[i];
		}
	}
	return NULL;
}

static int nobody_is_due(void **state) // of the earlier tests
{
	(void)state;
	test_postgres_run(world.postgres, "update depbroker.sync_due set due_at = 'infinity', claimed_by = null");
	return 0;
}

static void a_claim_is_one_nodes_alone(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct claims claims;

	(void)state;
	claim(&claims, "a", 10);
	assert_int_equal(claims.count, 1);
	assert_int_equal(claims.rows[0].tenant_id, tenant_id);
	claim(&claims, "b", 10);
	assert_int_equal(claims.count, 0);
	claim(&claims, "a", 10);
	assert_int_equal(claims.count, 0); // not due again for a while
	assert_int_equal(ask_number(&world, "select count(*) from depbroker.sync_due where claimed_by = 'a' and "
		"due_at between now() + interval '10 seconds' and now() + interval '15 seconds'"), 1);
}

static void claims_stop_at_the_limit_and_begin_with_the_earliest(void **state)
{
	const int64_t late = fresh_tenant();
	const int64_t early = fresh_tenant();
	struct claims claims;
	char sql[128];

	(void)state;
	(void)snprintf(sql, sizeof sql, "update depbroker.sync_due set due_at = now() - interval '1 hour' where tenant_id = %lld",
		(long long)early);
	test_postgres_run(world.postgres, sql);
	claim(&claims, "a", 1);
	assert_int_equal(claims.count, 1);
	assert_non_null(claimed(&claims, early));
	claim(&claims, "b", 1);
	assert_non_null(claimed(&claims, late));
}

static void claims_of_a_dead_or_released_node_are_free(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct claims claims;

	(void)state;
	claim(&claims, "a", 10);
	test_postgres_run(world.postgres, "update depbroker.sync_due set due_at = now() where claimed_by = 'a'");
	claim(&claims, "b", 10);
	assert_int_equal(claims.count, 0); // due, but its node lives
	stop_heart("a");
	claim(&claims, "b", 10);
	assert_non_null(claimed(&claims, tenant_id));
	beat(&world, "a");
	claim(&claims, "a", 10);
	assert_int_equal(claims.count, 0);
	release("b");
	claim(&claims, "a", 10);
	assert_non_null(claimed(&claims, tenant_id));
	beat(&world, "b");
}

static void only_an_archived_client_is_left_alone(void **state)
{
	struct tenant_row row = { .tenant_id = fresh_tenant(), .display_name = TEXT("P"), .state = TEXT("archived") };
	const int64_t quarantined = fresh_tenant();
	struct claims claims;
	struct pg_call call;

	(void)state;
	store_tenant_update(begin(&call, store_api(row.tenant_id)), &row);
	run_and_end(&call, &world);
	(void)store_tenant_quarantine(begin(&call, store_worker(quarantined)), quarantined, TEXT("another server"));
	run_and_end(&call, &world);
	claim(&claims, "a", 10);
	assert_int_equal(claims.count, 1);
	assert_non_null(claimed(&claims, quarantined)); // its token is watched
	row.state = TEXT("paused");
	store_tenant_update(begin(&call, store_api(row.tenant_id)), &row);
	run_and_end(&call, &world);
	claim(&claims, "a", 10);
	assert_int_equal(claims.count, 1);
	assert_non_null(claimed(&claims, row.tenant_id));
	assert_int_equal(claimed(&claims, row.tenant_id)->sync_requests, 0);
	row.state = TEXT("active");
	store_tenant_update(begin(&call, store_api(row.tenant_id)), &row);
	run_and_end(&call, &world);
	claim(&claims, "a", 10);
	assert_int_equal(claimed(&claims, row.tenant_id)->sync_requests, 1);
}

static void finish_run(const struct stream_fence *fence, int64_t due_at_us, int64_t wake)
{
	struct pg_call call;

	store_stream_finish(begin(&call, store_worker(fence->tenant_id)), fence, NULL, due_at_us, wake);
	run_and_end(&call, &world);
}

static void a_finished_client_is_due_when_it_was_said(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct stream_fence fence;
	struct claims claims;

	(void)state;
	claim(&claims, "a", 10);
	fence = take(&world, tenant_id, "a");
	finish_run(&fence, clock_wall_us() + 3600 * SECOND_US, claims.rows[0].wake);
	claim(&claims, "b", 10);
	assert_int_equal(claims.count, 0);
	assert_int_equal(ask_number(&world, "select count(*) from depbroker.sync_due where claimed_by is null and "
		"due_at between now() + interval '59 minutes' and now() + interval '61 minutes'"), 1);
}

static void a_wish_during_a_run_makes_it_due_at_once(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct stream_fence fence;
	struct claims claims;
	struct claims after;
	struct pg_call call;

	(void)state;
	claim(&claims, "a", 10);
	fence = take(&world, tenant_id, "a");
	(void)store_due_request(begin(&call, store_api(tenant_id)), tenant_id, DUE_FULL);
	(void)store_due_request(&call.transaction, tenant_id, DUE_SYNC);
	(void)store_due_request(&call.transaction, tenant_id, DUE_WAKE);
	run_and_end(&call, &world);
	finish_run(&fence, clock_wall_us() + 3600 * SECOND_US, claims.rows[0].wake);
	claim(&after, "b", 10);
	assert_non_null(claimed(&after, tenant_id));
	assert_int_equal(after.rows[0].wake, claims.rows[0].wake + 3);
	assert_int_equal(after.rows[0].sync_requests, claims.rows[0].sync_requests + 1);
	assert_int_equal(after.rows[0].full_requests, claims.rows[0].full_requests + 1);
}

static void the_owner_can_read_its_due_row(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct due_row due;
	struct pg_call call;

	(void)state;
	(void)store_due_request(begin(&call, store_worker(tenant_id)), tenant_id, DUE_SYNC);
	(void)store_due_select(&call.transaction, tenant_id);
	run(&call, &world);
	store_due_read(&call.transaction, 1, 0, &due);
	assert_int_equal(due.tenant_id, tenant_id);
	assert_true(text_starts_with(due.slug, TEXT("tenant-")));
	assert_int_equal(due.wake, 1);
	assert_int_equal(due.sync_requests, 1);
	assert_int_equal(due.full_requests, 0);
	end(&call);
}

static void hand_over(int64_t tenant_id, const char *node_id)
{
	struct pg_call call;

	store_due_hand_over(begin(&call, store_worker(tenant_id)), tenant_id, text_of(node_id));
	run_and_end(&call, &world);
}

// Its take was made after its run had ended: nobody else may take the client, and it is claimed by somebody else.
static void a_claim_of_a_client_that_is_taken_goes_to_its_living_owner(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct claims claims;

	(void)state;
	assert_int_equal(try_to_take(tenant_id, "a"), 1);
	claim(&claims, "b", 10);
	assert_non_null(claimed(&claims, tenant_id));
	assert_int_equal(try_to_take(tenant_id, "b"), 0);
	hand_over(tenant_id, "b");
	claim(&claims, "b", 10);
	assert_int_equal(claims.count, 0);
	claim(&claims, "a", 10);
	assert_non_null(claimed(&claims, tenant_id));
	hand_over(tenant_id, "a"); // its own
	assert_int_equal(try_to_take(tenant_id, "a"), 1);
}

// Whoever had it has ended meanwhile.
static void a_claim_of_a_client_that_nobody_has_or_a_dead_one_is_anybodys_at_once(void **state)
{
	const int64_t tenant_id = fresh_tenant();
	struct claims claims;

	(void)state;
	claim(&claims, "b", 10);
	hand_over(tenant_id, "b");
	claim(&claims, "a", 10);
	assert_non_null(claimed(&claims, tenant_id));
	assert_int_equal(try_to_take(tenant_id, "a"), 1);
	test_postgres_run(world.postgres, "update depbroker.sync_due set claimed_by = 'b', due_at = now() + interval '15 s' where claimed_by = 'a'");
	stop_heart("a");
	hand_over(tenant_id, "b");
	claim(&claims, "b", 10);
	assert_non_null(claimed(&claims, tenant_id));
	beat(&world, "a");
}

// --- the row ---

static void expect_same_sync(const struct sync_state *a, const struct sync_state *b)
{
	assert_int_equal(a->phase, b->phase);
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->has_cursor, b->has_cursor);
	assert_int_equal(a->cursor_at_us, b->cursor_at_us);
	assert_int_equal(a->fetch_started_at_us, b->fetch_started_at_us);
	assert_int_equal(a->fetch_completed_at_us, b->fetch_completed_at_us);
	assert_int_equal(a->full_due_at_us, b->full_due_at_us);
	assert_int_equal(a->stuck_runs, b->stuck_runs);
	assert_int_equal(a->exhausted_runs, b->exhausted_runs);
	assert_int_equal(a->failures, b->failures);
}

static void expect_stored(struct stream_fence *fence, const struct stream_row *next, const struct sync_state *sync)
{
	struct stream_row row;
	struct pg_call call;

	store_stream_advance(begin(&call, store_worker(fence->tenant_id)), fence, 0, next);
	(void)store_stream_select(&call.transaction, fence->tenant_id);
	run(&call, &world);
	fence->write_seq++;
	store_stream_read(&call.transaction, 1, 0, &row);
	assert_int_equal(row.epoch, fence->epoch);
	assert_true(text_equal(row.owner, fence->node_id));
	assert_int_equal(row.write_seq, fence->write_seq);
	assert_int_equal(row.event_seq, fence->event_seq);
	assert_int_equal(row.config_version, fence->config_version);
	assert_int_equal(row.rules_version, 0);
	assert_true(text_equal(row.cursor, next->cursor));
	expect_same_sync(&row.sync, sync);
	assert_int_equal(row.sync_next_at_us, next->sync_next_at_us);
	assert_int_equal(row.sync_requests_done, next->sync_requests_done);
	assert_int_equal(row.full_requests_done, next->full_requests_done);
	assert_true(text_equal(row.reason, next->reason));
	assert_true(text_equal(row.error_text, next->error_text));
	assert_true(text_equal(row.apple_error, next->apple_error));
	assert_int_equal(row.run_started_at_us, next->run_started_at_us);
	assert_int_equal(row.run_pages, next->run_pages);
	assert_int_equal(row.run_devices, next->run_devices);
	assert_int_equal(row.synced_at_us, next->synced_at_us);
	assert_int_equal(row.profile_needed, next->profile_needed);
	assert_true(row.now_us > clock_wall_us() - 60 * SECOND_US && row.now_us < clock_wall_us() + 60 * SECOND_US);
	end(&call);
}

static void a_stream_row_comes_back_as_it_was_written(void **state)
{
	struct stream_fence fence = take(&world, fresh_tenant(), "a");
	const struct stream_row full = {
		.cursor = TEXT("MTowOjE0NDg='\"\\\xc3\xbc"),
		.sync = { .phase = SYNC_PHASE_CHANGES, .generation = 7, .has_cursor = true, .cursor_at_us = 1700000000123456,
			.fetch_started_at_us = 1700000000000001, .fetch_completed_at_us = 1700000000000002, .full_due_at_us = 1700000000000003,
			.stuck_runs = 1, .exhausted_runs = 2, .failures = 3 },
		.sync_next_at_us = 1700000000000004, .sync_requests_done = 5, .full_requests_done = 6,
		.reason = TEXT("up_to_date"), .error_text = TEXT("it's \"broken\" \xe2\x82\xac"), .apple_error = TEXT("T_C_NOT_SIGNED"),
		.run_started_at_us = 1700000000000005, .run_pages = 8, .run_devices = 9, .synced_at_us = 1700000000000006,
		.profile_needed = false,
	};
	const struct stream_row empty = { .sync_next_at_us = INSTANT_NONE, .run_started_at_us = INSTANT_NONE,
		.synced_at_us = INSTANT_NONE, .profile_needed = true };
	struct stream_row never = empty; // never is 0 or INSTANT_NONE, and comes back as 0

	(void)state;
	expect_stored(&fence, &full, &full.sync);
	expect_stored(&fence, &empty, &empty.sync);
	never.sync.cursor_at_us = INSTANT_NONE;
	never.sync.fetch_started_at_us = INSTANT_NONE;
	never.sync.fetch_completed_at_us = INSTANT_NONE;
	never.sync.full_due_at_us = INSTANT_NONE;
	expect_stored(&fence, &never, &empty.sync);
}

static void a_client_that_was_never_synced_has_a_zeroed_state(void **state)
{
	const struct sync_state zeroed = { .phase = SYNC_PHASE_FETCH };
	const struct stream_row row = stream_of(fresh_tenant());

	(void)state;
	expect_same_sync(&row.sync, &zeroed);
	assert_int_equal(row.sync_next_at_us, INSTANT_NONE);
	assert_true(row.profile_needed);
	assert_int_equal(row.epoch, 0);
	assert_int_equal(row.owner.length, 0);
}

static void a_cursor_that_is_not_the_phases_is_not_kept(void **state)
{
	const struct stream_fence fence = take(&world, fresh_tenant(), "a");
	const struct stream_row next = { .cursor = TEXT("old"), .sync_next_at_us = INSTANT_NONE, .run_started_at_us = INSTANT_NONE,
		.synced_at_us = INSTANT_NONE };
	struct pg_call call;

	(void)state;
	store_stream_advance(begin(&call, store_worker(fence.tenant_id)), &fence, 0, &next);
	run_and_end(&call, &world);
	assert_int_equal(stream_of(fence.tenant_id).cursor.length, 0);
}

static void too_long_errors_are_cut_between_characters(void **state)
{
	struct stream_fence fence = take(&world, fresh_tenant(), "a");
	char long_text[500];
	struct stream_row next = { .sync_next_at_us = INSTANT_NONE, .run_started_at_us = INSTANT_NONE, .synced_at_us = INSTANT_NONE };
	struct stream_row row;
	struct pg_call call;

	(void)state;
	memset(long_text, 'x', sizeof long_text);
	memcpy(long_text + 399, "\xc3\xbc", 2);  // its second byte is one too many
	memcpy(long_text + 78, "\xe2\x82\xac", 3);
	next.error_text = (struct text){ long_text, sizeof long_text };
	next.apple_error = next.error_text;
	store_stream_advance(begin(&call, store_worker(fence.tenant_id)), &fence, 0, &next);
	(void)store_stream_select(&call.transaction, fence.tenant_id);
	run(&call, &world);
	store_stream_read(&call.transaction, 1, 0, &row);
	assert_int_equal(row.error_text.length, 399);
	assert_int_equal(row.apple_error.length, 78);
	end(&call);
}

static void the_next_run_counts_from_zero_and_keeps_the_rest(void **state)
{
	struct stream_fence fence = take(&world, fresh_tenant(), "a");
	const struct stream_row next = { .cursor = TEXT("kept"), .sync = { .has_cursor = true, .generation = 4 },
		.sync_next_at_us = SECOND_US, .run_started_at_us = SECOND_US, .run_pages = 3, .run_devices = 4, .synced_at_us = SECOND_US };
	struct stream_row row;

	(void)state;
	expect_stored(&fence, &next, &next.sync);
	(void)take(&world, fence.tenant_id, "a");
	row = stream_of(fence.tenant_id);
	assert_int_equal(row.run_pages, 0);
	assert_int_equal(row.run_devices, 0);
	assert_true(row.run_started_at_us > SECOND_US);
	assert_int_equal(row.sync.generation, 4);
	assert_true(row.sync.has_cursor);
	assert_int_equal(row.synced_at_us, SECOND_US);
}

// --- crashes ---

static void make_due(void)
{
	test_postgres_run(world.postgres, "update depbroker.sync_due set due_at = now() - interval '1 second'");
}

static void crash(const char *node_id)
{
	struct pg_call call;

	(void)store_node_crashed(begin(&call, store_directory()), text_of(node_id));
	run_and_end(&call, &world);
	beat(&world, node_id);
	make_due();
}

static int64_t crashes_of(int64_t tenant_id)
{
	char sql[128];

	(void)snprintf(sql, sizeof sql, "select cardinality(crashes) from depbroker.sync_due where tenant_id = %lld",
		(long long)tenant_id);
	return ask_number(&world, sql);
}

static bool is_quarantined(int64_t tenant_id)
{
	char sql[128];

	(void)snprintf(sql, sizeof sql, "select count(*) from depbroker.tenants where tenant_id = %lld and state = 'quarantined'",
		(long long)tenant_id);
	return ask_number(&world, sql) == 1;
}

static void finish_all(const struct claims *claims, const char *node_id)
{
	for (size_t i = 0; i < claims->count; i++) {
		struct stream_fence fence = take(&world, claims->rows[i].tenant_id, node_id);
		struct pg_call call;

		store_stream_finish(begin(&call, store_worker(fence.tenant_id)), &fence, NULL, INSTANT_NONE, claims->rows[i].wake);
		run_and_end(&call, &world);
	}
	make_due();
}

static void forget_others(void)
{
	test_postgres_run(world.postgres, "update depbroker.tenants set state = 'archived' where state <> 'reserved'");
}

static int64_t open_alerts_of(int64_t tenant_id)
{
	char sql[192];

	(void)snprintf(sql, sizeof sql, "select count(*) from depbroker.alerts where tenant_id = %lld and kind = 'tenant.quarantined'"
		" and cleared_at is null", (long long)tenant_id);
	return ask_number(&world, sql);
}

static void who_is_in_flight_at_three_crashes_is_quarantined_and_its_neighbours_are_not(void **state)
{
	int64_t neighbours[5];
	struct claims claims;
	int64_t bad;

	(void)state;
	forget_others();
	bad = fresh_tenant();
	for (size_t i = 0; i < 5; i++) {
		neighbours[i] = fresh_tenant();
	}
	make_due();
	for (int crashes = 0; crashes < CRASHES_MAX;) {
		assert_false(is_quarantined(bad));
		claim(&claims, "a", 10);
		if (claimed(&claims, bad) != NULL) {
			crash("a");
			crashes++;
		} else {
			finish_all(&claims, "a");
		}
	}
	assert_true(is_quarantined(bad));
	assert_int_equal(open_alerts_of(bad), 1);
	for (size_t i = 0; i < 5; i++) {
		assert_false(is_quarantined(neighbours[i]));
		assert_int_equal(open_alerts_of(neighbours[i]), 0);
		assert_int_equal(crashes_of(neighbours[i]), 1); // the first one, when nobody knew
	}
}

static void two_suspects_are_never_claimed_together_nor_one_beside_another(void **state)
{
	struct claims claims;
	int64_t one, other, good;

	(void)state;
	forget_others();
	one = fresh_tenant();
	other = fresh_tenant();
	make_due();
	claim(&claims, "a", 10);
	assert_int_equal(claims.count, 2);
	crash("a");
	good = fresh_tenant();
	make_due();
	claim_with(&claims, "a", 10, false); // one is under way
	assert_int_equal(claims.count, 1);
	assert_non_null(claimed(&claims, good));
	make_due();
	claim(&claims, "b", 1);
	assert_int_equal(claims.count, 1);
	assert_true(claims.rows[0].is_suspect);
	assert_true(claimed(&claims, one) != NULL || claimed(&claims, other) != NULL);
}

static void crashes_that_are_an_hour_old_count_no_more(void **state)
{
	struct claims claims;
	int64_t id;

	(void)state;
	forget_others();
	id = fresh_tenant();
	for (int i = 0; i < 5; i++) {
		make_due();
		claim(&claims, "a", 10);
		assert_int_equal(claims.count, 1);
		crash("a");
		assert_int_equal(crashes_of(id), 1);
		test_postgres_run(world.postgres, "update depbroker.sync_due set crashes = array[now() - interval '61 minutes']"
			" where crashes <> '{}'");
	}
	assert_false(is_quarantined(id));
	make_due();
	claim(&claims, "a", 10);
	assert_false(claims.rows[0].is_suspect);
}

static void a_node_that_ended_by_itself_strikes_nobody(void **state)
{
	struct claims claims;
	int64_t id;

	(void)state;
	forget_others();
	id = fresh_tenant();
	for (int i = 0; i < 5; i++) {
		make_due();
		claim(&claims, "a", 10);
		assert_int_equal(claims.count, 1);
		release("a");
		beat(&world, "a");
	}
	assert_int_equal(crashes_of(id), 0);
}

static void a_quarantined_client_is_active_again_by_one_call_and_starts_without_strikes(void **state)
{
	struct tenant_row row = { 0 };
	struct claims claims;
	struct pg_call call;
	int64_t id, count, last_at_us;
	unsigned statement;

	(void)state;
	forget_others();
	id = fresh_tenant();
	for (int i = 0; i < CRASHES_MAX; i++) {
		make_due();
		claim(&claims, "a", 10);
		crash("a");
	}
	claim(&claims, "a", 10);
	assert_int_equal(claims.count, 0);
	statement = store_due_crashes(begin(&call, store_api(id)), id);
	run(&call, &world);
	store_due_crashes_read(&call.transaction, statement, &count, &last_at_us);
	end(&call);
	assert_int_equal(count, CRASHES_MAX);
	assert_true(last_at_us > 0);
	row = (struct tenant_row){ .tenant_id = id, .display_name = TEXT("x"), .state = TEXT("active") };
	(void)store_tenant_update(begin(&call, store_api(id)), &row);
	run_and_end(&call, &world);
	assert_int_equal(crashes_of(id), 0);
	claim(&claims, "a", 10);
	assert_int_equal(claims.count, 1);
}

static void a_paused_client_that_crashes_workers_is_quarantined_too_and_released_to_any_state(void **state)
{
	struct tenant_row row = { .display_name = TEXT("x"), .state = TEXT("paused") };
	struct claims claims;
	struct pg_call call;

	(void)state;
	forget_others();
	row.tenant_id = fresh_tenant();
	test_postgres_run(world.postgres, "update depbroker.tenants set state = 'paused' where state = 'active'");
	for (int i = 0; i < CRASHES_MAX; i++) {
		make_due();
		claim(&claims, "a", 10);
		assert_int_equal(claims.count, 1);
		crash("a");
	}
	assert_true(is_quarantined(row.tenant_id));
	store_tenant_update(begin(&call, store_api(row.tenant_id)), &row);
	run_and_end(&call, &world);
	assert_int_equal(crashes_of(row.tenant_id), 0);
	claim(&claims, "a", 10);
	assert_int_equal(claims.count, 1);
}

#define FRESH(test) cmocka_unit_test_setup(test, nobody_is_due)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_owner_that_knows_its_row_may_write),
		cmocka_unit_test(a_stale_owner_writes_nothing),
		cmocka_unit_test(the_former_owner_is_fenced_after_a_take),
		cmocka_unit_test(nobody_owns_a_finished_client),
		cmocka_unit_test(a_quiet_end_is_told_with_the_stream_and_the_due_row),
		cmocka_unit_test(a_quiet_end_after_a_wish_is_due_at_once),
		cmocka_unit_test(every_change_of_the_configuration_stops_a_run),
		cmocka_unit_test(a_write_that_was_made_is_seen_in_the_row),
		cmocka_unit_test(a_living_owner_is_not_replaced),
		cmocka_unit_test(what_the_take_waited_for_is_in_the_row_that_is_read_after_it),
		cmocka_unit_test(a_client_whose_owner_lost_its_heart_beat_is_taken),
		cmocka_unit_test(an_owner_without_a_heart_beat_may_write_until_somebody_takes),
		cmocka_unit_test(a_client_of_a_released_node_is_taken_at_once),
		cmocka_unit_test(a_heart_beat_is_good_for_its_time_and_can_be_renewed),
		FRESH(a_claim_is_one_nodes_alone),
		FRESH(claims_stop_at_the_limit_and_begin_with_the_earliest),
		FRESH(claims_of_a_dead_or_released_node_are_free),
		FRESH(who_is_in_flight_at_three_crashes_is_quarantined_and_its_neighbours_are_not),
		FRESH(two_suspects_are_never_claimed_together_nor_one_beside_another),
		FRESH(crashes_that_are_an_hour_old_count_no_more),
		FRESH(a_node_that_ended_by_itself_strikes_nobody),
		FRESH(a_paused_client_that_crashes_workers_is_quarantined_too_and_released_to_any_state),
		FRESH(a_quarantined_client_is_active_again_by_one_call_and_starts_without_strikes),
		FRESH(only_an_archived_client_is_left_alone),
		FRESH(a_finished_client_is_due_when_it_was_said),
		FRESH(a_wish_during_a_run_makes_it_due_at_once),
		cmocka_unit_test(the_owner_can_read_its_due_row),
		FRESH(a_claim_of_a_client_that_is_taken_goes_to_its_living_owner),
		FRESH(a_claim_of_a_client_that_nobody_has_or_a_dead_one_is_anybodys_at_once),
		cmocka_unit_test(a_stream_row_comes_back_as_it_was_written),
		cmocka_unit_test(a_client_that_was_never_synced_has_a_zeroed_state),
		cmocka_unit_test(a_cursor_that_is_not_the_phases_is_not_kept),
		cmocka_unit_test(too_long_errors_are_cut_between_characters),
		cmocka_unit_test(the_next_run_counts_from_zero_and_keeps_the_rest),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
