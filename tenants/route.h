// SPDX-License-Identifier: Apache-2.0
//
// route.h - what one report about one device means: where it belongs, what its row becomes, which events follow.
//
// Laws       1. pure, and level-based: the outcome depends on what is stored and on what is reported, never on op_type
//            2. an outcome that is applied and reported once more writes nothing and has no events
//            3. who is told: `added` goes to the instance that gets the device, `removed` to the one that loses it, in the
//               order removed, added; an event of a held device goes to nobody and is kept for the history
//            4. without an instance that the wish names, a device is held. It is never guessed
//            5. a report that is older than what is stored changes nothing (dep-api.md, section 7). One without op_date
//               (a fetch, a complete generation) is never older. So a deletion that Apple repeats never takes away a device
//               that a fetch has shown to be assigned since
#pragma once

#include "depbroker/device.h"
#include "tenants/event.h"

enum { INSTANCE_NONE = 0 }; // held, or gone

// Numbers are stored: never change them.
enum route_decider { ROUTE_UNDECIDED = 0, ROUTE_BY_PIN = 1, ROUTE_BY_RULE = 2, ROUTE_BY_GUARD = 3, ROUTE_BY_EXPECTATION = 4 };

struct route_wish { // where the rules in force want one device
	int64_t instance_id; // INSTANCE_NONE: hold
	enum route_decider decider;
	struct text rule_id;     // of the rule that decided; empty: none did
	struct text hold_reason; // a sentence, when held
};

struct route_stored { // the device's row; zeroed when there is none
	bool known;
	bool gone;
	int64_t instance_id; // INSTANCE_NONE: held, or gone
	int64_t op_date_us;  // INSTANT_NONE: none yet
	unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE];
};

struct route_report {
	bool gone;                        // Apple says so, or a complete generation has not seen it
	int64_t op_date_us;               // INSTANT_NONE: none
	int64_t assigned_at_us;           // device_assigned_date of the record; INSTANT_NONE or 0: none
	const unsigned char *fingerprint; // of the record; NULL: nothing is said about the device itself (a generation, other rules)
};

enum { ROUTE_EVENTS_MAX = 2 };

struct route_event {
	enum event_type type;
	int64_t instance_id; // who is told; INSTANCE_NONE: nobody
};

struct route_outcome {
	bool stale;          // law 5: nothing is to be done
	bool write;          // the row becomes what follows; with the record's members when there is a record
	bool gone;
	int64_t instance_id; // wanted; INSTANCE_NONE: held, or gone
	int64_t op_date_us;
	struct route_event events[ROUTE_EVENTS_MAX];
	size_t event_count;
};

struct route_outcome route_device(const struct route_wish *wish, const struct route_stored *stored,
	const struct route_report *report);
