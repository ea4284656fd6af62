// SPDX-License-Identifier: Apache-2.0
//
// POST /tenants/{tenant}/instances, PATCH .../{instance}
#include "api/body.h"
#include "api/endpoint_json.h"
#include "api/instance_json.h"
#include "api/instance_retire.h"
#include "api/layer_change.h"
#include "api/resources.h"
#include "crypto/certificate.h"
#include "store/secrets.h"
#include "store/stream.h"
#include "store/tokens.h"
#include "tenants/url_guard.h"

#include <assert.h>

_Static_assert((int)STORE_HOSTS_MAX <= (int)BODY_STRINGS_MAX, "a body can hold all the hosts");

static const char *const kinds[] = { "nanomdm", "nanohub", "micromdm", "fleet", "zentral", "jamf", "simplemdm", "iru", "intune", "mosyle",
	"addigy", "jumpcloud", "meraki", "generic", "parking", NULL };
static const char *const states[] = { "active", "draining", "retired", NULL };

enum { LABEL_MAX = 64 };

struct writing {
	struct layer_change change;
	struct instance_row row;
	bool has_layer; // the request brings one
	struct data_key data_key;
	struct buffer webhook_secret; // its spelling
	unsigned read_back;
	struct change described;
	struct instance_retire retire; // of PATCH
};

static void finish(struct call *call)
{
	struct writing *writing = call->own;

	layer_change_fini(&writing->change);
	buffer_fini_wiped(&writing->webhook_secret);
	data_key_fini(&writing->data_key);
}

static struct writing *begin(struct call *call)
{
	struct writing *writing = (struct writing *)layer_change_begin(call, sizeof *writing, PROFILE_LEVEL_INSTANCE);

	writing->webhook_secret = BUFFER(ENDPOINT_SECRET_SPELLING);
	writing->row.profile = TEXT("{}");
	call_on_finish(call, finish);
	return writing;
}

// --- what both accept ---

enum { ENROLMENT_URL, ALLOWED_HOSTS, WEBHOOK_URL, PROFILE, STATE, LABELS, ANCHOR_CERTS, COMMON };
#define COMMON_MEMBERS(is_required)                                                                                  \
	[ENROLMENT_URL] = { "enrolment_url", BODY_TEXT, .required = (is_required), .minimum = 1,                          \
		.maximum = URL_GUARD_URL_MAX },                                                                               \
	[ALLOWED_HOSTS] = { "allowed_hosts", BODY_TEXTS, .required = (is_required), .minimum = 1,                         \
		.maximum = STORE_HOSTS_MAX },                                                                                 \
	[WEBHOOK_URL] = { "webhook_url", BODY_TEXT, .nullable = true, .minimum = 1, .maximum = URL_GUARD_URL_MAX },       \
	[PROFILE] = { .name = "profile", .kind = BODY_OBJECT },                                                           \
	[STATE] = { .name = "state", .kind = BODY_TEXT, .words = states },                                                \
	[LABELS] = { .name = "labels", .kind = BODY_TEXTS, .maximum = STORE_INSTANCE_LABELS_MAX },                        \
	[ANCHOR_CERTS] = { .name = "anchor_certs", .kind = BODY_TEXTS, .maximum = STORE_ANCHORS_MAX }

static bool hosts_are_good(struct call *call, const struct instance_row *row)
{
	struct fault fault;

	for (size_t i = 0; i < row->allowed_host_count; i++) {
		if (url_guard_check_host(row->allowed_hosts[i], &fault) != OK) {
			call_problem(call, PROBLEM_BAD_BODY, "allowed_hosts[%zu]: %s", i, fault.text);
			return false;
		}
	}
	return true;
}

static bool urls_are_good(struct call *call, const struct instance_row *row)
{
	struct fault fault;

	if (url_guard_check(row->enrolment_url, row->allowed_hosts, row->allowed_host_count, &fault) != OK) {
		call_problem(call, PROBLEM_URL_NOT_ALLOWED, "enrolment_url: %s", fault.text);
		return false;
	}
	if (row->webhook_url.length > 0 && url_check(row->webhook_url, &fault) != OK) {
		call_problem(call, PROBLEM_BAD_BODY, "webhook_url: %s", fault.text);
		return false;
	}
	return true;
}

static bool take_layer(struct call *call, struct writing *writing)
{
	writing->has_layer = true;
	if (!layer_change_check(call, &writing->change, "\"profile\"")) {
		return false;
	}
	writing->row.profile = writing->change.layer;
	return true;
}

static bool is_label(struct text label)
{
	for (size_t i = 0; i < label.length; i++) {
		if ((unsigned char)label.bytes[i] < ' ' || label.bytes[i] == 0x7f) {
			return false;
		}
	}
	return label.length > 0 && label.length <= LABEL_MAX;
}

