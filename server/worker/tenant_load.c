// SPDX-License-Identifier: Apache-2.0
//
// Taking a client: everything that a run needs to know, in one round trip, secrets opened.
#include "store/jobs.h"
#include "store/run_row.h"
#include "tenants/profile_render.h"
#include "worker/profile_content.h"
#include "worker/wanted_profile.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

// The statements, in their order. What there is one of belongs into the row (run_row.h), lists are statements of their own.
enum {
	LOAD_STREAM, LOAD_NEWS, LOAD_ROW, LOAD_SECRETS, LOAD_INSTANCES, LOAD_ENDPOINTS, LOAD_PROFILES, LOAD_POSITIONS, LOAD_ROUTING, LOAD_TENANT_PROFILE,
	LOAD_DEFINITIONS, LOAD_NEXT_CHECK, LOAD_ENROLMENTS, LOAD_JOBS, LOAD_COUNT,
};

static void take(struct tenant *tenant, struct pg_transaction *t)
{
	(void)(tenant->is_hinted ? store_stream_take_due : store_stream_take)(t, tenant->due.tenant_id, text_of(tenant->process->node_id));
}

// Of what is kept, some goes by the date, such as how often a profile was defined lately: so it is read again once in a while.
enum { KEPT_FOR_MS = 3600 * 1000 };

void tenant_load_add(struct tenant *tenant, struct pg_transaction *t)
{
	const int64_t id = tenant->due.tenant_id;
	unsigned last;

	take(tenant, t);
	(void)store_news_take(t, id, text_of(tenant->process->node_id));
	(void)store_run_select(t, id);
	(void)store_secret_select_for_run(t, id);
	(void)store_instance_list(t, id);
	(void)store_endpoint_list_with_secrets(t, id);
	(void)store_profile_list(t, id);
	(void)store_position_list(t, id);
	(void)store_routing_select(t, id);
	(void)store_tenant_profile_select(t, id);
	(void)store_definition_list(t, id);
	(void)store_profile_next_check(t, id);
	(void)store_enrolment_work(t, id);
	last = store_job_any_asked(t, id);
	assert(last == LOAD_COUNT - 1);
}

static void *room(struct tenant *tenant, size_t count, size_t size)
{
	void *memory = arena_take(&tenant->memory, (count + 1) * size);

	assert(memory != NULL);
	return memory;
}

static enum sync_reason reason_of(struct text name)
{
	for (int reason = SYNC_REASON_NONE; reason <= SYNC_REASON_INTERRUPTED; reason++) {
		if (text_equal_string(name, sync_reason_name((enum sync_reason)reason))) {
			return (enum sync_reason)reason;
		}
	}
	return SYNC_REASON_NONE;
}

static void read_stream(struct tenant *tenant, struct stream_row row)
{
	buffer_clear(&tenant->cursor_text);
	buffer_add_text(&tenant->cursor_text, row.cursor);
	row.cursor = row.cursor.length > 0 ? buffer_text(&tenant->cursor_text) : TEXT_NONE;
	row.owner = TEXT_NONE;
	tenant->reason = reason_of(row.reason);
	row.reason = TEXT_NONE;
	text_put(tenant->error_text, sizeof tenant->error_text, row.error_text);
	text_put(tenant->apple_error, sizeof tenant->apple_error, row.apple_error);
	row.error_text = TEXT_NONE;
	row.apple_error = TEXT_NONE;
	tenant->stream = row;
	tenant->loaded = row;
	tenant->loaded_reason = tenant->reason;
	tenant->loaded_error = tenant->error_text[0] != '\0' || tenant->apple_error[0] != '\0';
	tenant->clock_offset_us = row.now_us - clock_wall_us();
}

static void read_alerts(struct tenant *tenant, struct text open_alerts)
{
	struct text name;

	tenant->alerts_are_open = open_alerts.length > 0;
	while (store_run_next_alert(&open_alerts, &name)) {
		enum alert_kind kind;

		if (alert_of(name, &kind)) {
			tenant->told.open[kind] = true;
		}
	}
}

