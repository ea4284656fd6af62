// SPDX-License-Identifier: Apache-2.0
#include "worker/routing.h"

#include "worker/wanted_profile.h"

#include <stdlib.h>
#include <string.h>

// --- facts ---

static int compare_texts(struct text a, struct text b)
{
	const int order = memcmp(a.bytes, b.bytes, a.length < b.length ? a.length : b.length);

	return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_facts(const void *a, const void *b)
{
	return compare_texts(((const struct routing_fact *)a)->serial_number, ((const struct routing_fact *)b)->serial_number);
}

void routing_no_facts(struct tenant *tenant)
{
	tenant->facts = NULL;
	tenant->fact_count = 0;
	tenant->guards = NULL;
	tenant->guard_count = 0;
}

void routing_take_facts(struct tenant *tenant, const struct pg_transaction *t, unsigned statement)
{
	const size_t count = pg_row_count(t, statement);

	tenant->facts = tenant_scratch(tenant, (count + 1) * sizeof *tenant->facts);
	tenant->fact_count = count;
	for (size_t i = 0; i < count; i++) {
		store_fact_read(t, statement, i, &tenant->facts[i]);
	}
	qsort(tenant->facts, count, sizeof *tenant->facts, compare_facts);
}

static int compare_guards(const void *a, const void *b)
{
	return compare_texts(((const struct guard_row *)a)->serial_number, ((const struct guard_row *)b)->serial_number);
}

void routing_take_guards(struct tenant *tenant, const struct pg_transaction *t, unsigned statement)
{
	const size_t count = pg_row_count(t, statement);

	tenant->guards = tenant_scratch(tenant, (count + 1) * sizeof *tenant->guards);
	tenant->guard_count = count;
	for (size_t i = 0; i < count; i++) {
		store_guard_read(t, statement, i, &tenant->guards[i]);
	}
	qsort(tenant->guards, count, sizeof *tenant->guards, compare_guards);
}

// Why a guard holds the device; empty: none does.
static struct text guard_reason(const struct tenant *tenant, struct text serial, const struct device_row *stored)
{
	const bool present = stored != NULL && stored->gone_at_us == INSTANT_NONE;
	const struct guard_row wanted = { .serial_number = serial };

	if (present && stored->instance_id != INSTANCE_NONE) {
		return TEXT_NONE;
	}
	if (tenant->guards == NULL) {
		return present && stored->decider == ROUTE_BY_GUARD ? stored->hold_reason : TEXT_NONE;
	}
	const struct guard_row *guard = bsearch(&wanted, tenant->guards, tenant->guard_count, sizeof *tenant->guards, compare_guards);

	return guard != NULL ? guard->reason : TEXT_NONE;
}

static const struct routing_fact *fact_of(const struct tenant *tenant, struct text serial)
{
	const struct routing_fact wanted = { .serial_number = serial };

	return tenant->fact_count > 0 ? bsearch(&wanted, tenant->facts, tenant->fact_count, sizeof *tenant->facts, compare_facts) : NULL;
}

// --- decisions ---

static struct reconcile_settings settings_of(const struct tenant *tenant, struct route_wish wish, const struct wanted_profile *profile)
{
	return (struct reconcile_settings){
		.wish = wish,
		.rules_version = tenant->rules_version,
		.wanted_profile_uuid = wish.instance_id != INSTANCE_NONE ? wanted_profile_uuid(profile) : TEXT_NONE,
		.parking_profile_uuid = wish.instance_id == INSTANCE_NONE ? wanted_profile_uuid(profile) : TEXT_NONE,
		.now_us = tenant_now_us(tenant),
	};
}

// What a device has while it is held; NULL: nothing. Before there are rules everything is held, and stays as it was.
static struct wanted_profile *parking_profile(struct tenant *tenant)
{
	const bool is_used = tenant->rules != NULL && tenant->parking_instance_id != INSTANCE_NONE;

	return is_used ? wanted_profile_of(tenant, tenant->parking_instance_id, TEXT(""), TEXT_NONE) : NULL;
}

// Of the instance that the device goes to: what its MDM server wants, or what depbroker has for it. No other instance's wish counts.
static struct wanted_profile *profile_at(struct tenant *tenant, struct text serial, int64_t instance_id, struct text rule_id,
	struct text override)
{
	const struct routing_fact *fact = fact_of(tenant, serial);

	if (instance_id == INSTANCE_NONE) {
		return parking_profile(tenant);
	}
	if (fact != NULL && fact->wish_instance_id != INSTANCE_NONE && fact->wish_instance_id == instance_id) {
		return wanted_profile_of_server(tenant, instance_id, fact->wished_profile_uuid);
	}
	return wanted_profile_of(tenant, instance_id, rule_id, override);
}

static enum route_decider decider_of(const struct ruleset_target *target)
{
	static const enum route_decider deciders[] = {
		[RULESET_BY_PIN] = ROUTE_BY_PIN,
		[RULESET_BY_RULE] = ROUTE_BY_RULE,
		[RULESET_BY_OTHERWISE] = ROUTE_BY_RULE,
		[RULESET_BY_GUARD] = ROUTE_BY_GUARD,
		[RULESET_BY_EXPECTATION] = ROUTE_BY_EXPECTATION,
	};

	return deciders[target->decider];
}

struct reconcile_settings routing_decide(struct tenant *tenant, const struct device_record *apple, const struct device_row *stored)
{
	if (tenant->rules == NULL) {
		return settings_of(tenant, (struct route_wish){ .hold_reason = TEXT("there are no rules yet") }, NULL);
	}
	const struct routing_fact *fact = fact_of(tenant, apple->serial_number);
	struct ruleset_device device = store_fact_device(apple, fact);
	struct ruleset_label labels[FACT_LABELS_MAX];

	store_fact_label(&device, labels, fact != NULL ? fact->labels : TEXT_NONE, tenant->labels, tenant->label_count);
	device.guard_reason = guard_reason(tenant, apple->serial_number, stored);
	const struct ruleset_target target = ruleset_decide(tenant->rules, &device);
	const struct route_wish wish = {
		.instance_id = target.instance_id,
		.decider = decider_of(&target),
		.rule_id = target.rule_id,
		.hold_reason = target.hold_reason,
	};

	return settings_of(tenant, wish, profile_at(tenant, apple->serial_number, target.instance_id, target.rule_id, target.profile));
}

struct wanted_profile *routing_profile(struct tenant *tenant, const struct device_row *row)
{
	if (row->instance_id == INSTANCE_NONE) {
		return parking_profile(tenant);
	}
	return profile_at(tenant, row->apple.serial_number, row->instance_id, row->rule_id,
		row->decider == ROUTE_BY_RULE ? ruleset_profile(tenant->rules, row->rule_id) : TEXT_NONE);
}

struct reconcile_settings routing_as_decided(struct tenant *tenant, const struct device_row *row)
{
	const struct route_wish wish = {
		.instance_id = row->instance_id, .decider = row->decider, .rule_id = row->rule_id, .hold_reason = row->hold_reason,
	};

	return settings_of(tenant, wish, routing_profile(tenant, row));
}

struct reconcile_settings routing_of_gone(const struct tenant *tenant)
{
	return settings_of(tenant, (struct route_wish){ .instance_id = INSTANCE_NONE }, NULL);
}

bool routing_is_current(const struct tenant *tenant)
{
	return !tenant->stream.profile_needed && !tenant->has_reroutes;
}
