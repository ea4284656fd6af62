// SPDX-License-Identifier: Apache-2.0
//
// sim_guards.c - what is held when it arrives although the rules would send it: a serial number that another client lists too, and what a list
// of expected devices does not have, or has for another instance. Decided here once more (store/guards.h, store/expected.h), with the laws.
//
// The first device of two clients is the same one: Apple may show it to either, or to both.
#include "sim/sim_transaction.h"

#include "store/guards.h"

#include <assert.h>
#include <string.h>

struct guarded {
	struct claim { // a row of serial_claims
		bool is_there, is_gone;
		int64_t claimed_at_us, assigned_at_us;
	} claim;
	bool is_expected;
	int64_t expected_instance_id; // 0: wherever the rules send it
	int64_t asked_epoch; // whose run has asked about it last,
	bool was_held;       // and was told to hold it
};

static struct guards { // of a client
	bool has_list, holds;
	int64_t list_since_us;
	struct guarded devices[SIM_DEVICES];
} *guards;

static struct guards *guards_of(const struct sim_tenant *tenant)
{
	return &guards[tenant->id - 1];
}

int64_t sim_named_after(const struct sim_tenant *tenant, size_t device)
{
	return sim.shape->guards && device == SIM_SHARED ? (tenant->id - 1) / 2 * 2 + 1 : tenant->id;
}

// --- what a guard says now ---

static const struct claim *claim_of_other(const struct sim_tenant *tenant, size_t device)
{
	const int64_t first = sim_named_after(tenant, device), other = first == tenant->id ? first + 1 : first;

	return sim.shape->guards && device == SIM_SHARED && other <= sim.shape->tenants ? &guards[other - 1].devices[device].claim : NULL;
}

// Another one listed it before, and Apple has not assigned it to this one's server since. `assigned_us`: of a device that is not claimed yet.
static bool is_rivalled(const struct sim_tenant *tenant, size_t device, int64_t assigned_us)
{
	const struct claim *mine = &guards_of(tenant)->devices[device].claim, *other = claim_of_other(tenant, device);
	const bool has_mine = mine->is_there && !mine->is_gone;
	const int64_t date_us = assigned_us != INSTANT_NONE || !has_mine ? assigned_us : mine->assigned_at_us;

	if (other == NULL || !other->is_there || other->is_gone) {
		return false;
	}
	if (has_mine && (mine->claimed_at_us != other->claimed_at_us ? mine->claimed_at_us < other->claimed_at_us :
			sim_named_after(tenant, device) == tenant->id)) {
		return false;
	}
	return date_us == INSTANT_NONE || other->assigned_at_us == INSTANT_NONE || date_us <= other->assigned_at_us;
}

// What came before there was a list is not unexpected.
static bool is_unexpected(const struct sim_tenant *tenant, size_t device)
{
	const struct guards *of = guards_of(tenant);
	const struct sim_device *known = &tenant->devices[device];

	return of->has_list && of->holds && !of->devices[device].is_expected && !(known->used && known->first_seen_us <= of->list_since_us);
}

static bool holds(const struct sim_tenant *tenant, size_t device, int64_t assigned_us)
{
	return is_rivalled(tenant, device, assigned_us) || is_unexpected(tenant, device);
}

static bool is_guarded(const struct sim_device *device)
{
	return sim_is_present(device) && device->row.decider == ROUTE_BY_GUARD;
}

bool sim_guard_is_over(const struct sim_tenant *tenant, size_t device)
{
	return is_guarded(&tenant->devices[device]) && !holds(tenant, device, INSTANT_NONE);
}

bool sim_guard_any_is_over(const struct sim_tenant *tenant)
{
	for (size_t i = 0; i < SIM_DEVICES; i++) {
		if (sim_guard_is_over(tenant, i)) {
			return true;
		}
	}
	return false;
}

bool sim_guard_has_any(const struct sim_tenant *tenant)
{
	for (size_t i = 0; i < SIM_DEVICES; i++) {
		if (is_guarded(&tenant->devices[i])) {
			return true;
		}
	}
	return false;
}

int64_t sim_expects_at(const struct sim_tenant *tenant, size_t device)
{
	return guards_of(tenant)->devices[device].expected_instance_id;
}

int64_t sim_expected_at(const struct sim_tenant *tenant, size_t device)
{
	const struct sim_device *known = &tenant->devices[device];

	return sim_is_present(known) && known->row.instance_id != 0 ? 0 : sim_expects_at(tenant, device);
}

// --- what people do ---

static void put_on_list(struct sim_tenant *tenant, size_t device)
{
	struct guarded *guarded = &guards_of(tenant)->devices[device];

	guarded->is_expected = sim_chance(70);
	guarded->expected_instance_id = guarded->is_expected && device < SIM_REPLACES_FROM && sim_chance(40) ? sim_between(1, SIM_INSTANCES) : 0;
}

// A list instead of the one that there was; or none any more.
void sim_guards_fault(struct sim_tenant *tenant)
{
	struct guards *of = guards_of(tenant);
	const bool had_list = of->has_list;

	of->has_list = !had_list || sim_chance(60);
	of->holds = of->has_list && sim_chance(70);
	of->list_since_us = had_list ? of->list_since_us : sim.now_us;
	for (size_t i = 0; i < SIM_DEVICES; i++) {
		const struct sim_device *device = &tenant->devices[i];

		of->devices[i].is_expected = false;
		of->devices[i].expected_instance_id = 0;
		if (of->has_list) {
			put_on_list(tenant, i);
		}
		if (sim_is_present(device) && device->row.decider == ROUTE_BY_EXPECTATION) {
			tenant->devices[i].rerouted = true;
		}
	}
	sim_trace("expects", tenant->id, of->has_list, of->holds);
	sim_start_over(tenant, false);
}

