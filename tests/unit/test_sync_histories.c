// SPDX-License-Identifier: Apache-2.0
//
// Laws 3, 4 and 5 of sync.h over random histories: every answer that Apple may give, transactions that fail, processes
// that die before and after a commit, tenants that rest for days; and then Apple behaves, and everything must come right.
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/sync.h"

#include <string.h>

enum { CLOCK_STEP_S = 3600 };

struct world { // one tenant over many runs
	struct sync_settings settings;
	struct sync_state stored;
	int64_t stored_cursor; // 0: none. Every one that Apple gives is new, unless it is stuck
	int64_t last_cursor_given;
	int64_t now_us;
	bool behaves; // Apple, and everything else
	unsigned runs;

	// Of the run
	struct sync_run run;
	struct sync_decision decision;
	int64_t cursor;
	int64_t asked[2];   // by phase: the cursor that was sent last
	bool asked_any[2];
	unsigned pages;
	unsigned drops;
	bool began_anew;    // the run itself began with a new generation
	bool unbroken;      // every page of this generation was applied in this run
	bool list_ended;    // and the last one was among them
	enum err failure;   // the last one since a page was applied
};

static struct sync_occasion now(const struct world *world)
{
	return (struct sync_occasion){ world->now_us, random_next() };
}

static void commit(struct world *world)
{
	world->stored = world->run.state;
	world->stored_cursor = world->cursor;
}

static void note_drop(struct world *world)
{
	if (!world->decision.drop_cursor) {
		return;
	}
	LAW(world->decision.action != SYNC_COMPLETE_GENERATION);
	LAW(!world->run.state.has_cursor);
	world->drops++;
	world->cursor = 0;
	world->unbroken = true;
	world->list_ended = false;
}

static void fail_call(struct world *world, enum err rc)
{
	const struct sync_state before = world->run.state;
	const int64_t retry_after_s = random_chance(20) ? (int64_t)random_below(100000) : -1;

	world->failure = rc;
	if (rc == ERR_CURSOR_END && before.phase == SYNC_PHASE_FETCH && before.has_cursor) {
		world->list_ended = true;
	}
	world->decision = sync_failed(&world->run, rc, retry_after_s, now(world));
	if (rc == ERR_CANCELLED || rc == ERR_FENCED) {
		LAW(memcmp(&before, &world->run.state, sizeof before) == 0);
		LAW(world->decision.reason == SYNC_REASON_INTERRUPTED);
	}
}

enum fate { FATE_PAGE, FATE_LOST_TRANSACTION, FATE_DEATH_BEFORE, FATE_DEATH_AFTER, FATE_FAILURE };

static enum fate choose_fate(const struct world *world)
{
	if (world->behaves || random_chance(75)) {
		return FATE_PAGE;
	}
	return (enum fate)(1 + random_below(FATE_FAILURE));
}

static enum err choose_failure(void)
{
	static const enum err often[] = { ERR_CURSOR_LOST, ERR_CURSOR_END, ERR_UNAVAILABLE, ERR_CANCELLED };
	const enum err any = (enum err)(1 + random_below(ERR_BUG));

	return random_chance(60) ? often[random_below(4)] : any;
}

// False: the process died, and with it the run.
static bool answer_page(struct world *world)
{
	const struct sync_run before = world->run;
	const enum fate fate = choose_fate(world);
	const bool first = !world->run.state.has_cursor;
	const bool is_stuck = !world->behaves && !first && random_chance(5);
	const struct sync_page page = { .cursor_changed = !is_stuck, .more_to_follow = random_chance(is_stuck ? 80 : 60) };
	const bool is_fetch = world->run.state.phase == SYNC_PHASE_FETCH;
	const int64_t cursor = is_stuck ? world->cursor : world->last_cursor_given + 1;

	if (fate == FATE_DEATH_BEFORE) {
		return false;
	}
	if (fate == FATE_FAILURE) {
		fail_call(world, choose_failure());
		return true;
	}
	world->last_cursor_given = cursor > world->last_cursor_given ? cursor : world->last_cursor_given;
	world->decision = sync_page_applied(&world->run, page, now(world));
	if (fate == FATE_LOST_TRANSACTION) { // law 2
		world->run = before;
		fail_call(world, ERR_DATABASE);
		return true;
	}
	world->cursor = cursor;
	commit(world);
	world->pages++;
	world->failure = OK;
	world->list_ended = is_fetch && !page.more_to_follow;
	return fate != FATE_DEATH_AFTER;
}

static bool ask_for_page(struct world *world)
{
	const enum sync_phase phase = world->run.state.phase;
	const int64_t sent = world->run.state.has_cursor ? world->cursor : 0;

	LAW((world->decision.action == SYNC_FETCH_PAGE) == (phase == SYNC_PHASE_FETCH));
	LAW(phase == SYNC_PHASE_FETCH || sent != 0);
	LAW(world->run.state.has_cursor == (world->cursor != 0));
	LAW(sent == 0 || !world->asked_any[phase] || world->asked[phase] != sent); // law 4
	LAW(world->pages < SYNC_RUN_PAGES_MAX);
	world->asked[phase] = sent;
	world->asked_any[phase] = true;
	return answer_page(world);
}

