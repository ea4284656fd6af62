// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/sync: how far it is, and asking for more now
#include "api/body.h"
#include "api/json_out.h"
#include "api/paging.h"
#include "api/resources.h"
#include "depbroker/log.h"
#include "store/parked.h"
#include "store/stream.h"

// --- GET ---

// What a person can do about the reason why a client waits; of those that pass by themselves: that they do.
static const struct {
	const char *reason, *fix;
} fixes[] = {
	{ "stuck_cursor", "Nothing now: Apple repeats itself. After a few runs everything is fetched anew." },
	{ "exhausted_cursor", "Nothing now: if Apple says so again, everything is fetched anew." },
	{ "cursor_lost_twice", "Wait for the next run. If it stays, Apple does not keep its own cursors: ask Apple's support." },
	{ "page_limit", "Nothing: the next run goes on where this one stopped." },
	{ "terms", "Have an administrator sign in to Apple Business Manager or School Manager and accept the new terms." },
	{ "token_dead", "Download a new server token from Apple and upload it with PUT /tenants/{tenant}/token." },
	{ "identity", "The token is for another server now. Upload one of the pinned server, then make the tenant active again." },
	{ "throttled", "Nothing: Apple wants fewer requests, and is asked again at next_at." },
	{ "backoff", "Nothing, if it passes: Apple or the network failed, and is tried again at next_at. If it stays, look at error and at apple_error." },
	{ "held_back", "Nothing: Apple is out of service for everybody, and single probes find out when it is back." },
	{ "interrupted", "Nothing: the next run goes on." },
};

static void fix_json(struct json_out *json, const struct stream_row *stream)
{
	for (size_t i = 0; i < sizeof fixes / sizeof *fixes; i++) {
		if (text_equal_string(stream->reason, fixes[i].reason)) {
			put_string(json, "fix", fixes[i].fix);
			return;
		}
	}
	put_null(json, "fix");
}

// What a full list is expected to have: as many devices as there were. Of a first one nobody knows.
static int64_t expected_devices(const struct call *call, const struct stream_row *stream)
{
	return stream->owner.length > 0 && stream->sync.phase == SYNC_PHASE_FETCH ? call->tenant_status.devices : 0;
}

static void run_json(struct json_out *json, const struct call *call, const struct stream_row *stream)
{
	put_object(json, "run"); // the one under way, or the last one
	put_instant(json, "started_at", stream->run_started_at_us);
	put_int(json, "pages", stream->run_pages);
	put_int(json, "devices", stream->run_devices);
	put_int_or_null(json, "expected_devices", expected_devices(call, stream));
	put_bool(json, "under_way", stream->owner.length > 0);
	put_object_end(json);
}

static void full_json(struct json_out *json, const struct sync_state *sync)
{
	put_object(json, "full");
	put_int(json, "generation", sync->generation);
	put_instant(json, "started_at", sync->fetch_started_at_us);
	put_instant(json, "completed_at", sync->fetch_completed_at_us);
	put_instant(json, "due_at", sync->full_due_at_us);
	put_object_end(json);
}

static void removals_json(struct json_out *json, const struct stream_row *stream)
{
	put_object(json, "removals"); // that wait for a person
	put_int(json, "held", stream->removals_held);
	put_int(json, "of", stream->removals_held_of);
	put_instant(json, "since", stream->removals_held_at_us);
	put_object_end(json);
}

static void crashes_json(struct json_out *json, const struct call *call)
{
	int64_t count, last_at_us;

	store_due_crashes_read(&call->transaction, 1, &count, &last_at_us);
	put_object(json, "crashes"); // of workers while it was in flight
	put_int(json, "count", count);
	put_instant(json, "last_at", last_at_us);
	put_object_end(json);
}

