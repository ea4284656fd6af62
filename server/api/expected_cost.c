// SPDX-License-Identifier: Apache-2.0
#include "api/expected.h"

#include "store/guards.h"
#include "store/routing.h"


void expected_cost_ask(struct call *call, struct expected_cost *cost)
{
	struct pg_transaction *t = call_transaction(call, store_api(call->tenant.tenant_id));

	cost->at = rules_cost_ask(t, call->tenant.tenant_id);
	cost->list_at = store_expected_list(t, call->tenant.tenant_id);
	call_start(call);
}

static int64_t instance_named(const struct expected_cost *cost, struct text name)
{
	for (size_t i = 0; i < cost->rules.instance_count; i++) {
		if (text_equal(cost->rules.instances[i].name, name) && cost->rules.instances[i].state != RULESET_INSTANCE_RETIRED) {
			return cost->rules.instances[i].instance_id;
		}
	}
	return RULESET_INSTANCE_NONE;
}

static bool holds_then(const struct call *call, const struct expected_cost *cost)
{
	struct expected_list_row row = { .holds = false };

	if (pg_row_count(&call->transaction, cost->list_at) == 1) {
		store_expected_list_read(&call->transaction, cost->list_at, 0, &row);
	}
	if (cost->replaces && cost->csv->count == 0) { // then there is no list
		return false;
	}
	return cost->hold == EXPECTED_HOLD || (cost->hold == EXPECTED_HOLD_AS_IT_WAS && row.holds);
}

bool expected_cost_compile(struct call *call, struct expected_cost *cost)
{
	cost->holds_then = holds_then(call, cost);
	if (!rules_cost_compile_in_force(call, &cost->rules, cost->at, &call->tenant)) {
		return false;
	}
	for (size_t i = 0; i < cost->csv->count; i++) {
		const struct text name = cost->csv->rows[i].instance;

		if (name.length > 0 && instance_named(cost, name) == RULESET_INSTANCE_NONE) {
			call_problem(call, PROBLEM_INSTANCE_NOT_FOUND, "%.*s: the list names one that the tenant does not have", TEXT_ARGS(name));
			return false;
		}
	}
	return true;
}

void expected_cost_read(struct call *call, struct expected_cost *cost)
{
	(void)store_routed_guarded(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		text_of(cost->rules.after_serial), STORE_ROUTED_MAX);
	call_start(call);
}

static struct ruleset_device listed(const struct expected_cost *cost, const struct ruleset_device *before)
{
	const struct expected_row *row = expected_csv_find(cost->csv, before->apple->serial_number);
	struct ruleset_device after = *before;

	if (row != NULL) {
		after.expected_instance_id = instance_named(cost, row->instance);
	} else if (cost->replaces) {
		after.expected_instance_id = RULESET_INSTANCE_NONE;
	}
	if (text_equal_string(before->guard_reason, GUARD_REASON_UNEXPECTED) && (row != NULL || !cost->holds_then)) {
		after.guard_reason = TEXT_NONE;
	}
	return after;
}

void expected_cost_take(struct call *call, struct expected_cost *cost)
{
	struct rules_cost *rules = &cost->rules;
	const size_t count = pg_row_count(&call->transaction, 0);
	struct routed_row row;

	for (size_t i = 0; i < count; i++) {
		struct ruleset_label labels[FACT_LABELS_MAX];

		store_routed_read(&call->transaction, 0, i, &row);
		struct ruleset_device before = store_fact_device(&row.apple, &row.fact);

		store_fact_label(&before, labels, row.fact.labels, rules->labels, rules->label_count);
		before.guard_reason = row.guard_reason;
		const struct ruleset_device after = listed(cost, &before);

		ruleset_preview_add_changed(rules->preview, &before, &after);
	}
	if (count > 0) {
		text_put(rules->after_serial, sizeof rules->after_serial, row.apple.serial_number);
	}
	rules->complete = count < STORE_ROUTED_MAX;
}
