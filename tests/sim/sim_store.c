// SPDX-License-Identifier: Apache-2.0
//
// sim_store.c - pg.h and server/store as the worker calls them: each statement becomes an operation, each transaction two events,
// its effect on the rows and its answer. Between them, and on both ways, everything that a network can do may happen.
#include "sim/sim_transaction.h"

#include "store/alerts.h"
#include "store/definitions.h"
#include "store/dep_profiles.h"
#include "store/endpoints.h"
#include "store/guards.h"
#include "store/jobs.h"
#include "store/migrate.h"
#include "store/parked.h"
#include "store/replacements.h"
#include "store/routing.h"
#include "store/run_row.h"
#include "store/templates.h"
#include "store/enrolments.h"
#include "store/expected.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA_VERSION = 1 };

// --- transactions ---

struct pg_scope store_directory(void)
{
	return (struct pg_scope){ .role = "directory", .directory = true };
}

struct pg_scope store_worker(int64_t tenant_id)
{
	return (struct pg_scope){ .role = "worker", .tenant_id = tenant_id };
}

enum err pg_pool_open(struct pg_pool **out, struct loop *loop, const struct pg_pool_config *config, struct fault *fault)
{
	(void)loop;
	(void)config;
	(void)fault;
	*out = NULL;
	return OK;
}

void pg_pool_close(struct pg_pool *pool, void (*closed)(void *argument), void *argument)
{
	(void)pool;
	sim_at(sim.now_us, sim.life, closed, argument);
}

void pg_transaction_init(struct pg_transaction *transaction, struct pg_scope scope, void (*done)(struct op *op))
{
	struct sim_transaction *inner = reallocate(NULL, sizeof *inner); // what is large in it is zeroed as it is used

	memset(inner, 0, offsetof(struct sim_transaction, ops));
	*transaction = (struct pg_transaction){ .inner = inner };
	op_init(&transaction->op, done);
	inner->life = sim.life;
	inner->tenant_id = scope.tenant_id;
	inner->is_open = true;
}

static void release(struct sim_transaction *inner)
{
	if (inner->is_open || inner->is_out) {
		return;
	}
	for (size_t i = 0; i < inner->count; i++) {
		free(inner->ops[i].out);
	}
	free(inner);
}

void pg_transaction_fini(struct pg_transaction *transaction)
{
	struct sim_transaction *inner = transaction->inner;

	assert(inner != NULL && inner->transaction == NULL); // nobody waits for its answer
	inner->is_open = false;
	transaction->inner = NULL;
	release(inner);
}

static void note_taken(const struct sim_transaction *inner)
{
	const struct sim_op *op = &inner->ops[1];

	for (size_t i = 0; inner->rc == OK && inner->count > 1 && i < op->out_count; i++) {
		const struct taken_row *taken = (const struct taken_row *)op->out + i;

		inner->life->loaded[taken->tenant_id - 1].behind_us = sim.now_us - taken->stream.now_us;
	}
}

static void answer(void *argument)
{
	struct sim_transaction *inner = argument;
	struct pg_transaction *transaction = inner->transaction;

	inner->transaction = NULL;
	if (inner->rc == OK && sim_node_is_cut_off(inner->life)) {
		inner->rc = ERR_UNKNOWN;
	}
	if (inner->tenant_id == 0 && inner->ops[0].kind == OP_DUE_CLAIM) {
		sim_claimed(inner->rc != OK || inner->ops[0].out_count > 0);
		note_taken(inner);
	}
	if (inner->ops[0].kind == OP_NODE_BEAT) {
		sim_beaten(inner->rc == OK);
	}
	if (inner->rc == OK && inner->ops[0].kind == OP_STREAM_TAKE && inner->ops[0].out_count > 0) {
		inner->life->loaded[inner->tenant_id - 1].behind_us = sim.now_us - ((const struct stream_row *)inner->ops[0].out)->now_us;
	}
	sim_trace("answer", inner->tenant_id, inner->rc, 0);
	if (inner->rc != OK) {
		(void)fault_set(&transaction->op.fault, inner->rc, "%s", err_text(inner->rc));
	}
	op_done(&transaction->op, inner->rc);
}

static void answer_after(struct sim_transaction *inner, int64_t wait_us, enum err rc)
{
	inner->rc = rc;
	sim_at(sim.now_us + wait_us, inner->life, answer, inner);
}

static enum err take_effect(struct sim_transaction *inner)
{
	struct sim_life *before = sim.life;
	enum err rc;

	inner->is_out = false;
	if (sim.db_away_until_us > sim.now_us) {
		return sim_chance(50) ? ERR_UNKNOWN : ERR_UNAVAILABLE;
	}
	sim.life = NULL;
	rc = sim_rows_execute(inner);
	sim.life = before;
	sim_trace("effect", inner->tenant_id, rc, (int64_t)inner->count);
	return rc;
}

static void on_effect(void *argument)
{
	struct sim_transaction *inner = argument;
	const enum err rc = take_effect(inner);

	answer_after(inner, sim_between(200, 3000), rc);
}

static void on_unheard_effect(void *argument)
{
	struct sim_transaction *inner = argument;

	(void)take_effect(inner);
	release(inner);
}

