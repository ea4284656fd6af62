// SPDX-License-Identifier: Apache-2.0
//
// POST /tenants/{tenant}/endpoints and /endpoints, PATCH .../{endpoint}
#include "api/body.h"
#include "api/endpoint_action.h"
#include "api/endpoint_json.h"
#include "api/first_key.h"
#include "api/resources.h"
#include "crypto/certificate_authority.h"
#include "store/instances.h"
#include "store/secrets.h"
#include "store/tokens.h"
#include "tenants/alert.h"
#include "tenants/endpoint_header.h"
#include "tenants/event.h"
#include "tenants/url_guard.h"

#include <assert.h>

_Static_assert((int)STORE_ENDPOINT_EVENTS_MAX <= (int)BODY_STRINGS_MAX, "a body can hold all the types");
_Static_assert((int)STORE_ENDPOINT_KINDS_MAX <= (int)BODY_STRINGS_MAX && (int)ALERT_KINDS_IN_ALL <= (int)STORE_ENDPOINT_KINDS_MAX, "and all the kinds");
_Static_assert((int)AUTHORITY_PEM_MAX == (int)STORE_ENDPOINT_AUTHORITY_MAX, "what is taken can be stored");

enum { AUDIT_DETAIL_MAX = 2048 };

struct writing {
	struct endpoint_row row;
	struct data_key data_key;
	struct first_key first_key; // of STORE_EVERYBODY
	struct buffer secret; // its spelling
	struct buffer authority; // PEM
	bool authority_is_given;
	unsigned read_back;
};

static void finish(struct call *call)
{
	struct writing *writing = call->own;

	data_key_fini(&writing->data_key);
	first_key_fini(&writing->first_key);
	buffer_fini_wiped(&writing->secret);
	buffer_fini(&writing->authority);
}

static struct writing *begin(struct call *call)
{
	struct writing *writing = call_own(call, sizeof *writing);

	writing->secret = BUFFER(ENDPOINT_SECRET_SPELLING);
	writing->authority = BUFFER(AUTHORITY_PEM_MAX);
	call_on_finish(call, finish);
	return writing;
}

// --- what both accept ---

enum { URL, EVENTS, HEADERS, CERTIFICATE_AUTHORITY, BATCH_SIZE, KINDS_OF_ALERTS, COMMON };
#define COMMON_MEMBERS(is_required)                                                                                    \
	[URL] = { "url", BODY_TEXT, .required = (is_required), .minimum = 1, .maximum = URL_GUARD_URL_MAX },                \
	[EVENTS] = { "events", BODY_TEXTS, .maximum = STORE_ENDPOINT_EVENTS_MAX },                                          \
	[HEADERS] = { .name = "headers", .kind = BODY_OBJECT },                                                             \
	[CERTIFICATE_AUTHORITY] = { "certificate_authority", BODY_TEXT, .nullable = true, .minimum = 1, .maximum = AUTHORITY_PEM_MAX }, \
	[BATCH_SIZE] = { "batch_size", BODY_INTEGER, .minimum = 1, .maximum = STORE_ENDPOINT_BATCH_MAX },                   \
	[KINDS_OF_ALERTS] = { "alert_kinds", BODY_TEXTS, .maximum = STORE_ENDPOINT_KINDS_MAX }

static bool take_url(struct call *call, struct endpoint_row *row, struct text url)
{
	struct fault fault;

	row->url = url;
	if (url_check(url, &fault) != OK) {
		call_problem(call, PROBLEM_BAD_BODY, "url: %s", fault.text);
		return false;
	}
	return true;
}

static bool take_events(struct call *call, struct endpoint_row *row, const struct body_value *value)
{
	enum event_type type;

	for (size_t i = 0; i < value->count; i++) {
		if (!event_type_of(value->texts[i], &type) || event_is_of_alert(type) != call->endpoint->of_everybody) {
			call_problem(call, PROBLEM_BAD_BODY, "events[%zu] is no type of event%s", i, call->endpoint->of_everybody ? " of an alert" : "");
			return false;
		}
		row->events[i] = value->texts[i];
	}
	row->event_count = value->count;
	return true;
}

