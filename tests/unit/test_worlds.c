// SPDX-License-Identifier: Apache-2.0
//
// The core as a whole - sync, pages, seen serial numbers, routing - against a model of Apple that changes while it is read:
// answers are lost, cursors die and stand still, processes are killed, changes are repeated, duplicated and swallowed.
// No device is ever lost, and in the end both sides agree.
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/page.h"
#include "tenants/route.h"
#include "tenants/seen.h"
#include "tenants/sync.h"

#include <string.h>

enum { DEVICES = 10, LOG_MAX = 400, PAGE_MAX = 16, INSTANCE = 5 };

struct change {
	size_t device;
	enum device_operation operation;
	int64_t at_us;
	int64_t assigned_at_us;
	bool swallowed; // the stream never tells it: only a full fetch does
};

struct apple {
	bool present[DEVICES];
	int64_t assigned_at_us[DEVICES];
	int64_t absent_until_us[DEVICES]; // when it was last known to be absent
	struct change log[LOG_MAX];
	size_t log_length;
};

struct cursor { // what Apple encodes in its opaque text
	bool given;
	size_t offset;   // of a fetch: the next device
	size_t position; // in the log: where the changes go on
};

struct store { // what one transaction writes
	struct sync_state sync;
	struct cursor cursor;
	struct route_stored rows[DEVICES];
	int64_t holder[DEVICES]; // what the events have told
};

struct world {
	struct apple apple;
	struct store stored;
	struct sync_settings settings;
	int64_t now_us;
	bool faults;
	bool swallows; // Apple's stream leaves out changes
	bool repeats;  // and repeats old ones

	// Of the run
	struct store working;
	struct sync_run run;
	struct sync_decision decision;
	struct seen seen;
};

struct answer {
	struct device_record records[PAGE_MAX];
	size_t count;
	struct cursor cursor;
	bool more;
};

static const char serials[DEVICES][3] = { "D0", "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9" };

static struct sync_occasion now(const struct world *world)
{
	return (struct sync_occasion){ world->now_us, random_next() };
}

static void change_apple(struct world *world)
{
	struct apple *apple = &world->apple;
	const size_t device = random_below(DEVICES);
	const bool modifies = apple->present[device] && random_chance(30);

	world->now_us += (1 + (int64_t)random_below(5)) * SECOND_US;
	if (apple->log_length == LOG_MAX) {
		return;
	}
	if (!modifies) {
		apple->present[device] = !apple->present[device];
		apple->absent_until_us[device] = world->now_us;
		apple->assigned_at_us[device] = apple->present[device] ? world->now_us / SECOND_US * SECOND_US : 0;
	}
	apple->log[apple->log_length++] = (struct change){
		.device = device,
		// A device that moved here may show as modified only.
		.operation = !apple->present[device] ? DEVICE_DELETED : modifies || random_chance(30) ? DEVICE_MODIFIED : DEVICE_ADDED,
		.at_us = world->now_us / SECOND_US * SECOND_US,
		.assigned_at_us = apple->assigned_at_us[device],
		.swallowed = world->faults && world->swallows && random_chance(20),
	};
}

static void add_record(struct answer *answer, size_t device, enum device_operation operation, int64_t op_date_us,
	int64_t assigned_at_us)
{
	answer->records[answer->count++] = (struct device_record){
		.serial_number = { serials[device], 2 },
		.operation = operation,
		.op_date_us = op_date_us,
		.device_assigned_date_us = assigned_at_us > 0 ? assigned_at_us : INSTANT_NONE,
		.fingerprint = { (unsigned char)(assigned_at_us / SECOND_US % 251) },
	};
}

static void answer_fetch(const struct world *world, const struct cursor *sent, struct answer *answer)
{
	const struct apple *apple = &world->apple;
	const size_t room = 1 + random_below(4);
	size_t at = sent->given ? sent->offset : 0;

	for (; at < DEVICES && answer->count < room; at++) {
		if (apple->present[at]) {
			add_record(answer, at, DEVICE_PRESENT, INSTANT_NONE, apple->assigned_at_us[at]);
		}
	}
	answer->cursor = (struct cursor){ true, at, sent->given ? sent->position : apple->log_length };
	answer->more = at < DEVICES || (world->faults && random_chance(20)); // then EXHAUSTED_CURSOR is the end
}

static void add_change(struct answer *answer, const struct change *change)
{
	if (!change->swallowed) {
		add_record(answer, change->device, change->operation, change->at_us, change->assigned_at_us);
	}
}

static void shuffle(struct answer *answer)
{
	for (size_t i = answer->count; i > 1; i--) {
		const size_t other = random_below(i);
		const struct device_record record = answer->records[other];

		answer->records[other] = answer->records[i - 1];
		answer->records[i - 1] = record;
	}
}