static bool meets(struct sim_transaction *inner, enum fault_kind kind)
{
	const struct sim_op *op = &inner->ops[0];
	bool met = inner->tenant_id != 0 && sim_meets(sim_tenant_of(inner->tenant_id), kind);

	for (size_t i = 0; op->kind == OP_END_QUIETLY && i < op->in_count; i++) { // the trouble of one of them is everybody's
		met = sim_meets(sim_tenant_of(((const struct op_end *)op->in)[i].tenant_id), kind) || met;
	}
	return met;
}

static bool claim_is_lost(const struct sim_transaction *inner)
{
	return inner->tenant_id == 0 && inner->ops[0].kind == OP_DUE_CLAIM && sim_meets(&sim.tenants[0], FAULT_CLAIM_LOST);
}

static void effect_after(struct sim_transaction *inner, int64_t wait_us, void (*run)(void *argument))
{
	inner->is_out = true;
	sim_at(sim.now_us + wait_us, NULL, run, inner);
}

// The server may have it, late, after nobody waits for it any more.
void pg_start(struct pg_transaction *transaction, struct pg_pool *pool, int64_t timeout_ms)
{
	struct sim_transaction *inner = transaction->inner;

	(void)pool;
	assert(inner->count > 0);
	inner->transaction = transaction;
	sim.transactions++;
	if (sim.db_away_until_us > sim.now_us || sim_node_is_cut_off(sim.life)) {
		answer_after(inner, sim_between(1, 3000) * MS_US, ERR_UNAVAILABLE);
	} else if (meets(inner, FAULT_DB_LOST)) {
		answer_after(inner, sim_between(1, timeout_ms) * MS_US, sim_chance(50) ? ERR_UNKNOWN : ERR_UNAVAILABLE);
	} else if (meets(inner, FAULT_DB_REFUSED)) {
		answer_after(inner, sim_between(1, timeout_ms) * MS_US, sim_chance(50) ? ERR_TIMEOUT : ERR_UNAVAILABLE);
	} else if (meets(inner, FAULT_DB_ANSWER_LOST) || claim_is_lost(inner)) {
		effect_after(inner, sim_between(200, 3000), on_unheard_effect);
		answer_after(inner, sim_between(4, timeout_ms) * MS_US, ERR_UNKNOWN);
	} else if (meets(inner, FAULT_DB_LATE)) {
		effect_after(inner, sim_between(1, 3 * timeout_ms) * MS_US, on_unheard_effect);
		answer_after(inner, timeout_ms * MS_US, ERR_UNKNOWN);
	} else {
		effect_after(inner, sim_between(200, 3000), on_effect);
	}
}

// What is kept of a transaction: its operations, with copies of their answers.
static struct sim_transaction *kept_of(const struct pg_kept *kept)
{
	return (struct sim_transaction *)(uintptr_t)kept;
}

struct pg_kept *pg_keep(const struct pg_transaction *transaction, unsigned from)
{
	const struct sim_transaction *inner = transaction->inner;
	const size_t size = offsetof(struct sim_transaction, ops) + inner->count * sizeof *inner->ops;
	struct sim_transaction *kept = reallocate(NULL, size);

	memcpy(kept, inner, size);
	for (size_t i = 0; i < kept->count; i++) {
		struct sim_op *op = &kept->ops[i];
		const size_t bytes = i >= from ? op->out_count * op->out_size : 0;

		op->out = bytes > 0 && op->out != NULL ? memcpy(allocate(bytes), op->out, bytes) : NULL;
	}
	return (struct pg_kept *)kept;
}

size_t pg_kept_size(const struct pg_kept *kept)
{
	(void)kept;
	return 1;
}

void pg_kept_free(struct pg_kept *kept)
{
	struct sim_transaction *inner = kept_of(kept);

	for (size_t i = 0; i < inner->count; i++) {
		free(inner->ops[i].out);
	}
	free(inner);
}

struct pg_transaction pg_kept_read(const struct pg_kept *kept)
{
	return (struct pg_transaction){ .op.rc = OK, .inner = kept_of(kept), .kept = kept };
}

size_t pg_row_count(const struct pg_transaction *transaction, unsigned statement)
{
	const struct sim_transaction *inner = transaction->inner;

	assert(transaction->op.rc == OK && statement < inner->count);
	return inner->ops[statement].out_count;
}

// --- statements ---

struct sim_op *sim_add(struct pg_transaction *t, enum op_kind kind)
{
	struct sim_transaction *inner = t->inner;
	struct sim_op *op = &inner->ops[inner->count++];

	assert(inner->count <= PG_STATEMENTS_MAX);
	*op = (struct sim_op){ .kind = kind };
	return op;
}

void *sim_copy(const void *items, size_t count, size_t size)
{
	return memcpy(sim_take(count * size), items, count * size);
}

struct text *sim_copy_texts(const struct text *texts, size_t count)
{
	struct text *copies = sim_copy(texts, count, sizeof *texts);

	for (size_t i = 0; i < count; i++) {
		copies[i] = sim_keep(copies[i]);
	}
	return copies;
}

unsigned sim_added(const struct pg_transaction *t)
{
	return (unsigned)((const struct sim_transaction *)t->inner)->count - 1;
}

static unsigned add_simple(struct pg_transaction *t, enum op_kind kind)
{
	(void)sim_add(t, kind);
	return sim_added(t);
}

static unsigned add_number(struct pg_transaction *t, int64_t number)
{
	sim_add(t, OP_NUMBER)->number = number;
	return sim_added(t);
}