// The status was counted up to event_seq. A run that was cut off after a write has left it behind; this one makes up for it.
static void read_status(struct tenant *tenant, const struct run_row *run)
{
	const struct tenant_status_row *status = &run->status;

	tenant->counts_changed = status->event_seq != tenant->stream.event_seq;
	tenant->must_count = tenant->counts_changed;
	tenant->events_wait = status->announced_seq != status->event_seq;
	tenant->loaded_write_seq = tenant->stream.write_seq;
	tenant->token_facts = store_token_facts(&run->tenant, status);
	tenant->token_state = tenant_keep(tenant, status->token_state);
	tenant->told = (struct alert_told){ .token_id = status->told_token_id, .days = (int)status->told_days,
		.admin_id = tenant_keep(tenant, status->told_admin_id) };
	read_alerts(tenant, run->open_alerts);
}

static void read_tenant(struct tenant *tenant, const struct tenant_row *row)
{
	const struct config *config = tenant->process->config;
	struct text url;

	tenant->is_active = text_equal_string(row->state, "active") || text_equal_string(row->state, "reserved");
	tenant->pinned = (struct identity){ tenant_keep(tenant, row->server_uuid), tenant_keep(tenant, row->org_id),
		tenant_keep(tenant, row->org_id_hash), tenant_keep(tenant, row->org_type) };
	tenant->settings = (struct sync_settings){
		.tenant_id = row->tenant_id,
		.interval_s = row->sync_interval_s > 0 ? row->sync_interval_s : config->sync_interval_s,
	};
	tenant->brake = (struct brake_limits){ row->brake_percent, row->brake_devices };
	url = tenant_keep(tenant, row->apple_url.length > 0 ? row->apple_url : text_of(config->apple_url));
	tenant->apple_server = (struct apple_server){
		.loop = &tenant->process->loop,
		.client = tenant->process->apple,
		.base_url = url.bytes,
		.protocol_version = (int)row->protocol_version,
		.lane_key = row->tenant_id,
		.answer_limit = (size_t)config->page_memory_kib << 10,
		.breaker = breakers_of(&tenant->process->breakers, url.bytes),
	};
}

// ERR_NOT_FOUND: there is none. `version` is set when there is one, whether it opens or not.
static enum err open_secret(const struct tenant *tenant, const struct pg_transaction *t, enum secret_kind kind, int64_t object_id,
	int *version, struct buffer *plain, struct fault *fault)
{
	for (size_t i = 0; i < pg_row_count(t, LOAD_SECRETS); i++) {
		if (store_secret_is(t, LOAD_SECRETS, i, kind, object_id)) {
			*version = store_secret_version(t, LOAD_SECRETS, i);
			return store_secret_open(t, LOAD_SECRETS, i, tenant->due.tenant_id, kind, tenant->process->keys, &tenant->data_key, plain,
				fault);
		}
	}
	return ERR_NOT_FOUND;
}

// Only what Apple gave us, so a session that does not open is forgotten and got anew.
static void read_session(struct tenant *tenant, const struct pg_transaction *t)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(APPLE_SESSION_TOKEN_MAX);

	apple_session_init(&tenant->session, &tenant->apple_server, &tenant->token);
	tenant->session_is_open = true;
	if (open_secret(tenant, t, SECRET_APPLE_SESSION, tenant->token_id, &tenant->session_version, &plain, NULL) == OK) {
		memcpy(tenant->session.token, plain.bytes, plain.length);
		tenant->session.token[plain.length] = '\0';
	}
	tenant->session_generation = tenant->session.generation;
}

static enum err open_token(const struct tenant *tenant, const struct pg_transaction *t, int64_t token_id, struct server_token *out,
	struct fault *fault)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(TOKEN_PLAIN_MAX);
	int version;
	enum err rc = open_secret(tenant, t, SECRET_SERVER_TOKEN, token_id, &version, &plain, fault);

	if (rc == ERR_NOT_FOUND) {
		return fault_set(fault, ERR_BUG, "the secret of server token %lld is missing", (long long)token_id);
	}
	TRY(rc);
	return token_parse(out, buffer_text(&plain), fault);
}

