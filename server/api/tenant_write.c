// SPDX-License-Identifier: Apache-2.0
//
// POST /tenants, PATCH /tenants/{tenant}. The slug stays what it is: it is part of every webhook of the tenant (docs/decisions/0010).
#include "api/body.h"
#include "api/first_key.h"
#include "api/layer_change.h"
#include "api/resources.h"
#include "api/rules_cost.h"
#include "api/tenant_json.h"
#include "store/tokens.h"
#include "tenants/url_guard.h"

#include <assert.h>
#include <inttypes.h>

enum {
	NAME_MAX_BYTES = 200, URL_MAX = URL_GUARD_URL_MAX, PROTOCOL_MAX = 99, INTERVAL_MAX = DAY_S, LABELS_MAX = 20, LABEL_MAX = 60,
	HOSTS_MAX = 50, NOTES_MAX = 4000, CONTACT_MAX = 400, ZONE_MAX = 60, REASON_MAX = 400, DEVICES_MAX = 1000000, WARN_DAYS_MAX = 365,
	LINES_MAX = 16384,
};

// --- what both accept ---

enum {
	DISPLAY_NAME, APPLE_URL, PROTOCOL_VERSION, SYNC_INTERVAL, LABELS, NOTES, MDM_HOSTS, BRAKE_PERCENT, BRAKE_DEVICES, TIME_ZONE,
	TECHNICAL_CONTACT, APPLE_CONTACT, EXPIRY_DAYS, COMMON,
};

#define COMMON_MEMBERS(is_new)                                                                                              \
	[DISPLAY_NAME] = { "display_name", BODY_TEXT, .required = (is_new), .minimum = 1, .maximum = NAME_MAX_BYTES },          \
	[APPLE_URL] = { "apple_url", BODY_TEXT, .nullable = true, .minimum = 1, .maximum = URL_MAX },                          \
	[PROTOCOL_VERSION] = { "protocol_version", BODY_INTEGER, .nullable = true, .minimum = 1, .maximum = PROTOCOL_MAX },    \
	[SYNC_INTERVAL] = { "sync_interval_s", BODY_INTEGER, .nullable = true, .minimum = 1, .maximum = INTERVAL_MAX },        \
	[LABELS] = { .name = "labels", .kind = BODY_TEXTS, .maximum = LABELS_MAX },                                            \
	[NOTES] = { "notes", BODY_TEXT, .nullable = true, .minimum = 1, .maximum = NOTES_MAX },                                \
	[MDM_HOSTS] = { .name = "mdm_hosts", .kind = BODY_TEXTS, .maximum = HOSTS_MAX },                                       \
	[BRAKE_PERCENT] = { "brake_percent", BODY_INTEGER, .nullable = true, .minimum = 1, .maximum = 100 },                   \
	[BRAKE_DEVICES] = { "brake_devices", BODY_INTEGER, .nullable = true, .minimum = 1, .maximum = DEVICES_MAX },           \
	[TIME_ZONE] = { "time_zone", BODY_TEXT, .nullable = true, .minimum = 1, .maximum = ZONE_MAX },                         \
	[TECHNICAL_CONTACT] = { "technical_contact", BODY_TEXT, .nullable = true, .minimum = 1, .maximum = CONTACT_MAX },      \
	[APPLE_CONTACT] = { "apple_contact", BODY_TEXT, .nullable = true, .minimum = 1, .maximum = CONTACT_MAX },              \
	[EXPIRY_DAYS] = { "expiry_days", BODY_INTEGERS, .minimum = 1, .maximum = WARN_DAYS_MAX }

static bool is_plain(struct text t)
{
	for (size_t i = 0; i < t.length; i++) {
		if ((unsigned char)t.bytes[i] < ' ' || t.bytes[i] == 0x7f) {
			return false;
		}
	}
	return t.length > 0;
}

static bool is_zone(struct text t)
{
	for (size_t i = 0; i < t.length; i++) {
		const char c = t.bytes[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '/' && c != '_' && c != '-' && c != '+') {
			return false;
		}
	}
	return true;
}

static bool labels_are_good(struct call *call, const struct body_value *value)
{
	for (size_t i = 0; i < value->count; i++) {
		if (value->texts[i].length > LABEL_MAX || !is_plain(value->texts[i])) {
			call_problem(call, PROBLEM_BAD_BODY, "labels[%zu] is empty, longer than %d bytes, or has a control character", i, LABEL_MAX);
			return false;
		}
	}
	return true;
}

