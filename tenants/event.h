// SPDX-License-Identifier: Apache-2.0
//
// event.h - the log's events, and the webhook body that is composed of a row (docs/reference/webhooks.md).
//
// Laws       1. pure: a row always gives the same bytes, since the message id is bound to them (docs/decisions/0005);
//               a new shape is a new format, never a change of this one
//            2. device_json is stored text and embedded verbatim; what is empty is left out
#pragma once

#include "depbroker/clock.h"

enum event_type { // numbers are stored: never change them
	EVENT_DEVICE_ADDED = 1,    // routed to the instance
	EVENT_DEVICE_CHANGED = 2,  // Apple reports something else about it
	EVENT_DEVICE_REMOVED = 3,  // left the instance: released at Apple, or routed elsewhere
	EVENT_DEVICE_ASSIGNED = 4, // Apple accepted the instance's enrolment profile for it
	EVENT_DEVICE_HELD = 5,     // waits for a person to decide
	EVENT_PING = 6,
	// About the client, told to no instance
	EVENT_TOKEN_EXPIRING = 7,
	EVENT_TOKEN_EXPIRED = 8,
	EVENT_TOKEN_REJECTED = 9,
	EVENT_TERMS_UNSIGNED = 10,
	EVENT_SYNC_FAILING = 11,
	EVENT_TENANT_QUARANTINED = 12,
	EVENT_TOKEN_RENEWED = 13,
	EVENT_TOKEN_ADMIN_CHANGED = 14,
	EVENT_TOKEN_REFUSED = 15,
	EVENT_ENDPOINT_DISABLED = 16,
	// Of the log of alerts, which is of no client: its JSON is an "alert"
	EVENT_ALERT_RAISED = 20,
	EVENT_ALERT_CLEARED = 21,
	// 48 to 50: of the client itself, too
	EVENT_PROFILE_UNUSABLE = 48,  // nothing is assigned: its layers have an error, or Apple refuses it
	EVENT_PROFILE_UNDEFINED = 49, // defined again and again, and no answer comes
	EVENT_PROFILE_DRIFTED = 50,   // Apple has it otherwise than it was meant
	EVENT_DEVICE_REPLACED = 32, // Apple says in whose place it came
	EVENT_DEVICE_ENROLLED = 40,   // at the instance, which said so
	EVENT_DEVICE_UNENROLLED = 41, // it left the instance's management
	EVENT_DEVICE_MISROUTED = 42,  // another instance than this one, which is to have it, told of its enrolment
};

bool event_is_of_client(enum event_type type); // its JSON is a "detail" and no "device"
bool event_is_of_alert(enum event_type type);  // its JSON is an "alert", which names the client

// Why an instance loses a device: numbers are stored, never change them.
enum removal_reason {
	REMOVAL_NONE = 0,
	REMOVAL_DELETED = 1,      // Apple told of it
	REMOVAL_REPLACED = 2,     // so it did, and another device came in its place
	REMOVAL_UNLISTED = 3,     // a complete list does not have it
	REMOVAL_INACCESSIBLE = 4, // Apple says that it is not on this server
	REMOVAL_REROUTED = 5,     // still at Apple: rules sent it elsewhere
};
const char *removal_reason_name(enum removal_reason reason); // "deleted"; NULL for REMOVAL_NONE and numbers that are none

bool event_type_of(struct text name, enum event_type *out); // false: there is no such type
const char *event_type_name(enum event_type type); // "device.added"; NULL for a number that is none of them

struct event_row {
	int64_t seq;
	int64_t at_us;
	enum event_type type;
	struct text serial_number; // empty: not about a device
	struct text instance;      // its name when the event was made; empty: of no instance
	struct text device_json;   // of device_json_write (tenants/device.h); empty: none
	enum removal_reason reason; // of a removal; of those that were stored before there were reasons: none
	struct text changes;       // old and new values as JSON (tenants/history.h), not part of the body; empty: none
};

void event_timestamp_write(struct buffer *out, int64_t at_us); // 2026-11-24T13:00:00.000000Z

// Appends {"type":"device.added","timestamp":"2026-11-24T13:00:00.000000Z","data":{"tenant":"acme","seq":17,"incarnation":1,
// "serial_number":"C02XK1ABCD","instance":"main","device":{...}}}, without line breaks; a removal has "reason" before "device". Of no client: an
// empty slug, and no "tenant".
void event_body_write(struct buffer *out, struct text tenant_slug, int64_t incarnation, const struct event_row *row);
