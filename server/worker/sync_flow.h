// SPDX-License-Identifier: Apache-2.0
//
// sync_flow.h - reads a client's devices from Apple, page by page, each applied in one fenced write.
//
// Ownership  see flow.h; sync_flow_fini in the end.
// Laws       1. it ends as sync.h decides: tenant->stream.sync, sync_next_at_us and tenant->reason say how; they go to the database with
//               the run's next write
//            2. a page's rows, events and cursor are one transaction, and so is the decision that follows from it
//            3. while a list is fetched, what is stored is kept in memory (known.h): the fence makes that safe, since nobody else writes.
//               Only devices that differ are read and sent; of those with the bytes that they were stored from, Apple's record is not read either
//            4. a complete list removes what it does not have, unless the brake holds it (brake.h): then it removes nothing
//            5. between two pages others have their turn (page_turn.h)
//            6. no page is believed before the identity behind its session has been compared with the pinned one
#pragma once

#include "tenants/known.h"
#include "tenants/page.h"
#include "tenants/seen.h"
#include "worker/flow.h"
#include "worker/page_turn.h"

struct sync_flow {
	struct flow flow;

	// Inside
	enum sync_flow_state {
		SYNC_IDLE, SYNC_SIGNING_IN, SYNC_READING_ACCOUNT, SYNC_QUARANTINING, SYNC_READING_KNOWN, SYNC_WAITING_FOR_TURN, SYNC_ASKING, SYNC_READING_ROWS, SYNC_WRITING_PAGE,
		SYNC_COUNTING, SYNC_READING_MARKS, SYNC_READING_UNSEEN, SYNC_WRITING_REMOVAL, SYNC_WRITING_BRAKE,
	} state;
	struct page_turn turn; // a page's, from before it is asked for until it is applied
	struct sync_run machine, attempted;
	struct sync_decision decision, decided;
	struct apple_account account;
	struct page_plan plan;
	struct page_item *differing; // from what is known to be stored; those of a list by serial number
	struct seen seen; // of the generation that is being fetched
	bool seen_is_open;
	bool seen_is_known; // everything that was seen is present in `known`, where that is noted, and not in `seen`
	struct known known; // of what is stored, while a list is fetched
	struct apple_listing listing;
	bool known_is_open;
	bool known_is_read; // to its end
	struct text *relisted; // devices of the page that are stored as they are, and were listed with other bytes,
	int64_t *list_hashes;  // with these hashes
	size_t relisted_count;
	size_t asked_for; // rows of the page that are read
	size_t decided_about; // how many differ: their guards are read,
	bool asks_facts;      // and facts
	struct arena unseen_texts;
	struct text *unseen; // serial numbers that the generation has not seen, of the marks that were read
	size_t unseen_count;
	bool marks_left;
	bool doubtful; // see brake.h
	int64_t present, removals; // of a complete list: devices before it, and those that it does not have
};

void sync_flow_init(struct sync_flow *sync, struct tenant *tenant);
void sync_flow_fini(struct sync_flow *sync);
