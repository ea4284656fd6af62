// SPDX-License-Identifier: Apache-2.0
//
// devices.h - a client's devices, and its log.
#pragma once

#include "store/store.h"
#include "tenants/device_row.h"
#include "tenants/event.h"

// Worker scope, in a fenced transaction: rows become these, however many.
unsigned store_device_put(struct pg_transaction *t, int64_t tenant_id, const struct device_row *rows, size_t count);
// The same for rows of which none is there, which the fence makes certain: half the work. ERR_CONFLICT: one was there, and nothing is changed.
unsigned store_device_insert(struct pg_transaction *t, int64_t tenant_id, const struct device_row *rows, size_t count);
// Likewise: these are listed with other bytes, and are what they were.
void store_device_list_hashes(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, const int64_t *hashes, size_t count);

// Any tenant scope.
unsigned store_device_by_serials(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count);
// What is known (tenants/known.h) of all devices ever known, by serial number, the first `limit` after `after`.
unsigned store_device_fingerprints(struct pg_transaction *t, int64_t tenant_id, struct text after, int limit);
struct device_mark {
	struct text serial_number;
	unsigned char fingerprint[DEVICE_FINGERPRINT_SIZE];
	uint64_t list_hash; // 0: not known
	bool gone;
};
void store_device_mark_read(const struct pg_transaction *t, unsigned statement, size_t row, struct device_mark *out);
// By serial number, the first `limit` after `after`, at most one more than STORE_LIST_MAX; gone ones only with `with_gone`. `instance_id` -1: any, 0: held, else this one's.
unsigned store_device_list(struct pg_transaction *t, int64_t tenant_id, struct text after, bool with_gone, int64_t instance_id, int limit);
// With the state that people are shown (struct device_status).
struct device_filter { // texts: empty, instants: INSTANT_NONE: any
	struct text after;
	bool with_gone;
	int64_t instance_id; // as above
	const struct text *words; // states; "unassignable" is of those that wait without a profile that can be assigned, which "waiting" is not
	size_t word_count;        // 0: any
	int64_t since_until_us;   // in its state at this time already
	struct text serial_prefix, serial_end; // from the one on, and before the other
	struct text profile_uuid, profile_status; // that Apple shows
	struct text rule, family, label;
	struct text model;       // a pattern of LIKE
	struct text hold_reason; // bytes NULL: any; empty: none
	int64_t gone_reason;     // 0: any
	int64_t assigned_until_us; // Apple has had its profile since this time or longer
	int64_t next_before_us;    // something is tried at this time or before
};
#define DEVICE_FILTER_ANY ((struct device_filter){ .instance_id = -1, .since_until_us = INSTANT_NONE, .assigned_until_us = INSTANT_NONE, \
	.next_before_us = INSTANT_NONE })
unsigned store_device_shown_list(struct pg_transaction *t, int64_t tenant_id, const struct device_filter *filter, int limit);
unsigned store_device_shown(struct pg_transaction *t, int64_t tenant_id, struct text serial);
struct device_status {
	struct text state; // "waiting", "assigning", "assigned", "pushed", "enrolled", "throttled", "failed", "held", "misrouted", "released"
	int64_t since_us;
	struct text labels; // of its own, a line each
};
void store_device_status_read(const struct pg_transaction *t, unsigned statement, size_t row, struct device_status *out); // of store_device_shown...
unsigned store_device_to_assign(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit); // assign_at reached, new ones first
// Those of them that are not to be read back, of an instance, that one of the rules chose; an empty text among them: those that no rule chose.
unsigned store_device_to_assign_alike(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit, int64_t instance_id,
	const struct text *rule_ids, size_t count);
void store_device_read(const struct pg_transaction *t, unsigned statement, size_t row, struct device_row *out);
// The earliest assign_at; INSTANT_NONE when there is none.
unsigned store_device_next_assign(struct pg_transaction *t, int64_t tenant_id);
int64_t store_device_next_assign_read(const struct pg_transaction *t, unsigned statement);

enum { EVENT_LANES = 8 };

struct stored_event {
	struct event_row event; // `instance` is read from the instance's row and not written
	int64_t instance_id;    // 0: nobody is told
	int lane;               // of its serial number
};

// Worker scope, in a fenced transaction: numbered from fence.event_seq + 1 by the caller.
unsigned store_event_insert(struct pg_transaction *t, int64_t tenant_id, const struct stored_event *events, size_t count);
// Any tenant scope, by number, the first `limit` after `after_seq`.
unsigned store_event_list(struct pg_transaction *t, int64_t tenant_id, int64_t after_seq, int limit);
unsigned store_event_by_serial(struct pg_transaction *t, int64_t tenant_id, struct text serial, int64_t after_seq, int limit);
// Of one instance; 0: of all, and of none.
unsigned store_event_to_deliver(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int lane, int64_t after_seq, int limit);
// The same of all lanes, with the page that each is of: store_event_page_read.
unsigned store_event_pages_to_deliver(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int64_t after_seq, int limit);
// What happened to devices of the instance, by number: added, changed, removed, assigned. As above, at most one more than STORE_LIST_MAX.
unsigned store_event_of_instance(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int64_t after_seq, int limit);
void store_event_read(const struct pg_transaction *t, unsigned statement, size_t row, struct stored_event *out);
struct event_page {
	int64_t last_seq; // the last event of the write that it came with; 0: not known
	bool is_fetch;    // a page of a list of all devices
};
// Of store_event_pages_to_deliver, or store_resend_list.
void store_event_page_read(const struct pg_transaction *t, unsigned statement, size_t row, struct event_page *out);
// Any tenant scope, what devices were at a time: of each its newest event until then that tells a state (tenants/history.h). As
// store_device_list; what was never present by then is left out.
unsigned store_event_list_as_of(struct pg_transaction *t, int64_t tenant_id, int64_t at_us, struct text after, bool with_gone,
	int64_t instance_id, int limit);
unsigned store_event_as_of(struct pg_transaction *t, int64_t tenant_id, int64_t at_us, struct text serial);
// Any scope.
unsigned store_incarnation(struct pg_transaction *t);
int64_t store_incarnation_read(const struct pg_transaction *t, unsigned statement);
