// SPDX-License-Identifier: Apache-2.0
//
// sim_apple.c - apple.h over a model of Apple: devices that come, change and go, the list and the changes behind cursors, sessions,
// profiles and assignments. A call is two events, its effect at Apple and its answer; each may be lost.
//
// Cursors: "f<since>-<place>-<serial number>" of a list whose changes begin at `since`, "c<place>" of the changes.
#include "sim/sim.h"

#include "apple/apple_gate.h"
#include "tenants/device.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_MAX = 4, CHANGES_MAX = 1024, TIMEOUT_MS = 60000 };

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

struct apple_profile {
	int64_t instance_id;
	int version; // of the instance's members
	bool forgotten;
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

enum what { SIGN_IN, ACCOUNT, FETCH, SYNC, DETAILS, DEFINE, ASSIGN, REPLACES };

struct sim_call {
	struct apple_call *call;
	struct sim_life *life;
	struct sim_tenant *tenant;
	enum what what;
	bool signing_in, renewed, over;
	bool is_out; // a request that was let out, and has no answer yet
	void *out;
	struct text cursor, session, content, uuid;
	struct text *serials;
	size_t count;
	bool current; // sent by the owner, as the rows have it
	int64_t loaded_config;
	// The answer
	enum err rc;
	int64_t retry_after_s;
	struct text new_session, new_cursor;
	struct device_record *records;
	size_t record_count;
	bool more;
	enum assign_result *results;
};

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

static bool is_foreign(struct text session)
{
	return session.length > 0 && session.bytes[0] == 'F';
}

static bool knows_session(struct account *account, struct text session)
{
	return number_after(session, session.length > 0 ? session.bytes[0] : 'S') > account->sessions_lost;
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
	const bool foreign = is_foreign(at->session);
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

		write_record(record, at->tenant, change->device, &change->state, is_foreign(at->session));
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

static size_t device_of(const struct sim_call *at, struct text serial)
{
	const int64_t device = sim_device_of(at->tenant, serial);

	LAW(device >= 0, "client %lld asks about device %.*s", (long long)at->tenant->id, TEXT_ARGS(serial));
	return (size_t)device;
}

static void details(struct sim_call *at, struct account *account)
{
	for (size_t i = 0; i < at->count; i++) {
		const size_t device = device_of(at, at->serials[i]);
		struct device_record *record = next_record(at);

		write_record(record, at->tenant, device, &account->devices[device], is_foreign(at->session));
		record->response_status = account->devices[device].present ? TEXT("SUCCESS") : TEXT("NOT_ACCESSIBLE");
	}
}

static void define(struct sim_call *at, struct account *account)
{
	char content[300];
	const char *url, *department;

	LAW(!is_foreign(at->session), "client %lld defines a profile at somebody else's server", (long long)at->tenant->id);
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

static struct apple_profile *profile_of(struct account *account, struct text uuid)
{
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

	if (profile_of(account, at->uuid)->forgotten) {
		at->rc = ERR_PROFILE_GONE;
		return;
	}
	if (at->loaded_config != at->tenant->stream.config_version) {
		LAW(++at->life->loaded[client].stale_calls <= 1, "client %lld assigns again and again by rules that are not in force",
			(long long)at->tenant->id);
	}
	at->retry_after_s = sim_chance(50) ? sim_between(10, 600) : -1;
	for (size_t i = 0; i < at->count; i++) {
		at->results[i] = assign_device(at, account, device_of(at, at->serials[i]));
	}
}

static void take_effect(struct sim_call *at)
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
	case REPLACES: at->uuid = at->tenant->serials[device_of(at, at->serials[0]) - SIM_REPLACES_FROM]; break;
	case ACCOUNT:
	case SIGN_IN: break;
	}
}

// --- the way there and back ---

static void on_answer(void *argument);

static void answer_after(struct sim_call *at, int64_t wait_us, enum err rc)
{
	at->rc = rc;
	sim_at(sim.now_us + wait_us, at->life, on_answer, at);
}

static const struct {
	enum fault_kind kind;
	enum err rc;
	bool anywhere; // also of GET /session
} refusals[] = {
	{ FAULT_APPLE_TIMEOUT, ERR_TIMEOUT, true },
	{ FAULT_APPLE_5XX, ERR_UNAVAILABLE, true },
	{ FAULT_APPLE_429, ERR_THROTTLED, true },
	{ FAULT_APPLE_TERMS, ERR_TERMS, true },
	{ FAULT_APPLE_TOKEN_DEAD, ERR_TOKEN_DEAD, true },
	{ FAULT_APPLE_REFUSED, ERR_REFUSED, false },
};

static enum err refusal(struct sim_call *at)
{
	if (sim.apple_away_until_us > sim.now_us) {
		return sim_chance(50) ? ERR_UNAVAILABLE : ERR_NETWORK;
	}
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		if ((refusals[i].anywhere || !at->signing_in) && sim_meets(at->tenant, refusals[i].kind)) {
			at->retry_after_s = sim_chance(50) ? sim_between(1, 600) : -1;
			return refusals[i].rc;
		}
	}
	if (at->what == SYNC && !at->signing_in && sim_meets(at->tenant, FAULT_APPLE_CURSOR_END)) {
		return ERR_CURSOR_END;
	}
	return (at->what == SYNC || at->what == FETCH) && at->cursor.length > 0 && !at->signing_in &&
		sim_meets(at->tenant, FAULT_APPLE_CURSOR_LOST) ? ERR_CURSOR_LOST : OK;
}