static bool take_labels(struct call *call, struct instance_row *row, const struct body_value *value)
{
	for (size_t i = 0; i < value->count; i++) {
		if (!is_label(value->texts[i])) {
			call_problem(call, PROBLEM_BAD_BODY, "labels[%zu] is empty, longer than %d bytes, or has a control character", i, LABEL_MAX);
			return false;
		}
		row->labels[i] = value->texts[i];
	}
	row->label_count = value->count;
	return true;
}

static bool take_anchors(struct call *call, struct instance_row *row, const struct body_value *value)
{
	struct fault fault;

	for (size_t i = 0; i < value->count; i++) {
		if (certificate_check_pem(value->texts[i], &fault) != OK) {
			call_problem(call, PROBLEM_BAD_BODY, "anchor_certs[%zu]: %s", i, fault.text);
			return false;
		}
		row->anchor_certs[i] = text_trim(value->texts[i]);
	}
	row->anchor_cert_count = value->count;
	return true;
}

static bool take_common(struct call *call, struct writing *writing, const struct body_value *values)
{
	struct instance_row *row = &writing->row;

	row->enrolment_url = values[ENROLMENT_URL].given ? values[ENROLMENT_URL].text : row->enrolment_url;
	row->webhook_url = values[WEBHOOK_URL].given ? values[WEBHOOK_URL].text : row->webhook_url;
	if (values[ALLOWED_HOSTS].given) {
		row->allowed_host_count = values[ALLOWED_HOSTS].count;
		for (size_t i = 0; i < row->allowed_host_count; i++) {
			row->allowed_hosts[i] = values[ALLOWED_HOSTS].texts[i];
		}
	}
	row->state = values[STATE].given ? values[STATE].text : row->state;
	if (!hosts_are_good(call, row) || !urls_are_good(call, row) || (values[LABELS].given && !take_labels(call, row, &values[LABELS])) ||
		(values[ANCHOR_CERTS].given && !take_anchors(call, row, &values[ANCHOR_CERTS]))) {
		return false;
	}
	return !values[PROFILE].given || take_layer(call, writing);
}

static bool hosts_were_refused(struct call *call)
{
	if (!store_tenant_hosts_were_refused(&call->transaction)) {
		return false;
	}
	call_problem(call, PROBLEM_HOST_NOT_ALLOWED, "allowed_hosts has one that is not in the tenant's mdm_hosts");
	return true;
}

static void answer(struct call *call, unsigned status)
{
	const struct writing *writing = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct instance_row row;

	store_instance_read(&call->transaction, writing->read_back, 0, &row);
	instance_json(&json, NULL, &row, buffer_text(&writing->webhook_secret));
	instance_put_etag(call, &row);
	call_answer(call, status, &body);
}

// --- POST ---

static const struct body_member creation_members[] = {
	COMMON_MEMBERS(true),
	{ "name", BODY_TEXT, .required = true, .minimum = 1, .maximum = 63 },
	{ "kind", BODY_TEXT, .required = true, .words = kinds },
};

static bool read_creation(struct call *call)
{
	enum { NAME = COMMON, KIND, COUNT };
	struct body_value values[COUNT];
	struct writing *writing = begin(call);

	if (!body_read(call, creation_members, values, COUNT)) {
		return false;
	}
	if (!is_slug(values[NAME].text)) {
		call_problem(call, PROBLEM_BAD_BODY, "name is of lower-case letters, digits and inner hyphens");
		return false;
	}
	writing->row.name = values[NAME].text;
	writing->row.kind = values[KIND].text;
	return take_common(call, writing, values);
}

enum { NEXT_ID = LAYER_READ_MORE, DATA_KEY };

static void ask_number_and_key(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	layer_change_ask(transaction, tenant_id);
	(void)store_object_next_id(transaction);
	(void)store_data_key_current(transaction, tenant_id);
	call_start(call);
}

