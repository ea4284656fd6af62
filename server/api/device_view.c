// SPDX-License-Identifier: Apache-2.0
#include "api/device_view.h"

#include "api/device_json.h"
#include "api/enrolment_json.h"
#include "api/profile_view.h"
#include "store/instances.h"
#include "store/replacements.h"
#include "store/routing.h"

#include <stdlib.h>

enum { TENANT, INSTANCES, DEVICE, REPLACEMENTS, ENROLMENTS, FACTS, RULES, TENANT_PROFILE, PROFILES }; // the statements

void device_view_ask(struct pg_transaction *t, int64_t tenant_id, struct text serial)
{
	(void)store_tenant_by_id(t, tenant_id);
	(void)store_instance_list(t, tenant_id);
	(void)store_device_shown(t, tenant_id, serial);
	(void)store_replacement_of(t, tenant_id, serial);
	(void)store_enrolment_of(t, tenant_id, serial);
	(void)store_fact_by_serials(t, tenant_id, &serial, 1);
	(void)store_rules_current(t, tenant_id);
	(void)store_tenant_profile_select(t, tenant_id);
	(void)store_profile_list(t, tenant_id);
}

bool device_view_is_there(const struct call *call)
{
	return pg_row_count(&call->transaction, TENANT) == 1 && pg_row_count(&call->transaction, DEVICE) == 1;
}

// --- replacements, enrolment ---

static void replacement_json(struct json_out *json, const char *name, struct text serial, const struct replacement_row *row)
{
	if (row->serial_number.length == 0) {
		put_null(json, name);
		return;
	}
	put_object(json, name);
	put_text(json, "serial_number", serial); // null: Apple has not said it yet
	put_text(json, "date", row->replacement_date);
	put_text(json, "apple_word", row->apple_word);
	put_instant(json, "resolved_at", row->resolved_at_us);
	put_instant(json, "ask_at", row->ask_at_us);
	put_object_end(json);
}

// Which device it came in place of, and which one came in its place.
static void replacements_json(struct json_out *json, const struct pg_transaction *t, struct text serial)
{
	struct replacement_row rows[2] = { 0 };

	for (size_t i = 0; i < pg_row_count(t, REPLACEMENTS); i++) {
		struct replacement_row row;

		store_replacement_read(t, REPLACEMENTS, i, &row);
		rows[text_equal(row.serial_number, serial) ? 0 : 1] = row;
	}
	replacement_json(json, "replaces", rows[0].original_serial_number, &rows[0]);
	replacement_json(json, "replaced_by", rows[1].serial_number, &rows[1]);
}

static void put_enrolment(struct json_out *json, const struct pg_transaction *t, const struct device_row *device)
{
	const size_t count = pg_row_count(t, ENROLMENTS);
	struct enrolment_row newest = { 0 };

	if (count > 0) {
		store_enrolment_read(t, ENROLMENTS, 0, &newest);
	}
	enrolment_of_device_json(json, &newest, count, device);
}

// --- why it goes where it goes ---

static struct ruleset *read_rules(const struct pg_transaction *t, struct rules_row *row)
{
	const size_t count = pg_row_count(t, INSTANCES);
	struct ruleset_instance *instances = allocate_array(count + 1, sizeof *instances);
	struct ruleset *rules = NULL;

	for (size_t i = 0; i < count; i++) {
		struct instance_row instance;

		store_instance_read(t, INSTANCES, i, &instance);
		instances[i] = (struct ruleset_instance){
			.instance_id = instance.instance_id, .name = instance.name, .state = store_instance_state(&instance),
		};
	}
	if (pg_row_count(t, RULES) == 1) {
		store_rules_read(t, RULES, 0, row);
		rules = ruleset_read(row->document, instances, count, RULESET_DECIDES);
	}
	free(instances);
	return rules;
}

static void explain(struct buffer *out, const struct pg_transaction *t, const struct tenant_row *tenant, const struct ruleset *rules,
	const struct device_row *row)
{
	struct ruleset_label labels[RULESET_LABELS_MAX], all[FACT_LABELS_MAX];
	struct routing_fact fact = { 0 };

	if (pg_row_count(t, FACTS) == 1) {
		store_fact_read(t, FACTS, 0, &fact);
	}
	struct ruleset_device device = store_fact_device(&row->apple, pg_row_count(t, FACTS) == 1 ? &fact : NULL);

	device.guard_reason = row->decider == ROUTE_BY_GUARD ? row->hold_reason : TEXT_NONE;
	store_fact_label(&device, all, fact.labels, labels, ruleset_labels_read(labels, tenant->labels));
	ruleset_explain(out, rules, &device);
}

// By the rules in force, of which `version` says the number. Of a device that is gone: where it would go if it came back.
static void explanation_json(struct json_out *json, const struct pg_transaction *t, const struct tenant_row *tenant,
	const struct ruleset *rules, int64_t version, const struct device_row *row)
{
	struct buffer why CLEANUP(buffer_fini) = BUFFER(1 << 20);

	if (rules == NULL || !ruleset_is_valid(rules)) {
		put_null(json, "explanation");
		return;
	}
	explain(&why, t, tenant, rules, row);
	put_object(json, "explanation");
	put_int(json, "rules_version", version);
	put_raw(json, "decision", why.overflow ? TEXT("null") : buffer_text(&why));
	put_object_end(json);
}