const void *sim_row_of(const struct pg_transaction *t, unsigned statement, size_t row)
{
	const struct sim_transaction *inner = t->inner;
	const struct sim_op *op = &inner->ops[statement];

	assert(t->op.rc == OK && row < op->out_count);
	return (const char *)op->out + row * op->out_size;
}

int64_t sim_number_of(const struct pg_transaction *t, unsigned statement)
{
	return ((const struct sim_transaction *)t->inner)->ops[statement].number;
}

// The directory

unsigned store_node_beat(struct pg_transaction *t, struct text node_id)
{
	sim_beats();
	sim_add(t, OP_NODE_BEAT)->text = sim_keep(node_id);
	return sim_added(t);
}

void store_node_release(struct pg_transaction *t, struct text node_id)
{
	sim_add(t, OP_NODE_RELEASE)->text = sim_keep(node_id);
}

unsigned store_partitions_ensure(struct pg_transaction *t)
{
	return add_simple(t, OP_NOTHING);
}

unsigned store_schema_select(struct pg_transaction *t)
{
	return add_number(t, SCHEMA_VERSION);
}

int64_t store_schema_version(const struct pg_transaction *t, unsigned statement)
{
	return sim_number_of(t, statement);
}

int64_t store_schema_expected(void)
{
	return SCHEMA_VERSION;
}

unsigned store_lint_select(struct pg_transaction *t)
{
	return add_simple(t, OP_NOTHING);
}

bool store_lint_read(const struct pg_transaction *t, unsigned statement, struct buffer *complaints)
{
	(void)complaints;
	return pg_row_count(t, statement) > 0;
}

unsigned store_due_claim(struct pg_transaction *t, struct text node_id, int limit, bool one_suspect, struct due_share share)
{
	struct sim_op *op = sim_add(t, OP_DUE_CLAIM);

	(void)share;
	sim_claims();
	op->text = sim_keep(node_id);
	op->number = limit;
	op->other = one_suspect;
	return sim_added(t);
}

unsigned store_stream_take_due(struct pg_transaction *t, int64_t tenant_id, struct text node_id)
{
	(void)tenant_id;
	sim_add(t, OP_STREAM_TAKE_DUE)->text = sim_keep(node_id);
	return sim_added(t);
}

unsigned store_due_claim_hinted(struct pg_transaction *t, struct text node_id, const int64_t *tenant_ids, size_t count)
{
	struct sim_op *op = sim_add(t, OP_DUE_CLAIM);

	op->text = sim_keep(node_id);
	op->number = (int64_t)count;
	op->in = sim_copy(tenant_ids, count, sizeof *tenant_ids);
	op->in_count = count;
	return sim_added(t);
}

void store_commit_lazily(struct pg_transaction *t)
{
	(void)t;
}

unsigned store_due_select(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_DUE_SELECT);
}

void store_due_hand_over(struct pg_transaction *t, int64_t tenant_id, struct text node_id)
{
	(void)tenant_id;
	sim_add(t, OP_HAND_OVER)->text = sim_keep(node_id);
}

void store_due_read(const struct pg_transaction *t, unsigned statement, size_t row, struct due_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

// What a run reads when it begins

unsigned store_stream_take(struct pg_transaction *t, int64_t tenant_id, struct text node_id)
{
	(void)tenant_id;
	sim_add(t, OP_STREAM_TAKE)->text = sim_keep(node_id);
	return sim_added(t);
}

unsigned store_stream_take_claimed(struct pg_transaction *t, struct text node_id)
{
	sim_add(t, OP_TAKE_CLAIMED)->text = sim_keep(node_id);
	return sim_added(t);
}

int64_t store_stream_taken_client(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return ((const struct taken_row *)sim_row_of(t, statement, row))->tenant_id;
}

unsigned store_stream_select(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_STREAM_SELECT);
}

void store_stream_read(const struct pg_transaction *t, unsigned statement, size_t row, struct stream_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

unsigned store_news_select(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_NEWS);
}

bool store_news_read(const struct pg_transaction *t, unsigned statement)
{
	return sim_number_of(t, statement) != 0;
}

unsigned store_news_take(struct pg_transaction *t, int64_t tenant_id, struct text node_id)
{
	(void)tenant_id;
	sim_add(t, OP_NEWS_TAKE)->text = sim_keep(node_id);
	return sim_added(t);
}

int64_t store_news_taken(const struct pg_transaction *t, unsigned statement, const struct stream_row *taken)
{
	(void)taken;
	return sim_number_of(t, statement);
}

unsigned store_run_select(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_RUN_ROW);
}

void store_run_read(const struct pg_transaction *t, unsigned statement, struct run_row *out)
{
	memcpy(out, sim_row_of(t, statement, 0), sizeof *out);
}

bool store_run_next_alert(struct text *rest, struct text *kind)
{
	const char *comma = rest->length > 0 ? memchr(rest->bytes, ',', rest->length) : NULL;

	*kind = (struct text){ rest->bytes, comma != NULL ? (size_t)(comma - rest->bytes) : rest->length };
	*rest = comma != NULL ? (struct text){ comma + 1, rest->length - kind->length - 1 } : TEXT_NONE;
	return kind->length > 0;
}

enum err store_data_key_read(const struct pg_transaction *t, unsigned statement, struct key_provider *keys, int64_t tenant_id,
	struct data_key *out, struct fault *fault)
{
	(void)t;
	(void)statement;
	(void)keys;
	(void)tenant_id;
	(void)fault;
	*out = (struct data_key){ .version = 1 };
	return OK;
}