static int64_t way_us(void)
{
	return sim_between(20, 400) * MS_US;
}

static void open_session(struct sim_call *at)
{
	struct account *account = account_of(at->tenant);

	at->new_session = sim_numbered(account->foreign_until_us > sim.now_us ? 'F' : 'S', ++account->session_count);
	sim_trace("session", at->tenant->id, account->session_count, 0);
	answer_after(at, way_us(), OK);
}

static void on_request(void *argument)
{
	struct sim_call *at = argument;
	const enum err rc = refusal(at);

	if (rc != OK) {
		answer_after(at, rc == ERR_TIMEOUT ? TIMEOUT_MS * MS_US : way_us(), rc);
	} else if (at->signing_in) {
		open_session(at);
	} else if (!knows_session(account_of(at->tenant), at->session)) {
		answer_after(at, way_us(), ERR_SESSION);
	} else {
		at->rc = OK;
		take_effect(at);
		if (at->rc == OK && sim_meets(at->tenant, FAULT_APPLE_ANSWER_LOST)) {
			at->rc = sim_chance(50) ? ERR_TIMEOUT : ERR_NETWORK;
		} else if (at->rc == OK && sim_meets(at->tenant, FAULT_APPLE_BROKEN)) {
			at->rc = ERR_BAD_ANSWER;
		}
		answer_after(at, at->rc == ERR_TIMEOUT ? TIMEOUT_MS * MS_US : way_us(), at->rc);
	}
}

static void on_held_back(void *argument);

// The client waits when it fails, with everything; what is about single devices and profiles has its own times.
static bool backs_off(const struct sim_call *at)
{
	return at->what == SIGN_IN || at->what == ACCOUNT || at->what == FETCH || at->what == SYNC;
}

static void ask(struct sim_call *at, bool signing_in)
{
	at->signing_in = signing_in;
	if (backs_off(at)) {
		sim_wait_asked(at->life, at->tenant);
	}
	if (!apple_gate_admits(at->call)) {
		at->retry_after_s = at->call->retry_after_s;
		sim_at(sim.now_us, at->life, on_held_back, at);
		return;
	}
	at->is_out = true;
	sim_outage_note();
	sim_scene_note(at->tenant);
	at->session = sim_keep(text_of(at->call->session->token));
	sim_at(sim.now_us + way_us(), NULL, on_request, at);
}

static void take_page(const struct sim_call *at)
{
	struct apple_page *page = at->out;

	page->devices = at->records;
	page->count = at->record_count;
	for (size_t i = 0; i < page->count; i++) {
		device_fingerprint(&page->devices[i]);
	}
	page->cursor = at->new_cursor;
	page->more_to_follow = at->more;
}