static void answer_sync(const struct world *world, const struct cursor *sent, struct answer *answer)
{
	const struct apple *apple = &world->apple;
	const size_t room = 1 + random_below(6);
	size_t at = sent->position;

	for (; at < apple->log_length && at < sent->position + room; at++) {
		add_change(answer, &apple->log[at]);
	}
	for (int i = 0; world->repeats && apple->log_length > 0 && i < 4; i++) {
		add_change(answer, &apple->log[random_below(sent->position > 0 ? sent->position : 1)]);
	}
	shuffle(answer);
	answer->cursor = (struct cursor){ true, DEVICES, at };
	answer->more = at < apple->log_length;
}

// A generation removed a device: Apple must have been without it at some time since the generation began.
static void check_removal(const struct world *world, size_t device)
{
	LAW(!world->apple.present[device] ||
		world->apple.absent_until_us[device] >= world->run.state.fetch_started_at_us);
}

static void apply_report(struct world *world, size_t device, const struct route_report *report)
{
	const struct route_wish rules = { .instance_id = INSTANCE };
	struct route_stored *row = &world->working.rows[device];
	const struct route_outcome outcome = route_device(&rules, row, report);

	for (size_t i = 0; i < outcome.event_count; i++) {
		const bool added = outcome.events[i].type == EVENT_DEVICE_ADDED;

		LAW(outcome.events[i].type == EVENT_DEVICE_CHANGED || (world->working.holder[device] == 0) == added);
		if (outcome.events[i].type != EVENT_DEVICE_CHANGED) {
			world->working.holder[device] = added ? outcome.events[i].instance_id : 0;
		}
	}
	if (!outcome.write) {
		return;
	}
	row->known = true;
	row->gone = outcome.gone;
	row->instance_id = outcome.instance_id;
	row->op_date_us = outcome.op_date_us;
	if (report->fingerprint != NULL) {
		memcpy(row->fingerprint, report->fingerprint, sizeof row->fingerprint);
	}
}

static void apply_page(struct world *world, const struct answer *answer)
{
	struct page_plan plan CLEANUP(page_plan_fini);

	page_plan_make(&plan, answer->records, answer->count);
	for (size_t i = 0; i < plan.count; i++) {
		const struct device_record *record = &answer->records[plan.items[i].record];
		const struct route_report report = {
			.gone = plan.items[i].gone,
			.op_date_us = record->op_date_us,
			.assigned_at_us = record->device_assigned_date_us,
			.fingerprint = record->fingerprint,
		};

		apply_report(world, (size_t)(record->serial_number.bytes[1] - '0'), &report);
		if (world->run.state.phase == SYNC_PHASE_FETCH) {
			LAW(seen_add(&world->seen, record->serial_number) == OK);
		}
	}
}

// As the worker does it: the decision first, so that rows, cursor and state are one transaction. False: the process died.
static bool take_page(struct world *world, const struct answer *answer, bool is_stuck)
{
	const struct store before = world->working;
	const struct sync_run run_before = world->run;
	const struct sync_page page = { .cursor_changed = !is_stuck, .more_to_follow = answer->more || is_stuck };
	const unsigned fate = world->faults ? (unsigned)random_below(20) : 19;

	apply_page(world, answer);
	world->working.cursor = is_stuck ? before.cursor : answer->cursor;
	world->decision = sync_page_applied(&world->run, page, now(world));
	world->working.sync = world->run.state;
	if (fate == 0) { // died before the commit
		return false;
	}
	if (fate == 1) { // the transaction failed
		world->working = before;
		world->run = run_before;
		world->decision = sync_failed(&world->run, ERR_DATABASE, -1, now(world));
		return true;
	}
	world->stored = world->working;
	return fate != 2;
}

static enum err choose_failure(const struct world *world)
{
	static const enum err failures[] = { ERR_CURSOR_LOST, ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_CANCELLED, ERR_TERMS };

	return world->faults && random_chance(12) ? failures[random_below(5)] : OK;
}

static bool ask_for_page(struct world *world)
{
	const bool is_fetch = world->decision.action == SYNC_FETCH_PAGE;
	const struct cursor sent = world->run.state.has_cursor ? world->working.cursor : (struct cursor){ 0 };
	const enum err failure = is_fetch && sent.given && sent.offset >= DEVICES ? ERR_CURSOR_END : choose_failure(world);
	const bool is_stuck = sent.given && world->faults && random_chance(4);
	struct answer answer = { .count = 0 };

	LAW(world->run.state.has_cursor == world->working.cursor.given);
	LAW(is_fetch || sent.offset == DEVICES); // the changes begin where the list has ended
	if (failure != OK) {
		world->decision = sync_failed(&world->run, failure, -1, now(world));
		return true;
	}
	if (is_fetch) {
		answer_fetch(world, &sent, &answer);
	} else {
		answer_sync(world, &sent, &answer);
	}
	return take_page(world, &answer, is_stuck);
}