static bool hosts_are_good(struct call *call, const struct body_value *value)
{
	struct fault fault;

	for (size_t i = 0; i < value->count; i++) {
		if (url_guard_check_host(value->texts[i], &fault) != OK) {
			call_problem(call, PROBLEM_BAD_BODY, "mdm_hosts[%zu]: %s", i, fault.text);
			return false;
		}
	}
	return true;
}

static bool values_are_good(struct call *call, const struct body_value *values)
{
	struct fault fault;

	if (values[APPLE_URL].text.length > 0 && url_check(values[APPLE_URL].text, &fault) != OK) {
		call_problem(call, PROBLEM_BAD_BODY, "apple_url: %s", fault.text);
		return false;
	}
	if (!is_zone(values[TIME_ZONE].text)) {
		call_problem(call, PROBLEM_BAD_BODY, "time_zone is a name such as Europe/Zurich");
		return false;
	}
	if (values[EXPIRY_DAYS].count > TOKEN_THRESHOLDS_MAX) {
		call_problem(call, PROBLEM_BAD_BODY, "expiry_days has more than %d elements", TOKEN_THRESHOLDS_MAX);
		return false;
	}
	return labels_are_good(call, &values[LABELS]) && hosts_are_good(call, &values[MDM_HOSTS]);
}

static struct text in_arena(struct call *call, const struct buffer *buffer)
{
	char *copy = arena_copy(&call->request->arena, buffer_text(buffer));

	assert(copy != NULL && !buffer->overflow); // the limits of members are far below both
	return (struct text){ copy, buffer->length };
}

static struct text join(struct call *call, const struct body_value *value)
{
	struct buffer lines CLEANUP(buffer_fini) = BUFFER(LINES_MAX);

	for (size_t i = 0; i < value->count; i++) {
		buffer_add_string(&lines, i > 0 ? "\n" : "");
		buffer_add_text(&lines, value->texts[i]);
	}
	return value->count > 0 ? in_arena(call, &lines) : TEXT("");
}

static struct text join_numbers(struct call *call, const struct body_value *value)
{
	struct buffer items CLEANUP(buffer_fini) = BUFFER(LINES_MAX);

	for (size_t i = 0; i < value->count; i++) {
		buffer_add_format(&items, "%s%" PRId64, i > 0 ? "," : "", value->numbers[i]);
	}
	return value->count > 0 ? in_arena(call, &items) : TEXT("");
}

// What is given takes the place of what is there; null empties it.
static void take_common(struct call *call, struct tenant_row *tenant, const struct body_value *values)
{
	const struct {
		struct text *to;
		int from;
	} texts[] = {
		{ &tenant->display_name, DISPLAY_NAME }, { &tenant->apple_url, APPLE_URL }, { &tenant->notes, NOTES },
		{ &tenant->time_zone, TIME_ZONE }, { &tenant->technical_contact, TECHNICAL_CONTACT }, { &tenant->apple_contact, APPLE_CONTACT },
	};
	const struct {
		int64_t *to;
		int from;
	} numbers[] = {
		{ &tenant->protocol_version, PROTOCOL_VERSION }, { &tenant->sync_interval_s, SYNC_INTERVAL },
		{ &tenant->brake_percent, BRAKE_PERCENT }, { &tenant->brake_devices, BRAKE_DEVICES },
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		*texts[i].to = values[texts[i].from].given ? values[texts[i].from].text : *texts[i].to;
	}
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		*numbers[i].to = values[numbers[i].from].given ? values[numbers[i].from].number : *numbers[i].to;
	}
	tenant->labels = values[LABELS].given ? join(call, &values[LABELS]) : tenant->labels;
	tenant->allowed_hosts = values[MDM_HOSTS].given ? join(call, &values[MDM_HOSTS]) : tenant->allowed_hosts;
	tenant->expiry_days = values[EXPIRY_DAYS].given ? join_numbers(call, &values[EXPIRY_DAYS]) : tenant->expiry_days;
}

// Members that were sent, by name: notes and contacts are no matter of the audit.
static void audit(struct call *call, struct pg_transaction *transaction, const char *action, const struct tenant_row *tenant)
{
	struct buffer detail CLEANUP(buffer_fini) = BUFFER(LINES_MAX);
	struct json_out json = { .out = &detail };
	const char *name;
	json_t *value;

	put_object(&json, NULL);
	put_text(&json, "state", tenant->state);
	put_list(&json, "members");
	json_object_foreach(call->body, name, value) {
		put_string(&json, NULL, name);
	}
	put_list_end(&json);
	put_text(&json, "reason", tenant->state_reason);
	put_object_end(&json);
	call_audit(call, transaction, action, tenant->slug, buffer_text(&detail));
}

