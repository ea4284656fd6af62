// SPDX-License-Identifier: Apache-2.0
#include "api/layer_change.h"

#include "tenants/members.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS_MAX = 32 << 20, EXTRA_MAX = 1 << 20, DETAIL_MAX = 1 << 19 };

// --- what was sent ---

void layer_change_fini(struct layer_change *change)
{
	arena_fini(&change->arena);
	buffer_fini(&change->items);
	buffer_fini(&change->serials);
	buffer_fini(&change->detail);
	free(change->costs);
	change->costs = NULL;
}

static void finish(struct call *call)
{
	layer_change_fini(call->own);
}

struct layer_change *layer_change_begin(struct call *call, size_t size, enum profile_level level)
{
	struct layer_change *change = call_own(call, size);

	*change = (struct layer_change){
		.arena = ARENA(PROFILE_ARENA_BUDGET), .level = level, .items = BUFFER(ITEMS_MAX), .expected_version = -1,
		.serials = BUFFER(CALL_ANSWER_MAX), .detail = BUFFER(DETAIL_MAX),
	};
	call_on_finish(call, finish);
	return change;
}

// A URL that is not allowed has a code of its own; programs have known it for longer.
static bool is_about_a_url(const struct findings *findings)
{
	static const char *const codes[] = { "url", "host", "look_alike" };

	for (size_t i = 0; i < findings->count; i++) {
		for (size_t code = 0; code < sizeof codes / sizeof *codes; code++) {
			if (findings->items[i].severity == FINDING_ERROR && strcmp(findings->items[i].code, codes[code]) == 0) {
				return true;
			}
		}
	}
	return false;
}

static struct text first_error(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		if (findings->items[i].severity == FINDING_ERROR) {
			return findings->items[i].sentence;
		}
	}
	return TEXT("there are more errors than can be shown");
}

static void refuse_findings(struct call *call, const struct findings *findings, enum profile_level alone)
{
	struct buffer extra CLEANUP(buffer_fini) = BUFFER(EXTRA_MAX);
	struct json_out json = { .out = &extra };

	put_findings(&json, "findings", findings, alone, FINDING_WARNING);
	call_problem_with(call, is_about_a_url(findings) ? PROBLEM_URL_NOT_ALLOWED : PROBLEM_PROFILE_INVALID,
		extra.overflow ? TEXT_NONE : buffer_text(&extra), "%.*s", TEXT_ARGS(first_error(findings)));
}

bool layer_change_check(struct call *call, struct layer_change *change, const char *quoted_name)
{
	struct fault fault;
	enum err rc;

	change->layer = member_value(call->request->body, text_of(quoted_name));
	if (change->layer.bytes == NULL) {
		call_problem(call, PROBLEM_BAD_BODY, "%s is written with escapes in its name", quoted_name);
		return false;
	}
	rc = profile_layer_check(&change->findings, change->layer, &change->arena, &fault);
	if (rc == ERR_BUDGET) {
		call_problem(call, PROBLEM_PROFILE_INVALID, "%s", fault.text);
	} else if (rc != OK) {
		call_problem_of(call, rc, &fault);
	} else if (change->findings.error_count > 0) {
		refuse_findings(call, &change->findings, change->level);
	}
	return rc == OK && change->findings.error_count == 0;
}

bool layer_change_read(struct call *call, const struct body_member *members, struct body_value *values, size_t count)
{
	struct layer_change *change = call->own;

	if (!body_read(call, members, values, count) || !call_if_match(call, &change->expected_version) ||
		!call_flag(call, "dry_run", &change->dry_run)) {
		return false;
	}
	change->reason = values[LAYER_BODY_REASON].text;
	return layer_change_check(call, change, "\"layer\"");
}

// --- what it would do ---

void layer_change_ask(struct pg_transaction *t, int64_t tenant_id)
{
	const unsigned first = store_tenant_by_id(t, tenant_id);

	assert(first == LAYER_READ_TENANT);
	(void)store_tenant_profile_select(t, tenant_id);
	(void)store_instance_list(t, tenant_id);
	(void)store_instance_device_counts(t, tenant_id);
	(void)store_account_select(t, tenant_id);
}

