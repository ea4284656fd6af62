// SPDX-License-Identifier: Apache-2.0
#include "api/rules_cost.h"

#include "store/routing.h"

#include <assert.h>
#include <string.h>

void rules_cost_fini(struct rules_cost *cost)
{
	ruleset_preview_free(cost->preview);
	ruleset_free(cost->after);
	ruleset_free(cost->before);
	*cost = (struct rules_cost){ .preview = NULL };
}

// --- the rules ---

struct rules_cost_statements rules_cost_ask(struct pg_transaction *transaction, int64_t tenant_id)
{
	struct rules_cost_statements at;

	at.rules = store_rules_current(transaction, tenant_id);
	at.instances = store_instance_list(transaction, tenant_id);
	at.account = store_account_select(transaction, tenant_id);
	return at;
}

static struct text keep(struct call *call, struct text text)
{
	char *copy = arena_copy(&call->request->arena, text);

	assert(copy != NULL); // names and labels are far below the arena's budget
	return (struct text){ copy, text.length };
}

static void take_instances(struct call *call, struct rules_cost *cost, unsigned statement)
{
	cost->instance_count = pg_row_count(&call->transaction, statement);
	cost->instances = arena_take(&call->request->arena, (cost->instance_count + 1) * sizeof *cost->instances);
	assert(cost->instances != NULL);
	for (size_t i = 0; i < cost->instance_count; i++) {
		struct instance_row row;

		store_instance_read(&call->transaction, statement, i, &row);
		cost->instances[i] = (struct ruleset_instance){ .instance_id = row.instance_id, .name = keep(call, row.name),
			.state = store_instance_state(&row) };
	}
}

static void refuse(struct call *call, const struct ruleset *rules)
{
	struct buffer extra CLEANUP(buffer_fini) = BUFFER(1 << 20);
	const struct ruleset_finding *findings;
	size_t count;

	findings = ruleset_findings(rules, &count);
	buffer_add_string(&extra, "\"findings\":");
	ruleset_findings_write(&extra, rules);
	call_problem_with(call, PROBLEM_RULES_INVALID, extra.overflow ? TEXT_NONE : buffer_text(&extra), "%.*s: %.*s", TEXT_ARGS(findings[0].pointer),
		TEXT_ARGS(findings[0].sentence));
}

struct ruleset *rules_cost_in_force(struct call *call, struct rules_cost *cost, unsigned instances, struct text document)
{
	take_instances(call, cost, instances);
	struct ruleset *rules = ruleset_read(document, cost->instances, cost->instance_count, RULESET_IN_FORCE);

	if (!ruleset_is_valid(rules)) {
		ruleset_free(rules);
		call_problem(call, PROBLEM_INTERNAL, "the stored rules cannot be read");
		return NULL;
	}
	return rules;
}

static bool read_in_force(struct call *call, struct rules_cost *cost, struct rules_cost_statements at, const struct tenant_row *tenant)
{
	struct rules_row row;

	cost->tenant_id = tenant->tenant_id;
	cost->label_count = ruleset_labels_read(cost->labels, keep(call, tenant->labels));
	store_account_read(&call->transaction, at.account, &cost->account);
	if (pg_row_count(&call->transaction, at.rules) == 0) {
		take_instances(call, cost, at.instances);
		return true;
	}
	store_rules_read(&call->transaction, at.rules, 0, &row);
	cost->version = row.version;
	cost->before = rules_cost_in_force(call, cost, at.instances, row.document);
	return cost->before != NULL;
}

bool rules_cost_compile(struct call *call, struct rules_cost *cost, struct rules_cost_statements at, const struct tenant_row *tenant,
	struct text document)
{
	if (!read_in_force(call, cost, at, tenant)) {
		return false;
	}
	cost->after = ruleset_read(document, cost->instances, cost->instance_count, RULESET_PROPOSED);
	if (!ruleset_is_valid(cost->after)) {
		refuse(call, cost->after);
		return false;
	}
	cost->preview = ruleset_preview_new(cost->before, cost->after);
	return true;
}

#define NO_RULES "{\"rules\":[],\"otherwise\":{\"hold\":\"there are no rules yet\"}}"

bool rules_cost_compile_in_force(struct call *call, struct rules_cost *cost, struct rules_cost_statements at, const struct tenant_row *tenant)
{
	struct text document = TEXT(NO_RULES);
	struct rules_row row;

	if (!read_in_force(call, cost, at, tenant)) {
		return false;
	}
	if (cost->before == NULL) {
		cost->before = ruleset_read(document, cost->instances, cost->instance_count, RULESET_IN_FORCE);
	} else {
		store_rules_read(&call->transaction, at.rules, 0, &row);
		document = row.document;
	}
	cost->after = ruleset_read(document, cost->instances, cost->instance_count, RULESET_IN_FORCE);
	cost->preview = ruleset_preview_new(cost->before, cost->after);
	return true;
}

void rules_cost_set_labels(struct rules_cost *cost, struct text labels)
{
	cost->labels_change = true;
	cost->label_after_count = ruleset_labels_read(cost->labels_after, labels);
}

// --- the devices ---

void rules_cost_read(struct call *call, struct rules_cost *cost)
{
	(void)store_routed_list(call_transaction(call, store_api(cost->tenant_id)), cost->tenant_id, text_of(cost->after_serial),
		cost->seen_since_us, STORE_ROUTED_MAX);
	call_start(call);
}

