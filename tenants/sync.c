// SPDX-License-Identifier: Apache-2.0
#include "tenants/sync.h"

#include <assert.h>

enum {
	INTERVAL_S = 1800,
	BACKOFF_MIN_S = 60,
	BACKOFF_MAX_S = 3600,
};

// Spreads consecutive numbers evenly over all 64 bits.
static uint64_t scatter(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

int64_t sync_next_full_us(const struct sync_settings *settings, int64_t completed_at_us)
{
	const int64_t interval = (settings->full_interval_s > 0 ? settings->full_interval_s : DAY_S) * SECOND_US;
	const int64_t own_time = (int64_t)(scatter((uint64_t)settings->tenant_id) % (uint64_t)interval);

	if (completed_at_us <= 0) { // INSTANT_NONE, too
		return 0;
	}
	return completed_at_us < own_time ? own_time
									  : own_time + ((completed_at_us - own_time) / interval + 1) * interval;
}

// From `least_s` to `spread_s` more, so that tenants that wait for the same thing do not all come back at once.
static struct sync_decision wait_for(enum sync_reason reason, int64_t least_s, int64_t spread_s,
	struct sync_occasion occasion)
{
	const int64_t jitter_us = (int64_t)(occasion.random % (uint64_t)(spread_s * SECOND_US + 1));

	return (struct sync_decision){
		.action = SYNC_WAIT,
		.wait_until_us = occasion.now_us + least_s * SECOND_US + jitter_us,
		.reason = reason,
	};
}

// An interval, from 10 % less to 10 % more.
static struct sync_decision wait_an_interval(const struct sync_run *run, enum sync_reason reason,
	struct sync_occasion occasion)
{
	const int64_t interval_s = run->settings.interval_s > 0 ? run->settings.interval_s : INTERVAL_S;
	const int64_t tenth_s = interval_s / 10;

	return wait_for(reason, interval_s - tenth_s, 2 * tenth_s, occasion);
}

static struct sync_decision back_off(struct sync_run *run, enum sync_reason reason, int64_t retry_after_s,
	struct sync_occasion occasion)
{
	int64_t wait_s = BACKOFF_MIN_S;

	for (int i = 0; i < run->state.failures && wait_s < BACKOFF_MAX_S; i++) {
		wait_s *= 2;
	}
	wait_s = wait_s < BACKOFF_MAX_S ? wait_s : BACKOFF_MAX_S;
	if (retry_after_s > wait_s) {
		wait_s = retry_after_s < DAY_S ? retry_after_s : DAY_S;
	}
	run->state.failures += run->state.failures < INT32_MAX ? 1 : 0;
	return wait_for(reason, wait_s, wait_s / 2, occasion);
}

// Nobody was asked, so that nothing is held against the tenant. Without a word about when, each waits about as long as between two
// syncs: all of them together come as often as ever, and there is no backlog when Apple is back.
static struct sync_decision hold_back(const struct sync_run *run, int64_t least_s, struct sync_occasion occasion)
{
	const int64_t interval_s = run->settings.interval_s > 0 ? run->settings.interval_s : INTERVAL_S;

	if (least_s > 0) {
		least_s = least_s < BACKOFF_MAX_S ? least_s : BACKOFF_MAX_S;
		return wait_for(SYNC_REASON_HELD_BACK, least_s, 2 * least_s, occasion);
	}
	return wait_for(SYNC_REASON_HELD_BACK, interval_s / 2, interval_s, occasion);
}

static struct sync_decision ask_for_page(const struct sync_run *run, struct sync_occasion occasion)
{
	if (run->pages >= SYNC_RUN_PAGES_MAX) {
		return wait_an_interval(run, SYNC_REASON_PAGE_LIMIT, occasion);
	}
	return (struct sync_decision){
		.action = run->state.phase == SYNC_PHASE_FETCH ? SYNC_FETCH_PAGE : SYNC_SYNC_PAGE,
	};
}

// A full fetch stays due until one is complete: whatever happens to this one on the way, another one follows.
static struct sync_decision start_generation(struct sync_run *run, enum sync_full_cause cause,
	struct sync_occasion occasion)
{
	struct sync_state *state = &run->state;

	state->phase = SYNC_PHASE_FETCH;
	state->generation++;
	state->has_cursor = false;
	state->cursor_at_us = 0;
	state->fetch_started_at_us = occasion.now_us;
	state->full_due_at_us = occasion.now_us;
	state->stuck_runs = 0;
	state->exhausted_runs = 0;
	run->from_first_page = true;

	struct sync_decision decision = ask_for_page(run, occasion);

	decision.drop_cursor = true;
	decision.cause = cause;
	return decision;
}

static enum sync_full_cause why_full(const struct sync_state *state, const struct sync_settings *settings,
	bool full_requested, int64_t now_us)
{
	if (state->generation == 0) {
		return SYNC_FULL_FIRST;
	}
	if (full_requested) {
		return SYNC_FULL_REQUESTED;
	}
	if (!state->has_cursor) {
		return state->phase == SYNC_PHASE_FETCH ? SYNC_FULL_INCOMPLETE : SYNC_FULL_CURSOR_LOST;
	}
	if (now_us - state->cursor_at_us >= SYNC_CURSOR_AGE_MAX_US) {
		return SYNC_FULL_CURSOR_AGED;
	}
	if (state->stuck_runs >= SYNC_STUCK_RUNS_MAX) {
		return SYNC_FULL_STUCK;
	}
	if (state->exhausted_runs >= SYNC_EXHAUSTED_RUNS_MAX) {
		return SYNC_FULL_EXHAUSTED;
	}
	if (state->phase == SYNC_PHASE_FETCH) { // a long list that was interrupted is read on, and read anew after that
		return SYNC_FULL_NONE;
	}
	if (state->full_due_at_us != 0 && state->full_due_at_us <= now_us) {
		return SYNC_FULL_INCOMPLETE;
	}
	return sync_next_full_us(settings, state->fetch_completed_at_us) <= now_us ? SYNC_FULL_SCHEDULED : SYNC_FULL_NONE;
}

struct sync_decision sync_begin(struct sync_run *run, const struct sync_state *stored, const struct sync_settings *settings,
	bool full_requested, struct sync_occasion occasion)
{
	const enum sync_full_cause cause = why_full(stored, settings, full_requested, occasion.now_us);

	*run = (struct sync_run){ .state = *stored, .settings = *settings };
	return cause != SYNC_FULL_NONE ? start_generation(run, cause, occasion) : ask_for_page(run, occasion);
}

// The cursor of the last page is the first one of the changes.
static struct sync_decision end_fetch(struct sync_run *run, struct sync_occasion occasion)
{
	run->state.phase = SYNC_PHASE_CHANGES;
	if (run->from_first_page) {
		return (struct sync_decision){ .action = SYNC_COMPLETE_GENERATION };
	}
	return ask_for_page(run, occasion);
}

struct sync_decision sync_page_applied(struct sync_run *run, struct sync_page page, struct sync_occasion occasion)
{
	struct sync_state *state = &run->state;

	run->pages++;
	state->has_cursor = true;
	state->cursor_at_us = occasion.now_us;
	state->failures = 0;
	if (page.more_to_follow && !page.cursor_changed) {
		state->stuck_runs += state->stuck_runs < INT32_MAX ? 1 : 0;
		return wait_an_interval(run, SYNC_REASON_STUCK_CURSOR, occasion);
	}
	if (page.more_to_follow) {
		return ask_for_page(run, occasion);
	}
	if (state->phase == SYNC_PHASE_FETCH) {
		return end_fetch(run, occasion);
	}
	state->stuck_runs = 0;
	state->exhausted_runs = 0;
	return wait_an_interval(run, SYNC_REASON_UP_TO_DATE, occasion);
}

struct sync_decision sync_generation_completed(struct sync_run *run, struct sync_occasion occasion)
{
	assert(run->from_first_page && run->state.phase == SYNC_PHASE_CHANGES);
	run->from_first_page = false;
	run->state.fetch_completed_at_us = occasion.now_us;
	run->state.full_due_at_us = 0;
	return ask_for_page(run, occasion);
}

static struct sync_decision reset(struct sync_run *run, enum sync_full_cause cause, struct sync_occasion occasion)
{
	run->resets++;
	return start_generation(run, cause, occasion);
}

static struct sync_decision cursor_lost(struct sync_run *run, struct sync_occasion occasion)
{
	if (run->resets > 0) {
		return wait_for(SYNC_REASON_CURSOR_LOST_TWICE, BACKOFF_MAX_S, BACKOFF_MAX_S / 2, occasion);
	}
	return reset(run, SYNC_FULL_CURSOR_LOST, occasion);
}

// Of a fetch it is the end: all devices were returned before. The changes should never get it; one that repeats starts over.
static struct sync_decision cursor_end(struct sync_run *run, struct sync_occasion occasion)
{
	if (run->state.phase == SYNC_PHASE_FETCH) {
		return end_fetch(run, occasion);
	}
	run->state.exhausted_runs += run->state.exhausted_runs < INT32_MAX ? 1 : 0;
	if (run->state.exhausted_runs >= SYNC_EXHAUSTED_RUNS_MAX && run->resets == 0) {
		return reset(run, SYNC_FULL_EXHAUSTED, occasion);
	}
	return wait_an_interval(run, SYNC_REASON_EXHAUSTED_CURSOR, occasion);
}

// What ends a run whatever it was doing, and for how long (dep-api.md, section 12). A new token or a signature at Apple does
// not wait for these: whoever hears of it makes the tenant due.
static const struct {
	enum err rc;
	enum sync_reason reason;
	int32_t least_s;
	int32_t spread_s;
} fixed_waits[] = {
	{ ERR_CANCELLED, SYNC_REASON_INTERRUPTED, 0, 0 },
	{ ERR_FENCED, SYNC_REASON_INTERRUPTED, 0, 0 },
	{ ERR_TERMS, SYNC_REASON_TERMS, 3600, 360 },
	{ ERR_TOKEN_DEAD, SYNC_REASON_TOKEN_DEAD, 6 * 3600, 6 * 3600 },
	{ ERR_IDENTITY, SYNC_REASON_IDENTITY, 6 * 3600, 6 * 3600 },
};

struct sync_decision sync_failed(struct sync_run *run, enum err rc, int64_t retry_after_s, struct sync_occasion occasion)
{
	assert(rc != OK);
	for (size_t i = 0; i < sizeof fixed_waits / sizeof *fixed_waits; i++) {
		if (rc == fixed_waits[i].rc) {
			return wait_for(fixed_waits[i].reason, fixed_waits[i].least_s, fixed_waits[i].spread_s, occasion);
		}
	}
	if (rc == ERR_HELD_BACK) {
		return hold_back(run, retry_after_s, occasion);
	}
	if (run->state.has_cursor && rc == ERR_CURSOR_LOST) {
		return cursor_lost(run, occasion);
	}
	if (run->state.has_cursor && rc == ERR_CURSOR_END) {
		return cursor_end(run, occasion);
	}
	// Also a word about a cursor that was not sent.
	return back_off(run, rc == ERR_THROTTLED ? SYNC_REASON_THROTTLED : SYNC_REASON_BACKOFF, retry_after_s, occasion);
}

const char *sync_reason_name(enum sync_reason reason)
{
	static const char *const names[] = {
		[SYNC_REASON_NONE] = "",
		[SYNC_REASON_UP_TO_DATE] = "up_to_date",
		[SYNC_REASON_STUCK_CURSOR] = "stuck_cursor",
		[SYNC_REASON_EXHAUSTED_CURSOR] = "exhausted_cursor",
		[SYNC_REASON_CURSOR_LOST_TWICE] = "cursor_lost_twice",
		[SYNC_REASON_PAGE_LIMIT] = "page_limit",
		[SYNC_REASON_TERMS] = "terms",
		[SYNC_REASON_TOKEN_DEAD] = "token_dead",
		[SYNC_REASON_IDENTITY] = "identity",
		[SYNC_REASON_THROTTLED] = "throttled",
		[SYNC_REASON_BACKOFF] = "backoff",
		[SYNC_REASON_HELD_BACK] = "held_back",
		[SYNC_REASON_INTERRUPTED] = "interrupted",
	};

	assert((size_t)reason < sizeof names / sizeof *names);
	return names[reason];
}

const char *sync_full_cause_name(enum sync_full_cause cause)
{
	static const char *const names[] = {
		[SYNC_FULL_NONE] = "",
		[SYNC_FULL_FIRST] = "first",
		[SYNC_FULL_REQUESTED] = "requested",
		[SYNC_FULL_SCHEDULED] = "scheduled",
		[SYNC_FULL_CURSOR_AGED] = "cursor_aged",
		[SYNC_FULL_CURSOR_LOST] = "cursor_lost",
		[SYNC_FULL_EXHAUSTED] = "exhausted",
		[SYNC_FULL_STUCK] = "stuck",
		[SYNC_FULL_INCOMPLETE] = "incomplete",
	};

	assert((size_t)cause < sizeof names / sizeof *names);
	return names[cause];
}