static void answer(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	struct stream_row stream;

	store_stream_read(&call->transaction, 0, 0, &stream);
	put_object(&json, NULL);
	put_string(&json, "phase", stream.sync.phase == SYNC_PHASE_FETCH ? "fetch" : "changes");
	put_text(&json, "reason", stream.reason);
	put_text(&json, "error", stream.error_text);
	put_text(&json, "apple_error", stream.apple_error);
	fix_json(&json, &stream);
	put_int(&json, "failures", stream.sync.failures);
	put_instant(&json, "synced_at", stream.synced_at_us);
	put_instant(&json, "next_at", stream.sync_next_at_us);
	if (stream.synced_at_us > 0) {
		put_int(&json, "lag_s", (stream.now_us - stream.synced_at_us) / SECOND_US);
	} else {
		put_null(&json, "lag_s");
	}
	full_json(&json, &stream.sync);
	run_json(&json, call, &stream);
	removals_json(&json, &stream);
	crashes_json(&json, call);
	put_int(&json, "parked_records", call->tenant_status.parked_records);
	put_int(&json, "event_seq", stream.event_seq);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static void ask(struct call *call)
{
	struct pg_transaction *t = call_transaction(call, store_api(call->tenant.tenant_id));

	(void)store_stream_select(t, call->tenant.tenant_id);
	(void)store_due_crashes(t, call->tenant.tenant_id);
	call_start(call);
}

void sync_show(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		AWAIT(call, READING, ask(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}

// --- GET parked ---

static void ask_parked(struct call *call)
{
	const struct paging *paging = call->own;

	(void)store_parked_list(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, paging->after,
		paging->limit);
	call_start(call);
}

static void answer_parked(struct call *call)
{
	const struct paging *paging = call->own;
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };
	const size_t count = pg_row_count(&call->transaction, 0);
	struct parked_row row = { 0 };

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < count; i++) {
		store_parked_read(&call->transaction, 0, i, &row);
		put_object(&json, NULL);
		put_text(&json, "serial_number", row.serial_number);
		put_text(&json, "why", row.why);
		put_text(&json, "record", row.record); // as a string: it may be cut
		put_int(&json, "times", row.times);
		put_instant(&json, "first_at", row.first_at_us);
		put_instant(&json, "last_at", row.last_at_us);
		put_object_end(&json);
	}
	put_list_end(&json);
	paging_write(&json, paging, count, row.digest_hex);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

// A cursor is not signed: whoever made one up must not reach the database with what is no digest.
static bool is_digest_or_empty(struct text hex)
{
	unsigned char digest[32];
	struct buffer bytes CLEANUP(buffer_fini) = BUFFER(sizeof digest);

	return hex.length == 0 || (hex_decode(&bytes, hex) && bytes.length == sizeof digest);
}

static bool read_parked(struct call *call)
{
	struct paging *paging = call_own(call, sizeof *paging);

	if (!paging_read(call, paging, "parked")) {
		return false;
	}
	if (!is_digest_or_empty(paging->after)) {
		call_problem(call, PROBLEM_BAD_CURSOR, "%s", "");
		return false;
	}
	return true;
}

void sync_parked(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!read_parked(call)) {
			return;
		}
		AWAIT(call, LISTING, ask_parked(call));
		if (!call_failed(call)) {
			answer_parked(call);
		}
	}
}

// --- POST ---

static const char *const modes[] = { "changes", "full", NULL };
enum { MODE, ALLOW_REMOVALS, MEMBERS };
static const struct body_member members[MEMBERS] = {
	[MODE] = { "mode", BODY_TEXT, .required = true, .words = modes },
	[ALLOW_REMOVALS] = { "allow_removals", BODY_INTEGER, .minimum = 1, .maximum = INT32_MAX },
};

struct sync_wish {
	enum due_request request;
	int64_t allow_removals; // 0: none
};

// The word of somebody who may decide about all devices of a client, and about a list that is fetched for it.
static bool may_allow(struct call *call, const struct sync_wish *wish)
{
	if (wish->allow_removals > 0 && call->role < ROLE_OPERATOR) {
		call_problem(call, PROBLEM_FORBIDDEN, "to allow removals it needs operator, and the key is of a %s", role_name(call->role));
		return false;
	}
	if (wish->allow_removals > 0 && wish->request != DUE_FULL) {
		call_problem(call, PROBLEM_BAD_BODY, "%s", "allow_removals goes with mode full");
		return false;
	}
	return true;
}

static bool read_request(struct call *call)
{
	struct sync_wish *wish = call_own(call, sizeof *wish);
	struct body_value values[MEMBERS];

	if (!body_read(call, members, values, MEMBERS)) {
		return false;
	}
	if (!text_equal(call->tenant.state, TEXT("active"))) {
		call_problem(call, PROBLEM_TENANT_NOT_ACTIVE, "it is %.*s", TEXT_ARGS(call->tenant.state));
		return false;
	}
	if (text_equal(call->tenant_status.token_state, TEXT("none"))) {
		call_problem(call, PROBLEM_TOKEN_NOT_FOUND, "%s", "");
		return false;
	}
	wish->request = text_equal(values[MODE].text, TEXT("full")) ? DUE_FULL : DUE_SYNC;
	wish->allow_removals = values[ALLOW_REMOVALS].given ? values[ALLOW_REMOVALS].number : 0;
	return may_allow(call, wish);
}

static void request(struct call *call)
{
	const struct sync_wish *wish = call->own;
	struct pg_transaction *t = call_transaction(call, store_api(call->tenant.tenant_id));

	if (wish->allow_removals > 0) {
		store_removals_allow(t, call->tenant.tenant_id, wish->allow_removals);
	} else {
		(void)store_due_request(t, call->tenant.tenant_id, wish->request);
	}
	call_start(call);
}

// False: another number of removals waits than the one that was allowed.
static bool is_requested(struct call *call)
{
	const struct sync_wish *wish = call->own;

	if (wish->allow_removals > 0 && call->transaction.op.rc == ERR_FENCED) {
		call_problem(call, PROBLEM_REMOVALS_DIFFER, "not %lld", (long long)wish->allow_removals);
		return false;
	}
	if (call_failed(call)) {
		return false;
	}
	if (wish->allow_removals > 0) {
		log_event(LOG_WARNING, "sync.removals_allowed", LOG_TEXT("tenant", call->tenant.slug), LOG_TEXT("key", call->key.key_id),
			LOG_INT("devices", wish->allow_removals));
	}
	return true;
}

static void answer_requested(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	put_string(&json, "mode", ((const struct sync_wish *)call->own)->request == DUE_FULL ? "full" : "changes");
	put_object_end(&json);
	call_answer(call, 202, &body);
}

void sync_request(struct call *call)
{
	enum { NEW, REQUESTING };

	switch (call->state) {
	case NEW:
		if (!read_request(call)) {
			return;
		}
		AWAIT(call, REQUESTING, request(call));
		if (is_requested(call)) {
			answer_requested(call);
		}
	}
}