void rules_cost_take(struct call *call, struct rules_cost *cost)
{
	const size_t count = pg_row_count(&call->transaction, 0);
	struct routed_row row;

	for (size_t i = 0; i < count; i++) {
		store_routed_read(&call->transaction, 0, i, &row);
		struct ruleset_device device = store_fact_device(&row.apple, &row.fact);
		struct ruleset_label labels[FACT_LABELS_MAX];

		store_fact_label(&device, labels, row.fact.labels, cost->labels, cost->label_count);
		device.guard_reason = row.guard_reason;

		struct ruleset_device after = device;
		struct ruleset_label labels_after[FACT_LABELS_MAX];

		store_fact_label(&after, labels_after, row.fact.labels, cost->labels_change ? cost->labels_after : cost->labels,
			cost->labels_change ? cost->label_after_count : cost->label_count);
		ruleset_preview_add_changed(cost->preview, &device, &after);
	}
	if (count > 0) {
		text_put(cost->after_serial, sizeof cost->after_serial, row.apple.serial_number);
	}
	cost->complete = count < STORE_ROUTED_MAX;
}

static size_t moved_count(const struct rules_cost *cost)
{
	size_t count;

	(void)ruleset_preview_moved(cost->preview, &count);
	return count;
}

struct change_cost rules_cost_total(const struct rules_cost *cost, const struct tenant_row *tenant)
{
	return (struct change_cost){
		.tenant_id = cost->tenant_id,
		.limits = store_account_limits(tenant, &cost->account),
		.blast = { .present = (int64_t)ruleset_preview_devices(cost->preview), .spent = cost->account.spent,
			.changes = cost->version > 0 ? (int64_t)moved_count(cost) : 0 },
	};
}

// --- answers ---

static struct text name_of(const struct rules_cost *cost, int64_t instance_id)
{
	for (size_t i = 0; i < cost->instance_count; i++) {
		if (cost->instances[i].instance_id == instance_id) {
			return cost->instances[i].name;
		}
	}
	return TEXT_NONE;
}

static void moves_json(struct json_out *json, const struct rules_cost *cost)
{
	size_t count;
	const struct ruleset_move *moves = ruleset_preview_moves(cost->preview, &count);

	put_list(json, "moves");
	for (size_t i = 0; i < count; i++) {
		put_object(json, NULL);
		put_text(json, "from", name_of(cost, moves[i].from_instance_id));
		put_text(json, "to", name_of(cost, moves[i].to_instance_id));
		put_int(json, "devices", (int64_t)moves[i].count);
		put_object_end(json);
	}
	put_list_end(json);
}

static void rules_json(struct json_out *json, const struct rules_cost *cost)
{
	put_list(json, "rules");
	for (size_t i = 0; i <= ruleset_count(cost->after); i++) {
		put_object(json, NULL);
		put_text(json, "id", ruleset_id(cost->after, i));
		put_int(json, "devices", (int64_t)ruleset_preview_hits(cost->preview, i));
		put_object_end(json);
	}
	put_list_end(json);
}

void rules_cost_warnings(struct json_out *json, const struct ruleset *rules)
{
	struct buffer findings CLEANUP(buffer_fini) = BUFFER(1 << 20);

	ruleset_findings_write(&findings, rules);
	put_raw(json, "warnings", findings.overflow ? TEXT("[]") : buffer_text(&findings));
}

void rules_cost_summary(struct json_out *json, const struct rules_cost *cost, const struct tenant_row *tenant)
{
	const struct change_cost total = rules_cost_total(cost, tenant);

	put_int(json, "base_version", cost->version);
	put_int(json, "devices", total.blast.present);
	put_int(json, "changes", (int64_t)moved_count(cost));
	put_int(json, "limit", blast_limit(&total.limits, total.blast.present));
	put_int(json, "spent", total.blast.spent);
	put_bool(json, "needs_approval", blast_decide(&total.limits, &total.blast) == BLAST_NEEDS_APPROVAL);
	moves_json(json, cost);
	rules_json(json, cost);
	rules_cost_warnings(json, cost->after);
}

static struct text rule_name(const struct ruleset *rules, size_t rule)
{
	return rules == NULL || rule == RULESET_NO_RULE ? TEXT_NONE : ruleset_id(rules, rule);
}

static bool is_after(struct text serial, struct text after)
{
	const int order = memcmp(serial.bytes, after.bytes, serial.length < after.length ? serial.length : after.length);

	return order > 0 || (order == 0 && serial.length > after.length);
}

size_t rules_cost_moved(struct json_out *json, const char *name, const struct rules_cost *cost, struct text after, size_t most, struct text *last)
{
	size_t count, moves, written = 0;
	const struct ruleset_moved_device *moved = ruleset_preview_moved(cost->preview, &count);
	const struct ruleset_move *all = ruleset_preview_moves(cost->preview, &moves);

	*last = TEXT_NONE;
	put_list(json, name);
	for (size_t i = 0; i < count && written < most; i++) {
		if (after.length > 0 && !is_after(moved[i].serial, after)) {
			continue;
		}
		put_object(json, NULL);
		put_text(json, "serial_number", moved[i].serial);
		put_text(json, "from", name_of(cost, all[moved[i].move].from_instance_id));
		put_text(json, "to", name_of(cost, all[moved[i].move].to_instance_id));
		put_text(json, "old_rule", rule_name(cost->before, moved[i].old_rule));
		put_text(json, "new_rule", rule_name(cost->after, moved[i].new_rule));
		put_object_end(json);
		*last = moved[i].serial;
		written++;
	}
	put_list_end(json);
	return written;
}
