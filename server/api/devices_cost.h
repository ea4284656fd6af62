// SPDX-License-Identifier: Apache-2.0
//
// devices_cost.h - what a change about some devices of a client would move while the rules stay: their pins, or their labels.
//
//   devices_cost_ask, in the transaction that reads -> devices_cost_take -> `total`, `moved`
//
// Ownership  a struct devices_cost is the endpoint's, made by devices_cost_init; devices_cost_fini when the call is finished.
#pragma once

#include "api/rules_cost.h"

struct devices_cost {
	struct rules_cost rules;
	struct rules_cost_statements at;
	unsigned devices_at;
	struct buffer moved; // a JSON list
	struct change_cost total;
};

void devices_cost_init(struct devices_cost *cost, size_t moved_max);
void devices_cost_fini(struct devices_cost *cost);
void devices_cost_ask(struct devices_cost *cost, struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count);
// `change` makes each device what it would be. False: the rules cannot be read, and that has been answered.
MUST_USE bool devices_cost_take(struct call *call, struct devices_cost *cost, void (*change)(struct ruleset_device *device, void *argument),
	void *argument);
// The change, of what the path names. It borrows from `cost`.
struct change devices_cost_change(const struct call *call, const struct devices_cost *cost, const char *kind, struct text reason);
