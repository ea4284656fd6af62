// SPDX-License-Identifier: Apache-2.0
//
// changes.h - the rows and events of one write, collected from the core's outcomes.
//
// Ownership  texts of rows are borrowed from what was read or parsed; JSON of events is in the tenant's scratch arena. Everything is
//            gone with changes_reset and changes_fini.
#pragma once

#include "store/devices.h"
#include "store/enrolments.h"
#include "store/parked.h"
#include "store/replacements.h"
#include "worker/tenant.h"

struct changes {
	struct tenant *tenant;
	struct device_row *rows; // first those of which none is stored
	size_t row_count, row_room, new_count;
	size_t rows_expected; // a guess: so much room is made at once
	struct stored_event *events;
	size_t event_count, event_room;
	size_t news_count; // rows with events
	struct text *replacements; // serial numbers of rows that say that they are
	size_t replacement_count, replacement_room;
	int64_t assign_lag_us; // the longest of rows that get their first profile; -1: none does
	struct serial_claim *claims; // of the new rows, in their order, then of rows that come, go, or have another date
	size_t claim_count, claim_room;
	const struct apple_page *parked; // whose rejected records are kept; NULL: none
	bool missed;       // the changes had not told of these: they are counted
	struct buffer json; // scratch
};

void changes_init(struct changes *changes, struct tenant *tenant);
void changes_reset(struct changes *changes);
void changes_fini(struct changes *changes);
void changes_add(struct changes *changes, const struct reconcile_outcome *outcome);
// An event alone: Apple says in whose place the device came.
void changes_add_replaced(struct changes *changes, const struct device_row *row, const struct replacement_row *replacement);
// The same: what the instance told of the device's enrolment there. `again`: not for the first time.
void changes_add_enrolment(struct changes *changes, const struct device_row *row, enum event_type type, const struct enrolment_row *enrolment,
	bool again);
// Inserts what was collected, and the ledger's line when there is anything.
void changes_build(const struct changes *changes, struct pg_transaction *t, const struct ledger_entry *entry);