static void take_answer(const struct sim_call *at)
{
	switch (at->what) {
	case ACCOUNT:
		((struct apple_account *)at->out)->server_uuid =
			is_foreign(at->session) ? TEXT("SERVER-FOREIGN") : text_of(at->tenant->server_uuid);
		break;
	case FETCH:
	case SYNC:
	case DETAILS: take_page(at); break;
	case DEFINE: (void)snprintf(at->out, APPLE_PROFILE_UUID_MAX + 1, "%.*s", TEXT_ARGS(at->uuid)); break;
	case ASSIGN:
		*(struct apple_assignment *)at->out = (struct apple_assignment){ at->results, at->count, at->retry_after_s };
		break;
	case REPLACES:
		(void)snprintf(((struct apple_replacement *)at->out)->original_serial_number,
			sizeof ((struct apple_replacement *)at->out)->original_serial_number, "%.*s", TEXT_ARGS(at->uuid));
		break;
	case SIGN_IN: break;
	}
}

static void finish(struct sim_call *at, enum err rc)
{
	struct apple_call *call = at->call;

	at->over = true;
	call->http.inner = NULL;
	call->state = APPLE_IDLE;
	call->retry_after_s = at->retry_after_s;
	call->took_ms = 1;
	if (rc == OK) {
		take_answer(at);
	} else {
		(void)fault_set(&call->op.fault, rc, "%s", err_text(rc));
	}
	sim_wait_heard(at->life, at->tenant, rc, at->retry_after_s, at->what == FETCH || at->what == SYNC, backs_off(at));
	sim_trace("called", at->tenant->id, at->what, rc);
	op_done(&call->op, rc);
}

static void on_held_back(void *argument)
{
	struct sim_call *at = argument;

	if (!at->over) {
		finish(at, ERR_HELD_BACK);
	}
}

static unsigned status_of(enum err rc)
{
	if (rc == OK || rc == ERR_BAD_ANSWER) {
		return 200;
	}
	if (rc == ERR_UNAVAILABLE || rc == ERR_THROTTLED) {
		return rc == ERR_UNAVAILABLE ? 503 : 429;
	}
	return rc == ERR_TIMEOUT || rc == ERR_NETWORK ? 0 : 400;
}

// The breaker hears of each request that it let out, once.
static void observe(struct sim_call *at, enum err rc)
{
	if (at->is_out) {
		at->is_out = false;
		at->call->status = status_of(rc);
		apple_gate_observe(at->call, rc);
	}
}

static bool crashes_its_reader(struct sim_call *at)
{
	if (sim.quiet || at->signing_in || at->rc != OK || (at->what != FETCH && at->what != SYNC) || at->tenant->poison == 0) {
		return false;
	}
	at->tenant->poison--;
	return true;
}

// As apple_call.c: a session is renewed once.
static void on_answer(void *argument)
{
	struct sim_call *at = argument;
	struct apple_session *session;

	if (at->over) {
		return;
	}
	if (crashes_its_reader(at)) {
		sim_node_crash(at->life);
		return;
	}
	observe(at, at->rc);
	session = at->call->session;
	if (at->signing_in && at->rc == OK) {
		(void)snprintf(session->token, sizeof session->token, "%.*s", TEXT_ARGS(at->new_session));
		session->generation++;
		session->signed_in_anew = true;
		if (at->what == SIGN_IN) {
			finish(at, OK);
		} else {
			ask(at, false);
		}
	} else if (!at->signing_in && at->rc == ERR_SESSION && !at->renewed) {
		at->renewed = true;
		session->token[0] = '\0';
		if (at->call->keeps_session) {
			finish(at, ERR_SESSION);
		} else {
			ask(at, true);
		}
	} else {
		finish(at, at->rc);
	}
}

static struct sim_call *prepare(struct apple_call *call, struct apple_session *session, enum what what, void *out)
{
	struct sim_call *at = sim_take(sizeof *at);

	assert(call->state == APPLE_IDLE);
	LAW(sim.life->loaded[session->server->lane_key - 1].active, "client %lld is paused or quarantined, and Apple is asked",
		(long long)session->server->lane_key);
	call->state = APPLE_ASKING;
	call->session = session;
	call->http.inner = at;
	call->op.rc = OK;
	call->op.fault.text[0] = '\0';
	call->apple_error[0] = '\0';
	*at = (struct sim_call){ .call = call, .life = sim.life, .tenant = sim_tenant_of(session->server->lane_key), .what = what, .out = out,
		.retry_after_s = -1 };
	at->records = what == FETCH || what == SYNC || what == DETAILS ? sim_take_unset(2 * SIM_DEVICES * sizeof *at->records) : NULL;
	at->loaded_config = sim.life->loaded[at->tenant->id - 1].config;
	sim.calls++;
	return at;
}