// --- POST /tenants ---

struct creation {
	struct tenant_row tenant;
	struct first_key key;
	unsigned number_at, read_back; // the statements
};

static void finish_creation(struct call *call)
{
	first_key_fini(&((struct creation *)call->own)->key);
}

static const struct body_member creation_members[] = {
	COMMON_MEMBERS(true),
	{ "slug", BODY_TEXT, .required = true, .minimum = 1, .maximum = 63 },
};

static bool read_creation(struct call *call)
{
	enum { SLUG = COMMON, COUNT };
	struct body_value values[COUNT];
	struct creation *creation = call_own(call, sizeof *creation);

	call_on_finish(call, finish_creation);
	if (!body_read(call, creation_members, values, COUNT)) {
		return false;
	}
	if (!is_slug(values[SLUG].text)) {
		call_problem(call, PROBLEM_BAD_BODY, "slug is of lower-case letters, digits and inner hyphens");
		return false;
	}
	creation->tenant = (struct tenant_row){ .slug = values[SLUG].text, .state = TEXT("active") };
	if (!values_are_good(call, values)) {
		return false;
	}
	take_common(call, &creation->tenant, values);
	return true;
}

static void ask_number(struct call *call)
{
	struct creation *creation = call->own;
	struct pg_transaction *transaction = call_transaction(call, store_directory());

	creation->number_at = store_tenant_next_id(transaction);
	first_key_ask(call, &creation->key, transaction);
	call_start(call);
}

static bool make_data_key(struct call *call)
{
	struct creation *creation = call->own;

	creation->tenant.tenant_id = store_tenant_next_id_read(&call->transaction, creation->number_at);
	return first_key_make(call, &creation->key, creation->tenant.tenant_id);
}

// The tenant and the key of its secrets are one: neither is ever there without the other.
static void insert_tenant(struct call *call)
{
	struct creation *creation = call->own;
	const int64_t tenant_id = creation->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	store_tenant_insert(transaction, &creation->tenant);
	first_key_put(transaction, &creation->key, tenant_id);
	audit(call, transaction, "tenant.create", &creation->tenant);
	creation->read_back = store_tenant_by_id(transaction, tenant_id);
	call_start(call);
}

static void answer_created(struct call *call)
{
	const struct creation *creation = call->own;
	char *location = arena_format(&call->request->arena, "/api/v1/tenants/%.*s", TEXT_ARGS(creation->tenant.slug));

	if (location != NULL) {
		http_answer_header(call->request, "Location", location);
	}
	tenant_answer(call, 201, &call->transaction, creation->read_back);
}

void tenants_create(struct call *call)
{
	enum { NEW, NUMBERING, INSERTING };

	switch (call->state) {
	case NEW:
		if (!read_creation(call)) {
			return;
		}
		AWAIT(call, NUMBERING, ask_number(call));
		if (call_failed(call) || !make_data_key(call)) {
			return;
		}
		AWAIT(call, INSERTING, insert_tenant(call));
		if (call->transaction.op.rc == ERR_CONFLICT) {
			call_problem(call, PROBLEM_SLUG_TAKEN, "%.*s", TEXT_ARGS(((const struct creation *)call->own)->tenant.slug));
		} else if (!call_failed(call)) {
			answer_created(call);
		}
	}
}

// --- PATCH /tenants/{tenant} ---

struct changing {
	struct layer_change layers; // what it does to profiles
	struct rules_cost rules;    // and to places
	struct rules_cost_statements at;
	struct tenant_row tenant;
	bool releases;     // from quarantine
	struct change_cost cost;
	struct change described;
	unsigned read_back;
};

static void finish_change(struct call *call)
{
	struct changing *changing = call->own;

	layer_change_fini(&changing->layers);
	rules_cost_fini(&changing->rules);
}

static const char *const states[] = { "active", "paused", "archived", NULL };

enum { STATE = COMMON, REASON, CHANGE_MEMBERS };
static const struct body_member change_members[] = {
	COMMON_MEMBERS(false),
	[STATE] = { "state", BODY_TEXT, .words = states },
	[REASON] = { "reason", BODY_TEXT, .minimum = 1, .maximum = REASON_MAX },
};