static int64_t devices_of(const struct pg_transaction *t, int64_t instance_id)
{
	int64_t id, devices;

	for (size_t i = 0; i < pg_row_count(t, LAYER_READ_COUNTS); i++) {
		store_instance_device_count_read(t, LAYER_READ_COUNTS, i, &id, &devices);
		if (id == instance_id) {
			return devices;
		}
	}
	return 0;
}

struct comparison {
	struct arena arena;
	struct profile_rendered before, after;
};

static enum err compare(struct comparison *comparison, const struct layer_states *states, const struct instance_row *stored,
	struct fault *fault)
{
	const bool replaced = states->instance_after != NULL && states->instance_after->instance_id == stored->instance_id;
	const struct profile_parts before = profile_parts_of(states->tenant, states->before, stored);
	const struct tenant_row *tenant = states->tenant_after != NULL ? states->tenant_after : states->tenant;
	const struct profile_parts after = profile_parts_of(tenant, states->after, replaced ? states->instance_after : stored);

	TRY(profile_compose(&comparison->before, &before, &comparison->arena, fault));
	return profile_compose(&comparison->after, &after, &comparison->arena, fault);
}

static bool is_same(const struct profile_rendered *a, const struct profile_rendered *b)
{
	return text_equal(a->content, b->content); // both with an error: nothing is assigned, before and after
}

struct tenant_cost {
	int64_t present, changes;
};

static void note_changed(struct layer_change *change, int64_t instance_id, const struct profile_rendered *after)
{
	struct buffer digest CLEANUP(buffer_fini) = BUFFER(2 * SHA256_SIZE);
	char *written = change->changed_profiles[change->changed_count];

	if (after->content.bytes != NULL) {
		buffer_add_hex(&digest, after->digest, SHA256_SIZE);
	}
	(void)snprintf(written, sizeof change->changed_profiles[0], "%.*s", (int)digest.length, digest.length > 0 ? digest.bytes : "");
	change->changed[change->changed_count++] = instance_id;
}

// What becomes of devices of the instance, or of held ones when it is for parking. Of several that are, only the one in use counts.
struct use {
	bool before, after;
	int64_t devices;
};

static struct use use_of(const struct call *call, const struct layer_states *states, const struct instance_row *instance)
{
	const int64_t id = instance->instance_id;
	struct use use = { .before = true, .after = true };

	if (store_instance_is_parking(instance)) {
		use.before = states->before->parking_instance_id == id;
		use.after = states->after->parking_instance_id == id;
		use.devices = use.before || use.after ? devices_of(&call->transaction, 0) : 0;
	} else {
		use.devices = devices_of(&call->transaction, id);
	}
	return use;
}

static void add_instance(struct layer_change *change, struct json_out *json, const struct layer_states *states,
	const struct comparison *comparison, const struct instance_row *stored, const struct use *use, struct tenant_cost *cost)
{
	const bool is_held_as = store_instance_is_parking(stored);
	const int64_t devices = use->devices;
	const bool changes = use->before != use->after || !is_same(&comparison->before, &comparison->after);
	const bool has_error = comparison->after.content.bytes == NULL;
	const bool is_own = states->instance_after != NULL && states->instance_after->instance_id == stored->instance_id;

	cost->present += use->after || states->after->parking_instance_id == 0 ? devices : 0; // held ones once
	cost->changes += changes ? devices : 0;
	if (changes && devices > 0) {
		note_changed(change, stored->instance_id, &comparison->after);
		change->held_as = is_held_as && (use->after || change->held_as == 0) ? stored->instance_id : change->held_as;
	}
	if (has_error && (is_own || (use->after && !use->before) || comparison->before.content.bytes != NULL)) {
		change->broken++;
		change->is_about_a_url = change->is_about_a_url || is_about_a_url(&comparison->after.findings);
	}
	if (changes || has_error) {
		put_object(json, NULL);
		put_text(json, "instance", stored->name);
		put_int(json, "devices", changes ? devices : 0);
		put_findings(json, "errors", &comparison->after.findings, PROFILE_LEVEL_BROKER, FINDING_ERROR);
		put_object_end(json);
	}
}

