// SPDX-License-Identifier: Apache-2.0
//
// enrolments.h - what MDM servers have told: the inbox that the API fills, and what the client's owner has made of it (tenants/enrolment.h).
//
// Laws  1. a message is kept once, however often it comes, for ENROLMENT_KEPT_DAYS; so long its repetition changes nothing
//       2. the alert about misrouted devices is open as long as there is one. The API opens it with the message that shows the first one;
//          only the owner, who writes the enrolments, closes it
#pragma once

#include "depbroker/digest.h"
#include "store/store.h"
#include "tenants/enrolment.h"

enum { ENROLMENT_KEPT_DAYS = 7, ENROLMENT_ID_MAX = 160 };

struct enrolment_message {
	int64_t message_id;
	int64_t instance_id;
	struct text enrolment_id;  // empty: the message names the device by its serial number only
	struct text serial_number; // empty: the message has none
	enum enrolment_word word;
	bool awaiting;
	int64_t at_us;
};

// Api scope. A message that names the device by its serial number only is about the enrolment that the instance told of last.
unsigned store_enrolment_hear(struct pg_transaction *t, int64_t tenant_id, const struct enrolment_message *message,
	const unsigned char digest[SHA256_SIZE]);
bool store_enrolment_was_news(const struct pg_transaction *t, unsigned statement); // of store_enrolment_hear: it was not there yet
// Api scope, after store_enrolment_hear: raises the alert when the message shows a misroute that nobody knew of.
unsigned store_enrolment_misroute(struct pg_transaction *t, int64_t tenant_id, const unsigned char digest[SHA256_SIZE]);

// Worker scope: whether there is anything to do.
struct enrolment_work {
	bool heard;     // messages wait
	bool unsettled; // some enrolments are of no device of the client, or are where they are not wanted
	bool expects;   // the client has a list of expected devices
	bool list_is_new;        // or a day has passed, since its alerts were looked at
	int64_t reviewed_seq;    // they were with this event of the log
	int64_t next_due_us;     // when the next device is overdue; INSTANT_NONE: none
};
unsigned store_enrolment_work(struct pg_transaction *t, int64_t tenant_id);
void store_enrolment_work_read(const struct pg_transaction *t, unsigned statement, struct enrolment_work *out);

struct enrolment_row {
	int64_t instance_id;
	struct text instance; // its name
	struct text enrolment_id;
	struct text serial_number; // empty: not known
	struct enrolment enrolment;
	bool awaiting;
	int64_t heard_at_us;
};

// Worker scope: a message, and what was known of that enrolment before it; the message's serial number or else the known one.
struct heard_row {
	struct enrolment_message message;
	bool is_known;
	struct enrolment_row known;
};

// Worker scope: the oldest message of each device that waits, at most `limit`.
unsigned store_enrolment_heard(struct pg_transaction *t, int64_t tenant_id, int limit);
void store_enrolment_heard_read(const struct pg_transaction *t, unsigned statement, size_t row, struct heard_row *out);
// Worker scope: orphans whose device is there now, and misrouted ones that are not any more.
unsigned store_enrolment_to_settle(struct pg_transaction *t, int64_t tenant_id, int limit);

// Worker scope, in a fenced transaction.
void store_enrolment_put(struct pg_transaction *t, int64_t tenant_id, const struct enrolment_row *rows, size_t count);
// Of these devices other instances have nothing any more that they told earlier.
void store_enrolment_supersede(struct pg_transaction *t, int64_t tenant_id, const struct enrolment_row *sole, size_t count);
void store_enrolment_done(struct pg_transaction *t, int64_t tenant_id, const int64_t *message_ids, size_t count); // forgets old ones, too
void store_enrolment_review(struct pg_transaction *t, int64_t tenant_id); // law 2

// Any tenant scope, after `after` ("instance number/enrolment id", empty: from the first).
unsigned store_enrolment_list(struct pg_transaction *t, int64_t tenant_id, struct text after, bool only_orphans, int limit);
unsigned store_enrolment_of(struct pg_transaction *t, int64_t tenant_id, struct text serial); // the newest first
void store_enrolment_read(const struct pg_transaction *t, unsigned statement, size_t row, struct enrolment_row *out);