// Whoever answers at apple_url is sent what the token signs; devices go to mdm_hosts.
static bool role_suffices(struct call *call, const struct body_value *values)
{
	static const int guarded[] = { APPLE_URL, MDM_HOSTS, BRAKE_PERCENT, BRAKE_DEVICES };

	for (size_t i = 0; i < sizeof guarded / sizeof *guarded && call->role < ROLE_OPERATOR; i++) {
		if (values[guarded[i]].given) {
			call_problem(call, PROBLEM_FORBIDDEN, "to change %s it needs operator, and the key is of a %s", change_members[guarded[i]].name,
				role_name(call->role));
			return false;
		}
	}
	if (text_equal(values[STATE].text, TEXT("archived")) && call->role < ROLE_OPERATOR) {
		call_problem(call, PROBLEM_FORBIDDEN, "to archive a tenant it needs operator, and the key is of a %s", role_name(call->role));
		return false;
	}
	return true;
}

// Whichever state it is left for: otherwise that would be a way around.
static bool take_state(struct call *call, struct changing *change, const struct body_value *values)
{
	struct tenant_row *tenant = &change->tenant;

	if (!values[STATE].given || text_equal(values[STATE].text, tenant->state)) {
		return true;
	}
	change->releases = text_equal(tenant->state, TEXT("quarantined"));
	if (change->releases && call->role < ROLE_ADMIN) {
		call_problem(call, PROBLEM_FORBIDDEN, "to release a quarantined tenant it needs admin, and the key is of a %s",
			role_name(call->role));
		return false;
	}
	tenant->state = values[STATE].text;
	tenant->state_reason = values[REASON].text;
	return true;
}

static bool read_change(struct call *call)
{
	struct changing *change = (struct changing *)layer_change_begin(call, sizeof *change, PROFILE_LEVEL_TENANT);
	struct body_value values[CHANGE_MEMBERS];
	int64_t version;

	change->rules.seen_since_us = INSTANT_NONE;
	call_on_finish(call, finish_change);
	change->tenant = call->tenant;
	if (!body_read(call, change_members, values, CHANGE_MEMBERS) || !role_suffices(call, values) || !values_are_good(call, values) ||
		!call_if_match(call, &version)) {
		return false;
	}
	if (version >= 0 && version != call->tenant.version) {
		call_problem(call, PROBLEM_PRECONDITION_FAILED, "another version is in force");
		return false;
	}
	take_common(call, &change->tenant, values);
	return take_state(call, change, values);
}

static void ask_token(struct call *call)
{
	(void)store_token_current(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id);
	call_start(call);
}

static bool may_be_released(struct call *call)
{
	const struct changing *change = call->own;
	struct token_row token;

	if (pg_row_count(&call->transaction, 0) > 0) {
		store_token_read(&call->transaction, 0, 0, &token);
		if (token.taken_at_us > call->tenant.state_since_us) {
			return true;
		}
	}
	if (change->tenant.state_reason.length == 0) {
		call_problem(call, PROBLEM_TENANT_QUARANTINED, "%.*s", (int)call->tenant.state_reason.length,
			call->tenant.state_reason.length > 0 ? call->tenant.state_reason.bytes : "");
		return false;
	}
	return true;
}

// --- what it does to devices: rules and profiles may use labels, names and contacts ---

static bool is_used_by_profiles(const struct call *call)
{
	const struct tenant_row *before = &call->tenant, *after = &((const struct changing *)call->own)->tenant;

	return !text_equal(before->display_name, after->display_name) || !text_equal(before->technical_contact, after->technical_contact) ||
		!text_equal(before->apple_contact, after->apple_contact) || !text_equal(before->labels, after->labels) ||
		before->protocol_version != after->protocol_version;
}

static bool is_used_by_rules(const struct call *call)
{
	return !text_equal(call->tenant.labels, ((const struct changing *)call->own)->tenant.labels);
}

static void ask_cost(struct call *call)
{
	struct changing *change = call->own;
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	layer_change_ask(transaction, call->tenant.tenant_id);
	change->at = rules_cost_ask(transaction, call->tenant.tenant_id);
	call_start(call);
}

// An error that a profile has then is shown and assigns nothing, as ever; it costs what it takes away.
static bool take_cost(struct call *call)
{
	struct changing *change = call->own;
	struct tenant_profile_row profile;

	store_tenant_profile_read(&call->transaction, LAYER_READ_PROFILE, 0, &profile);
	if (!layer_change_add(call, &change->layers, &(struct layer_states){ .tenant = &call->tenant, .before = &profile, .after = &profile,
			.tenant_after = &change->tenant }) || !rules_cost_compile_in_force(call, &change->rules, change->at, &call->tenant)) {
		return false;
	}
	rules_cost_set_labels(&change->rules, change->tenant.labels);
	change->rules.complete = !is_used_by_rules(call);
	return true;
}

