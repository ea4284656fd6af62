// SPDX-License-Identifier: Apache-2.0
//
// sim_apple.c - a model of Apple: devices that come, change and go, the list and the changes behind cursors, sessions, profiles and
// assignments.
//
// Cursors: "f<since>-<place>-<serial number>" of a list whose changes begin at `since`, "c<place>" of the changes.
#include "sim/sim_apple.h"

#include "tenants/device.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_MAX = 4, CHANGES_MAX = 1024 };

struct truth {
	bool present;
	int version, gone_version; // of its last state, and of its last deletion
	int64_t changed_at_us, assigned_date_us;
	struct text model, status, profile_uuid;
};

struct change {
	size_t device;
	enum device_operation operation;
	int64_t date_us;
	struct truth state;
};

static struct account {
	struct truth devices[SIM_DEVICES];
	struct change *changes;
	size_t change_count;
	int version;
	struct apple_profile *profiles; // [number of its UUID]
	size_t profile_count;
	int64_t session_count, sessions_lost; // those up to it are not known any more
	int64_t foreign_until_us;
} *accounts;

// --- what happens at Apple ---

static struct account *account_of(const struct sim_tenant *tenant)
{
	return &accounts[tenant->id - 1];
}

static void note_change(struct account *account, size_t device, enum device_operation operation)
{
	struct truth *truth = &account->devices[device];

	truth->version = ++account->version;
	truth->changed_at_us = sim.now_us;
	if (operation == DEVICE_DELETED) {
		truth->gone_version = truth->version;
	}
	assert(account->change_count < CHANGES_MAX);
	account->changes[account->change_count++] = (struct change){ device, operation, sim.now_us / SECOND_US * SECOND_US, *truth };
	sim_trace("apple", account - accounts, (int64_t)device, operation);
}

static void add_device(struct account *account, size_t device)
{
	struct truth *truth = &account->devices[device];

	truth->present = true;
	truth->assigned_date_us = sim.now_us / SECOND_US * SECOND_US;
	truth->model = sim_numbered('M', sim_between(0, 3));
	truth->status = TEXT("empty");
	truth->profile_uuid = TEXT_NONE;
	note_change(account, device, DEVICE_ADDED);
}

void sim_apple_change(void)
{
	struct account *account = &accounts[sim_between(0, sim.shape->tenants - 1)];
	const size_t device = (size_t)sim_between(0, SIM_DEVICES - 1);
	struct truth *truth = &account->devices[device];

	if (truth->version > 0 && sim.now_us - truth->changed_at_us < 2 * SECOND_US) { // dates are in seconds, and differ
		return;
	}
	if (!truth->present) {
		add_device(account, device);
	} else if (sim_chance(40)) {
		truth->present = false;
		note_change(account, device, DEVICE_DELETED);
	} else {
		truth->model = sim_numbered('M', sim_between(0, 3));
		note_change(account, device, DEVICE_MODIFIED);
	}
}

static int number_after(struct text text, char letter)
{
	const int64_t number = sim_number(text, letter, NULL);

	return number > 0 ? (int)number : 0;
}

bool sim_apple_was_gone_after(const struct sim_tenant *tenant, struct text serial, struct text version)
{
	const int64_t device = sim_device_of(tenant, serial);

	return device >= 0 && account_of(tenant)->devices[device].gone_version > number_after(version, 'v');
}

// Devices go, and the changes do not tell: only a complete list does.
int64_t sim_apple_vanish(const struct sim_tenant *tenant, int64_t most)
{
	struct account *account = account_of(tenant);
	const size_t from = (size_t)sim_between(0, SIM_DEVICES - 1);
	int64_t gone = 0;

	for (size_t i = 0; i < SIM_DEVICES && gone < most; i++) {
		const size_t device = (from + i) % SIM_DEVICES;
		struct truth *truth = &account->devices[device];

		if (truth->present && sim.now_us - truth->changed_at_us >= 2 * SECOND_US) {
			truth->present = false;
			truth->version = truth->gone_version = ++account->version;
			truth->changed_at_us = sim.now_us;
			sim_trace("vanished", tenant->id, (int64_t)device, 0);
			gone++;
		}
	}
	return gone;
}