void data_key_fini(struct data_key *key)
{
	(void)key;
}

unsigned store_secret_select_for_run(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_SECRETS);
}

bool store_secret_is(const struct pg_transaction *t, unsigned statement, size_t row, enum secret_kind kind, int64_t object_id)
{
	const struct secret_row *secret = sim_row_of(t, statement, row);

	return secret->kind == kind && secret->object_id == object_id;
}

int store_secret_version(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return ((const struct secret_row *)sim_row_of(t, statement, row))->version;
}

enum err store_secret_open(const struct pg_transaction *t, unsigned statement, size_t row, int64_t tenant_id, enum secret_kind kind,
	struct key_provider *keys, const struct data_key *key, struct buffer *plain, struct fault *fault)
{
	(void)tenant_id;
	(void)kind;
	(void)keys;
	(void)key;
	(void)fault;
	buffer_add_text(plain, ((const struct secret_row *)sim_row_of(t, statement, row))->plain);
	return OK;
}

// A seal that shows what is in it.
void seal(struct sealed *out, const struct data_key *key, const struct seal_binding *binding, struct text plain)
{
	(void)key;
	(void)binding;
	*out = (struct sealed){ .ciphertext = BUFFER(SEALED_SECRET_MAX) };
	buffer_add_text(&out->ciphertext, plain);
}

void sealed_fini(struct sealed *sealed)
{
	buffer_fini(&sealed->ciphertext);
}

void store_secret_put(struct pg_transaction *t, const struct seal_binding *binding, const struct sealed *sealed)
{
	struct sim_op *op = sim_add(t, OP_SECRET_PUT);

	assert(binding->kind == SECRET_APPLE_SESSION);
	op->number = binding->object_id;
	op->other = binding->secret_version;
	op->text = sim_keep(buffer_text(&sealed->ciphertext));
}

unsigned store_instance_list(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_INSTANCES);
}

void store_instance_read(const struct pg_transaction *t, unsigned statement, size_t row, struct instance_row *out)
{
	const struct sim_instance *instance = sim_row_of(t, statement, row);

	*out = (struct instance_row){
		.instance_id = instance->id,
		.name = text_of(instance->name),
		.enrolment_url = text_of(instance->url),
		.allowed_hosts = { text_of(instance->host) },
		.allowed_host_count = 1,
		.profile = text_of(instance->members),
		.state = instance->retired ? TEXT("retired") : TEXT("active"),
	};
}

// Each instance has its first endpoint, and no other.
unsigned store_endpoint_list_with_secrets(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	sim_add(t, OP_SECRETS)->number = SECRET_WEBHOOK;
	return sim_added(t);
}

void store_endpoint_read_with_secret(const struct pg_transaction *t, unsigned statement, size_t row, struct endpoint_row *out)
{
	const struct sim_instance *instance = &((const struct secret_row *)sim_row_of(t, statement, row))->instance;

	*out = (struct endpoint_row){
		.endpoint_id = instance->id,
		.instance_id = instance->id,
		.instance = text_of(instance->name),
		.url = text_of(instance->hook),
		.disabled_at_us = instance->disabled ? sim.now_us : INSTANT_NONE,
		.disabled_reason = instance->disabled ? TEXT("410") : TEXT_NONE,
		.not_before_us = instance->not_before_us,
		.succeeded_at_us = instance->succeeded_at_us,
	};
}

unsigned store_endpoint_disable(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, struct text reason)
{
	(void)tenant_id;
	(void)reason;
	sim_add(t, OP_DISABLE)->number = endpoint_id;
	return sim_added(t);
}

unsigned store_endpoint_slow(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int64_t not_before_us)
{
	struct sim_op *op = sim_add(t, OP_ENDPOINT_SLOW);

	(void)tenant_id;
	op->number = endpoint_id;
	op->other = not_before_us;
	return sim_added(t);
}

unsigned store_endpoint_succeeded(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int64_t at_us)
{
	struct sim_op *op = sim_add(t, OP_ENDPOINT_SUCCEEDED);

	(void)tenant_id;
	op->number = endpoint_id;
	op->other = at_us;
	return sim_added(t);
}

// Nobody asks for anything once more.
unsigned store_resend_list(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int limit)
{
	(void)tenant_id;
	(void)endpoint_id;
	(void)limit;
	return add_simple(t, OP_NOTHING);
}

unsigned store_resend_done(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, const int64_t *seqs, size_t count)
{
	(void)tenant_id;
	(void)endpoint_id;
	(void)seqs;
	(void)count;
	return add_simple(t, OP_NOTHING);
}

unsigned store_parked_event_insert(struct pg_transaction *t, int64_t tenant_id, const struct parked_event_row *events, size_t count)
{
	(void)tenant_id;
	(void)events;
	(void)count;
	return add_simple(t, OP_NOTHING);
}

unsigned store_profile_list(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_PROFILES);
}

void store_profile_read(const struct pg_transaction *t, unsigned statement, size_t row, struct profile_row *out)
{
	const struct sim_profile *profile = sim_row_of(t, statement, row);

	*out = (struct profile_row){
		.instance_id = profile->instance_id,
		.content_digest = profile->digest,
		.profile_uuid = profile->uuid,
		.refused = profile->refused,
		.token_id = profile->token_id,
		.is_canonical = true,
	};
}

unsigned store_position_list(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_POSITIONS);
}

