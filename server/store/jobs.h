// SPDX-License-Identifier: Apache-2.0
//
// jobs.h - the same done to many devices: what is to be done, to which, how far it is, and what became of each row.
//
//   insert -> costing, a slice at a time -> previewed, waiting, or scheduled -> running, a slice at a time -> asking, done
//
// Laws  1. a slice is counted in the transaction that does it, and only from where the job is: whoever comes second, or comes back after a
//          crash, fails with ERR_FENCED and has done nothing
//       2. a job moves at most as many devices as it may (`allowed`); one that would move more is costed again, and asks
//       3. what was approved is checked as a whole before its first row is carried out, and row by row then: a device that would go elsewhere than
//          was shown ends the approval, and nothing more is moved
//       4. only what a second person agreed to goes on from "waiting"
#pragma once

#include "store/devices.h"
#include "store/routing.h"
#include "tenants/job.h"

#include <assert.h>

enum { JOB_ROWS_MAX = 100000, JOB_SLICE_MAX = 1000, JOBS_UNFINISHED_MAX = 50, JOB_REASON_MAX = 256 };

struct job_row {
	int64_t job_id, tenant_id;
	struct text slug; // of the client; read
	enum job_kind kind;
	struct text state; // "costing", "waiting", "scheduled", "running", "asking", "done", "previewed", "rejected", "cancelled"; read: or "expired"
	bool dry_run;
	struct text reason;
	bool has_labels;    // devices get labels in place of theirs:
	struct text labels; // where the row names none, a line each; empty: they are taken away
	int64_t start_at_us; // INSTANT_NONE: as soon as it may
	int64_t row_count, costed, position; // rows
	int64_t changes, moved, present, allowed; // devices
	int64_t checked, checked_against; // rows, and account.h's count of changes when that began; -1: it has not
	struct text problem; // a sentence: why it asks once more; empty: it does not
	int64_t approval_id; // 0: none
	int64_t retires_id, target_id; // instances, of retire; 0
	int64_t created_at_us, started_at_us, finished_at_us;
	struct text created_by;
};

// Api scope: job_id, kind, dry_run, reason, has_labels, labels, start_at, retires_id, target_id, row_count and created_by are taken.
void store_job_insert(struct pg_transaction *t, int64_t tenant_id, const struct job_row *job);

struct job_wish { // one row as it was asked for
	struct text serial_number;
	int64_t instance_id; // 0: held, or none; of release: only while it is there
	struct text refused; // a sentence; empty: it is not
	bool has_labels; // its own, in place of the job's:
	struct text labels; // a line each
};
// In the same transaction, numbered from 1.
void store_job_rows_insert(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, const struct job_wish *rows, size_t count);
// Instead: a row for each device of the filter. row_count becomes how many they are, which is at most JOB_ROWS_MAX; otherwise ERR_FENCED.
void store_job_rows_of_devices(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, const struct device_filter *filter,
	int64_t instance_id);

unsigned store_job_unfinished(struct pg_transaction *t, int64_t tenant_id); // any tenant scope: one number
int64_t store_job_unfinished_read(const struct pg_transaction *t, unsigned statement);
// Those of the serial numbers that a release is asked for already. A text a row.
unsigned store_job_releasing(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count); // any tenant scope
unsigned store_job_by_id(struct pg_transaction *t, int64_t tenant_id, int64_t job_id); // any tenant scope: one row or none
struct job_filter {
	int64_t before_id;
	const struct text *states; // as they are read
	size_t state_count;        // 0: any
	struct text kind;          // empty: any
};
// The newest first, of these clients. Any tenant scope, of its one; directory scope, `tenant_ids` NULL: of all.
unsigned store_job_list(struct pg_transaction *t, const int64_t *tenant_ids, size_t count, const struct job_filter *filter, int limit);
// Directory scope: clients with jobs that were over `days` ago.
unsigned store_job_old(struct pg_transaction *t, int64_t days, int limit);
int64_t store_job_old_read(const struct pg_transaction *t, unsigned statement, size_t row);
// Api scope: the oldest of them goes, at most JOB_PRUNE_ROWS of its rows at a time. Whether there is more to do.
enum { JOB_PRUNE_ROWS = 10000, JOB_PRUNE_LEFT = 2 }; // the statement to read, of a transaction that has no others
unsigned store_job_prune(struct pg_transaction *t, int64_t tenant_id, int64_t days);
bool store_job_prune_read(const struct pg_transaction *t, unsigned statement);
// Directory scope: jobs that there is something to do for now, of each client at most one.
unsigned store_job_due(struct pg_transaction *t, int limit);
void store_job_read(const struct pg_transaction *t, unsigned statement, size_t row, struct job_row *out);
// Any tenant scope: how many rows have which result.
unsigned store_job_counts(struct pg_transaction *t, int64_t tenant_id, int64_t job_id);
void store_job_counts_read(const struct pg_transaction *t, unsigned statement, int64_t counts[JOB_RESULTS]);

// As it is stored.
static inline enum job_result store_job_result(struct text name)
{
	enum job_result result;
	const bool is_known = job_result_parse(name, &result);

	assert(is_known); // the schema has no others
	return result;
}