void sim_apple_fault(enum fault_kind kind, struct sim_tenant *tenant)
{
	struct account *account = account_of(tenant);

	if (kind == FAULT_SESSION_LOST) {
		account->sessions_lost = account->session_count;
	} else if (kind == FAULT_PROFILE_LOST && account->profile_count > 0) {
		account->profiles[account->profile_count - 1].forgotten = true;
	} else if (kind == FAULT_VANISHED) {
		(void)sim_apple_vanish(tenant, sim_between(1, SIM_DEVICES));
	} else if (kind == FAULT_FOREIGN) {
		account->sessions_lost = account->session_count;
		account->foreign_until_us = sim.now_us + sim_between(1, 60) * MINUTE_US;
	} else if (kind == FAULT_KINDS) {
		account->sessions_lost = account->foreign_until_us > 0 ? account->session_count : account->sessions_lost;
		account->foreign_until_us = 0;
	}
}

// --- what a call does there ---

bool sim_is_foreign(struct text session)
{
	return session.length > 0 && session.bytes[0] == 'F';
}

bool sim_knows_session(const struct sim_tenant *tenant, struct text session)
{
	return number_after(session, session.length > 0 ? session.bytes[0] : 'S') > account_of(tenant)->sessions_lost;
}

struct text sim_new_session(const struct sim_tenant *tenant)
{
	struct account *account = account_of(tenant);
	const struct text session = sim_numbered(account->foreign_until_us > sim.now_us ? 'F' : 'S', ++account->session_count);

	sim_trace("session", tenant->id, account->session_count, 0);
	return session;
}

static void write_record(struct device_record *out, const struct sim_tenant *tenant, size_t device, const struct truth *truth, bool foreign)
{
	*out = (struct device_record){
		.serial_number = foreign ? sim_format("ALIEN%zu", device) : tenant->serials[device],
		.model = truth->model,
		.is_replacement = device >= SIM_REPLACES_FROM,
		.asset_tag = sim_numbered('v', truth->version),
		.profile_status = truth->status,
		.profile_uuid = truth->profile_uuid,
		.device_assigned_date_us = truth->assigned_date_us,
		.profile_assign_time_us = INSTANT_NONE,
		.profile_push_time_us = INSTANT_NONE,
		.mdm_migration_deadline_us = INSTANT_NONE,
		.op_date_us = INSTANT_NONE,
	};
}

static struct device_record *next_record(struct sim_call *at)
{
	return &at->records[at->record_count++];
}

static void list_devices(struct sim_call *at, struct account *account)
{
	int64_t since = (int64_t)account->change_count, place = 0;
	const size_t limit = (size_t)sim_between(1, PAGE_MAX);
	const bool foreign = sim_is_foreign(at->session);
	size_t device;

	if (at->cursor.length > 0) {
		struct text rest;

		since = sim_number(at->cursor, 'f', &rest);
		place = since >= 0 ? sim_number(rest, '-', NULL) : -1;
		LAW(place >= 0, "a list is asked for with cursor %.*s", TEXT_ARGS(at->cursor));
	}
	for (device = (size_t)place; device < SIM_DEVICES && at->record_count < limit; device++) {
		if (account->devices[device].present) {
			write_record(next_record(at), at->tenant, device, &account->devices[device], foreign);
		}
	}
	while (device < SIM_DEVICES && !account->devices[device].present) {
		device++;
	}
	at->more = device < SIM_DEVICES;
	at->new_cursor = at->more ? sim_format("f%lld-%zu-%d", (long long)since, device, (int)sim_between(0, 99)) :
		sim_numbered('c', since);
}

static void list_changes(struct sim_call *at, struct account *account)
{
	const size_t limit = (size_t)sim_between(1, PAGE_MAX);
	size_t place = (size_t)number_after(at->cursor, at->cursor.bytes[0]);

	for (; place < account->change_count && at->record_count < limit; place++) {
		const struct change *change = &account->changes[place];
		struct device_record *record = next_record(at);

		write_record(record, at->tenant, change->device, &change->state, sim_is_foreign(at->session));
		record->operation = change->operation;
		record->op_date_us = change->date_us;
		if (change->operation == DEVICE_DELETED) {
			*record = (struct device_record){ .serial_number = record->serial_number, .operation = DEVICE_DELETED,
				.op_date_us = record->op_date_us, .device_assigned_date_us = INSTANT_NONE, .profile_assign_time_us = INSTANT_NONE,
				.profile_push_time_us = INSTANT_NONE, .mdm_migration_deadline_us = INSTANT_NONE };
		}
	}
	at->more = place < account->change_count;
	at->new_cursor = sim_numbered('c', (int64_t)place);
}