void store_position_read(const struct pg_transaction *t, unsigned statement, size_t row, struct position_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

unsigned store_device_next_assign(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_NEXT_ASSIGN);
}

int64_t store_device_next_assign_read(const struct pg_transaction *t, unsigned statement)
{
	return sim_number_of(t, statement);
}

// Devices and events

static struct text keep_nullable(struct text text)
{
	return text.length > 0 ? sim_keep(text) : TEXT_NONE;
}

static void keep_row(struct device_row *row)
{
	struct device_record *apple = &row->apple;
	struct text *const texts[] = {
		&apple->serial_number, &apple->model, &apple->description, &apple->color, &apple->asset_tag, &apple->device_family, &apple->os,
		&apple->profile_status, &apple->profile_uuid, &apple->device_assigned_by, &apple->extra, &row->assigned_profile_uuid, &row->rule_id, &row->hold_reason,
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		*texts[i] = keep_nullable(*texts[i]);
	}
	apple->operation = DEVICE_PRESENT;
	apple->response_status = TEXT_NONE;
	apple->is_replacement = false; // as rows that are read have it
}

static unsigned put_devices(struct pg_transaction *t, const struct device_row *rows, size_t count, bool only_new)
{
	struct sim_op *op = sim_add(t, OP_DEVICE_PUT);
	struct device_row *copies = sim_copy(rows, count, sizeof *rows);

	for (size_t i = 0; i < count; i++) {
		keep_row(&copies[i]);
	}
	op->in = copies;
	op->in_count = count;
	op->number = only_new;
	return sim_added(t);
}

unsigned store_device_put(struct pg_transaction *t, int64_t tenant_id, const struct device_row *rows, size_t count)
{
	(void)tenant_id;
	return put_devices(t, rows, count, false);
}

unsigned store_device_insert(struct pg_transaction *t, int64_t tenant_id, const struct device_row *rows, size_t count)
{
	(void)tenant_id;
	return put_devices(t, rows, count, true);
}

unsigned store_device_by_serials(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	struct sim_op *op = sim_add(t, OP_BY_SERIALS);

	(void)tenant_id;
	op->in = sim_copy_texts(serials, count);
	op->in_count = count;
	return sim_added(t);
}

static unsigned add_list(struct pg_transaction *t, enum op_kind kind, struct text after, int64_t number, int limit)
{
	struct sim_op *op = sim_add(t, kind);

	op->text = sim_keep(after);
	op->number = number;
	op->other = limit;
	return sim_added(t);
}

unsigned store_device_fingerprints(struct pg_transaction *t, int64_t tenant_id, struct text after, int limit)
{
	(void)tenant_id;
	return add_list(t, OP_FINGERPRINTS, after, 0, limit);
}

void store_device_mark_read(const struct pg_transaction *t, unsigned statement, size_t row, struct device_mark *out)
{
	const struct device_row *device = sim_row_of(t, statement, row);

	out->serial_number = device->apple.serial_number;
	memcpy(out->fingerprint, device->apple.fingerprint, sizeof out->fingerprint);
	out->gone = device->gone_at_us != INSTANT_NONE;
}

unsigned store_device_list(struct pg_transaction *t, int64_t tenant_id, struct text after, bool with_gone, int64_t instance_id, int limit)
{
	(void)tenant_id;
	assert(!with_gone && instance_id == -1);
	return add_list(t, OP_DEVICE_LIST, after, 0, limit);
}

unsigned store_device_to_assign(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit)
{
	(void)tenant_id;
	return add_list(t, OP_TO_ASSIGN, TEXT_NONE, now_us, limit);
}

unsigned store_device_to_assign_alike(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit, int64_t instance_id,
	const struct text *rule_ids, size_t count)
{
	(void)instance_id;
	(void)rule_ids;
	(void)count;
	return store_device_to_assign(t, tenant_id, now_us, limit); // more than asked for: the flow takes what it needs
}