static bool take_alert_kinds(struct call *call, struct endpoint_row *row, const struct body_value *value)
{
	if (!call->endpoint->of_everybody) {
		call_problem(call, PROBLEM_BAD_BODY, "alert_kinds is of endpoints for the alerts of all tenants only");
		return false;
	}
	for (size_t i = 0; i < value->count; i++) {
		if (alert_place_of(value->texts[i]) < 0) {
			call_problem(call, PROBLEM_BAD_BODY, "alert_kinds[%zu] is no kind of alert", i);
			return false;
		}
		row->alert_kinds[i] = value->texts[i];
	}
	row->alert_kind_count = value->count;
	return true;
}

static bool take_headers(struct call *call, struct endpoint_row *row, json_t *headers)
{
	const char *name;
	json_t *value;
	struct fault fault;

	row->header_count = 0;
	json_object_foreach(headers, name, value) {
		const struct text text = { json_string_value(value), json_string_length(value) };
		const char *line;

		if (row->header_count == STORE_ENDPOINT_HEADERS_MAX) {
			call_problem(call, PROBLEM_BAD_BODY, "headers has more than %d", STORE_ENDPOINT_HEADERS_MAX);
			return false;
		}
		if (!json_is_string(value) || endpoint_header_check(text_of(name), text, &fault) != OK) {
			call_problem(call, PROBLEM_BAD_BODY, "headers: %s", json_is_string(value) ? fault.text : "a value is not a text");
			return false;
		}
		line = arena_format(&call->request->arena, "%s: %.*s", name, TEXT_ARGS(text));
		assert(line != NULL); // far below the arena's budget
		row->headers[row->header_count++] = text_of(line);
	}
	return true;
}

static bool take_authority(struct call *call, struct writing *writing, const struct body_value *value)
{
	struct fault fault;

	writing->authority_is_given = true;
	if (!value->null && certificate_authority_read(&writing->authority, value->text, clock_wall_us(), &fault) != OK) {
		call_problem(call, PROBLEM_BAD_BODY, "certificate_authority: %s", fault.text);
		return false;
	}
	writing->row.certificate_authority = buffer_text(&writing->authority);
	return true;
}

static bool take_common(struct call *call, struct writing *writing, const struct body_value *values)
{
	struct endpoint_row *row = &writing->row;

	if (values[BATCH_SIZE].given) {
		row->batch_size = (int)values[BATCH_SIZE].number;
	}
	if (row->batch_size > 1 && row->format != ENDPOINT_NATIVE) {
		call_problem(call, PROBLEM_BAD_BODY, "batch_size is of the format native only");
		return false;
	}
	return (!values[URL].given || take_url(call, row, values[URL].text)) && (!values[EVENTS].given || take_events(call, row, &values[EVENTS])) &&
		(!values[KINDS_OF_ALERTS].given || take_alert_kinds(call, row, &values[KINDS_OF_ALERTS])) &&
		(!values[HEADERS].given || take_headers(call, row, values[HEADERS].object)) &&
		(!values[CERTIFICATE_AUTHORITY].given || take_authority(call, writing, &values[CERTIFICATE_AUTHORITY]));
}

static void answer(struct call *call, unsigned status)
{
	const struct writing *writing = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct endpoint_row row;

	store_endpoint_read(&call->transaction, writing->read_back, 0, &row);
	endpoint_json(&json, NULL, &row, buffer_text(&writing->secret));
	call_answer(call, status, &body);
}

// Whom its server is believed by, by fingerprints: `detail` of the audit.
static void audit(struct call *call, struct pg_transaction *t, const char *action)
{
	const struct writing *writing = call->own;
	struct buffer detail CLEANUP(buffer_fini) = BUFFER(AUDIT_DETAIL_MAX);
	struct json_out json = { .out = &detail };

	put_object(&json, NULL);
	put_id(&json, "endpoint", writing->row.endpoint_id);
	if (writing->authority_is_given) {
		endpoint_authority_fingerprints(&json, "certificate_authority", writing->row.certificate_authority);
	}
	put_object_end(&json);
	call_audit(call, t, action, call->tenant.slug, buffer_text(&detail));
}