// The same records twice, and more to follow behind a cursor that does or does not move.
static void spoil_page(struct sim_call *at)
{
	if (at->cursor.length > 0 && sim_meets(at->tenant, FAULT_APPLE_STUCK)) {
		at->new_cursor = at->cursor;
		at->more = true;
	} else if (at->cursor.length > 0 && sim_meets(at->tenant, FAULT_APPLE_EMPTY)) {
		at->record_count = 0;
		at->more = true;
		at->new_cursor = at->cursor.bytes[0] == 'f' ? sim_format("f%.*s0", (int)at->cursor.length - 1, at->cursor.bytes + 1) :
			sim_format("c%d-%d", number_after(at->cursor, 'c'), (int)sim_between(0, 999));
	} else if (sim_meets(at->tenant, FAULT_APPLE_REPEATS)) {
		memcpy(at->records + at->record_count, at->records, at->record_count * sizeof *at->records);
		at->record_count *= 2;
	}
}

size_t sim_called_device(const struct sim_call *at, struct text serial)
{
	const int64_t device = sim_device_of(at->tenant, serial);

	LAW(device >= 0, "client %lld asks about device %.*s", (long long)at->tenant->id, TEXT_ARGS(serial));
	return (size_t)device;
}

static void details(struct sim_call *at, struct account *account)
{
	for (size_t i = 0; i < at->count; i++) {
		const size_t device = sim_called_device(at, at->serials[i]);
		struct device_record *record = next_record(at);

		write_record(record, at->tenant, device, &account->devices[device], sim_is_foreign(at->session));
		record->response_status = account->devices[device].present ? TEXT("SUCCESS") : TEXT("NOT_ACCESSIBLE");
	}
}

static void define(struct sim_call *at, struct account *account)
{
	char content[300];
	const char *url, *department;

	LAW(!sim_is_foreign(at->session), "client %lld defines a profile at somebody else's server", (long long)at->tenant->id);
	(void)snprintf(content, sizeof content, "%.*s", TEXT_ARGS(at->content));
	url = strstr(content, "https://mdm");
	department = strstr(content, "department\":\"");
	assert(url != NULL && department != NULL && account->profile_count < SIM_PROFILES_MAX);
	account->profiles[account->profile_count] = (struct apple_profile){
		.instance_id = strtol(url + 11, NULL, 10),
		.version = (int)strtol(department + 13, NULL, 10),
	};
	at->uuid = sim_numbered('P', (int64_t)account->profile_count++);
}

struct apple_profile *sim_profile_at_apple(const struct sim_tenant *tenant, struct text uuid)
{
	struct account *account = account_of(tenant);
	const size_t number = (size_t)number_after(uuid, 'P');

	assert(number < account->profile_count);
	return &account->profiles[number];
}

static enum assign_result assign_device(struct sim_call *at, struct account *account, size_t device)
{
	struct truth *truth = &account->devices[device];

	if (sim_meets(at->tenant, FAULT_ASSIGN_THROTTLES)) {
		return ASSIGN_RESULT_THROTTLED;
	}
	if (sim_meets(at->tenant, FAULT_ASSIGN_FAILS)) {
		return ASSIGN_RESULT_FAILED;
	}
	if (!truth->present || sim_meets(at->tenant, FAULT_ASSIGN_DENIES)) {
		return ASSIGN_RESULT_NOT_ACCESSIBLE;
	}
	if (!text_equal(truth->profile_uuid, at->uuid)) {
		truth->profile_uuid = at->uuid;
		truth->status = TEXT("assigned");
		note_change(account, device, DEVICE_MODIFIED);
	}
	return sim_meets(at->tenant, FAULT_ASSIGN_SKIPS) ? ASSIGN_RESULT_MISSING : ASSIGN_RESULT_SUCCESS;
}

static void assign(struct sim_call *at, struct account *account)
{
	const size_t client = (size_t)at->tenant->id - 1;

	if (sim_profile_at_apple(at->tenant, at->uuid)->forgotten) {
		at->rc = ERR_PROFILE_GONE;
		return;
	}
	if (at->loaded_config != at->tenant->stream.config_version) {
		LAW(++at->life->loaded[client].stale_calls <= 1, "client %lld assigns again and again by rules that are not in force",
			(long long)at->tenant->id);
	}
	at->retry_after_s = sim_chance(50) ? sim_between(10, 600) : -1;
	for (size_t i = 0; i < at->count; i++) {
		at->results[i] = assign_device(at, account, sim_called_device(at, at->serials[i]));
	}
}

