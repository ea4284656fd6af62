// SPDX-License-Identifier: Apache-2.0
//
// sync.h - when to ask Apple for what: fetch, sync, wait, start over (dep-api.md, section 6).
//
//   struct sync_decision next = sync_begin(&run, &stored, &settings, &occasion);
//   while next.action is not SYNC_WAIT: if next.drop_cursor, forget the cursor and the set of seen serials; carry it out;
//   next = sync_page_applied(...), sync_generation_completed(...) or sync_failed(...)
//
// Ownership  plain values, copied freely. run.state is what the tenant's row holds, the rest lives as long as the run.
// Laws       1. pure: time and randomness are given
//            2. a decision is made before its page is stored, so that run.state and the page's devices are stored in one
//               transaction; when that fails, the caller goes back to its copy of the run
//            3. SYNC_COMPLETE_GENERATION comes only after a fetch whose every page, from the first on, was applied in this run
//            4. every run ends: at most SYNC_RUN_PAGES_MAX pages, at most one reset, no page asked for twice with one cursor
//            5. in a run that ended without an error the next one is due at most one interval (+10 %) later
#pragma once

#include "depbroker/clock.h"

enum { SYNC_RUN_PAGES_MAX = 100000, SYNC_STUCK_RUNS_MAX = 3, SYNC_EXHAUSTED_RUNS_MAX = 2 };

#define SYNC_CURSOR_AGE_MAX_US (6 * DAY_S * SECOND_US)

enum sync_phase { // numbers are stored: never change them
	SYNC_PHASE_FETCH = 0,   // a list of all devices is being read, or is to be read
	SYNC_PHASE_CHANGES = 1, // the cursor follows the changes
};

struct sync_state { // zeroed: a tenant that was never synced. One row, plain columns
	enum sync_phase phase;
	int64_t generation;              // number of the full fetch that runs, or ran last; 0: none yet
	bool has_cursor;                 // the row has one, and it belongs to this phase
	int64_t cursor_at_us;            // when Apple gave it, or last accepted it
	int64_t fetch_started_at_us;     // of this generation
	int64_t fetch_completed_at_us;   // of the last generation that was complete; INSTANT_NONE or 0: never
	int64_t full_due_at_us;          // a full fetch is due then, besides the schedule; 0: not
	int stuck_runs;                  // in a row that ended on a cursor that does not move
	int exhausted_runs;              // in a row that ended on EXHAUSTED_CURSOR
	int failures;                    // in a row without a page applied between them, for the back-off
};

struct sync_settings {
	int64_t tenant_id;
	int64_t interval_s;      // between syncs; 0: 1,800
	int64_t full_interval_s; // between full fetches; 0: a day
};

enum sync_action {
	SYNC_FETCH_PAGE,          // POST /server/devices: with the cursor when run.state.has_cursor, otherwise without
	SYNC_SYNC_PAGE,           // POST /devices/sync with the cursor
	SYNC_COMPLETE_GENERATION, // devices not seen in this generation may be computed as removed; then sync_generation_completed
	SYNC_WAIT,                // the run is over; the next one at wait_until_us
};

enum sync_reason { // why it waits; sync_reason_name gives the stored and logged word
	SYNC_REASON_NONE,
	SYNC_REASON_UP_TO_DATE,
	SYNC_REASON_STUCK_CURSOR,
	SYNC_REASON_EXHAUSTED_CURSOR,
	SYNC_REASON_CURSOR_LOST_TWICE,
	SYNC_REASON_PAGE_LIMIT,
	SYNC_REASON_TERMS,
	SYNC_REASON_TOKEN_DEAD,
	SYNC_REASON_IDENTITY,
	SYNC_REASON_THROTTLED,
	SYNC_REASON_BACKOFF,
	SYNC_REASON_HELD_BACK,   // Apple is out of service for everybody (breaker.h): nobody was asked
	SYNC_REASON_INTERRUPTED, // cancelled, or another worker owns the tenant: nothing about the tenant has changed
};

enum sync_full_cause { // why a generation was started
	SYNC_FULL_NONE, SYNC_FULL_FIRST, SYNC_FULL_REQUESTED, SYNC_FULL_SCHEDULED, SYNC_FULL_CURSOR_AGED, SYNC_FULL_CURSOR_LOST,
	SYNC_FULL_EXHAUSTED, SYNC_FULL_STUCK, SYNC_FULL_INCOMPLETE,
};

struct sync_decision {
	enum sync_action action;
	bool drop_cursor;           // first: forget the cursor and empty the set of seen serials; a generation begins
	enum sync_full_cause cause; // of that generation
	int64_t wait_until_us;      // of SYNC_WAIT
	enum sync_reason reason;    // of SYNC_WAIT
};

struct sync_run {
	struct sync_state state;
	struct sync_settings settings;
	unsigned pages;
	unsigned resets;
	bool from_first_page; // of this generation: everything was seen in this run
};

struct sync_occasion {
	int64_t now_us;
	uint64_t random; // all 64 bits random
};

struct sync_page {
	bool cursor_changed; // Apple's new cursor differs from the one that was sent; true when none was sent
	bool more_to_follow;
};

struct sync_decision sync_begin(struct sync_run *run, const struct sync_state *stored, const struct sync_settings *settings,
	bool full_requested, struct sync_occasion occasion);
struct sync_decision sync_page_applied(struct sync_run *run, struct sync_page page, struct sync_occasion occasion);
struct sync_decision sync_generation_completed(struct sync_run *run, struct sync_occasion occasion);
// `rc` of the call to Apple, or of whatever else kept the page from being applied; retry_after_s -1: not given.
struct sync_decision sync_failed(struct sync_run *run, enum err rc, int64_t retry_after_s, struct sync_occasion occasion);

const char *sync_reason_name(enum sync_reason reason);     // "stuck_cursor"; SYNC_REASON_NONE is ""
const char *sync_full_cause_name(enum sync_full_cause cause); // "cursor_lost"; SYNC_FULL_NONE is ""
// When the schedule wants the next full fetch: once an interval, at this tenant's own time of it.
int64_t sync_next_full_us(const struct sync_settings *settings, int64_t completed_at_us);
