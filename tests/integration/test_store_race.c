// SPDX-License-Identifier: Apache-2.0
//
// Four nodes race for three clients: they take, write, finish, lose their heart-beats and answers, and write late. Whatever they
// do, the log of each client has no gap and nothing twice.
#include "store/devices.h"
#include "store/instances.h"
#include "support/cmocka_all.h"
#include "support/random.h"
#include "support/store_world.h"

#include <stdio.h>

enum { NODES = 4, TENANTS = 3, STEPS = 500, EVENTS_MAX = 3 };

static struct store_world world;
static int64_t tenants[TENANTS];

enum action { TAKE, WRITE, WRITE_STALE, FINISH, READ, RELEASE, BEAT, RECONFIGURE, ACTIONS };

struct node {
	char name[8];
	struct pg_pool *pool;
	struct pg_transaction transaction;
	int steps_left;
	bool is_closed;
	// What it believes of each client.
	struct stream_fence fences[TENANTS];
	struct stream_fence former[TENANTS]; // before its last write or take
	bool owns[TENANTS];
	bool is_unsure[TENANTS]; // it never saw the answer to its last write
	// The step that is under way.
	enum action action;
	unsigned tenant;
	int64_t events;
	unsigned statement;
};

static struct node nodes[NODES];
static size_t written[TENANTS]; // writes that were committed, by what the nodes were told
static size_t fenced;
static size_t serials;

static void add_events(struct node *node, const struct stream_fence *fence)
{
	char names[EVENTS_MAX][32];
	struct stored_event events[EVENTS_MAX];

	for (int64_t i = 0; i < node->events; i++) {
		(void)snprintf(names[i], sizeof names[i], "S%zu", ++serials);
		events[i] = (struct stored_event){ .event = { .seq = fence->event_seq + 1 + i, .at_us = clock_wall_us(),
			.type = EVENT_DEVICE_HELD, .serial_number = text_of(names[i]) }, .lane = (int)(i % EVENT_LANES) };
	}
	(void)store_event_insert(&node->transaction, fence->tenant_id, events, (size_t)node->events);
}

static void add_write(struct node *node, const struct stream_fence *fence)
{
	const struct ledger_entry entry = { .kind = "changes" };

	node->events = (int64_t)random_below(EVENTS_MAX + 1);
	store_stream_advance(&node->transaction, fence, node->events, NULL);
	add_events(node, fence);
	(void)store_ledger_insert(&node->transaction, fence, node->events, &entry);
}

static void add_finish(struct node *node, const struct stream_fence *fence)
{
	const struct ledger_entry entry = { .kind = "changes" };

	node->events = 0;
	store_stream_finish(&node->transaction, fence, NULL, SECOND_US, 0);
	(void)store_ledger_insert(&node->transaction, fence, 0, &entry);
}

static enum action choose(struct node *node)
{
	static const enum action often[] = { WRITE, WRITE, WRITE, WRITE, WRITE, WRITE, WRITE_STALE, FINISH, RELEASE, BEAT, BEAT,
		BEAT, TAKE, RECONFIGURE };
	const enum action action = often[random_below(sizeof often / sizeof *often)];
	const bool is_write = action == WRITE || action == WRITE_STALE || action == FINISH;

	node->tenant = (unsigned)random_below(TENANTS);
	if (is_write && !node->owns[node->tenant]) {
		return TAKE;
	}
	return is_write && node->is_unsure[node->tenant] ? READ : action;
}

static void on_done(struct op *op);

static struct pg_scope scope_of(enum action action, int64_t tenant_id)
{
	return action == RELEASE || action == BEAT ? store_directory() :
		action == RECONFIGURE ? store_api(tenant_id) : store_worker(tenant_id);
}

static void step(struct node *node)
{
	struct pg_transaction *t = &node->transaction;
	int64_t tenant_id;

	if (node->steps_left-- <= 0) {
		return;
	}
	node->action = choose(node);
	tenant_id = tenants[node->tenant];
	pg_transaction_init(t, scope_of(node->action, tenant_id), on_done);
	switch (node->action) {
	case TAKE:
		node->statement = store_stream_take(t, tenant_id, text_of(node->name));
		break;
	case WRITE:
		add_write(node, &node->fences[node->tenant]);
		break;
	case WRITE_STALE:
		add_write(node, &node->former[node->tenant]);
		break;
	case FINISH:
		add_finish(node, &node->fences[node->tenant]);
		break;
	case READ:
		node->statement = store_stream_select(t, tenant_id);
		break;
	case RELEASE:
		store_node_release(t, text_of(node->name));
		break;
	case BEAT:
		(void)store_node_beat(t, text_of(node->name));
		break;
	case RECONFIGURE:
		(void)store_rules_put(t, tenant_id, -1, &(struct rules_row){ .document = TEXT("{}"), .made_by = TEXT("key") });
		break;
	case ACTIONS:
		break;
	}
	pg_start(t, node->pool, 60000);
}

static void after_write(struct node *node)
{
	struct stream_fence *fence = &node->fences[node->tenant];

	written[node->tenant]++;
	node->former[node->tenant] = *fence;
	if (node->action == FINISH) {
		node->owns[node->tenant] = false;
	} else if (random_chance(10)) { // the answer was lost: the next step is to read the row
		node->is_unsure[node->tenant] = true;
	} else {
		fence->write_seq++;
		fence->event_seq += node->events;
	}
}