static enum err read_token(struct tenant *tenant, const struct pg_transaction *t, const struct token_row *row, struct fault *fault)
{
	if (row->token_id == 0) {
		return OK;
	}
	TRY(open_token(tenant, t, row->token_id, &tenant->token, fault));
	tenant->has_token = true;
	tenant->token_id = row->token_id;
	tenant->admin_id = tenant_keep(tenant, row->admin_id);
	tenant->taken_by = tenant_keep(tenant, row->taken_by);
	read_session(tenant, t);
	return OK;
}

static enum err read_pending(struct tenant *tenant, const struct pg_transaction *t, const struct pending_token_row *row,
	struct fault *fault)
{
	if (row->token_id == 0) {
		return OK;
	}
	tenant->pending = *row;
	tenant->pending.consumer_key_end = tenant_keep(tenant, row->consumer_key_end);
	tenant->pending.uploaded_by = tenant_keep(tenant, row->uploaded_by);
	TRY(open_token(tenant, t, row->token_id, &tenant->pending_token, fault));
	tenant->has_pending = true;
	return OK;
}

// A secret that both sides have, or the key of a pair.
static enum err read_webhook_secret(struct tenant *tenant, const struct pg_transaction *t, size_t row, struct tenant_endpoint *endpoint,
	struct fault *fault)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(2 * WEBHOOK_SECRET_MAX + 16);
	const bool is_key = store_secret_is(t, LOAD_ENDPOINTS, row, SECRET_WEBHOOK_KEY, endpoint->endpoint_id);

	if (store_secret_version(t, LOAD_ENDPOINTS, row) == 0 || (is_key ? endpoint->key_count == WEBHOOK_KEYS_MAX
		: endpoint->secret_count == WEBHOOK_SECRETS_MAX)) {
		return OK;
	}
	TRY(store_secret_open(t, LOAD_ENDPOINTS, row, tenant->due.tenant_id, is_key ? SECRET_WEBHOOK_KEY : SECRET_WEBHOOK, tenant->process->keys,
		&tenant->data_key, &plain, fault));
	return is_key ? webhook_key_parse(&endpoint->keys[endpoint->key_count++], buffer_text(&plain), fault)
		: webhook_secret_parse(&endpoint->secrets[endpoint->secret_count++], buffer_text(&plain), fault);
}

#define NO_ALERT_KIND (UINT64_C(1) << 63) // an unknown word does not mean all
_Static_assert(ALERT_KINDS_IN_ALL < 63, "a bit for each");

static void keep_endpoint(struct tenant *tenant, struct tenant_endpoint *endpoint, const struct endpoint_row *row)
{
	*endpoint = (struct tenant_endpoint){
		.endpoint_id = row->endpoint_id,
		.instance_id = row->instance_id,
		.instance = tenant_keep(tenant, row->instance),
		.url = tenant_keep(tenant, row->url),
		.header_count = row->header_count,
		.certificate_authority = tenant_keep(tenant, row->certificate_authority),
		.format = row->format,
		.batch_size = row->batch_size,
		.disabled_reason = tenant_keep(tenant, row->disabled_at_us != INSTANT_NONE ? row->disabled_reason : TEXT_NONE),
		.not_before_us = row->not_before_us,
		.succeeded_at_us = row->succeeded_at_us,
		.event_types = row->event_count > 0 ? 1 : 0, // no event has the type 0: an unknown word does not mean all
	};
	for (size_t i = 0; i < row->header_count; i++) {
		endpoint->headers[i] = tenant_keep(tenant, row->headers[i]);
	}
	for (size_t i = 0; i < row->alert_kind_count; i++) {
		const int place = alert_place_of(row->alert_kinds[i]);

		endpoint->alert_kinds |= place >= 0 ? UINT64_C(1) << place : NO_ALERT_KIND;
	}
	for (size_t i = 0; i < row->event_count; i++) {
		enum event_type type;

		if (event_type_of(row->events[i], &type)) {
			endpoint->event_types |= UINT64_C(1) << type;
		}
	}
}

// A row for each of an endpoint's secrets.
static enum err read_endpoints(struct tenant *tenant, const struct pg_transaction *t, struct fault *fault)
{
	const size_t rows = pg_row_count(t, LOAD_ENDPOINTS);
	size_t *count = &tenant->endpoint_count;

