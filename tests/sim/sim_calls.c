// SPDX-License-Identifier: Apache-2.0
//
// sim_calls.c - apple.h over the simulated Apple: a call is two events, its effect there and its answer; each may be lost.
#include "sim/sim_apple.h"

#include "apple/apple_gate.h"
#include "tenants/device.h"
#include "tenants/seen.h"

#include <assert.h>
#include <string.h>

enum { TIMEOUT_MS = 60000 };
enum { SPELT_OTHERWISE = 5 }; // percent of the pages of lists

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
	at->new_session = sim_new_session(at->tenant);
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
	} else if (!sim_knows_session(at->tenant, at->session)) {
		answer_after(at, way_us(), ERR_SESSION);
	} else {
		at->rc = OK;
		sim_apple_serve(at);
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

// What apple_list.c does: here a record's fingerprint stands for its bytes, which now and then are others.
static uint64_t list_hash_of(const struct apple_listing *listing, const struct device_record *record, unsigned char spelling)
{
	unsigned char bytes[DEVICE_FINGERPRINT_SIZE + 1];

	memcpy(bytes, record->fingerprint, sizeof record->fingerprint);
	bytes[DEVICE_FINGERPRINT_SIZE] = spelling;
	return keyed_hash_of_long(listing->key, (struct text){ (const char *)bytes, sizeof bytes }) | 1;
}

static void leave_out_listed(struct apple_page *page, const struct apple_listing *listing)
{
	const unsigned char spelling = sim_chance(SPELT_OTHERWISE) ? 1 : 0;
	size_t left = 0;

	known_drop_page(listing->known);
	for (size_t i = 0; i < page->count; i++) {
		page->devices[i].list_hash = list_hash_of(listing, &page->devices[i], spelling);
	}
	for (size_t i = 0; i < page->count; i++) {
		const struct device_record record = page->devices[i];

		if (!known_add_listed(listing->known, record.serial_number, record.list_hash)) {
			page->devices[left++] = record;
		}
	}
	for (size_t i = 0; i < left; i++) {
		LAW(!known_is_in_page(listing->known, page->devices[i].serial_number), "a page has device %.*s twice, and it is not the same",
			TEXT_ARGS(page->devices[i].serial_number));
	}
	page->count = left;
	page->unchanged = listing->known->page_count;
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
	if (at->what == FETCH) {
		leave_out_listed(page, at->call->listing);
	}
}

static void take_answer(const struct sim_call *at)
{
	switch (at->what) {
	case ACCOUNT:
		((struct apple_account *)at->out)->server_uuid =
			sim_is_foreign(at->session) ? TEXT("SERVER-FOREIGN") : text_of(at->tenant->server_uuid);
		break;
	case FETCH:
	case SYNC:
	case DETAILS: take_page(at); break;
	case DEFINE: text_put(at->out, APPLE_PROFILE_UUID_MAX + 1, at->uuid); break;
	case ASSIGN:
	case REMOVE:
	case RELEASE:
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
		text_put(session->token, sizeof session->token, at->new_session);
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

// Of a page that is not needed any more, if there is one.
static struct device_record *take_records(void)
{
	struct sim_records *records = sim.spare_records;

	if (records == NULL) {
		records = sim_take_unset(sizeof *records);
	} else {
		sim.spare_records = records->next;
	}
	return records->items;
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
	at->records = what == FETCH || what == SYNC || what == DETAILS ? take_records() : NULL;
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
	const size_t number = sim_called_device(at, serial);
	const struct sim_device *device = &at->tenant->devices[number];
	const struct device_row *row = &device->row;
	const struct sim_route *route = &at->life->loaded[at->tenant->id - 1].route;

	LAW(device->used && row->gone_at_us == INSTANT_NONE, "device %.*s is assigned, and gone", TEXT_ARGS(serial));
	LAW(row->instance_id != 0, "device %.*s is assigned, and held", TEXT_ARGS(serial));
	LAW(row->assign_at_us != INSTANT_NONE && row->assign_at_us <= sim.now_us, "device %.*s is assigned before its time", TEXT_ARGS(serial));
	LAW(row->assign_state != ASSIGN_CONFIRMING && row->assign_state != ASSIGN_VERIFYING, "device %.*s is assigned before it is read back",
		TEXT_ARGS(serial));
	LAW(row->instance_id == instance_id && (sim_inherits(route, number) || instance_id == sim_want(at->tenant, route, number, &row->apple)),
		"device %.*s is assigned to another instance than its own", TEXT_ARGS(serial));
}

static void check_assignment(const struct sim_call *at)
{
	const size_t client = (size_t)at->tenant->id - 1;
	const struct apple_profile *profile = sim_profile_at_apple(at->tenant, at->uuid);

	LAW(!sim_is_foreign(text_of(at->call->session->token)), "client %lld assigns at somebody else's server", (long long)at->tenant->id);
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

// Those of a run are zeroed already.
void apple_call_init(struct apple_call *call, void (*done)(struct op *op))
{
	call->retry_after_s = -1;
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
	if (page->devices != NULL) {
		struct sim_records *records = CONTAINER_OF(page->devices, struct sim_records, items[0]);

		records->next = sim.spare_records;
		sim.spare_records = records;
	}
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

void apple_listing_init(struct apple_listing *listing, struct known *known, int64_t tenant_id)
{
	*listing = (struct apple_listing){ .known = known, .key = { 1, (uint64_t)tenant_id } };
}

void apple_fetch_devices(struct apple_call *call, struct apple_session *session, struct text cursor, unsigned limit,
	struct apple_listing *listing, struct apple_page *out)
{
	struct sim_call *at = prepare(call, session, FETCH, out);

	(void)limit;
	call->listing = listing;
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
	LAW(sim_called_device(at, serial) >= SIM_REPLACES_FROM, "device %.*s does not say that it replaces one", TEXT_ARGS(serial));
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

static void ask_for_job(struct sim_call *at, const struct text *serials, size_t count)
{
	*(struct apple_assignment *)at->out = (struct apple_assignment){ .retry_after_s = -1 };
	set_serials(at, serials, count);
	LAW(at->life->loaded[at->tenant->id - 1].read_config == at->loaded_config,
		"client %lld: Apple is asked for a job about devices that were read with another configuration than the run has", (long long)at->tenant->id);
	for (size_t i = 0; is_owner(at) && i < count; i++) {
		sim_job_check_call(at->tenant, serials[i], at->what == RELEASE);
	}
	go(at);
}

void apple_remove_profile(struct apple_call *call, struct apple_session *session, const struct text *serials, size_t count,
	struct apple_assignment *out)
{
	ask_for_job(prepare(call, session, REMOVE, out), serials, count);
}

void apple_disown_devices(struct apple_call *call, struct apple_session *session, const struct text *serials, size_t count,
	struct apple_assignment *out)
{
	ask_for_job(prepare(call, session, RELEASE, out), serials, count);
}
