// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/sync: how far it is, and asking for more now
#include "api/body.h"
#include "api/json_out.h"
#include "api/resources.h"
#include "store/stream.h"

// --- GET ---

static void run_json(struct json_out *json, const struct stream_row *stream)
{
	put_object(json, "run"); // the one under way, or the last one
	put_instant(json, "started_at", stream->run_started_at_us);
	put_int(json, "pages", stream->run_pages);
	put_int(json, "devices", stream->run_devices);
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
	put_int(&json, "failures", stream.sync.failures);
	put_instant(&json, "synced_at", stream.synced_at_us);
	put_instant(&json, "next_at", stream.sync_next_at_us);
	if (stream.synced_at_us > 0) {
		put_int(&json, "lag_s", (stream.now_us - stream.synced_at_us) / SECOND_US);
	} else {
		put_null(&json, "lag_s");
	}
	full_json(&json, &stream.sync);
	run_json(&json, &stream);
	crashes_json(&json, call);
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

// --- POST ---

static const char *const modes[] = { "changes", "full", NULL };
static const struct body_member members[] = { { "mode", BODY_TEXT, .required = true, .words = modes } };

static bool read_request(struct call *call)
{
	enum due_request *wanted = call_own(call, sizeof *wanted);
	struct body_value mode;

	if (!body_read(call, members, &mode, 1)) {
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
	*wanted = text_equal(mode.text, TEXT("full")) ? DUE_FULL : DUE_SYNC;
	return true;
}

static void request(struct call *call)
{
	const enum due_request wanted = *(const enum due_request *)call->own;

	(void)store_due_request(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, wanted);
	call_start(call);
}

static void answer_requested(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	put_string(&json, "mode", *(const enum due_request *)call->own == DUE_FULL ? "full" : "changes");
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
		if (!call_failed(call)) {
			answer_requested(call);
		}
	}
}