static bool complete_generation(struct world *world)
{
	const struct route_report unseen = { .gone = true, .op_date_us = INSTANT_NONE };

	for (size_t i = 0; i < DEVICES; i++) {
		if (world->working.rows[i].known && !world->working.rows[i].gone && !seen_has(&world->seen, text_of(serials[i]))) {
			check_removal(world, i);
			apply_report(world, i, &unseen);
		}
	}
	if (world->faults && random_chance(10)) { // died before the commit
		return false;
	}
	world->decision = sync_generation_completed(&world->run, now(world));
	world->working.sync = world->run.state;
	world->stored = world->working;
	return true;
}

static bool carry_out(struct world *world)
{
	if (world->decision.drop_cursor) {
		seen_clear(&world->seen);
		world->working.cursor.given = false;
	}
	if (world->faults && random_chance(30)) {
		change_apple(world); // while it is being read
	}
	switch (world->decision.action) {
	case SYNC_FETCH_PAGE:
	case SYNC_SYNC_PAGE: return ask_for_page(world);
	case SYNC_COMPLETE_GENERATION: return complete_generation(world);
	case SYNC_WAIT: break;
	}
	return false;
}

static void check_that_none_is_lost(const struct world *world)
{
	for (size_t i = 0; i < DEVICES; i++) {
		const struct route_stored *row = &world->stored.rows[i];

		LAW(!world->apple.present[i] || (row->known && !row->gone && row->instance_id == INSTANCE));
		LAW(world->stored.holder[i] == row->instance_id);
	}
}

static void run(struct world *world, bool full)
{
	static const unsigned char key[SEEN_KEY_SIZE] = { 7 };
	bool alive = true;

	world->working = world->stored;
	seen_init(&world->seen, key, 4096);
	world->decision = sync_begin(&world->run, &world->stored.sync, &world->settings, full, now(world));
	while (alive && world->decision.action != SYNC_WAIT) {
		alive = carry_out(world);
	}
	seen_fini(&world->seen);
	if (!alive) {
		return;
	}
	world->stored.sync = world->run.state; // the run's end is stored, too
	world->now_us = world->decision.wait_until_us > world->now_us ? world->decision.wait_until_us : world->now_us;
	if (world->decision.reason == SYNC_REASON_UP_TO_DATE && !world->swallows) {
		check_that_none_is_lost(world);
	}
}

static void check_that_both_agree(const struct world *world)
{
	check_that_none_is_lost(world);
	for (size_t i = 0; i < DEVICES; i++) {
		LAW(world->apple.present[i] || !world->stored.rows[i].known || world->stored.rows[i].gone);
	}
}

static void live(struct world *world)
{
	world->faults = true;
	for (uint64_t left = 1 + random_below(15); left > 0; left--) {
		for (uint64_t changes = random_below(4); changes > 0; changes--) {
			change_apple(world);
		}
		run(world, random_chance(10));
		world->now_us += random_chance(3) ? 8 * DAY_S * SECOND_US : 0;
	}
}

static void come_to_rest(struct world *world)
{
	world->faults = false;
	world->now_us += DAY_S * SECOND_US;
	for (int i = 0; i < 5; i++) { // by itself: the first one may read on what was interrupted, the second one has to be complete
		run(world, false);
		LAW(world->decision.reason == SYNC_REASON_UP_TO_DATE);
		if (i > 0) { // and Apple goes on repeating: nothing that it has is taken away
			check_that_none_is_lost(world);
		}
	}
	world->repeats = false;
	run(world, true);
	check_that_both_agree(world);
	for (int i = 0; i < 5; i++) { // and a stream without faults keeps it so
		change_apple(world);
	}
	run(world, false);
	check_that_both_agree(world);
}

static void no_device_is_lost_and_both_sides_agree_in_the_end(void **state)
{
	(void)state;
	for (size_t number = 0; number < 10000; number++) {
		random_case("test_worlds", number);
		struct world world = {
			.settings = { .tenant_id = (int64_t)random_below(100) },
			.now_us = INT64_C(1764000000) * SECOND_US,
			.swallows = random_chance(50),
			.repeats = true,
		};

		live(&world);
		come_to_rest(&world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_device_is_lost_and_both_sides_agree_in_the_end),
	};

	return cmocka_run_group_tests_name("worlds", tests, NULL, NULL);
}
