// SPDX-License-Identifier: Apache-2.0
#include "api/devices_cost.h"

#include "store/routing.h"

#include <assert.h>

void devices_cost_init(struct devices_cost *cost, size_t moved_max)
{
	*cost = (struct devices_cost){ .rules = { .seen_since_us = INSTANT_NONE }, .moved = BUFFER(moved_max) };
}

void devices_cost_fini(struct devices_cost *cost)
{
	rules_cost_fini(&cost->rules);
	buffer_fini(&cost->moved);
}

void devices_cost_ask(struct devices_cost *cost, struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	cost->at = rules_cost_ask(t, tenant_id);
	cost->devices_at = store_routed_by_serials(t, tenant_id, serials, count);
}

static void add_device(struct devices_cost *cost, const struct routed_row *row, void (*change)(struct ruleset_device *device, void *argument),
	void *argument)
{
	struct ruleset_device before = store_fact_device(&row->apple, &row->fact);
	struct ruleset_label labels[FACT_LABELS_MAX];

	store_fact_label(&before, labels, row->fact.labels, cost->rules.labels, cost->rules.label_count);
	before.guard_reason = row->guard_reason;

	struct ruleset_device after = before;

	change(&after, argument);
	ruleset_preview_add_changed(cost->rules.preview, &before, &after);
}

bool devices_cost_take(struct call *call, struct devices_cost *cost, void (*change)(struct ruleset_device *device, void *argument),
	void *argument)
{
	struct json_out json = { .out = &cost->moved };
	struct text last;
	size_t changes;

	if (!rules_cost_compile_in_force(call, &cost->rules, cost->at, &call->tenant)) {
		return false;
	}
	for (size_t i = 0; i < pg_row_count(&call->transaction, cost->devices_at); i++) {
		struct routed_row row;

		store_routed_read(&call->transaction, cost->devices_at, i, &row);
		add_device(cost, &row, change, argument);
	}
	(void)ruleset_preview_moved(cost->rules.preview, &changes);
	(void)rules_cost_moved(&json, NULL, &cost->rules, TEXT_NONE, SIZE_MAX, &last);
	assert(!cost->moved.overflow); // its size is that of the longest names
	const int64_t known = call->tenant_status.devices > (int64_t)changes ? call->tenant_status.devices : (int64_t)changes;

	cost->total = change_cost_of(call, cost->at.account, &call->tenant, known, (int64_t)changes);
	return true;
}

struct change devices_cost_change(const struct call *call, const struct devices_cost *cost, const char *kind, struct text reason)
{
	return (struct change){
		.kind = kind,
		.tenant_id = call->tenant.tenant_id,
		.target = call->request->parameters[1],
		.reason = reason,
		.base_version = -1, // the devices that move tell whether anything has changed
		.devices = { cost->moved.bytes + 1, cost->moved.length - 2 }, // the list without its brackets
		.costs = &cost->total,
		.cost_count = 1,
	};
}