static bool complete_generation(struct world *world)
{
	LAW(world->unbroken && world->list_ended); // law 3
	LAW(world->run.state.phase == SYNC_PHASE_CHANGES);
	world->unbroken = false;
	if (!world->behaves && random_chance(10)) {
		return false;
	}
	if (!world->behaves && random_chance(10)) {
		fail_call(world, random_chance(50) ? ERR_DATABASE : ERR_FENCED);
		return true;
	}
	world->decision = sync_generation_completed(&world->run, now(world));
	commit(world);
	LAW(world->stored.full_due_at_us == 0 && world->stored.fetch_completed_at_us == world->now_us);
	return true;
}

static bool carry_out(struct world *world)
{
	note_drop(world);
	world->now_us += (int64_t)random_below(3 * SECOND_US);
	switch (world->decision.action) {
	case SYNC_FETCH_PAGE:
	case SYNC_SYNC_PAGE: return ask_for_page(world);
	case SYNC_COMPLETE_GENERATION: return complete_generation(world);
	case SYNC_WAIT: break;
	}
	return false;
}

static void check_wait(const struct world *world)
{
	const struct sync_decision *end = &world->decision;
	const int64_t interval_s = world->settings.interval_s > 0 ? world->settings.interval_s : 1800;
	const bool on_cursor_end = world->failure == ERR_CURSOR_END && end->reason == SYNC_REASON_EXHAUSTED_CURSOR;

	LAW(end->wait_until_us >= world->now_us && end->wait_until_us <= world->now_us + 3 * DAY_S / 2 * SECOND_US);
	LAW(!end->drop_cursor && end->reason != SYNC_REASON_NONE);
	if (world->failure == OK || on_cursor_end) { // law 5
		LAW(end->wait_until_us <= world->now_us + interval_s * SECOND_US * 11 / 10);
		LAW(end->reason == SYNC_REASON_UP_TO_DATE || end->reason == SYNC_REASON_STUCK_CURSOR || on_cursor_end);
	}
	LAW(end->reason != SYNC_REASON_UP_TO_DATE || world->run.state.phase == SYNC_PHASE_CHANGES);
}

static void begin_run(struct world *world, bool requested)
{
	const int64_t age_us = world->now_us - world->stored.cursor_at_us;

	world->asked_any[0] = world->asked_any[1] = false;
	world->pages = world->drops = 0;
	world->unbroken = world->list_ended = false;
	world->failure = OK;
	world->cursor = world->stored_cursor;
	world->decision = sync_begin(&world->run, &world->stored, &world->settings, requested, now(world));
	world->began_anew = world->decision.drop_cursor;
	LAW(world->decision.action == SYNC_FETCH_PAGE || world->decision.action == SYNC_SYNC_PAGE);
	LAW(world->began_anew || (world->stored.has_cursor && age_us < SYNC_CURSOR_AGE_MAX_US));
	LAW(world->began_anew || !requested);
}

// The whole run, with everything that is true of every run.
static void run(struct world *world)
{
	const int64_t generation = world->stored.generation;
	bool alive = true;

	begin_run(world, !world->behaves && random_chance(3));
	while (alive && world->decision.action != SYNC_WAIT) {
		alive = carry_out(world);
	}
	world->runs++;
	LAW(world->run.resets <= 1 && world->drops <= (world->began_anew ? 2u : 1u));
	LAW(world->run.state.generation == generation + (int64_t)world->drops);
	if (alive) {
		check_wait(world);
		commit(world); // the run's end is stored, too
	}
	world->now_us = alive && random_chance(80) ? world->decision.wait_until_us : world->now_us;
}

static void rest(struct world *world)
{
	if (random_chance(5)) {
		world->now_us += (int64_t)random_below(9 * DAY_S * SECOND_US);
	} else if (random_chance(1) && world->now_us > DAY_S * SECOND_US) {
		world->now_us -= (int64_t)random_below(CLOCK_STEP_S * SECOND_US); // the clock is set back
	}
}

static unsigned everything_comes_right(struct world *world)
{
	const int64_t behaved_from_us = world->now_us += CLOCK_STEP_S * SECOND_US; // past what a clock that was set back repeats
	int64_t begun_us = 0;

	world->behaves = true;
	for (int i = 0; i < 2; i++) {
		begun_us = world->now_us;
		run(world);
		LAW(world->decision.reason == SYNC_REASON_UP_TO_DATE);
	}
	LAW(world->stored.full_due_at_us == 0 || world->stored.full_due_at_us > begun_us); // the second one has made good
	world->now_us += DAY_S * SECOND_US;
	run(world);
	LAW(world->stored.fetch_completed_at_us >= behaved_from_us);
	return world->runs;
}

static void the_laws_hold_over_random_histories(void **state)
{
	size_t runs = 0;

	(void)state;
	for (size_t number = 0; runs < 1000000; number++) {
		random_case("test_sync_histories", number);
		struct world world = {
			.settings = {
				.tenant_id = (int64_t)random_below(1000),
				.interval_s = (int64_t)random_below(4000),
				.full_interval_s = random_chance(50) ? 0 : 3600 + (int64_t)random_below((uint64_t)DAY_S - 3600),
			},
			.now_us = (int64_t)(1700000000 + random_below(100000000)) * SECOND_US,
		};

		for (uint64_t left = 1 + random_below(60); left > 0; left--) {
			run(&world);
			rest(&world);
		}
		runs += everything_comes_right(&world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_laws_hold_over_random_histories),
	};

	return cmocka_run_group_tests_name("sync_histories", tests, NULL, NULL);
}