	tenant->endpoints = room(tenant, rows, sizeof *tenant->endpoints);
	for (size_t i = 0; i < rows; i++) {
		struct endpoint_row row;

		store_endpoint_read_with_secret(t, LOAD_ENDPOINTS, i, &row);
		if (*count == 0 || tenant->endpoints[*count - 1].endpoint_id != row.endpoint_id) {
			keep_endpoint(tenant, &tenant->endpoints[(*count)++], &row);
		}
		TRY(read_webhook_secret(tenant, t, i, &tenant->endpoints[*count - 1], fault));
	}
	return OK;
}

static void read_instances(struct tenant *tenant, const struct pg_transaction *t)
{
	const size_t count = pg_row_count(t, LOAD_INSTANCES);

	tenant->instances = room(tenant, count, sizeof *tenant->instances);
	for (size_t i = 0; i < count; i++) {
		struct tenant_instance *instance = &tenant->instances[i];
		struct instance_row row;

		store_instance_read(t, LOAD_INSTANCES, i, &row);
		instance->instance_id = row.instance_id;
		instance->name = tenant_keep(tenant, row.name);
		instance->state = store_instance_state(&row);
		instance->enrolment_url = tenant_keep(tenant, row.enrolment_url);
		instance->members = tenant_keep(tenant, row.profile);
		instance->allowed_host_count = row.allowed_host_count;
		for (size_t host = 0; host < row.allowed_host_count; host++) {
			instance->allowed_hosts[host] = tenant_keep(tenant, row.allowed_hosts[host]);
		}
	}
	tenant->instance_count = count;
}

static enum err read_rules(struct tenant *tenant, const struct rules_row *row, struct fault *fault)
{
	struct ruleset_instance *instances = room(tenant, tenant->instance_count, sizeof *instances);

	if (row->version == 0) {
		return OK;
	}
	for (size_t i = 0; i < tenant->instance_count; i++) {
		instances[i] = (struct ruleset_instance){ .instance_id = tenant->instances[i].instance_id, .name = tenant->instances[i].name,
			.state = tenant->instances[i].state };
	}
	tenant->rules_version = row->version;
	tenant->rules = ruleset_read(row->document, instances, tenant->instance_count, RULESET_DECIDES);
	if (!ruleset_is_valid(tenant->rules)) {
		return fault_set(fault, ERR_BUG, "the stored rules of version %lld cannot be read", (long long)row->version);
	}
	return OK;
}

static void read_routing(struct tenant *tenant, const struct pg_transaction *t)
{
	store_routing_read(t, LOAD_ROUTING, &tenant->has_facts, &tenant->has_reroutes);
	tenant->has_asked_jobs = store_job_any_asked_read(t, LOAD_JOBS);
}

// With another version of the template than the one that devices were looked at with, they are looked at again.
static void read_layers(struct tenant *tenant, const struct pg_transaction *t, const struct tenant_row *row)
{
	struct tenant_profile_row profile;

	store_tenant_profile_read(t, LOAD_TENANT_PROFILE, 0, &profile);
	profile_content_load(tenant, row, &profile);
	tenant->parking_instance_id = profile.parking_instance_id;
	tenant->profile_looked_at_us = store_profile_next_check_read(t, LOAD_NEXT_CHECK);
	if (profile.template_version != profile.template_done) {
		tenant->stream.profile_needed = true;
	}
}

static enum err take_digest(unsigned char out[SHA256_SIZE], struct text hexadecimal, struct fault *fault)
{
	struct buffer digest CLEANUP(buffer_fini) = BUFFER(SHA256_SIZE);

	if (!hex_decode(&digest, hexadecimal) || digest.length != SHA256_SIZE) {
		return fault_set(fault, ERR_BUG, "a stored profile has no digest");
	}
	memcpy(out, digest.bytes, SHA256_SIZE);
	return OK;
}

static enum err read_profiles(struct tenant *tenant, const struct pg_transaction *t, struct fault *fault)
{
	const size_t count = pg_row_count(t, LOAD_PROFILES);