// --- what it should have, and what Apple shows ---

static bool find_instance(const struct pg_transaction *t, int64_t instance_id, struct instance_row *out)
{
	for (size_t i = 0; i < pg_row_count(t, INSTANCES); i++) {
		store_instance_read(t, INSTANCES, i, out);
		if (out->instance_id == instance_id) {
			return true;
		}
	}
	return false;
}

// Of this content, defined at Apple or refused by it.
static bool find_profile(const struct pg_transaction *t, int64_t instance_id, struct text digest, struct profile_row *out)
{
	for (size_t i = 0; i < pg_row_count(t, PROFILES); i++) {
		store_profile_read(t, PROFILES, i, out);
		if (out->is_canonical && out->instance_id == instance_id && text_equal(out->content_digest, digest)) {
			return true;
		}
	}
	return false;
}

static void put_wanted(struct json_out *json, const struct pg_transaction *t, int64_t instance_id, const struct profile_rendered *rendered)
{
	struct buffer digest CLEANUP(buffer_fini) = BUFFER(2 * SHA256_SIZE);
	struct profile_row profile = { 0 };

	buffer_add_hex(&digest, rendered->digest, SHA256_SIZE);
	if (rendered->content.bytes != NULL) {
		(void)find_profile(t, instance_id, buffer_text(&digest), &profile);
	}
	put_object(json, "wanted");
	put_text(json, "digest", rendered->content.bytes != NULL ? buffer_text(&digest) : TEXT_NONE); // null: its layers have an error
	put_text(json, "profile_uuid", profile.profile_uuid); // null: it is not defined at Apple
	put_text(json, "refused", profile.refused);
	put_object_end(json);
}

static void wanted_json(struct json_out *json, const struct pg_transaction *t, const struct tenant_row *tenant, const struct ruleset *rules,
	const struct device_row *row)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct tenant_profile_row profile;
	struct profile_rendered rendered;
	struct instance_row instance;
	struct fault fault;

	store_tenant_profile_read(t, TENANT_PROFILE, 0, &profile);
	const int64_t instance_id = row->instance_id != INSTANCE_NONE || rules == NULL ? row->instance_id : profile.parking_instance_id;

	if (row->gone_at_us != INSTANT_NONE || !find_instance(t, instance_id, &instance)) {
		put_null(json, "wanted");
		return;
	}
	struct profile_parts parts = profile_parts_of(tenant, &profile, &instance);

	parts.rule_name = row->rule_id;
	parts.rule_layer = row->decider == ROUTE_BY_RULE ? ruleset_profile(rules, row->rule_id) : TEXT_NONE;
	if (profile_compose(&rendered, &parts, &arena, &fault) == OK) {
		put_wanted(json, t, instance_id, &rendered);
	} else {
		put_null(json, "wanted");
	}
}

// The instance whose profile it has for as long as it is held.
static void parking_json(struct json_out *json, const struct pg_transaction *t, const struct ruleset *rules, const struct device_row *row)
{
	const bool is_parked = row->instance_id == INSTANCE_NONE && row->gone_at_us == INSTANT_NONE && rules != NULL;
	struct tenant_profile_row profile;

	store_tenant_profile_read(t, TENANT_PROFILE, 0, &profile);
	put_text(json, "parking", is_parked ? profile.parking : TEXT_NONE);
}

static void profile_json(struct json_out *json, const struct pg_transaction *t, const struct tenant_row *tenant, const struct ruleset *rules,
	const struct device_row *row)
{
	put_object(json, "profile");
	wanted_json(json, t, tenant, rules, row);
	parking_json(json, t, rules, row);
	put_object(json, "observed"); // as Apple reported last
	put_text(json, "profile_uuid", row->apple.profile_uuid);
	put_text(json, "status", row->apple.profile_status);
	put_instant(json, "assigned_at", row->apple.profile_assign_time_us);
	put_instant(json, "pushed_at", row->apple.profile_push_time_us);
	put_object_end(json);
	put_object_end(json);
}

// What the client as a whole waits for: no device of it gets on before.
static void sync_json(struct json_out *json, const struct pg_transaction *t)
{
	struct tenant_status_row status;

	store_tenant_status_read(t, TENANT, 0, &status);
	put_object(json, "sync");
	put_text(json, "reason", status.sync_reason);
	put_instant(json, "next_at", status.sync_next_at_us);
	put_text(json, "token_state", status.token_state);
	put_object_end(json);
}

void device_view_members(struct json_out *json, const struct call *call)
{
	const struct pg_transaction *t = &call->transaction;
	struct rules_row in_force = { 0 };
	struct device_status status;
	struct tenant_row tenant;
	struct device_row row;

	store_tenant_read(t, TENANT, 0, &tenant);
	store_device_read(t, DEVICE, 0, &row);
	store_device_status_read(t, DEVICE, 0, &status);
	struct ruleset *rules = read_rules(t, &in_force);

	put_text(json, "tenant", tenant.slug);
	device_members(json, t, INSTANCES, &row, &status);
	replacements_json(json, t, row.apple.serial_number);
	put_enrolment(json, t, &row);
	explanation_json(json, t, &tenant, rules, in_force.version, &row);
	profile_json(json, t, &tenant, rules, &row);
	sync_json(json, t);
	ruleset_free(rules);
}