static void add_cost(struct call *call, struct layer_change *change, const struct tenant_row *tenant, const struct tenant_cost *cost)
{
	change->tenants += cost->changes > 0;
	change->devices += cost->changes;
	if (change->cost_count == change->cost_capacity) {
		change->cost_capacity = change->cost_capacity == 0 ? 4 : 2 * change->cost_capacity;
		change->costs = reallocate(change->costs, change->cost_capacity * sizeof *change->costs);
	}
	change->costs[change->cost_count++] = change_cost_of(call, LAYER_READ_ACCOUNT, tenant, cost->present, cost->changes);
}

static enum err add_instances(struct call *call, struct layer_change *change, const struct layer_states *states, struct fault *fault)
{
	struct comparison comparison = { .arena = ARENA(2 * PROFILE_ARENA_BUDGET) };
	struct json_out json = { .out = &change->items, .comma = change->items.length > 0 };
	struct tenant_cost cost = { 0, 0 };
	enum err rc = OK;

	change->changed_count = 0;
	change->held_as = 0;
	put_object(&json, NULL);
	put_text(&json, "tenant", states->tenant->slug);
	put_list(&json, "instances");
	for (size_t i = 0; rc == OK && i < pg_row_count(&call->transaction, LAYER_READ_INSTANCES); i++) {
		struct instance_row stored;

		store_instance_read(&call->transaction, LAYER_READ_INSTANCES, i, &stored);
		arena_reset(&comparison.arena);
		rc = compare(&comparison, states, &stored, fault);
		if (rc == OK) {
			const struct use use = use_of(call, states, &stored);

			add_instance(change, &json, states, &comparison, &stored, &use, &cost);
		}
	}
	put_list_end(&json);
	put_int(&json, "devices", cost.changes);
	put_int(&json, "present", cost.present);
	put_object_end(&json);
	add_cost(call, change, states->tenant, &cost);
	arena_fini(&comparison.arena);
	return rc;
}

bool layer_change_add(struct call *call, struct layer_change *change, const struct layer_states *states)
{
	struct fault fault;
	const enum err rc = add_instances(call, change, states, &fault);

	if (rc == ERR_BUDGET) {
		call_problem(call, PROBLEM_PROFILE_INVALID, "%s", fault.text);
	} else if (rc != OK) {
		call_problem_of(call, rc, &fault);
	}
	return rc == OK;
}

bool layer_change_must_list(const struct layer_change *change)
{
	return change->changed_count > 0 && !change->dry_run;
}

void layer_change_list(struct call *call, const struct layer_change *change, int64_t tenant_id)
{
	struct text profiles[STORE_INSTANCES_MAX];

	for (size_t i = 0; i < change->changed_count; i++) {
		profiles[i] = text_of(change->changed_profiles[i]);
	}
	(void)store_instance_device_list(call_transaction(call, store_api(tenant_id)), tenant_id, change->changed, profiles, change->changed_count, change->held_as);
	call_start(call);
}

void layer_change_take_list(struct call *call, struct layer_change *change)
{
	const struct text serials = store_instance_device_list_read(&call->transaction, 0);

	if (serials.length > 0) {
		buffer_add_string(&change->serials, change->serials.length > 0 ? "," : "");
		buffer_add_text(&change->serials, serials);
	}
}

bool layer_change_check_new(struct call *call, const struct tenant_row *tenant, const struct tenant_profile_row *profile,
	const struct instance_row *instance)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	const struct profile_parts parts = profile_parts_of(tenant, profile, instance);
	struct profile_rendered rendered;
	struct fault fault;
	const enum err rc = profile_compose(&rendered, &parts, &arena, &fault);

	if (rc != OK) {
		call_problem(call, PROBLEM_PROFILE_INVALID, "%s", fault.text);
	} else if (rendered.content.bytes == NULL) {
		refuse_findings(call, &rendered.findings, PROFILE_LEVEL_BROKER);
	}
	return rc == OK && rendered.content.bytes != NULL;
}