	tenant->defined = room(tenant, count, sizeof *tenant->defined);
	for (size_t i = 0; i < count; i++) {
		struct defined_profile *defined = &tenant->defined[tenant->defined_count];
		struct profile_row row;

		store_profile_read(t, LOAD_PROFILES, i, &row);
		if (row.mend_due) {
			continue; // it is to be defined again
		}
		TRY(row.is_canonical ? take_digest(defined->digest, row.content_digest, fault)
			: profile_digest(defined->digest, row.content, fault));
		defined->instance_id = row.instance_id;
		defined->uuid = tenant_keep(tenant, row.profile_uuid);
		defined->refused = tenant_keep(tenant, row.refused);
		defined->drifts = row.drift_count > 0;
		tenant->defined_count++;
	}
	return OK;
}

static enum err read_definitions(struct tenant *tenant, const struct pg_transaction *t, struct fault *fault)
{
	const size_t count = pg_row_count(t, LOAD_DEFINITIONS);

	tenant->definitions = room(tenant, count, sizeof *tenant->definitions);
	for (size_t i = 0; i < count; i++) {
		struct definition_row row;

		store_definition_read(t, LOAD_DEFINITIONS, i, &row);
		TRY(take_digest(tenant->definitions[i].digest, row.content_digest, fault));
		tenant->definitions[i].instance_id = row.instance_id;
		tenant->definitions[i].attempts = row.attempts;
		tenant->definitions[i].last_at_us = row.last_at_us;
		tenant->definitions[i].refusals = row.refusals;
		tenant->definitions[i].wait_until_us = row.wait_until_us;
	}
	tenant->definition_count = count;
	return OK;
}

static void read_positions(struct tenant *tenant, const struct pg_transaction *t)
{
	tenant->position_count = pg_row_count(t, LOAD_POSITIONS);
	tenant->positions = room(tenant, tenant->position_count, sizeof *tenant->positions);
	for (size_t i = 0; i < tenant->position_count; i++) {
		store_position_read(t, LOAD_POSITIONS, i, &tenant->positions[i]);
		tenant->events_wait = tenant->events_wait || tenant->positions[i].pending;
	}
}

// `taken` is the client's stream, `rest` read the client: now, or when what is kept was read.
static enum err read_all(struct tenant *tenant, const struct stream_row *taken, const struct pg_transaction *rest, struct fault *fault)
{
	struct run_row row;

	store_run_read(rest, LOAD_ROW, &row);
	read_stream(tenant, *taken);
	read_tenant(tenant, &row.tenant);
	read_status(tenant, &row);
	TRY(store_data_key_read(rest, LOAD_ROW, tenant->process->keys, tenant->due.tenant_id, &tenant->data_key, fault));
	tenant->has_data_key = true;
	TRY(read_token(tenant, rest, &row.token, fault));
	TRY(read_pending(tenant, rest, &row.pending, fault));
	store_enrolment_work_read(rest, LOAD_ENROLMENTS, &tenant->enrolments);
	read_instances(tenant, rest);
	TRY(read_endpoints(tenant, rest, fault));
	tenant->label_count = ruleset_labels_read(tenant->labels, tenant_keep(tenant, row.tenant.labels));
	TRY(read_rules(tenant, &row.rules, fault));
	read_layers(tenant, rest, &row.tenant);
	TRY(read_profiles(tenant, rest, fault));
	TRY(read_definitions(tenant, rest, fault));
	read_routing(tenant, rest);
	wanted_profile_all(tenant);
	read_positions(tenant, rest);
	tenant->next_assign_us = row.next_assign_us;
	tenant->next_assign_seq = tenant->stream.write_seq;
	tenant->incarnation = row.incarnation;
	return OK;
}

// --- what is kept of it ---

static bool has_several_secrets(const struct tenant *tenant)
{
	for (size_t i = 0; i < tenant->endpoint_count; i++) {
		if (tenant->endpoints[i].secret_count > 1 || tenant->endpoints[i].key_count > 1) {
			return true;
		}
	}
	return false;
}

