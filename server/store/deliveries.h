// SPDX-License-Identifier: Apache-2.0
//
// deliveries.h - how far each endpoint's lanes of a client's log are delivered.
//
// Laws  1. a position moves forward only, by whoever owns the client: epoch and owner are proved in the statement (ERR_FENCED)
//       2. two settlements of one position: the second finds another acked_seq and changes nothing (ERR_FENCED)
#pragma once

#include "store/devices.h"
#include "store/stream.h"

enum { RESEND_LANE = EVENT_LANES, DELIVERY_LANES }; // after those of the log, each endpoint has one for what is sent once more

struct position_row {
	int64_t endpoint_id;
	int lane;
	int64_t acked_seq;
	int attempts; // failed ones of the next event
	int64_t next_try_at_us;
	int64_t first_failed_at_us;
	int64_t single_until; // events up to this one are sent one by one
	bool all_lanes; // those of the log move together
	bool pending; // read only: there is something to deliver, and the endpoint is in use
};

unsigned store_position_list(struct pg_transaction *t, int64_t tenant_id);
void store_position_read(const struct pg_transaction *t, unsigned statement, size_t row, struct position_row *out);
// Worker scope. `was_acked_seq` is what the owner believes.
void store_position_settle(struct pg_transaction *t, const struct stream_fence *fence, int64_t was_acked_seq,
	const struct position_row *next);

// What is sent once more, a row an event that the endpoint is past; 0: a ping.
enum { RESENDS_MAX = 10000 }; // that wait at an endpoint
struct resend_order { // one of these
	const int64_t *seqs; // not NULL: these
	size_t count;
	struct text serial;  // not empty: all of this device
	int64_t from_us, to_us; // not INSTANT_NONE: all that happened in this time; `to_us` INSTANT_NONE: until now
	bool parked;         // what is parked; it is not parked any more then
	bool since_failure;  // from the first event on that failed when the endpoint last took nothing: in the last row of attempts that all failed
};
// Api scope. Gives how many were added; more than RESENDS_MAX would wait then: ERR_FENCED, and nothing is added. The client is due at once.
unsigned store_resend_order(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, const struct resend_order *order);
int64_t store_resend_order_read(const struct pg_transaction *t, unsigned statement);
void store_resend_ping(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id);
// Worker scope: rows for store_event_read, the oldest first.
unsigned store_resend_list(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int limit);
unsigned store_resend_done(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, const int64_t *seqs, size_t count);

struct attempt_row {
	int64_t endpoint_id, seq; // of the first event of the request
	int events; // of the request
	int attempt; // from 1
	int64_t at_us;
	int status; // 0: no answer
	struct text error;
	int64_t took_ms;
	struct text answer; // what the endpoint said: its beginning (webhook_excerpt)
};
// An event that an endpoint which took others refused during the whole schedule: its lane went on without it.
struct parked_event_row {
	int64_t endpoint_id, seq;
	int attempts;
	int64_t first_failed_at_us, parked_at_us; // the latter: read only
	int status; // of the last attempt; 0: no answer
};
unsigned store_parked_event_insert(struct pg_transaction *t, int64_t tenant_id, const struct parked_event_row *events, size_t count);
unsigned store_parked_event_list(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int64_t after_seq, int limit);
void store_parked_event_read(const struct pg_transaction *t, unsigned statement, size_t row, struct parked_event_row *out);

unsigned store_attempt_insert(struct pg_transaction *t, int64_t tenant_id, const struct attempt_row *attempts, size_t count);
unsigned store_attempt_list(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int limit); // newest first
void store_attempt_read(const struct pg_transaction *t, unsigned statement, size_t row, struct attempt_row *out);
