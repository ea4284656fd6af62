// SPDX-License-Identifier: Apache-2.0
//
// receiver.h - what a receiver of webhooks must do (docs/reference/webhooks.md), and what a test wants to know of it.
//
// Laws       1. nothing of a message is read before its signature fits
//            2. a message has its effect once, whatever its number of deliveries
//            3. an event that is older than what is known of its device has no effect, and is counted
#pragma once

#include "depbroker/list.h"
#include "depbroker/text.h"
#include "rig/json.h"
#include "rig/text_index.h"
#include "rig/web.h"
#include "tenants/webhook.h"

enum { EVENTS_KEPT = 262144 };

struct counters {
	uint64_t received;
	uint64_t refused;    // signature, timestamp or headers
	uint64_t accepted;   // first deliveries
	uint64_t duplicates;
	uint64_t conflicts;  // an id that came with another body before
	uint64_t inversions; // an event that is older than the last one of its device
	uint64_t malformed;  // signed, but not one of our events
	uint64_t foreign;    // of another tenant than the one that this inbox belongs to
	uint64_t faults;     // answered as a planted fault wanted
};

struct known_device {
	char *serial;
	char *tenant;
	char *instance;
	char *json; // the device as it was told last
	int64_t seq;
	int64_t incarnation;
	bool is_present;
	bool is_assigned;
};

struct event { // one accepted message
	uint64_t number;
	const char *inbox;
	char id[64];
	char *body;
	const char *outcome; // "applied", "inversion", "ignored"
	int64_t at_us;
};

struct planted_fault {
	int64_t times; // -1: without end
	unsigned status;
	int64_t delay_ms;
	bool reset;
	bool perform; // accept the message all the same: an answer that got lost
	char *retry_after;
	char *location;
	int64_t body_bytes;
	int64_t mixed_permille; // otherwise, so many of a thousand messages fail, each in one of several ways
	uint64_t random;
	char *refuses; // NULL, or besides: a message that has this in its body is not taken in, ever
};

struct inbox { // of /webhook, or of /webhook/{name}
	char *name;
	struct webhook_secret secrets[WEBHOOK_SECRETS_MAX];
	size_t secret_count;
	struct text_index seen; // webhook-id to a hash of its body, as a text
	struct text_index by_serial;
	struct known_device **devices;
	size_t device_count;
	char *tenant; // whose it is: the first one that wrote
	struct counters counters;
	struct planted_fault fault;
};

struct receiver {
	struct inbox **inboxes; // the first one has no name
	size_t inbox_count;
	struct event *events; // a ring
	uint64_t event_count;
	int64_t skew_s; // how wrong our clock shall be
	bool is_printing;
	bool is_changed;
};

void receiver_init(struct receiver *receiver);
void receiver_fini(struct receiver *receiver);
struct inbox *receiver_inbox(struct receiver *receiver, struct text name, bool make); // NULL: there is none
// One to three secrets, newest first, separated by blanks or line ends.
MUST_USE enum err inbox_set_secrets(struct inbox *inbox, struct text spelling, struct fault *fault);
void inbox_receive(struct receiver *receiver, struct inbox *inbox, struct web_request *request, struct web_answer *answer);
void receiver_handle(struct web_request *request, struct web_answer *answer); // of the web server; context: struct receiver

// model.c
yyjson_doc *inbox_parse(struct text body); // NULL: it is not JSON
const char *inbox_apply(struct inbox *inbox, yyjson_val *event); // the outcome
struct known_device *inbox_add_device(struct inbox *inbox, const char *serial);

// state.c
MUST_USE enum err receiver_save(struct receiver *receiver, const char *path, struct fault *fault);
MUST_USE enum err receiver_load(struct receiver *receiver, const char *path, struct fault *fault);