void store_device_read(const struct pg_transaction *t, unsigned statement, size_t row, struct device_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

unsigned store_event_insert(struct pg_transaction *t, int64_t tenant_id, const struct stored_event *events, size_t count)
{
	struct sim_op *op = sim_add(t, OP_EVENT_INSERT);
	struct stored_event *copies = sim_copy(events, count, sizeof *events);

	(void)tenant_id;
	for (size_t i = 0; i < count; i++) {
		copies[i].event.serial_number = sim_keep(copies[i].event.serial_number);
		copies[i].event.device_json = sim_keep(copies[i].event.device_json);
		copies[i].event.changes = sim_keep(copies[i].event.changes);
	}
	op->in = copies;
	op->in_count = count;
	return sim_added(t);
}

unsigned store_event_to_deliver(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int lane, int64_t after_seq, int limit)
{
	const int64_t place[] = { instance_id, lane };
	struct sim_op *op = sim_add(t, OP_EVENT_TO_DELIVER);

	(void)tenant_id;
	op->in = sim_copy(place, 2, sizeof *place);
	op->number = after_seq;
	op->other = limit;
	return sim_added(t);
}

// All its endpoints are of the native format.
unsigned store_event_pages_to_deliver(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, int64_t after_seq, int limit)
{
	(void)tenant_id;
	(void)instance_id;
	(void)after_seq;
	(void)limit;
	return add_simple(t, OP_NOTHING);
}

void store_event_page_read(const struct pg_transaction *t, unsigned statement, size_t row, struct event_page *out)
{
	(void)t;
	(void)statement;
	(void)row;
	*out = (struct event_page){ .last_seq = 0 };
}

void store_event_read(const struct pg_transaction *t, unsigned statement, size_t row, struct stored_event *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

// Writes

static struct op_fence fence_of(const struct stream_fence *fence)
{
	return (struct op_fence){
		.node_id = sim_keep(fence->node_id),
		.epoch = fence->epoch,
		.write_seq = fence->write_seq,
		.event_seq = fence->event_seq,
		.config_version = fence->config_version,
		.load_changes = true,
	};
}

static struct op_fence *add_fence(struct pg_transaction *t, enum op_kind kind, const struct stream_fence *fence)
{
	struct op_fence *copy = sim_take(sizeof *copy);

	*copy = fence_of(fence);
	sim_add(t, kind)->in = copy;
	return copy;
}

static void set_next(struct op_fence *fence, const struct stream_row *next)
{
	if (next != NULL) {
		fence->has_next = true;
		fence->next = *next;
		fence->next.cursor = next->sync.has_cursor ? keep_nullable(next->cursor) : TEXT_NONE;
		fence->next.reason = sim_keep(next->reason);
		fence->next.error_text = sim_keep(next->error_text);
		fence->next.apple_error = sim_keep(next->apple_error);
	}
}

void store_stream_advance(struct pg_transaction *t, const struct stream_fence *fence, int64_t events, const struct stream_row *next)
{
	struct op_fence *copy = add_fence(t, OP_ADVANCE, fence);

	copy->events = events;
	set_next(copy, next);
}

void store_stream_require(struct pg_transaction *t, const struct stream_fence *fence)
{
	(void)add_fence(t, OP_REQUIRE, fence);
}

static struct op_fence *finish(struct pg_transaction *t, const struct stream_fence *fence, const struct stream_row *next, int64_t due_at_us,
	int64_t wake)
{
	struct op_fence *copy = add_fence(t, OP_ADVANCE, fence);

	copy->finish = true;
	copy->due_at_us = due_at_us;
	copy->wake = wake;
	set_next(copy, next);
	return copy;
}

void store_stream_finish(struct pg_transaction *t, const struct stream_fence *fence, const struct stream_row *next, int64_t due_at_us,
	int64_t wake)
{
	(void)finish(t, fence, next, due_at_us, wake);
}

void store_stream_finish_quietly(struct pg_transaction *t, const struct stream_fence *fence, const struct stream_row *next,
	int64_t due_at_us, int64_t wake, const struct tenant_status_row *status, bool load_changes)
{
	struct op_fence *copy = finish(t, fence, next, due_at_us, wake);

	copy->load_changes = load_changes;
	sim_add(t, OP_QUIET_STATUS)->text = sim_keep(status->token_state);
}

unsigned store_streams_end_quietly(struct pg_transaction *t, struct text node_id, const struct quiet_end *ends, size_t count)
{
	struct op_end *copies = sim_take(count * sizeof *copies);
	struct sim_op *op = sim_add(t, OP_END_QUIETLY);

	op->text = sim_keep(node_id);
	op->in = copies;
	op->in_count = count;
	for (size_t i = 0; i < count; i++) {
		copies[i] = (struct op_end){ ends[i].fence.tenant_id, fence_of(&ends[i].fence) };
		copies[i].fence.finish = true;
		copies[i].fence.load_changes = false;
		copies[i].fence.due_at_us = ends[i].due_at_us;
		copies[i].fence.wake = ends[i].wake;
		set_next(&copies[i].fence, ends[i].next);
	}
	return sim_added(t);
}

int64_t store_stream_ended_client(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return *(const int64_t *)sim_row_of(t, statement, row);
}

unsigned store_ledger_insert(struct pg_transaction *t, const struct stream_fence *fence, int64_t events, const struct ledger_entry *entry)
{
	struct sim_op *op = sim_add(t, OP_LEDGER);

	(void)entry;
	op->number = fence->write_seq + 1;
	op->other = fence->event_seq + events;
	return sim_added(t);
}

void store_position_settle(struct pg_transaction *t, const struct stream_fence *fence, int64_t was_acked_seq,
	const struct position_row *next)
{
	struct op_fence *copy = add_fence(t, OP_SETTLE, fence);

	copy->was_acked_seq = was_acked_seq;
	copy->position = *next;
}

unsigned store_attempt_insert(struct pg_transaction *t, int64_t tenant_id, const struct attempt_row *attempts, size_t count)
{
	(void)tenant_id;
	(void)attempts;
	(void)count;
	return add_simple(t, OP_NOTHING);
}

unsigned store_profile_put(struct pg_transaction *t, int64_t tenant_id, const struct profile_row *profile)
{
	struct buffer hex CLEANUP(buffer_fini) = BUFFER(64);
	struct sim_profile *copy = sim_take(sizeof *copy);

	(void)tenant_id;
	buffer_add_hex(&hex, profile->content_digest.bytes, profile->content_digest.length);
	*copy = (struct sim_profile){
		.instance_id = profile->instance_id,
		.digest = sim_keep(buffer_text(&hex)),
		.uuid = keep_nullable(profile->profile_uuid),
		.refused = keep_nullable(profile->refused),
		.token_id = profile->token_id,
	};
	sim_add(t, OP_PROFILE_PUT)->in = copy;
	return sim_added(t);
}

// --- layers, and what Apple has of a profile: this world has the instances' own members only, and Apple keeps what it was given ---

unsigned store_tenant_profile_select(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_NOTHING);
}

void store_tenant_profile_read(const struct pg_transaction *t, unsigned statement, size_t row, struct tenant_profile_row *out)
{
	(void)t;
	(void)statement;
	(void)row;
	*out = (struct tenant_profile_row){ .layer = TEXT("{}") };
}

void store_template_done(struct pg_transaction *t, int64_t tenant_id, int64_t version)
{
	(void)tenant_id;
	(void)version;
	(void)add_simple(t, OP_NOTHING);
}

void store_definition_begin(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text content_digest)
{
	(void)tenant_id;
	(void)instance_id;
	(void)content_digest;
	(void)add_simple(t, OP_NOTHING);
}

void store_definition_withdraw(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text content_digest,
	int64_t wait_until_us)
{
	(void)wait_until_us;
	store_definition_begin(t, tenant_id, instance_id, content_digest);
}

void store_definition_taken(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text content_digest)
{
	store_definition_begin(t, tenant_id, instance_id, content_digest);
}

void store_definition_end_waits(struct pg_transaction *t, int64_t tenant_id, int64_t now_us)
{
	(void)tenant_id;
	(void)now_us;
	(void)add_simple(t, OP_NOTHING);
}

void store_definition_lost(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	(void)add_simple(t, OP_NOTHING);
}

unsigned store_definition_list(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_NOTHING);
}