// --- POST ---

static const struct body_member creation_members[] = {
	COMMON_MEMBERS(true),
	{ "instance", BODY_TEXT, .nullable = true, .required = true, .minimum = 1, .maximum = 63 },
	{ "format", BODY_TEXT, .minimum = 1, .maximum = 63 },
};

static const struct body_member alert_creation_members[] = { COMMON_MEMBERS(true) };

static bool read_alert_creation(struct call *call)
{
	struct body_value values[COMMON];
	struct writing *writing = begin(call);

	return body_read(call, alert_creation_members, values, COMMON) && take_common(call, writing, values);
}

static bool read_creation(struct call *call)
{
	enum { INSTANCE = COMMON, FORMAT, COUNT };
	struct body_value values[COUNT];
	struct writing *writing = begin(call);

	if (!body_read(call, creation_members, values, COUNT)) {
		return false;
	}
	writing->row.instance = values[INSTANCE].null ? TEXT_NONE : values[INSTANCE].text;
	if (values[FORMAT].given && !endpoint_format_of(values[FORMAT].text, &writing->row.format)) {
		call_problem(call, PROBLEM_BAD_BODY, "format is native or nanodep");
		return false;
	}
	return take_common(call, writing, values);
}

enum { NEXT_ID, DATA_KEY, FOUND_INSTANCE };

static void ask_number_and_key(struct call *call)
{
	const struct writing *writing = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_object_next_id(transaction);
	(void)store_data_key_current(transaction, tenant_id);
	(void)store_instance_by_name(transaction, tenant_id, writing->row.instance.length > 0 ? writing->row.instance : TEXT(""));
	call_start(call);
}