static int64_t at_most(int64_t number, int64_t most)
{
	return number < most ? number : most;
}

static void list_moved(struct changing *change)
{
	struct buffer *list = &change->layers.serials;
	struct buffer moved CLEANUP(buffer_fini) = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &moved };
	struct text last;

	if (rules_cost_moved(&json, NULL, &change->rules, TEXT_NONE, SIZE_MAX, &last) > 0 && !moved.overflow) {
		buffer_add_string(list, list->length > 0 ? "," : "");
		buffer_add(list, moved.bytes + 1, moved.length - 2);
	}
	list->overflow = list->overflow || moved.overflow;
}

// A device with another place and another profile counts twice: nobody moves more than is said.
static void describe(struct call *call)
{
	struct changing *change = call->own;
	const struct change_cost places = rules_cost_total(&change->rules, &call->tenant);

	change->cost = change->layers.costs[0];
	if (places.blast.present > change->cost.blast.present) {
		change->cost.blast.present = places.blast.present;
	}
	change->cost.blast.changes = at_most(change->cost.blast.changes + places.blast.changes, change->cost.blast.present);
	list_moved(change);
	change->layers.base_version = call->tenant.version;
	change->described = layer_change_describe(&change->layers, "tenant", call->tenant.tenant_id, TEXT_NONE);
	change->described.costs = &change->cost;
}

static bool is_raised(int64_t before, int64_t after)
{
	return after > before || (after == 0) != (before == 0); // 0: the usual one, whichever it is
}

static void note_limits(struct call *call, struct pg_transaction *transaction)
{
	const struct tenant_row *before = &call->tenant, *after = &((const struct changing *)call->own)->tenant;

	if (is_raised(before->brake_devices, after->brake_devices) || is_raised(before->brake_percent, after->brake_percent)) {
		store_account_note_limits(transaction, before, call->key.key_id);
	}
}

// The row was read before this transaction: `version` proves that nothing of it has changed since, so that nothing is undone.
static void update_tenant(struct call *call)
{
	struct changing *change = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	if (change->described.kind != NULL) {
		change_begin(call, transaction, &change->described);
	}
	store_tenant_update(transaction, &change->tenant);
	store_tenant_require_hosts(transaction, tenant_id);
	note_limits(call, transaction);
	change_settle(call, transaction, &change->described);
	audit(call, transaction, "tenant.change", &change->tenant);
	change->read_back = store_tenant_by_id(transaction, tenant_id);
	call_start(call);
}

void tenant_change(struct call *call)
{
	enum { NEW, READING_TOKEN, COSTING, MOVING, LISTING, REQUESTING, UPDATING };
	struct changing *change = call->own;

	switch (call->state) {
	case NEW:
		if (!read_change(call)) {
			return;
		}
		if (((const struct changing *)call->own)->releases) {
			AWAIT(call, READING_TOKEN, ask_token(call));
			if (call_failed(call) || !may_be_released(call)) {
				return;
			}
		}
		if (is_used_by_profiles(call) || call->granted != NULL) {
			AWAIT(call, COSTING, ask_cost(call));
			if (call_failed(call) || !take_cost(call)) {
				return;
			}
			while (!change->rules.complete) {
				AWAIT(call, MOVING, rules_cost_read(call, &change->rules));
				if (call_failed(call)) {
					return;
				}
				rules_cost_take(call, &change->rules);
			}
			if (layer_change_must_list(&change->layers)) {
				AWAIT(call, LISTING, layer_change_list(call, &change->layers, call->tenant.tenant_id));
				if (call_failed(call)) {
					return;
				}
				layer_change_take_list(call, &change->layers);
			}
			describe(call);
			if (change_needs_approval(call, &change->described)) {
				AWAIT(call, REQUESTING, change_request(call, &change->described));
				change_answer_requested(call);
				return;
			}
		}
		AWAIT(call, UPDATING, update_tenant(call));
		if (call->transaction.op.rc == ERR_FENCED) {
			change_refused(call, "somebody changed it at the same moment");
		} else if (store_tenant_hosts_were_refused(&call->transaction)) {
			call_problem(call, PROBLEM_HOST_NOT_ALLOWED, "an instance uses a host that is not in mdm_hosts");
		} else if (!call_failed(call)) {
			tenant_answer(call, 200, &call->transaction, ((const struct changing *)call->own)->read_back);
		}
	}
}