static bool take_number_and_key(struct call *call)
{
	struct writing *writing = call->own;
	struct tenant_profile_row profile;
	struct fault fault;
	enum err rc;

	if (pg_row_count(&call->transaction, LAYER_READ_INSTANCES) >= STORE_INSTANCES_MAX) {
		call_problem(call, PROBLEM_TOO_MANY_INSTANCES, "%d", STORE_INSTANCES_MAX);
		return false;
	}
	store_tenant_profile_read(&call->transaction, LAYER_READ_PROFILE, 0, &profile);
	if (!layer_change_check_new(call, &call->tenant, &profile, &writing->row)) {
		return false;
	}
	writing->row.instance_id = store_object_next_id_read(&call->transaction, NEXT_ID);
	writing->row.webhook_secret_version = 1;
	rc = store_data_key_read(&call->transaction, DATA_KEY, call->service->keys, call->tenant.tenant_id,
		&writing->data_key, &fault);
	if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

// A version of its own, with who and when.
static void put_layer(struct call *call, struct pg_transaction *t)
{
	const struct writing *writing = call->own;
	const struct layer_author author = layer_change_author(call, &writing->change);

	if (writing->has_layer) {
		(void)store_instance_profile_put(t, call->tenant.tenant_id, writing->row.instance_id, writing->row.profile_version, writing->change.layer, &author);
	}
}

static void insert_instance(struct call *call)
{
	struct writing *writing = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	endpoint_secret_make(&writing->webhook_secret);
	store_instance_insert(transaction, tenant_id, &writing->row);
	store_secret_put(transaction, &writing->data_key, SECRET_WEBHOOK, tenant_id, writing->row.instance_id, (int)writing->row.webhook_secret_version,
		buffer_text(&writing->webhook_secret));
	put_layer(call, transaction);
	store_tenant_require_hosts(transaction, tenant_id);
	call_audit(call, transaction, "instance.create", call->tenant.slug, TEXT_NONE);
	writing->read_back = store_instance_by_name(transaction, tenant_id, writing->row.name);
	call_start(call);
}

static void answer_created(struct call *call)
{
	char *location = arena_format(&call->request->arena, "/api/v1/tenants/%.*s/instances/%.*s", TEXT_ARGS(call->tenant.slug),
		TEXT_ARGS(((const struct writing *)call->own)->row.name));

	if (location != NULL) {
		http_answer_header(call->request, "Location", location);
	}
	answer(call, 201);
}

void instances_create(struct call *call)
{
	enum { NEW, NUMBERING, INSERTING };

	switch (call->state) {
	case NEW:
		if (!read_creation(call)) {
			return;
		}
		AWAIT(call, NUMBERING, ask_number_and_key(call));
		if (call_failed(call) || !take_number_and_key(call)) {
			return;
		}
		AWAIT(call, INSERTING, insert_instance(call));
		if (call->transaction.op.rc == ERR_CONFLICT) {
			call_problem(call, PROBLEM_NAME_TAKEN, "%.*s", TEXT_ARGS(((const struct writing *)call->own)->row.name));
		} else if (!hosts_were_refused(call) && !call_failed(call)) {
			answer_created(call);
		}
	}
}

// --- PATCH: name and kind stay what they are ---

enum { TARGET = COMMON, CHANGE };
static const struct body_member change_members[CHANGE] = {
	COMMON_MEMBERS(false),
	[TARGET] = { "target", BODY_TEXT, .minimum = 1, .maximum = 63 },
};

static void ask_one(struct call *call)
{
	struct writing *writing = begin(call);
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	layer_change_ask(transaction, tenant_id);
	instance_retire_ask(&writing->retire, transaction, tenant_id);
	call_start(call);
}

// Its devices go to another instance, by a job: nothing else is changed.
static bool read_target(struct call *call, const struct body_value *values)
{
	struct writing *writing = call->own;

	writing->retire.target = values[TARGET].text;
	writing->retire.dry_run = writing->change.dry_run;
	for (size_t i = 0; i < COMMON; i++) {
		if (values[i].given != (i == STATE) || !text_equal_string(values[STATE].text, "retired")) {
			call_problem(call, PROBLEM_BAD_BODY, "target goes with \"state\": \"retired\" and with nothing else");
			return false;
		}
	}
	return instance_retire_take(call, &writing->retire, LAYER_READ_INSTANCES, &writing->row);
}

static bool find_instance(struct call *call, struct instance_row *out)
{
	for (size_t i = 0; i < pg_row_count(&call->transaction, LAYER_READ_INSTANCES); i++) {
		store_instance_read(&call->transaction, LAYER_READ_INSTANCES, i, out);
		if (text_equal(out->name, call->request->parameters[1])) {
			return true;
		}
	}
	call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%s", "");
	return false;
}

// Its profile is looked at with the URL and the hosts as they will be, also when only these change.
static bool read_change(struct call *call)
{
	struct body_value values[CHANGE];
	struct writing *writing = call->own;
	struct layer_change *change = &writing->change;
	struct tenant_profile_row profile;

	if (!find_instance(call, &writing->row) || !body_read(call, change_members, values, CHANGE) ||
		!call_flag(call, "dry_run", &change->dry_run) || !call_if_match(call, &change->expected_version) ||
		!layer_change_base(call, change, writing->row.version)) {
		return false;
	}
	if (values[TARGET].given) {
		return read_target(call, values);
	}
	if (!take_common(call, writing, values)) {
		return false;
	}
	if (!change->dry_run && !values[PROFILE].given && !values[ALLOWED_HOSTS].given && !values[ENROLMENT_URL].given) {
		return true; // whatever the profile is: an instance with an error in it can be retired
	}
	store_tenant_profile_read(&call->transaction, LAYER_READ_PROFILE, 0, &profile);
	return layer_change_add(call, change, &(struct layer_states){ .tenant = &call->tenant, .before = &profile, .after = &profile,
		.instance_after = &writing->row }) && layer_change_may_go_on(call, change);
}

// The row borrows from the transaction that it was read in, which ends when the next one begins.
static void keep(struct call *call, struct text *t)
{
	char *copy = arena_copy(&call->request->arena, *t);

	assert(copy != NULL); // all of a row is far below the arena's budget
	*t = (struct text){ copy, t->length };
}

#define CHANGED_MEANWHILE "its profile was changed, or other devices were moved, meanwhile"

static bool is_retiring(const struct instance_row *row)
{
	return text_equal(row->state, TEXT("retired"));
}

static void count_use(struct call *call)
{
	const struct writing *writing = call->own;

	(void)store_instance_use(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, writing->row.instance_id);
	call_start(call);
}

static void refuse_for_use(struct call *call)
{
	struct buffer extra CLEANUP(buffer_fini) = BUFFER(ENDPOINT_SECRET_SPELLING);
	struct json_out json = { .out = &extra };
	struct instance_use use;

	store_instance_use_read(&call->transaction, 0, &use);
	if (use.devices == 0 && !use.is_named && !use.is_parking) { // then it was fenced for another reason
		change_refused(call, CHANGED_MEANWHILE);
		return;
	}
	put_int(&json, "devices", use.devices);
	put_bool(&json, "named_by_rules", use.is_named);
	put_bool(&json, "parking", use.is_parking);
	call_problem_with(call, PROBLEM_INSTANCE_HAS_DEVICES, buffer_text(&extra), "%lld devices are sent to it%s%s", (long long)use.devices,
		use.is_named ? ", and rules or pins name it" : "", use.is_parking ? ", and the tenant's profile names it for parking" : "");
}

static void keep_row(struct call *call)
{
	struct instance_row *row = &((struct writing *)call->own)->row;

	keep(call, &row->enrolment_url);
	keep(call, &row->webhook_url);
	for (size_t i = 0; i < row->allowed_host_count; i++) {
		keep(call, &row->allowed_hosts[i]);
	}
	keep(call, &row->state);
	for (size_t i = 0; i < row->label_count; i++) {
		keep(call, &row->labels[i]);
	}
	for (size_t i = 0; i < row->anchor_cert_count; i++) {
		keep(call, &row->anchor_certs[i]);
	}
}

static void update_instance(struct call *call)
{
	struct writing *writing = call->own;
	const struct instance_row *row = &writing->row;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	change_begin(call, transaction, &writing->described);
	(void)store_instance_update(transaction, tenant_id, row);
	put_layer(call, transaction);
	change_settle(call, transaction, &writing->described);
	if (is_retiring(row)) {
		store_instance_require_unused(transaction, tenant_id, row->instance_id);
	}
	store_tenant_require_hosts(transaction, tenant_id);
	call_audit(call, transaction, "instance.change", call->tenant.slug, TEXT_NONE);
	writing->read_back = store_instance_by_name(transaction, tenant_id, call->request->parameters[1]);
	call_start(call);
}

void instance_change(struct call *call)
{
	enum { NEW, READING, LISTING, REQUESTING, UPDATING, COUNTING, RETIRING };
	struct writing *writing = call->own;

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask_one(call));
		if (call_failed(call) || !read_change(call)) {
			return;
		}
		writing = call->own;
		if (writing->retire.target.bytes != NULL) {
			AWAIT(call, RETIRING, instance_retire_insert(call, &writing->retire, writing->row.instance_id));
			instance_retire_answer(call, &writing->retire);
			return;
		}
		keep_row(call);
		if (layer_change_must_list(&writing->change)) {
			AWAIT(call, LISTING, layer_change_list(call, &writing->change, call->tenant.tenant_id));
			if (call_failed(call)) {
				return;
			}
			layer_change_take_list(call, &writing->change);
		}
		writing->described = layer_change_describe(&writing->change, "instance", call->tenant.tenant_id, call->request->parameters[1]);
		if (change_needs_approval(call, &writing->described)) {
			AWAIT(call, REQUESTING, change_request(call, &writing->described));
			change_answer_requested(call);
			return;
		}
		AWAIT(call, UPDATING, update_instance(call));
		if (call->transaction.op.rc == ERR_FENCED && !is_retiring(&writing->row)) {
			change_refused(call, CHANGED_MEANWHILE);
			return;
		}
		if (call->transaction.op.rc == ERR_FENCED) {
			AWAIT(call, COUNTING, count_use(call));
			if (!call_failed(call)) {
				refuse_for_use(call);
			}
			return;
		}
		if (!hosts_were_refused(call) && !call_failed(call)) {
			answer(call, 200);
		}
	}
}