// --- whether it is made ---

static bool is_over_limit(const struct layer_change *change)
{
	for (size_t i = 0; i < change->cost_count; i++) {
		if (blast_decide(&change->costs[i].limits, &change->costs[i].blast) == BLAST_NEEDS_APPROVAL) {
			return true;
		}
	}
	return false;
}

static void put_preview(struct json_out *json, const struct layer_change *change)
{
	put_bool(json, "needs_approval", is_over_limit(change));
	put_int(json, "tenants", change->tenants);
	put_int(json, "devices", change->devices);
	put_findings(json, "findings", &change->findings, change->level, FINDING_NOTE);
	put_list(json, "items");
	if (change->items.length > 0) {
		put_raw(json, NULL, buffer_text(&change->items));
	}
	put_list_end(json);
}

static void answer_preview(struct call *call, const struct layer_change *change)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	body.overflow = change->items.overflow;
	put_object(&json, NULL);
	put_bool(&json, "dry_run", true);
	put_preview(&json, change);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void refuse(struct call *call, const struct layer_change *change, enum api_problem which, const char *detail)
{
	struct buffer extra CLEANUP(buffer_fini) = BUFFER(EXTRA_MAX);
	struct json_out json = { .out = &extra };

	put_preview(&json, change);
	call_problem_with(call, which, extra.overflow ? TEXT_NONE : buffer_text(&extra), "%s", detail);
}

bool layer_change_may_go_on(struct call *call, struct layer_change *change)
{
	char detail[160];

	if (change->dry_run) {
		answer_preview(call, change);
		return false;
	}
	if (change->broken > 0) {
		(void)snprintf(detail, sizeof detail, "%" PRId64 " instances would have a profile with an error", change->broken);
		refuse(call, change, change->is_about_a_url ? PROBLEM_URL_NOT_ALLOWED : PROBLEM_PROFILE_INVALID, detail);
		return false;
	}
	if (change->serials.overflow) {
		call_problem(call, PROBLEM_ANSWER_TOO_LARGE, "it changes too many devices at once");
		return false;
	}
	return true;
}

bool layer_change_base(struct call *call, struct layer_change *change, int64_t version)
{
	const int64_t expected = call->granted != NULL ? call->granted->approval.base_version : change->expected_version;

	change->base_version = version;
	if (expected >= 0 && expected != version) {
		call_problem(call, PROBLEM_PRECONDITION_FAILED, "another version is in force");
		return false;
	}
	return true;
}

struct change layer_change_describe(struct layer_change *change, const char *kind, int64_t tenant_id, struct text target)
{
	struct json_out json = { .out = &change->detail };

	buffer_clear(&change->detail);
	put_object(&json, NULL);
	put_preview(&json, change);
	put_object_end(&json);
	return (struct change){
		.kind = kind,
		.tenant_id = tenant_id,
		.target = target,
		.reason = change->reason,
		.detail = change->detail.overflow ? TEXT_NONE : buffer_text(&change->detail), // of very many tenants: the devices tell
		.base_version = change->base_version,
		.devices = buffer_text(&change->serials),
		.costs = change->costs,
		.cost_count = change->cost_count,
	};
}

struct layer_author layer_change_author(struct call *call, const struct layer_change *change)
{
	return (struct layer_author){ .made_by = call_actor(call), .reason = change->reason };
}

void layer_change_audit(struct call *call, struct pg_transaction *t, const char *action, struct text target)
{
	const struct layer_change *change = call->own;
	struct buffer detail CLEANUP(buffer_fini) = BUFFER(4096);
	struct json_out json = { .out = &detail };

	put_object(&json, NULL);
	put_text(&json, "reason", change->reason);
	put_int(&json, "tenants", change->tenants);
	put_int(&json, "devices", change->devices);
	put_object_end(&json);
	call_audit(call, t, action, target, buffer_text(&detail));
}