void store_definition_read(const struct pg_transaction *t, unsigned statement, size_t row, struct definition_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

unsigned store_profile_to_check(struct pg_transaction *t, int64_t tenant_id, int64_t before_us)
{
	(void)tenant_id;
	(void)before_us;
	return add_simple(t, OP_NOTHING);
}

void store_profile_to_check_read(const struct pg_transaction *t, unsigned statement, struct profile_row *out, bool *in_use)
{
	*in_use = false;
	memcpy(out, sim_row_of(t, statement, 0), sizeof *out);
}

unsigned store_profile_next_check(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_NOTHING);
}

int64_t store_profile_next_check_read(const struct pg_transaction *t, unsigned statement)
{
	(void)t;
	(void)statement;
	return INSTANT_NONE;
}

unsigned store_due_request(struct pg_transaction *t, int64_t tenant_id, enum due_request request)
{
	(void)tenant_id;
	(void)request;
	return add_simple(t, OP_NOTHING);
}

void store_profile_checked(struct pg_transaction *t, int64_t tenant_id, const struct profile_check_result *result)
{
	(void)tenant_id;
	(void)result;
	(void)add_simple(t, OP_NOTHING);
}

unsigned store_profile_forget(struct pg_transaction *t, int64_t tenant_id, struct text profile_uuid)
{
	(void)tenant_id;
	sim_add(t, OP_PROFILE_FORGET)->text = sim_keep(profile_uuid);
	return sim_added(t);
}

// No MDM server of the simulated clients has a virtual DEP server.
void store_dep_profile_lose(struct pg_transaction *t, int64_t tenant_id, struct text profile_uuid)
{
	(void)t;
	(void)tenant_id;
	(void)profile_uuid;
}

unsigned store_tenant_quarantine(struct pg_transaction *t, int64_t tenant_id, struct text reason)
{
	(void)tenant_id;
	(void)reason;
	return add_simple(t, OP_QUARANTINE);
}

unsigned store_tenant_status_run(struct pg_transaction *t, int64_t tenant_id, const struct tenant_status_row *status, bool count)
{
	(void)tenant_id;
	(void)count;
	sim_add(t, OP_STATUS)->text = sim_keep(status->token_state);
	return sim_added(t);
}

// --- crashes that a client may be the cause of, and the brake on removals ---

unsigned store_node_crashed(struct pg_transaction *t, struct text node_id)
{
	sim_add(t, OP_NODE_CRASHED)->text = sim_keep(node_id);
	return sim_added(t);
}

void store_struck_read(const struct pg_transaction *t, unsigned statement, size_t row, struct struck_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

void store_removals_put(struct pg_transaction *t, int64_t tenant_id, int64_t held, int64_t present)
{
	struct sim_op *op = sim_add(t, OP_REMOVALS);

	(void)tenant_id;
	op->number = held;
	op->other = present;
}

// There are no jobs.

unsigned store_job_any_asked(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_NOTHING);
}

bool store_job_any_asked_read(const struct pg_transaction *t, unsigned statement)
{
	(void)t;
	(void)statement;
	return false;
}

static unsigned no_jobs(struct pg_transaction *t, int64_t tenant_id)
{
	LAW(t == NULL, "client %lld has jobs", (long long)tenant_id);
	return 0;
}

unsigned store_job_asked(struct pg_transaction *t, int64_t tenant_id, int limit)
{
	(void)limit;
	return no_jobs(t, tenant_id);
}

void store_job_asked_read(const struct pg_transaction *t, unsigned statement, size_t row, struct job_asked_row *out)
{
	(void)statement;
	(void)row;
	(void)out;
	LAW(t == NULL, "rows of %s are read", "jobs");
}

void store_job_answered(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, const struct job_answer *answers, size_t count)
{
	(void)job_id;
	(void)answers;
	(void)count;
	(void)no_jobs(t, tenant_id);
}

// No two clients list the same device, and nobody expects any.

