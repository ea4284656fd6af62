// SPDX-License-Identifier: Apache-2.0
//
// enrolment_flow.h - takes what MDM servers told of enrolments from the inbox into the client's rows and its log, and looks again at
// enrolments of devices that have come, or are wanted elsewhere now.
//
// Ownership  see flow.h.
// Law        a message, what it changed and what is told of it are one transaction: it is heard once, whatever ends the process
#pragma once

#include "worker/flow.h"

enum { ENROLMENT_BATCH = 100 };

struct enrolment_flow {
	struct flow flow;

	// Inside
	enum enrolment_flow_state { ENROLMENT_IDLE, ENROLMENT_READING, ENROLMENT_READING_DEVICES, ENROLMENT_WRITING } state;
	struct arena texts; // of the batch
	struct heard_row *items; // message_id 0: looked at again, without a message
	size_t item_count;
	struct text *serials; // of them; empty: not known
	int64_t *message_ids;
	size_t message_count;
	struct enrolment_row *rows; // to be written
	size_t row_count;
	struct enrolment_row *sole; // of these, those that end others
	size_t sole_count;
};

void enrolment_flow_init(struct enrolment_flow *enrolment, struct tenant *tenant);
void enrolment_flow_fini(struct enrolment_flow *enrolment);
