// SPDX-License-Identifier: Apache-2.0
//
// rules_cost.h - what other rules would do to the devices of a client: the steps of a dry run over all of them, a slice at a time.
//
//   rules_cost_ask -> rules_cost_compile -> while (!complete) { rules_cost_read -> rules_cost_take } -> the answers
//
// Ownership  a struct rules_cost is the endpoint's; rules_cost_fini when the call is finished.
// Law        it is the engine that workers decide with, over the same devices and the same facts about them
#pragma once

#include "api/change.h"
#include "api/json_out.h"
#include "store/instances.h"
#include "tenants/ruleset.h"

struct rules_cost {
	int64_t tenant_id;
	int64_t version; // in force; 0: none
	struct ruleset_instance *instances; // of the client, in the request's arena
	size_t instance_count;
	struct ruleset *before; // NULL: there are none yet
	struct ruleset *after;
	struct ruleset_label labels[RULESET_LABELS_MAX];
	size_t label_count;
	bool labels_change; // of the client, to these:
	struct ruleset_label labels_after[RULESET_LABELS_MAX];
	size_t label_after_count;
	struct ruleset_preview *preview;
	struct account_row account;
	int64_t seen_since_us; // devices that came since then; INSTANT_NONE: all
	char after_serial[65];
	bool complete;
};

void rules_cost_fini(struct rules_cost *cost);

// These statements, in the caller's transaction: the rules in force, the instances, and the account.
struct rules_cost_statements {
	unsigned rules, instances, account;
};
struct rules_cost_statements rules_cost_ask(struct pg_transaction *transaction, int64_t tenant_id);
// When they have come back. False: the document has errors, and that has been answered.
MUST_USE bool rules_cost_compile(struct call *call, struct rules_cost *cost, struct rules_cost_statements at, const struct tenant_row *tenant,
	struct text document);

// The same for devices that change while the rules stay. False: they cannot be read, and that has been answered.
MUST_USE bool rules_cost_compile_in_force(struct call *call, struct rules_cost *cost, struct rules_cost_statements at,
	const struct tenant_row *tenant);

// After it, before the devices are read: the client's labels become these lines.
void rules_cost_set_labels(struct rules_cost *cost, struct text labels);

// Stored rules alone, with their instances. NULL: they cannot be read, and that has been answered. The caller's to free.
struct ruleset *rules_cost_in_force(struct call *call, struct rules_cost *cost, unsigned instances, struct text document);

void rules_cost_read(struct call *call, struct rules_cost *cost); // the next slice
void rules_cost_take(struct call *call, struct rules_cost *cost);

// The first rules of a client cost nothing: no device has been anywhere before.
struct change_cost rules_cost_total(const struct rules_cost *cost, const struct tenant_row *tenant);

// Members of an object that is open.
void rules_cost_summary(struct json_out *json, const struct rules_cost *cost, const struct tenant_row *tenant);
// The devices that move, after a serial number; how many were written, and the last one.
size_t rules_cost_moved(struct json_out *json, const char *name, const struct rules_cost *cost, struct text after, size_t most, struct text *last);
void rules_cost_warnings(struct json_out *json, const struct ruleset *rules);