// --- the statements ---

static void put_claims(const struct sim_op *op, struct sim_tenant *tenant)
{
	const struct serial_claim *claims = op->in;

	for (size_t i = 0; i < op->in_count; i++) {
		struct claim *claim = &guards_of(tenant)->devices[sim_device_number(tenant, claims[i].serial_number)].claim;
		const bool comes = !claim->is_there || (claim->is_gone && !claims[i].gone);

		*claim = (struct claim){ .is_there = true, .is_gone = claims[i].gone, .assigned_at_us = claims[i].assigned_at_us,
			.claimed_at_us = comes ? sim.now_us : claim->claimed_at_us };
	}
}

struct guard_question {
	struct text serial_number;
	int64_t assigned_us;
};

static void read_guards(struct sim_op *op, struct sim_tenant *tenant)
{
	const struct guard_question *questions = op->in;
	struct guard_row *rows = sim_answer_rows(op, op->in_count, sizeof *rows);

	op->out_count = 0;
	for (size_t i = 0; i < op->in_count; i++) {
		const size_t device = sim_device_number(tenant, questions[i].serial_number);
		struct guarded *guarded = &guards_of(tenant)->devices[device];

		guarded->asked_epoch = tenant->stream.epoch;
		guarded->was_held = holds(tenant, device, questions[i].assigned_us);
		if (guarded->was_held) {
			sim_trace("guards", tenant->id * 100 + (int64_t)device, is_unexpected(tenant, device), 0);
			rows[op->out_count++] = (struct guard_row){ questions[i].serial_number, TEXT("a guard holds it") };
		}
	}
}

void sim_guards_execute(struct sim_op *op, struct sim_tenant *tenant)
{
	if (op->kind == OP_CLAIMS) {
		put_claims(op, tenant);
	} else {
		read_guards(op, tenant);
	}
}

void store_claims_put(struct pg_transaction *t, int64_t tenant_id, const struct serial_claim *claims, size_t count)
{
	struct sim_op *op = sim_add(t, OP_CLAIMS);
	struct serial_claim *copies = sim_copy(claims, count, sizeof *claims);

	(void)tenant_id;
	for (size_t i = 0; i < count; i++) {
		copies[i].serial_number = sim_keep(copies[i].serial_number);
	}
	op->in = copies;
	op->in_count = count;
}

void store_claims_insert(struct pg_transaction *t, int64_t tenant_id, const struct serial_claim *claims, size_t count)
{
	store_claims_put(t, tenant_id, claims, count);
}

unsigned store_guard_by_serials(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, const int64_t *assigned_us,
	size_t count)
{
	struct sim_op *op = sim_add(t, OP_GUARDS);
	struct guard_question *questions = sim_take(count * sizeof *questions);

	(void)tenant_id;
	for (size_t i = 0; i < count; i++) {
		questions[i] = (struct guard_question){ sim_keep(serials[i]), assigned_us != NULL ? assigned_us[i] : INSTANT_NONE };
	}
	op->in = questions;
	op->in_count = count;
	return sim_added(t);
}

void store_guard_read(const struct pg_transaction *t, unsigned statement, size_t row, struct guard_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

// --- laws ---

// Before the row is written. What arrives, and what a guard holds, goes on only when this run has asked the guards, and none held it.
void sim_guard_check_route(const struct sim_tenant *tenant, const struct device_row *row)
{
	const size_t number = sim_device_number(tenant, row->apple.serial_number);
	const struct sim_device *device = &tenant->devices[number];
	const struct guarded *guarded = &guards_of(tenant)->devices[number];
	const bool asked = guarded->asked_epoch == tenant->stream.epoch;

	if (row->gone_at_us != INSTANT_NONE || (sim_is_present(device) && device->row.instance_id != 0)) {
		return;
	}
	if (row->decider == ROUTE_BY_GUARD) {
		LAW(row->instance_id == 0 && (is_guarded(device) || (asked && guarded->was_held)), "device %.*s is held by a guard that does not hold it",
			TEXT_ARGS(row->apple.serial_number));
	} else if (row->decider != ROUTE_BY_PIN) {
		LAW((asked && !guarded->was_held) || (sim_is_present(device) && !is_guarded(device)),
			"device %.*s goes on to %lld, and %s", TEXT_ARGS(row->apple.serial_number), (long long)row->instance_id,
			asked ? "a guard holds it" : "no guard was asked");
	}
}

// After it: a device's claim is there as long as the device is.
void sim_guard_check_claim(const struct sim_tenant *tenant, const struct device_row *row)
{
	const struct claim *claim = &guards_of(tenant)->devices[sim_device_number(tenant, row->apple.serial_number)].claim;

	LAW(claim->is_there && claim->is_gone == (row->gone_at_us != INSTANT_NONE), "device %.*s is %s, and the claim says otherwise",
		TEXT_ARGS(row->apple.serial_number), row->gone_at_us != INSTANT_NONE ? "gone" : "there");
}

void sim_guards_begin(void)
{
	guards = sim_take((size_t)sim.shape->tenants * sizeof *guards);
}