static void go(struct sim_call *at)
{
	if (at->what != SIGN_IN && at->call->session->token[0] == '\0' && at->call->keeps_session) {
		answer_after(at, 0, ERR_SESSION);
		at->renewed = true;
	} else {
		ask(at, at->what == SIGN_IN || at->call->session->token[0] == '\0');
	}
}

static void set_serials(struct sim_call *at, const struct text *serials, size_t count)
{
	at->serials = sim_take(count * sizeof *serials);
	at->results = sim_take(count * sizeof *at->results);
	at->count = count;
	for (size_t i = 0; i < count; i++) {
		at->serials[i] = sim_keep(serials[i]);
	}
}

// --- laws about who is assigned what, when it is sent ---

static bool is_owner(const struct sim_call *at)
{
	const struct stream_row *stream = &at->tenant->stream;

	return at->tenant->owner_life == at->life->number && stream->owner.length > 0 &&
		stream->epoch == at->life->loaded[at->tenant->id - 1].epoch;
}

static void check_device(const struct sim_call *at, struct text serial, int64_t instance_id)
{
	const size_t number = device_of(at, serial);
	const struct sim_device *device = &at->tenant->devices[number];
	const struct device_row *row = &device->row;
	const struct sim_route *route = &at->life->loaded[at->tenant->id - 1].route;

	LAW(device->used && row->gone_at_us == INSTANT_NONE, "device %.*s is assigned, and gone", TEXT_ARGS(serial));
	LAW(row->assign_at_us != INSTANT_NONE && row->assign_at_us <= sim.now_us, "device %.*s is assigned before its time", TEXT_ARGS(serial));
	LAW(row->assign_state != ASSIGN_CONFIRMING && row->assign_state != ASSIGN_VERIFYING, "device %.*s is assigned before it is read back",
		TEXT_ARGS(serial));
	LAW(row->instance_id == instance_id && (sim_inherits(route, number) || instance_id == sim_want(at->tenant, route, number, &row->apple)),
		"device %.*s is assigned to another instance than its own", TEXT_ARGS(serial));
}

static void check_assignment(const struct sim_call *at)
{
	const size_t client = (size_t)at->tenant->id - 1;
	const struct apple_profile *profile = profile_of(account_of(at->tenant), at->uuid);

	LAW(!is_foreign(text_of(at->call->session->token)), "client %lld assigns at somebody else's server", (long long)at->tenant->id);
	LAW(profile->version == at->life->loaded[client].version[profile->instance_id],
		"client %lld assigns a profile that its rules did not want", (long long)at->tenant->id);
	for (size_t i = 0; is_owner(at) && i < at->count; i++) {
		check_device(at, at->serials[i], profile->instance_id);
	}
}

// --- apple.h ---

void apple_session_init(struct apple_session *session, const struct apple_server *server, const struct server_token *token)
{
	*session = (struct apple_session){ .server = server, .server_token = token };
	list_init(&session->waiting);
}

void apple_session_fini(struct apple_session *session)
{
	session->token[0] = '\0';
}

void apple_call_init(struct apple_call *call, void (*done)(struct op *op))
{
	*call = (struct apple_call){ .retry_after_s = -1 };
	op_init(&call->op, done);
}

void apple_call_fini(struct apple_call *call)
{
	assert(call->state == APPLE_IDLE);
}

static void on_cancelled(void *argument)
{
	struct sim_call *at = argument;

	if (!at->over) {
		observe(at, ERR_CANCELLED);
		finish(at, ERR_CANCELLED);
	}
}

void apple_call_cancel(struct apple_call *call)
{
	if (call->state != APPLE_IDLE) {
		sim_at(sim.now_us, sim.life, on_cancelled, call->http.inner);
	}
}