// Nothing is there to be done, and nothing comes to be so by the clock alone, or by what other clients do: then only what leaves news, or
// draws another load_id, can change what a run reads.
static bool is_calm(const struct tenant *tenant, const struct pg_transaction *t)
{
	const struct enrolment_work *enrolments = &tenant->enrolments;

	return tenant->has_token && !tenant->has_pending && !tenant->events_wait && !tenant->counts_changed &&
		!tenant->has_reroutes && !store_routing_has_guarded(t, LOAD_ROUTING) && !tenant->has_asked_jobs && !enrolments->heard &&
		!enrolments->unsettled && !enrolments->expects && !has_several_secrets(tenant);
}

static void keep(struct tenant *tenant, const struct pg_transaction *t)
{
	load_cache_put(&tenant->process->loads, &(struct load_kept){
		.tenant_id = tenant->due.tenant_id,
		.load_id = store_news_taken(t, LOAD_NEWS, &tenant->stream),
		.config_version = tenant->stream.config_version,
		.rules_version = tenant->stream.rules_version,
		.read_at_ms = clock_monotonic_ms(),
		.rows = pg_keep(t, LOAD_ROW),
	});
}

enum err tenant_load_read(struct tenant *tenant, const struct pg_transaction *t, struct fault *fault)
{
	struct stream_row taken;

	if (pg_row_count(t, LOAD_STREAM) != 1 || pg_row_count(t, LOAD_ROW) != 1) {
		return fault_set(fault, ERR_FENCED, "another worker has it");
	}
	store_stream_read(t, LOAD_STREAM, 0, &taken);
	load_cache_drop(&tenant->process->loads, tenant->due.tenant_id);
	TRY(read_all(tenant, &taken, t, fault));
	if (is_calm(tenant, t)) {
		keep(tenant, t);
	}
	return OK;
}

// NULL: nothing, or for too long.
static const struct load_kept *look_at_kept(const struct tenant *tenant)
{
	const struct load_kept *kept = load_cache_look(&tenant->process->loads, tenant->due.tenant_id);

	return kept != NULL && clock_monotonic_ms() - kept->read_at_ms <= KEPT_FOR_MS ? kept : NULL;
}

static bool is_as_kept(const struct load_kept *kept, const struct stream_row *stream)
{
	return kept->load_id == stream->load_id && kept->config_version == stream->config_version && kept->rules_version == stream->rules_version;
}

bool tenant_load_add_kept(struct tenant *tenant, struct pg_transaction *t)
{
	if (look_at_kept(tenant) == NULL) {
		return false;
	}
	take(tenant, t);
	(void)store_news_select(t, tenant->due.tenant_id);
	return true;
}

bool tenant_load_is_outdated(const struct tenant *tenant, const struct pg_transaction *t)
{
	const struct load_kept *kept = load_cache_look(&tenant->process->loads, tenant->due.tenant_id);
	struct stream_row stream;

	if (pg_row_count(t, LOAD_STREAM) != 1) {
		return false; // it is not ours
	}
	store_stream_read(t, LOAD_STREAM, 0, &stream);
	if (kept != NULL && is_as_kept(kept, &stream) && !store_news_read(t, LOAD_NEWS)) {
		return false;
	}
	load_cache_drop(&tenant->process->loads, tenant->due.tenant_id);
	return true;
}

enum err tenant_load_read_kept(struct tenant *tenant, const struct pg_transaction *t, struct fault *fault)
{
	struct stream_row taken;

	if (pg_row_count(t, LOAD_STREAM) != 1) {
		return fault_set(fault, ERR_FENCED, "another worker has it");
	}
	store_stream_read(t, LOAD_STREAM, 0, &taken);
	return tenant_load_read_taken(tenant, &taken, fault);
}

bool tenant_load_kept_holds(const struct tenant *tenant, const struct stream_row *taken)
{
	const struct load_kept *kept = look_at_kept(tenant);

	if (kept != NULL && is_as_kept(kept, taken)) {
		return true;
	}
	load_cache_drop(&tenant->process->loads, tenant->due.tenant_id);
	return false;
}

enum err tenant_load_read_taken(struct tenant *tenant, const struct stream_row *taken, struct fault *fault)
{
	const struct pg_transaction rest = pg_kept_read(load_cache_look(&tenant->process->loads, tenant->due.tenant_id)->rows);

	return read_all(tenant, taken, &rest, fault);
}
