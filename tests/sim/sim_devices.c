// SPDX-License-Identifier: Apache-2.0
//
// sim_devices.c - the rows of devices, with the laws that every write of them must keep.
#include "sim/sim_transaction.h"

#include "tenants/history.h"

#include <string.h>

static int compare_texts(struct text a, struct text b)
{
	const size_t shorter = a.length < b.length ? a.length : b.length;
	const int order = shorter > 0 ? memcmp(a.bytes, b.bytes, shorter) : 0;

	return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static bool is_wanted(const struct sim_op *op, const struct device_row *row)
{
	const struct text *serials = op->in;

	if (op->kind == OP_TO_ASSIGN) {
		return row->assign_at_us != INSTANT_NONE && row->assign_at_us <= op->number;
	}
	if (op->kind == OP_FINGERPRINTS || op->kind == OP_DEVICE_LIST) {
		return compare_texts(row->apple.serial_number, op->text) > 0 && (op->kind == OP_FINGERPRINTS || row->gone_at_us == INSTANT_NONE);
	}
	for (size_t i = 0; i < op->in_count; i++) {
		if (text_equal(serials[i], row->apple.serial_number)) {
			return true;
		}
	}
	return false;
}

void sim_read_devices(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct device_row *rows = sim_answer_rows(op, SIM_DEVICES, sizeof *rows);

	op->out_count = 0;
	for (size_t i = 0; i < SIM_DEVICES; i++) { // which are in the order of their serial numbers
		if (tenant->devices[i].used && is_wanted(op, &tenant->devices[i].row)) {
			rows[op->out_count++] = tenant->devices[i].row;
		}
	}
}

int64_t sim_next_assign(const struct sim_tenant *tenant)
{
	int64_t next_us = INSTANT_NONE;

	for (size_t i = 0; i < SIM_DEVICES; i++) {
		const int64_t at_us = tenant->devices[i].used ? tenant->devices[i].row.assign_at_us : INSTANT_NONE;

		if (at_us != INSTANT_NONE && (next_us == INSTANT_NONE || at_us < next_us)) {
			next_us = at_us;
		}
	}
	return next_us;
}

void sim_read_next_assign(struct sim_op *op, const struct sim_tenant *tenant)
{
	op->number = sim_next_assign(tenant);
	op->out_count = 1;
}

// --- writes ---

int64_t sim_device_of(const struct sim_tenant *tenant, struct text serial)
{
	struct text rest;
	const int64_t named_after = sim_number(serial, 'T', &rest);
	const int64_t device = named_after >= 0 ? sim_number(rest, 'D', &rest) : -1;

	return device >= 0 && rest.length == 0 && device < SIM_DEVICES && sim_named_after(tenant, (size_t)device) == named_after ? device : -1;
}

size_t sim_device_number(const struct sim_tenant *tenant, struct text serial)
{
	const int64_t device = sim_device_of(tenant, serial);

	LAW(device >= 0, "client %lld gets a device that is not its own: %.*s", (long long)tenant->id, TEXT_ARGS(serial));
	return (size_t)device;
}

bool sim_is_present(const struct sim_device *device)
{
	return device->used && device->row.gone_at_us == INSTANT_NONE;
}

static int64_t count_present(const struct sim_tenant *tenant)
{
	int64_t count = 0;

	for (size_t i = 0; i < SIM_DEVICES; i++) {
		count += sim_is_present(&tenant->devices[i]);
	}
	return count;
}

static int64_t count_unlisted(const struct sim_tenant *tenant, const struct device_row *rows, size_t count)
{
	int64_t unlisted = 0;

	for (size_t i = 0; i < count; i++) {
		unlisted += rows[i].gone_reason == REMOVAL_UNLISTED && sim_is_present(&tenant->devices[sim_device_number(tenant, rows[i].apple.serial_number)]);
	}
	return unlisted;
}

// One list, in as many writes as it needs, removes a few devices, or as many as a person has allowed.
static void check_removals(struct sim_tenant *tenant, const struct device_row *rows, size_t count)
{
	const int64_t removals = count_unlisted(tenant, rows, count);

	if (removals == 0) {
		return;
	}
	if (tenant->list_generation != tenant->stream.sync.generation) {
		tenant->list_generation = tenant->stream.sync.generation;
		tenant->list_present = count_present(tenant);
		tenant->list_removals = 0;
	}
	tenant->list_removals += removals;
	if (tenant->list_removals > SIM_BRAKE_DEVICES && tenant->list_removals * 100 > tenant->list_present * SIM_BRAKE_PERCENT) {
		LAW(tenant->list_removals <= tenant->word, "a list removes %lld of client %lld's %lld devices, allowed are %lld",
			(long long)tenant->list_removals, (long long)tenant->id, (long long)tenant->list_present, (long long)tenant->word);
		tenant->word = 0;
	}
}

void sim_put_removals(const struct sim_op *op, struct sim_tenant *tenant)
{
	LAW(op->number == 0 || (op->other == count_present(tenant) && op->number <= op->other), "client %lld: the brake holds %lld of %lld devices, there are %lld",
		(long long)tenant->id, (long long)op->number, (long long)op->other, (long long)count_present(tenant));
	sim_trace("held", tenant->id, op->number, op->other);
	tenant->stream.removals_held = op->number;
	tenant->stream.removals_held_of = op->number > 0 ? op->other : 0;
	tenant->stream.removals_held_at_us = op->number > 0 ? sim.now_us : INSTANT_NONE;
	tenant->removals_allowed = 0;
	if (op->number > 0 && sim.shape->faults > 0 && !sim.quiet) {
		sim_at(sim.now_us + sim_between(5, 120) * MINUTE_US, NULL, sim_removals_allowed, tenant);
	}
}

// A device that came in another one's place stays where that one was when it was decided about; so it is compared when it moves.
static void check_route(const struct sim_tenant *tenant, const struct device_row *row)
{
	const size_t number = sim_device_number(tenant, row->apple.serial_number);
	const struct sim_device *device = &tenant->devices[number];
	const int64_t want = sim_want(tenant, &tenant->route, number, &row->apple);
	const bool stays = sim_is_present(device) && device->row.instance_id == row->instance_id;

	if (row->decider == ROUTE_BY_GUARD && row->instance_id == 0) { // which the rules need not want: see sim_guard_check_route
		return;
	}
	LAW(row->gone_at_us != INSTANT_NONE || row->instance_id == want || (stays && sim_inherits(&tenant->route, number)),
		"device %.*s is routed to %lld, and wanted at %lld", TEXT_ARGS(row->apple.serial_number), (long long)row->instance_id, (long long)want);
}

static void put_device(struct sim_tenant *tenant, const struct device_row *row)
{
	struct sim_device *device = &tenant->devices[sim_device_number(tenant, row->apple.serial_number)];
	const bool was_present = sim_is_present(device);

	if (was_present && row->gone_at_us != INSTANT_NONE) {
		LAW(sim_apple_was_gone_after(tenant, row->apple.serial_number, device->row.apple.asset_tag),
			"device %.*s is removed, and Apple has listed it all the time", TEXT_ARGS(row->apple.serial_number));
	}
	LAW(row->gone_at_us == INSTANT_NONE || row->instance_id == 0, "device %.*s is gone, and routed", TEXT_ARGS(row->apple.serial_number));
	if (was_present && row->gone_at_us != INSTANT_NONE) {
		device->last_instance_id = device->row.instance_id;
	}
	sim_trace("row", tenant->id * 100 + (device - tenant->devices), row->gone_at_us != INSTANT_NONE, row->assign_state);
	device->first_seen_us = device->used ? device->first_seen_us : sim.now_us;
	device->used = true;
	device->was_at[row->gone_at_us == INSTANT_NONE ? row->instance_id : device->last_instance_id] = true;
	device->row = *row;
}

// A page is decided by what was there before it, and written in two parts: so all of it is looked at before the first one.
static void check_routes(const struct sim_transaction *transaction, const struct sim_op *at, const struct sim_tenant *tenant)
{
	for (const struct sim_op *op = transaction->ops; op < at; op++) {
		if (op->kind == OP_DEVICE_PUT) {
			return;
		}
	}
	for (const struct sim_op *op = at; op < transaction->ops + transaction->count; op++) {
		for (size_t i = 0; op->kind == OP_DEVICE_PUT && i < op->in_count; i++) {
			sim_guard_check_route(tenant, (const struct device_row *)op->in + i);
			check_route(tenant, (const struct device_row *)op->in + i);
		}
	}
}

void sim_put_devices(const struct sim_transaction *transaction, struct sim_tenant *tenant, const struct sim_op *op)
{
	const struct device_row *rows = op->in;

	check_routes(transaction, op, tenant);
	check_removals(tenant, rows, op->in_count);
	for (size_t i = 0; i < op->in_count; i++) {
		LAW(op->number == 0 || !tenant->devices[sim_device_number(tenant, rows[i].apple.serial_number)].used,
			"device %.*s is inserted, and is there already", TEXT_ARGS(rows[i].apple.serial_number));
		put_device(tenant, &rows[i]);
	}
}

void sim_put_list_hashes(struct sim_tenant *tenant, const struct sim_op *op)
{
	const struct device_mark *marks = op->in;

	for (size_t i = 0; i < op->in_count; i++) {
		struct sim_device *device = &tenant->devices[sim_device_number(tenant, marks[i].serial_number)];

		LAW(sim_is_present(device), "device %.*s is as it is listed, and not there", TEXT_ARGS(marks[i].serial_number));
		device->row.apple.list_hash = marks[i].list_hash;
	}
}

void sim_device_tell(struct sim_tenant *tenant, const struct stored_event *event)
{
	struct sim_device *device = &tenant->devices[sim_device_number(tenant, event->event.serial_number)];

	LAW(device->told == NULL || device->told->event.at_us <= event->event.at_us, "device %.*s goes back in time with event %lld",
		TEXT_ARGS(event->event.serial_number), (long long)event->event.seq);
	device->told = event;
}

// The log says of each device what its row says. (One that was gone when it was heard of first was never there.)
void sim_devices_check_history(const struct sim_transaction *transaction, struct sim_tenant *tenant)
{
	for (size_t i = 0; i < transaction->count; i++) {
		const struct sim_op *op = &transaction->ops[i];

		for (size_t j = 0; op->kind == OP_DEVICE_PUT && j < op->in_count; j++) {
			const struct device_row *row = (const struct device_row *)op->in + j;
			const struct sim_device *device = &tenant->devices[sim_device_number(tenant, row->apple.serial_number)];
			const bool present = row->gone_at_us == INSTANT_NONE;

			sim_guard_check_claim(tenant, row);
			if (device->told == NULL) {
				LAW(!present, "device %.*s is there, and no event tells of it", TEXT_ARGS(row->apple.serial_number));
				continue;
			}
			const struct history_state told = history_state_after(&device->told->event, device->told->instance_id);

			LAW(told.present == present && told.instance_id == row->instance_id && told.gone_reason == row->gone_reason,
				"device %.*s is not what event %lld tells of it", TEXT_ARGS(row->apple.serial_number),
				(long long)device->told->event.seq);
		}
	}
}
