// SPDX-License-Identifier: Apache-2.0
//
// run_inner.h - what the files of run.h share, and nobody else includes.
//
//   run.c       the steps of a run, what is due, beginning and ending
//   run_load.c  how it comes to its client, and lets go of it
//   run_end.c   its last write
#pragma once

#include "worker/run.h"

#include "worker/assign_flow.h"
#include "worker/delivery.h"
#include "worker/drift_flow.h"
#include "worker/enrolment_flow.h"
#include "worker/identity.h"
#include "worker/job_flow.h"
#include "worker/pending_flow.h"
#include "worker/plan_flow.h"
#include "worker/replacement_flow.h"
#include "worker/sync_flow.h"
#include "worker/tell.h"

struct run {
	struct list link;
	struct worker_process *process;
	struct tenant tenant;
	struct fenced_write write;
	struct delay tick; // while deliveries are waited for
	struct pg_transaction transaction;
	bool transaction_is_open;
	const struct stream_row *taken; // with the claim, of which this is the answer; NULL from the first step on
	bool goes_by_kept; // `transaction` does not read the client: what is kept may do
	unsigned due_at; // in `transaction`, of a hinted client: its due row

	struct tenant_status_row status; // as the end of the run writes it
	bool flows_are_open;

	enum run_state {
		RUN_IDLE, RUN_LOADING, RUN_LOADING_WHOLE, RUN_HANDING_OVER, RUN_VERIFYING, RUN_HEARING, RUN_PLANNING, RUN_SYNCING, RUN_PROVING_TO_ASSIGN,
		RUN_ASSIGNING, RUN_DOING_JOBS, RUN_RESOLVING, RUN_COMPARING, RUN_SETTLING, RUN_WAITING, RUN_LOOKING, RUN_DRAINING, RUN_TELLING, RUN_READING_END, RUN_FINISHING,
	} state;
	int64_t started_at_ms;
	int loads;
	int rounds;       // of plan, sync and assign with what was loaded
	int64_t retry_at_us; // of what planning or assigning could not do
	bool stopped;     // its calls and deliveries: the process lost touch with the database, which it may have found again since
	bool was_hinted_at; // since it began
	struct run *next; // the client's next one, which begins when this one has ended: it was claimed meanwhile
	bool asked_for;   // something else came up meanwhile: end, to begin anew
	enum err failure; // of the database: what was loaded is not to be relied on any more
	unsigned closing;

	// Set up by open_flows and by whoever tells, and not before: this is most of it
	struct pending_flow pending;
	struct identity_flow identity;
	struct sync_flow sync;
	struct plan_flow plan;
	struct assign_flow assign;
	struct replacement_flow replacement;
	struct job_flow job;
	struct drift_flow drift;
	struct enrolment_flow enrolment;
	struct delivery delivery;
	struct tell tell;
};

// --- run.c ---

void run_step(struct run *run);
void run_on_transaction(struct op *op);
void run_on_written(struct op *op);
void run_on_progress(struct flow *flow);
void run_on_idle(struct delivery *delivery);
bool run_is_requested(const struct run *run);
bool run_may_ask_apple(const struct run *run);
bool run_may_assign(const struct run *run);

// --- run_load.c: `transaction` is the run's own, one after the other ---

void run_begin_transaction(struct run *run);
void run_start_transaction(struct run *run);
bool run_is_loaded_already(struct run *run); // taken with its claim, and what was kept of it holds
void run_load(struct run *run);
bool run_take_hinted(struct run *run); // of a hinted client, before it is taken in
bool run_must_load_whole(const struct run *run);
void run_load_whole(struct run *run);
enum err run_take_loaded(struct run *run);
void run_hand_over(struct run *run);
void run_close_flows(struct run *run);

// --- run_end.c ---

bool run_must_read_end(const struct run *run);
void run_read_end(struct run *run);
void run_take_end(struct run *run);
void run_finish(struct run *run);
void run_log_end(const struct run *run);