// Of a job: what was asked for may be done already, by a call of which the answer was lost.
static enum assign_result do_job(struct sim_call *at, struct account *account, size_t device)
{
	struct truth *truth = &account->devices[device];

	if (sim_meets(at->tenant, FAULT_ASSIGN_FAILS)) {
		return ASSIGN_RESULT_FAILED;
	}
	if (!truth->present) {
		return ASSIGN_RESULT_NOT_ACCESSIBLE;
	}
	if (at->what == RELEASE) {
		truth->present = false;
		note_change(account, device, DEVICE_DELETED);
	} else if (truth->profile_uuid.length > 0) {
		truth->profile_uuid = TEXT_NONE;
		truth->status = TEXT("removed");
		note_change(account, device, DEVICE_MODIFIED);
	}
	return ASSIGN_RESULT_SUCCESS;
}

void sim_apple_serve(struct sim_call *at)
{
	struct account *account = account_of(at->tenant);

	sim_trace("call", at->tenant->id, at->what, at->signing_in);
	switch (at->what) {
	case FETCH:
		list_devices(at, account);
		spoil_page(at);
		break;
	case SYNC:
		list_changes(at, account);
		spoil_page(at);
		break;
	case DETAILS: details(at, account); break;
	case DEFINE: define(at, account); break;
	case ASSIGN: assign(at, account); break;
	case REMOVE:
	case RELEASE:
		for (size_t i = 0; i < at->count; i++) {
			at->results[i] = do_job(at, account, sim_called_device(at, at->serials[i]));
		}
		break;
	case REPLACES: at->uuid = at->tenant->serials[sim_called_device(at, at->serials[0]) - SIM_REPLACES_FROM]; break;
	case ACCOUNT:
	case SIGN_IN: break;
	}
}

// --- the end ---

bool sim_apple_profile_is(const struct sim_tenant *tenant, struct text uuid, int64_t instance_id, int version)
{
	const struct apple_profile *profile = sim_profile_at_apple(tenant, uuid);

	return profile->instance_id == instance_id && profile->version == version;
}

static bool is_cooling_down(const struct device_row *row)
{
	return (row->assign_state == ASSIGN_THROTTLED || row->assign_state == ASSIGN_FAILED) && row->assign_at_us > sim.now_us;
}

const char *sim_apple_differs(struct sim_tenant *tenant, size_t device, const struct device_row *row,
	const struct text wanted[SIM_INSTANCES + 1])
{
	const struct truth *truth = &account_of(tenant)->devices[device];

	if (!truth->present) {
		return row == NULL || row->gone_at_us != INSTANT_NONE ? NULL : "a device that Apple has no more is there";
	}
	if (row == NULL || row->gone_at_us != INSTANT_NONE) {
		return "a device that Apple has is not there";
	}
	if (number_after(row->apple.asset_tag, 'v') != truth->version || !text_equal(row->apple.profile_uuid, truth->profile_uuid)) {
		return "a device is not as Apple has it";
	}
	if (!sim_may_stay(tenant, device, row)) {
		sim_trace("elsewhere", tenant->id * 100 + (int64_t)device, row->instance_id, sim_want(tenant, &tenant->route, device, &row->apple));
		return "a device is not where it is wanted";
	}
	if (wanted[row->instance_id].length == 0 || text_equal(truth->profile_uuid, wanted[row->instance_id]) || is_cooling_down(row)) {
		return NULL;
	}
	return "a device has not got its profile";
}

void sim_apple_begin(void)
{
	accounts = sim_take((size_t)sim.shape->tenants * sizeof *accounts);
	for (int i = 0; i < sim.shape->tenants; i++) {
		accounts[i].changes = sim_take_unset(CHANGES_MAX * sizeof *accounts[i].changes);
		accounts[i].profiles = sim_take_unset(SIM_PROFILES_MAX * sizeof *accounts[i].profiles);
		accounts[i].profiles[0] = (struct apple_profile){ 0 }; // P0 is nobody's
		accounts[i].profile_count = 1;
		for (size_t device = 0; device < SIM_DEVICES; device++) {
			if (sim_chance(60)) {
				add_device(&accounts[i], device);
			}
		}
	}
}