void apple_page_fini(struct apple_page *page)
{
	*page = (struct apple_page){ 0 };
}

void apple_account_fini(struct apple_account *account)
{
	*account = (struct apple_account){ 0 };
}

void apple_assignment_fini(struct apple_assignment *assignment)
{
	*assignment = (struct apple_assignment){ 0 };
}

void apple_sign_in(struct apple_call *call, struct apple_session *session)
{
	go(prepare(call, session, SIGN_IN, NULL));
}

void apple_account(struct apple_call *call, struct apple_session *session, struct apple_account *out)
{
	*out = (struct apple_account){ 0 };
	go(prepare(call, session, ACCOUNT, out));
}

void apple_fetch_devices(struct apple_call *call, struct apple_session *session, struct text cursor, unsigned limit, struct apple_page *out)
{
	struct sim_call *at = prepare(call, session, FETCH, out);

	(void)limit;
	*out = (struct apple_page){ 0 };
	at->cursor = sim_keep(cursor);
	go(at);
}

void apple_sync_devices(struct apple_call *call, struct apple_session *session, struct text cursor, unsigned limit, struct apple_page *out)
{
	struct sim_call *at = prepare(call, session, SYNC, out);

	(void)limit;
	LAW(cursor.length > 0 && cursor.bytes[0] == 'c', "changes are asked for with cursor %.*s", TEXT_ARGS(cursor));
	*out = (struct apple_page){ 0 };
	at->cursor = sim_keep(cursor);
	go(at);
}

void apple_device_details(struct apple_call *call, struct apple_session *session, const struct text *serials, size_t count,
	struct apple_page *out)
{
	struct sim_call *at = prepare(call, session, DETAILS, out);

	*out = (struct apple_page){ 0 };
	set_serials(at, serials, count);
	go(at);
}

void apple_replacement_details(struct apple_call *call, struct apple_session *session, struct text serial, struct apple_replacement *out)
{
	struct sim_call *at = prepare(call, session, REPLACES, out);

	*out = (struct apple_replacement){ .date = "" };
	set_serials(at, &serial, 1);
	LAW(device_of(at, serial) >= SIM_REPLACES_FROM, "device %.*s does not say that it replaces one", TEXT_ARGS(serial));
	go(at);
}

void apple_define_profile(struct apple_call *call, struct apple_session *session, struct text profile_json,
	char profile_uuid_out[APPLE_PROFILE_UUID_MAX + 1])
{
	struct sim_call *at = prepare(call, session, DEFINE, profile_uuid_out);

	profile_uuid_out[0] = '\0';
	at->content = sim_keep(profile_json);
	go(at);
}

// No profile is old enough to be compared.
void apple_get_profile(struct apple_call *call, struct apple_session *session, struct text profile_uuid, struct buffer *out)
{
	(void)call;
	(void)session;
	(void)out;
	LAW(false, "profile %.*s is read back", TEXT_ARGS(profile_uuid));
}

void apple_assign_profile(struct apple_call *call, struct apple_session *session, struct text profile_uuid, const struct text *serials,
	size_t count, struct apple_assignment *out)
{
	struct sim_call *at = prepare(call, session, ASSIGN, out);

	*out = (struct apple_assignment){ .retry_after_s = -1 };
	at->uuid = sim_keep(profile_uuid);
	set_serials(at, serials, count);
	check_assignment(at);
	go(at);
}

// There are no jobs.
static void no_jobs(const struct apple_call *call)
{
	LAW(call == NULL, "a %s asks Apple", "job");
}

void apple_remove_profile(struct apple_call *call, struct apple_session *session, const struct text *serials, size_t count,
	struct apple_assignment *out)
{
	(void)session;
	(void)serials;
	(void)count;
	(void)out;
	no_jobs(call);
}

void apple_disown_devices(struct apple_call *call, struct apple_session *session, const struct text *serials, size_t count,
	struct apple_assignment *out)
{
	(void)session;
	(void)serials;
	(void)count;
	(void)out;
	no_jobs(call);
}

// --- the end ---

bool sim_apple_profile_is(const struct sim_tenant *tenant, struct text uuid, int64_t instance_id, int version)
{
	const struct apple_profile *profile = profile_of(account_of(tenant), uuid);

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
