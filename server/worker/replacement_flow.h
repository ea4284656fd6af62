// SPDX-License-Identifier: Apache-2.0
//
// replacement_flow.h - asks Apple in whose place devices came that say that they are replacements, one call a device.
//
// Ownership  see flow.h.
// Laws       1. Apple is asked only from protocol version 10 on, only about devices that said so, each once more a day later as long as Apple
//               does not know, ASKED_MAX times; once Apple has said it, never again
//            2. its trouble is nobody else's: what Apple says about one device is noted with it, what fails for all ends the flow and is
//               tried again later
#pragma once

#include "store/replacements.h"
#include "worker/flow.h"

enum { REPLACEMENT_ASKED_MAX = 7, REPLACEMENT_BATCH = 100 };

struct replacement_flow {
	struct flow flow;

	// Inside
	enum replacement_flow_state { REPLACEMENT_IDLE, REPLACEMENT_READING, REPLACEMENT_ASKING, REPLACEMENT_READING_ROW, REPLACEMENT_WRITING,
		REPLACEMENT_READING_NEXT, REPLACEMENT_WRITING_NEXT } state;
	struct replacement_row *due; // in `texts`
	size_t due_count, at;
	struct arena texts;
	struct apple_replacement answer;
	struct replacement_row outcome;
};

bool replacement_must_ask(const struct tenant *tenant); // its time has come, and the protocol has it
bool replacement_must_ask_later(const struct tenant *tenant); // or now
void replacement_flow_init(struct replacement_flow *replacement, struct tenant *tenant);
void replacement_flow_fini(struct replacement_flow *replacement);
