// SPDX-License-Identifier: Apache-2.0
//
// sim_store_load.c - server/store as runs call it when they begin: what there is to know about a client.
#include "sim/sim_transaction.h"

#include "store/endpoints.h"
#include "store/parked.h"
#include "store/run_row.h"

#include <assert.h>
#include <string.h>

unsigned store_stream_take(struct pg_transaction *t, int64_t tenant_id, struct text node_id)
{
	(void)tenant_id;
	sim_add(t, OP_STREAM_TAKE)->text = sim_keep(node_id);
	return sim_added(t);
}

unsigned store_stream_select(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return sim_add_simple(t, OP_STREAM_SELECT);
}

void store_stream_read(const struct pg_transaction *t, unsigned statement, size_t row, struct stream_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

unsigned store_news_select(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return sim_add_simple(t, OP_NEWS);
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
	return sim_add_simple(t, OP_RUN_ROW);
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
	return sim_add_simple(t, OP_SECRETS);
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
void store_secret_put(struct pg_transaction *t, const struct data_key *key, enum secret_kind kind, int64_t tenant_id, int64_t object_id,
	int version, struct text plain)
{
	struct sim_op *op = sim_add(t, OP_SECRET_PUT);

	(void)key;
	(void)tenant_id;
	assert(kind == SECRET_APPLE_SESSION);
	op->number = object_id;
	op->other = version;
	op->text = sim_keep(plain);
}

unsigned store_instance_list(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return sim_add_simple(t, OP_INSTANCES);
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
		.state = instance->retired ? TEXT("retired") : instance->draining ? TEXT("draining") : TEXT("active"),
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
	return sim_add_simple(t, OP_NOTHING);
}

unsigned store_resend_done(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, const int64_t *seqs, size_t count)
{
	(void)tenant_id;
	(void)endpoint_id;
	(void)seqs;
	(void)count;
	return sim_add_simple(t, OP_NOTHING);
}

unsigned store_parked_event_insert(struct pg_transaction *t, int64_t tenant_id, const struct parked_event_row *events, size_t count)
{
	(void)tenant_id;
	(void)events;
	(void)count;
	return sim_add_simple(t, OP_NOTHING);
}

unsigned store_profile_list(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return sim_add_simple(t, OP_PROFILES);
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
	return sim_add_simple(t, OP_POSITIONS);
}

void store_position_read(const struct pg_transaction *t, unsigned statement, size_t row, struct position_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

unsigned store_device_next_assign(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return sim_add_simple(t, OP_NEXT_ASSIGN);
}

int64_t store_device_next_assign_read(const struct pg_transaction *t, unsigned statement)
{
	return sim_number_of(t, statement);
}
