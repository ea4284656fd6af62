// SPDX-License-Identifier: Apache-2.0
//
// sim_transaction.h - a transaction as the simulation keeps it: its statements as operations on the model of the rows.
#pragma once

#include "sim/sim.h"

#include "store/routing.h"

enum { FORGOTTEN_AFTER_S = 15 }; // a claim of which nothing is heard
enum { LOCKED_PERCENT = 2 };     // of rows that are passed over

enum op_kind {
	OP_NODE_BEAT, OP_NODE_RELEASE, OP_NODE_CRASHED, OP_DUE_CLAIM, OP_NOTHING, OP_NUMBER, OP_STREAM_TAKE, OP_STREAM_TAKE_DUE, OP_STREAM_SELECT, OP_DUE_SELECT,
	OP_HAND_OVER, OP_RUN_ROW, OP_SECRETS, OP_INSTANCES, OP_PROFILES, OP_POSITIONS, OP_NEXT_ASSIGN, OP_ADVANCE, OP_REQUIRE, OP_LEDGER, OP_DEVICE_PUT, OP_LIST_HASHES,
	OP_BY_SERIALS, OP_FINGERPRINTS, OP_DEVICE_LIST, OP_TO_ASSIGN, OP_EVENT_INSERT, OP_EVENT_TO_DELIVER, OP_SETTLE, OP_DISABLE, OP_ENDPOINT_SLOW, OP_ENDPOINT_SUCCEEDED,
	OP_PROFILE_PUT, OP_PROFILE_FORGET, OP_SECRET_PUT, OP_SECRET_DELETE, OP_QUARANTINE, OP_STATUS, OP_QUIET_STATUS,
	OP_ALERT, OP_TOLD, OP_REMOVALS,
	OP_ROUTING, OP_FACTS, OP_REROUTES, OP_REROUTE_PUT, OP_REROUTE_DELETE, OP_REPLACEMENT_NOTE, OP_REPLACEMENT_PUT, OP_REPLACEMENTS,
	OP_ENROLMENT_WORK, OP_ENROLMENT_HEARD, OP_ENROLMENT_TO_SETTLE, OP_ENROLMENT_PUT, OP_ENROLMENT_SUPERSEDE, OP_ENROLMENT_DONE,
	OP_ENROLMENT_REVIEW, OP_NEWS, OP_NEWS_TAKE, OP_TAKE_CLAIMED, OP_END_QUIETLY, OP_CLAIMS, OP_GUARDS,
	OP_JOB_ANY, OP_JOB_ASKED, OP_JOB_ANSWERED,
};

struct op_fence {
	struct text node_id;
	int64_t epoch, write_seq, event_seq, config_version, events;
	bool has_next, finish, load_changes;
	struct stream_row next;
	int64_t due_at_us, wake, was_acked_seq;
	struct position_row position;
};

struct op_end { // of OP_END_QUIETLY
	int64_t tenant_id;
	struct op_fence fence;
};

struct taken_row { // of OP_TAKE_CLAIMED
	struct stream_row stream;
	int64_t tenant_id;
};

struct secret_row { // of OP_SECRETS
	enum secret_kind kind;
	int64_t object_id;
	int version;
	struct text plain;
	struct sim_instance instance; // of an endpoint's secret
};

struct sim_op {
	enum op_kind kind;
	struct text text;
	int64_t number, other;
	const void *in; // copied when it was added
	size_t in_count;
	// The answer
	void *out;
	size_t out_count, out_size; // how many, and how large each is
};

struct sim_transaction {
	struct pg_transaction *transaction; // NULL: whoever asked is gone
	struct sim_life *life;
	int64_t tenant_id; // 0: the directory's
	size_t count;
	enum err rc;
	bool is_open; // pg_transaction_fini is still to come
	bool is_out;  // the effect is still to come
	struct sim_op ops[PG_STATEMENTS_MAX]; // the first `count`
};

// What statements are made of
struct sim_op *sim_add(struct pg_transaction *t, enum op_kind kind);
unsigned sim_added(const struct pg_transaction *t); // the number of the last one
void *sim_copy(const void *items, size_t count, size_t size);
struct text *sim_copy_texts(const struct text *texts, size_t count);
const void *sim_row_of(const struct pg_transaction *t, unsigned statement, size_t row);
int64_t sim_number_of(const struct pg_transaction *t, unsigned statement);
void *sim_answer_rows(struct sim_op *op, size_t count, size_t size); // as they are: whoever asked fills them

unsigned sim_add_simple(struct pg_transaction *t, enum op_kind kind);
unsigned sim_add_number(struct pg_transaction *t, int64_t number);
void sim_answer_row(struct sim_op *op, const void *row, size_t size);
struct text sim_keep_nullable(struct text text);

// sim_claims.c
void sim_claims_begin(void);
void sim_claims_execute(struct sim_life *life, struct sim_op *op); // for the directory
bool sim_is_alive(struct text node_id);
void sim_read_due(struct sim_op *op, const struct sim_tenant *tenant);
void sim_hand_over(const struct sim_op *op, struct sim_tenant *tenant);

// sim_people.c
void sim_set_active(struct sim_tenant *tenant, bool active);
void sim_release_struck(void *tenant);
void sim_removals_allowed(void *tenant);

// sim_loads.c
void sim_take_stream(struct sim_transaction *transaction, struct sim_op *op, struct sim_tenant *tenant);
void sim_take_due_stream(struct sim_transaction *transaction, struct sim_op *op, struct sim_tenant *tenant);
void sim_take_claimed(struct sim_transaction *transaction, struct sim_op *op);
void sim_take_news(struct sim_op *op, struct sim_tenant *tenant);
int64_t sim_new_load_id(void);
void sim_read_stream(struct sim_op *op, const struct sim_tenant *tenant);
void sim_read_secrets(struct sim_op *op, const struct sim_tenant *tenant);
void sim_read_positions(struct sim_op *op, const struct sim_tenant *tenant);
void sim_read_profiles(struct sim_op *op, const struct sim_tenant *tenant);
void sim_read_run_row(struct sim_op *op, const struct sim_tenant *tenant);
bool sim_has_pending(const struct sim_tenant *tenant, const struct position_row *position);

// sim_devices.c
void sim_read_devices(struct sim_op *op, const struct sim_tenant *tenant);
int64_t sim_next_assign(const struct sim_tenant *tenant);
void sim_read_next_assign(struct sim_op *op, const struct sim_tenant *tenant);
size_t sim_device_number(const struct sim_tenant *tenant, struct text serial);
bool sim_is_present(const struct sim_device *device);
void sim_put_removals(const struct sim_op *op, struct sim_tenant *tenant);
void sim_put_devices(const struct sim_transaction *transaction, struct sim_tenant *tenant, const struct sim_op *op);
void sim_put_list_hashes(struct sim_tenant *tenant, const struct sim_op *op);
void sim_device_tell(struct sim_tenant *tenant, const struct stored_event *event);
void sim_devices_check_history(const struct sim_transaction *transaction, struct sim_tenant *tenant);

void sim_guards_execute(struct sim_op *op, struct sim_tenant *tenant);
void sim_jobs_execute(struct sim_op *op, struct sim_tenant *tenant);
struct routing_fact sim_fact_of(const struct sim_tenant *tenant, size_t device);
void sim_routes_execute(struct sim_op *op, struct sim_tenant *tenant);
void sim_enrolments_execute(struct sim_transaction *transaction, struct sim_op *op, struct sim_tenant *tenant);

// All or nothing: ERR_FENCED changes nothing.
enum err sim_rows_execute(struct sim_transaction *transaction);