static bool take_number_and_key(struct call *call)
{
	struct writing *writing = call->own;
	struct instance_row instance;
	struct fault fault;
	enum err rc;

	if (writing->row.instance.length > 0) {
		if (pg_row_count(&call->transaction, FOUND_INSTANCE) == 0) {
			call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%.*s", TEXT_ARGS(writing->row.instance));
			return false;
		}
		store_instance_read(&call->transaction, FOUND_INSTANCE, 0, &instance);
		writing->row.instance_id = instance.instance_id;
	}
	writing->row.endpoint_id = store_object_next_id_read(&call->transaction, NEXT_ID);
	writing->row.secret_version = 1;
	rc = store_data_key_read(&call->transaction, DATA_KEY, call->service->keys, call->tenant.tenant_id, &writing->data_key, &fault);
	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

static void insert(struct call *call)
{
	struct writing *writing = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	endpoint_secret_make(&writing->secret);
	store_endpoint_insert(transaction, tenant_id, &writing->row);
	store_secret_put(transaction, &writing->data_key, SECRET_WEBHOOK, tenant_id, writing->row.endpoint_id, 1, buffer_text(&writing->secret));
	writing->read_back = store_endpoint_select(transaction, tenant_id, writing->row.endpoint_id);
	audit(call, transaction, "endpoint.create");
	call_start(call);
}

static void answer_created(struct call *call)
{
	char *location = arena_format(&call->request->arena, "/api/v1%s/endpoints/%lld", endpoint_of_whom(call, "/tenants"),
		(long long)((const struct writing *)call->own)->row.endpoint_id);

	if (location != NULL) {
		http_answer_header(call->request, "Location", location);
	}
	answer(call, 201);
}

static bool there_were_too_many(struct call *call)
{
	const enum err rc = call->transaction.op.rc;

	if (rc != ERR_FENCED && rc != ERR_CONFLICT) {
		return false;
	}
	call_problem(call, PROBLEM_TOO_MANY_ENDPOINTS, "%s", call->endpoint->of_everybody ? "there are ten"
		: rc == ERR_CONFLICT ? "the tenant has its one" : "the instance has its five");
	return true;
}

// The first one of STORE_EVERYBODY.

static bool has_no_data_key(const struct call *call)
{
	return call->endpoint->of_everybody && pg_row_count(&call->transaction, DATA_KEY) == 0;
}

static void ask_master_key(struct call *call)
{
	first_key_ask(call, &((struct writing *)call->own)->first_key, call_transaction(call, store_directory()));
	call_start(call);
}

static void put_data_key(struct call *call)
{
	struct pg_transaction *transaction = call_transaction(call, store_api(STORE_EVERYBODY));

	first_key_put(transaction, &((const struct writing *)call->own)->first_key, STORE_EVERYBODY);
	store_tenant_everybody_begin(transaction);
	call_start(call);
}

// Somebody else may have been faster.
static bool data_key_failed(struct call *call)
{
	return call->transaction.op.rc != ERR_CONFLICT && call_failed(call);
}

void endpoints_create(struct call *call)
{
	enum { NEW, NUMBERING, ASKING_MASTER_KEY, PUTTING_DATA_KEY, NUMBERING_AGAIN, INSERTING };

	switch (call->state) {
	case NEW:
		if (!(call->endpoint->of_everybody ? read_alert_creation : read_creation)(call)) {
			return;
		}
		AWAIT(call, NUMBERING, ask_number_and_key(call));
		if (call_failed(call)) {
			return;
		}
		if (has_no_data_key(call)) {
			AWAIT(call, ASKING_MASTER_KEY, ask_master_key(call));
			if (call_failed(call) || !first_key_make(call, &((struct writing *)call->own)->first_key, STORE_EVERYBODY)) {
				return;
			}
			AWAIT(call, PUTTING_DATA_KEY, put_data_key(call));
			if (data_key_failed(call)) {
				return;
			}
			AWAIT(call, NUMBERING_AGAIN, ask_number_and_key(call));
			if (call_failed(call)) {
				return;
			}
		}
		if (!take_number_and_key(call)) {
			return;
		}
		AWAIT(call, INSERTING, insert(call));
		if (!there_were_too_many(call) && !call_failed(call)) {
			answer_created(call);
		}
	}
}

// --- PATCH: what it is an endpoint of stays ---

static const struct body_member change_members[] = { COMMON_MEMBERS(false) };

// The row borrows from the transaction that it was read in, which ends when the next one begins.
static void keep(struct call *call, struct text *t)
{
	char *copy = arena_copy(&call->request->arena, *t);

	assert(copy != NULL); // all of a row is far below the arena's budget
	*t = (struct text){ copy, t->length };
}

static bool read_change(struct call *call, struct endpoint_row *endpoint)
{
	struct body_value values[COMMON];
	struct writing *writing = begin(call);
	struct endpoint_row *row = &writing->row;

	*row = *endpoint;
	if (!body_read(call, change_members, values, COMMON) || !take_common(call, writing, values)) {
		return false;
	}
	keep(call, &row->url);
	keep(call, &row->certificate_authority);
	for (size_t i = 0; i < row->event_count; i++) {
		keep(call, &row->events[i]);
	}
	for (size_t i = 0; i < row->alert_kind_count; i++) {
		keep(call, &row->alert_kinds[i]);
	}
	for (size_t i = 0; i < row->header_count; i++) {
		keep(call, &row->headers[i]);
	}
	return true;
}

static void update(struct call *call, const struct endpoint_row *endpoint)
{
	struct writing *writing = call->own;
	const int64_t tenant_id = call->tenant.tenant_id, endpoint_id = endpoint->endpoint_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_endpoint_update(transaction, tenant_id, &writing->row);
	writing->read_back = store_endpoint_select(transaction, tenant_id, endpoint_id);
	audit(call, transaction, "endpoint.change");
	call_start(call);
}

static void answer_changed(struct call *call)
{
	if (pg_row_count(&call->transaction, ((const struct writing *)call->own)->read_back) > 0) {
		answer(call, 200);
	} else {
		call_problem(call, PROBLEM_ENDPOINT_NOT_FOUND, "%s", ""); // deleted meanwhile
	}
}

void endpoint_change(struct call *call)
{
	endpoint_act(call, &(const struct endpoint_action){ .take = read_change, .act = update, .answer = answer_changed });
}