struct job_line { // one row as it is now
	int64_t row_number;
	struct text serial_number, instance; // its name; empty: none is asked for
	struct text result, detail; // of a job that is off, instead of "waiting" and "asked": "cancelled"
	bool moves;
	struct text from, to; // names; empty: held
};
// Any tenant scope, by number, the first `limit` after `after`.
unsigned store_job_lines(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, int64_t after, int limit);
void store_job_line_read(const struct pg_transaction *t, unsigned statement, size_t row, struct job_line *out);

// --- a slice ---

struct job_slice_row {
	int64_t row_number;
	enum job_result result; // JOB_WAITING, or that it was refused
	int64_t wanted_instance_id;
	struct routed_row routed; // the fact about a device that is not there, too
	bool is_present;
	int64_t stored_instance_id;
	bool has_profile; // Apple shows one
	bool was_to_move;     // when it was costed,
	int64_t was_to_go_to; // to this instance
	bool has_labels;  // it is to get these:
	struct text labels;
};
// Api scope, by number, the first JOB_SLICE_MAX after `after`. (In routing.c: what decides about the devices is read with them.)
unsigned store_job_slice(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, int64_t after);
void store_job_slice_read(const struct pg_transaction *t, unsigned statement, size_t row, struct job_slice_row *out);
unsigned store_job_present(struct pg_transaction *t, int64_t tenant_id); // api scope: devices of the client
int64_t store_job_present_read(const struct pg_transaction *t, unsigned statement);

struct job_progress { // law 1: from `job`, as it was read, to here
	const struct job_row *job;
	int64_t position; // or `costed`
	const struct job_outcome *outcomes;
	const int64_t *row_numbers; // of the outcomes
	size_t count;
};

// Api scope, while it is costed: what each row would do.
void store_job_cost(struct pg_transaction *t, const struct job_progress *progress);
// In the same transaction, of the last slice: "scheduled", "previewed" or "waiting".
void store_job_costed(struct pg_transaction *t, const struct job_row *job, struct text state, int64_t present, int64_t allowed);
// Then for "waiting": the approval, with the list of what moves.
void store_job_ask(struct pg_transaction *t, const struct job_row *job, int64_t approval_id, int64_t rules_version, int64_t present);
// Api scope, of one that was approved: rows were looked at again, from job->checked on, and do what was approved. `against`: account.h.
void store_job_checked(struct pg_transaction *t, const struct job_row *job, int64_t checked, int64_t against);
// Something else has been changed since the check began.
void store_job_check_anew(struct pg_transaction *t, const struct job_row *job);
// They do not: the approval is stale, and the job is costed again and asks, as if it never had. Of retire: with the devices that are there now.
void store_job_void(struct pg_transaction *t, const struct job_row *job, struct text problem);
// Devices that retire would move and that are in none of its rows: a number, and one of them.
unsigned store_job_unlisted(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, int64_t retires_id);
int64_t store_job_unlisted_read(const struct pg_transaction *t, unsigned statement, struct text *serial);
// Api scope: its time has come.
void store_job_begin(struct pg_transaction *t, const struct job_row *job);
// Api scope, first of the transaction's statements: the slice is carried out, and the client's run starts over.
void store_job_carry_out(struct pg_transaction *t, const struct job_progress *progress);
// The same of retire, at once: the rules become `document` (empty: there are none), pins go elsewhere, and the instance is retired.
void store_job_retire(struct pg_transaction *t, const struct job_row *job, int64_t rules_version, struct text document);
// More devices are there now than it may move: its rows become those.
void store_job_retire_again(struct pg_transaction *t, const struct job_row *job);
// Api scope: what is left would move more than it may.
void store_job_cost_again(struct pg_transaction *t, const struct job_row *job);

// --- people ---

// Api scope, in the transaction of the approval's end: ERR_FENCED when there is a job that does not wait for it.
void store_job_approved(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id);
void store_job_rejected(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id);
// Api scope: nothing more is done; an approval that is waited for is stale. ERR_FENCED: it is over already.
void store_job_cancel(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, struct text by);

// --- what jobs leave ---

struct device_labels_row {
	struct text labels; // a line each
	int64_t made_at_us;
	struct text made_by;
};
// Api scope: the client's run starts over and looks at the device. What is there then, as below.
unsigned store_device_labels_put(struct pg_transaction *t, int64_t tenant_id, const struct device_labels_row *row, struct text serial);
unsigned store_device_labels(struct pg_transaction *t, int64_t tenant_id, struct text serial); // any tenant scope: one row or none
void store_device_labels_read(const struct pg_transaction *t, unsigned statement, size_t row, struct device_labels_row *out);

// --- what Apple is asked for: worker scope ---

unsigned store_job_any_asked(struct pg_transaction *t, int64_t tenant_id);
bool store_job_any_asked_read(const struct pg_transaction *t, unsigned statement);
struct job_asked_row {
	int64_t job_id, row_number;
	enum job_kind kind; // JOB_REMOVE_PROFILE or JOB_RELEASE
	struct text serial_number;
	int64_t wanted_instance_id; // of release; 0: wherever it is
};
// Of one job, the oldest first.
unsigned store_job_asked(struct pg_transaction *t, int64_t tenant_id, int limit);
void store_job_asked_read(const struct pg_transaction *t, unsigned statement, size_t row, struct job_asked_row *out);
struct job_answer {
	int64_t row_number;
	enum job_result result; // JOB_DONE, JOB_NOT_FOUND or JOB_FAILED
	struct text detail;
};
// In a fenced transaction. A job that waits for nothing more is done.
void store_job_answered(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, const struct job_answer *answers, size_t count);