static void after_row(struct node *node)
{
	struct stream_fence *fence = &node->fences[node->tenant];
	struct stream_row row;

	node->is_unsure[node->tenant] = false;
	if (pg_row_count(&node->transaction, node->statement) == 0) { // somebody else has it
		node->owns[node->tenant] = false;
		return;
	}
	store_stream_read(&node->transaction, node->statement, 0, &row);
	if (node->action == READ && (!text_equal(row.owner, text_of(node->name)) || row.epoch != fence->epoch)) {
		node->owns[node->tenant] = false;
		return;
	}
	node->former[node->tenant] = node->owns[node->tenant] ? *fence : (struct stream_fence){ .tenant_id = tenants[node->tenant],
		.node_id = text_of(node->name), .epoch = row.epoch - 1 };
	node->owns[node->tenant] = true;
	*fence = (struct stream_fence){ .tenant_id = tenants[node->tenant], .node_id = text_of(node->name), .epoch = row.epoch,
		.write_seq = row.write_seq, .event_seq = row.event_seq, .config_version = row.config_version };
}

static void on_done(struct op *op)
{
	struct node *node = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct node, transaction);
	const bool is_write = node->action == WRITE || node->action == WRITE_STALE || node->action == FINISH;

	if (op->rc == ERR_FENCED && is_write) {
		fenced++;
		node->owns[node->tenant] = node->action == WRITE_STALE && node->owns[node->tenant];
	} else if (op->rc != OK) {
		fail_msg("action %d: %s: %s", (int)node->action, err_name(op->rc), op->fault.text);
	} else if (node->action == WRITE_STALE) {
		fail_msg("a stale write was made");
	} else if (is_write) {
		after_write(node);
	} else if (node->action == TAKE || node->action == READ) {
		after_row(node);
	}
	pg_transaction_fini(&node->transaction);
	step(node);
}

static void on_closed(void *argument)
{
	((struct node *)argument)->is_closed = true;
}

static void race(void)
{
	struct fault fault;

	for (unsigned i = 0; i < NODES; i++) {
		const struct pg_pool_config config = { .url = world.postgres->url, .application_name = "depbroker/test", .size = 1 };

		nodes[i] = (struct node){ .steps_left = STEPS };
		(void)snprintf(nodes[i].name, sizeof nodes[i].name, "node%u", i);
		assert_int_equal(pg_pool_open(&nodes[i].pool, &world.pg.loop, &config, &fault), OK);
	}
	for (unsigned i = 0; i < NODES; i++) {
		step(&nodes[i]);
	}
	for (unsigned i = 0; i < NODES; i++) {
		while (nodes[i].steps_left >= 0) {
			pg_world_turn(&world.pg);
		}
	}
	for (unsigned i = 0; i < NODES; i++) {
		pg_pool_close(nodes[i].pool, on_closed, &nodes[i]);
		while (!nodes[i].is_closed) {
			pg_world_turn(&world.pg);
		}
	}
}

static int64_t ask_of(int64_t tenant_id, const char *format)
{
	char sql[512];
	char number[32];
	const char *at = format;
	size_t length = 0;

	(void)snprintf(number, sizeof number, "%lld", (long long)tenant_id);
	for (; *at != '\0'; at++) { // '@' stands for the client
		length += (size_t)snprintf(sql + length, sizeof sql - length, *at == '@' ? "%s" : "%.1s", *at == '@' ? number : at);
	}
	return ask_number(&world, sql);
}

static void expect_a_whole_log(size_t tenant)
{
	const int64_t id = tenants[tenant];
	const int64_t event_seq = ask_of(id, "select event_seq from depbroker.sync_stream where tenant_id = @");
	const int64_t write_seq = ask_of(id, "select write_seq from depbroker.sync_stream where tenant_id = @");

	assert_true(write_seq > 0 && event_seq > 0);
	assert_int_equal(write_seq, written[tenant]);
	assert_int_equal(ask_of(id, "select count(*) from depbroker.page_ledger where tenant_id = @"), write_seq);
	assert_int_equal(ask_of(id, "select max(write_seq) from depbroker.page_ledger where tenant_id = @"), write_seq);
	assert_int_equal(ask_of(id, "select max(event_seq) from depbroker.page_ledger where tenant_id = @"), event_seq);
	assert_int_equal(ask_of(id, "select count(*) from depbroker.events where tenant_id = @"), event_seq);
	assert_int_equal(ask_of(id, "select count(distinct seq) from depbroker.events where tenant_id = @"), event_seq);
	assert_int_equal(ask_of(id, "select count(distinct serial_number) from depbroker.events where tenant_id = @"), event_seq);
	assert_int_equal(ask_of(id, "select max(seq) from depbroker.events where tenant_id = @"), event_seq);
	assert_int_equal(ask_of(id, "select count(*) from (select epoch < lag(epoch) over (order by write_seq) as back "
		"from depbroker.page_ledger where tenant_id = @) l where back"), 0);
}

static void nodes_that_race_leave_whole_logs(void **state)
{
	(void)state;
	random_case("test_store_race", 0);
	store_world_open(&world);
	for (int i = 0; i < TENANTS; i++) {
		char slug[32];

		(void)snprintf(slug, sizeof slug, "race-%d", i);
		tenants[i] = new_tenant(&world, slug);
	}
	race();
	assert_true(fenced > 0);
	for (size_t i = 0; i < TENANTS; i++) {
		expect_a_whole_log(i);
	}
	print_message("writes %zu + %zu + %zu, fenced %zu\n", written[0], written[1], written[2], fenced);
	store_world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_that_race_leave_whole_logs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