void store_claims_put(struct pg_transaction *t, int64_t tenant_id, const struct serial_claim *claims, size_t count)
{
	(void)tenant_id;
	(void)claims;
	(void)count;
	(void)add_simple(t, OP_NOTHING);
}

void store_claims_insert(struct pg_transaction *t, int64_t tenant_id, const struct serial_claim *claims, size_t count)
{
	store_claims_put(t, tenant_id, claims, count);
}

unsigned store_guard_by_serials(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, const int64_t *assigned_us,
	size_t count)
{
	(void)tenant_id;
	(void)serials;
	(void)assigned_us;
	(void)count;
	return add_simple(t, OP_NOTHING);
}

void store_guard_read(const struct pg_transaction *t, unsigned statement, size_t row, struct guard_row *out)
{
	LAW(t == NULL, "statement %u has guard %zu", statement, row);
	*out = (struct guard_row){ .reason = TEXT_NONE };
}

void store_held_review(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	(void)add_simple(t, OP_NOTHING);
}

// The simulated Apple lists no records that cannot be read.

void store_parked_put(struct pg_transaction *t, int64_t tenant_id, const struct parked_row *rows, size_t count, int64_t rejected)
{
	(void)t;
	(void)rows;
	(void)count;
	LAW(rejected == 0, "client %lld has parked records", (long long)tenant_id);
}

void store_tenant_status_missed(struct pg_transaction *t, int64_t tenant_id, int64_t count)
{
	(void)tenant_id;
	(void)count;
	(void)add_simple(t, OP_NOTHING);
}

void store_tenant_status_assigned(struct pg_transaction *t, int64_t tenant_id, int64_t lag_ms)
{
	LAW(lag_ms >= 0, "client %lld assigned a device before it came", (long long)tenant_id);
	(void)add_simple(t, OP_NOTHING);
}

// --- what people are told ---

static unsigned add_alert(struct pg_transaction *t, struct text kind, bool raised)
{
	struct sim_op *op = sim_add(t, OP_ALERT);

	op->text = sim_keep(kind);
	op->other = raised;
	return sim_added(t);
}

unsigned store_alert_raise(struct pg_transaction *t, int64_t tenant_id, struct text kind, struct text detail)
{
	(void)tenant_id;
	(void)detail;
	return add_alert(t, kind, true);
}

unsigned store_alert_clear(struct pg_transaction *t, int64_t tenant_id, struct text kind)
{
	(void)tenant_id;
	return add_alert(t, kind, false);
}

unsigned store_alerts_seen(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return add_simple(t, OP_NOTHING);
}

unsigned store_tenant_status_told(struct pg_transaction *t, int64_t tenant_id, int64_t token_id, int64_t days, struct text admin_id)
{
	struct sim_op *op = sim_add(t, OP_TOLD);

	(void)tenant_id;
	LAW(admin_id.length == 0, "an administrator, and Apple names none");
	op->number = token_id;
	op->other = days;
	return sim_added(t);
}

struct token_facts store_token_facts(const struct tenant_row *tenant, const struct tenant_status_row *status)
{
	return (struct token_facts){
		.has_token = true,
		.expires_at_us = INSTANT_NONE,
		.word = text_equal_string(status->token_state, "rejected") ? TOKEN_WORD_REJECTED
			: text_equal_string(status->token_state, "terms_unsigned") ? TOKEN_WORD_TERMS : TOKEN_WORD_GOOD,
		.word_since_us = INSTANT_NONE,
		.pending_since_us = INSTANT_NONE,
		.quarantined_at_us = text_equal_string(tenant->state, "quarantined") ? sim.now_us : INSTANT_NONE,
	};
}

unsigned store_secret_delete(struct pg_transaction *t, int64_t tenant_id, enum secret_kind kind, int64_t object_id)
{
	(void)tenant_id;
	(void)kind;
	(void)object_id;
	return add_simple(t, OP_SECRET_DELETE);
}

// --- tokens that wait: the simulation has none ---

#define NOBODY_CALLS(declaration, ...)                                          \
	__attribute__((noreturn)) declaration                                         \
	{                                                                             \
		const void *const given[] = { __VA_ARGS__ };                                \
                                                                                \
		sim_law_broken(__func__, "the simulation has no such rows, with %zu", sizeof given);          \
	}
NOBODY_CALLS(unsigned store_pending_retry(struct pg_transaction *t, int64_t tenant_id, const struct pending_token_row *row), t, &tenant_id, row)
NOBODY_CALLS(void store_pending_drop(struct pg_transaction *t, int64_t tenant_id, int64_t token_id), t, &tenant_id, &token_id)
NOBODY_CALLS(unsigned store_token_set_admin(struct pg_transaction *t, int64_t tenant_id, int64_t token_id, struct text admin_id), t, &tenant_id,
	&token_id, &admin_id)
NOBODY_CALLS(void store_token_take(struct pg_transaction *t, int64_t tenant_id, const struct token_row *token), t, &tenant_id, token)
NOBODY_CALLS(void store_tenant_pin(struct pg_transaction *t, const struct tenant_row *identity), t, identity)
NOBODY_CALLS(unsigned store_tenant_status_token(struct pg_transaction *t, int64_t tenant_id, struct text state, int64_t expires_at_us), t,
	&tenant_id, &state, &expires_at_us)

// --- no list of devices is expected ---

NOBODY_CALLS(void store_expected_review(struct pg_transaction *t, int64_t tenant_id, int64_t event_seq), t, &tenant_id, &event_seq)
