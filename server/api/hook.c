// SPDX-License-Identifier: Apache-2.0
#include "api/hook.h"

#include "api/hook_body.h"
#include "api/json_out.h"
#include "api/rate_limit.h"
#include "api/resources.h"
#include "depbroker/digest.h"
#include "depbroker/log.h"
#include "store/enrolments.h"
#include "store/instances.h"
#include "store/secrets.h"
#include "store/stream.h"

enum { TENANT, INSTANCE, SECRET }; // parameters of the path
#define NOBODY INT64_MAX           // the number of no tenant

struct hearing {
	int64_t instance_id;
	struct hook_news news;
	unsigned char digest[SHA256_SIZE];
	unsigned heard;
};

// --- admission: before anything of the body is read ---

void hook_admit(struct call *call)
{
	const struct http_request *request = call->request;
	struct rate_limit *rates = call->service->hook_rates;
	const int64_t now_ms = clock_monotonic_ms();
	const struct text address = request->client_address;
	unsigned char target[SHA256_SIZE];
	const struct digest_part parts[] = {
		{ request->parameters[TENANT].bytes, request->parameters[TENANT].length }, { "/", 1 },
		{ request->parameters[INSTANCE].bytes, request->parameters[INSTANCE].length },
	};

	sha256(target, parts, sizeof parts / sizeof *parts);
	if (!rate_limit_take(rates, address.bytes, address.length, now_ms) || !rate_limit_take(rates, target, sizeof target, now_ms)) {
		call_problem(call, PROBLEM_TOO_MANY_REQUESTS, "%s", "");
		return;
	}
	http_admit(call->request);
}

// --- who is it ---

static void find_tenant(struct call *call)
{
	(void)call_own(call, sizeof(struct hearing));
	(void)store_tenant_by_slug(call_transaction(call, store_directory()), call->request->parameters[TENANT]);
	call_start(call);
}

static void take_tenant(struct call *call)
{
	struct tenant_row row = { .tenant_id = NOBODY };

	if (pg_row_count(&call->transaction, 0) == 1) {
		store_tenant_read(&call->transaction, 0, 0, &row);
	}
	if (text_equal(row.state, TEXT("deleting")) || text_equal(row.state, TEXT("archived"))) {
		row.tenant_id = NOBODY;
	}
	call->tenant = (struct tenant_row){ .tenant_id = row.tenant_id, .slug = call->request->parameters[TENANT] };
}

enum { FOUND_INSTANCE, DATA_KEY, SECRETS }; // the statements

static void find_secret(struct call *call)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_instance_by_name(transaction, tenant_id, call->request->parameters[INSTANCE]);
	(void)store_data_key_current(transaction, tenant_id);
	(void)store_secret_select(transaction, tenant_id, SECRET_HOOK, 0);
	call_start(call);
}

// Empty when there is none: then what is made of it proves nothing.
static void open_secret(struct call *call, struct buffer *secret)
{
	const int64_t tenant_id = call->tenant.tenant_id;
	struct hearing *hearing = call->own;
	struct data_key data_key CLEANUP(data_key_fini) = { 0 };
	struct instance_row instance;

	if (pg_row_count(&call->transaction, FOUND_INSTANCE) == 0) {
		return;
	}
	store_instance_read(&call->transaction, FOUND_INSTANCE, 0, &instance);
	hearing->instance_id = instance.instance_id;
	if (store_data_key_read(&call->transaction, DATA_KEY, call->service->keys, tenant_id, &data_key, NULL) != OK) {
		return;
	}
	for (size_t row = 0; row < pg_row_count(&call->transaction, SECRETS); row++) {
		if (store_secret_object_id(&call->transaction, SECRETS, row) == instance.instance_id &&
			store_secret_open(&call->transaction, SECRETS, row, tenant_id, SECRET_HOOK, call->service->keys, &data_key, secret, NULL) != OK) {
			buffer_wipe(secret);
		}
	}
}

// Of any given text, so that the comparison is always of two digests.
static void digest_of(unsigned char out[SHA256_SIZE], struct text text)
{
	sha256(out, &(struct digest_part){ text.bytes, text.length }, 1);
}

static bool has_secret(const struct call *call, struct text secret)
{
	unsigned char given[SHA256_SIZE];
	unsigned char wanted[SHA256_SIZE];

	digest_of(given, call->request->parameters[SECRET]);
	digest_of(wanted, secret);
	return equal_in_constant_time(given, wanted, SHA256_SIZE);
}

static bool has_signature(const struct call *call, struct text secret)
{
	const struct text header = http_request_header(call->request, "X-Hmac-Signature");
	struct buffer given CLEANUP(buffer_fini) = BUFFER(SHA256_SIZE);
	unsigned char padded[SHA256_SIZE] = { 0 };
	unsigned char wanted[SHA256_SIZE];
	const bool is_one = base64_decode(&given, header) && !given.overflow && given.length == SHA256_SIZE;

	for (size_t i = 0; is_one && i < SHA256_SIZE; i++) {
		padded[i] = (unsigned char)given.bytes[i];
	}
	hmac_sha256(wanted, secret, &(struct digest_part){ call->request->body.bytes, call->request->body.length }, 1);
	return equal_in_constant_time(padded, wanted, SHA256_SIZE) && is_one;
}

static bool is_proven(struct call *call)
{
	struct buffer secret CLEANUP(buffer_fini_wiped) = BUFFER(HOOK_SECRET_SIZE);

	open_secret(call, &secret);
	const bool is_in_path = call->request->parameters[SECRET].length > 0;
	const bool fits = (is_in_path ? has_secret : has_signature)(call, buffer_text(&secret));

	if (!fits || secret.length == 0) {
		call->tenant = (struct tenant_row){ 0 }; // nobody's name is in the log
		call_problem(call, PROBLEM_HOOK_NOT_FOUND, "%s", "");
		return false;
	}
	return true;
}

// --- what does it say ---

static void answer(struct call *call, const char *status)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	put_string(&json, "status", status);
	put_object_end(&json);
	call_answer(call, 200, &body);
}

static bool says_something(struct call *call)
{
	struct hearing *hearing = call->own;
	struct fault fault = { 0 };

	switch (hook_body_read(&hearing->news, call->request->body, &call->request->arena, &fault)) {
	case HOOK_NEWS: return true;
	case HOOK_NOTHING:
		http_answer(call->request, 200, "application/json", TEXT("{\"status\":\"ignored\"}"));
		return false;
	case HOOK_MALFORMED: call_problem(call, PROBLEM_BAD_JSON, "%s", ""); return false;
	case HOOK_UNUSABLE: call_problem(call, PROBLEM_HOOK_UNREADABLE, "%s", fault.text); return false;
	}
	return false;
}

// What has no mark of its own is another message each time.
static void make_digest(struct call *call)
{
	struct hearing *hearing = call->own;
	unsigned char random[SHA256_SIZE] = { 0 };
	const struct text body = call->request->body;
	const struct digest_part parts[] = {
		{ &hearing->instance_id, sizeof hearing->instance_id }, { random, sizeof random }, { body.bytes, body.length },
	};

	if (!hearing->news.is_marked) {
		random_bytes(random, sizeof random);
	}
	sha256(hearing->digest, parts, sizeof parts / sizeof *parts);
}

static void hear(struct call *call)
{
	struct hearing *hearing = call->own;
	const struct hook_news *news = &hearing->news;
	const int64_t tenant_id = call->tenant.tenant_id;
	const struct enrolment_message message = {
		.instance_id = hearing->instance_id,
		.enrolment_id = news->enrolment_id,
		.serial_number = news->serial_number,
		.word = news->word,
		.awaiting = news->awaiting,
		.at_us = news->at_us != INSTANT_NONE ? news->at_us : clock_wall_us(),
	};

	make_digest(call);
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	(void)store_due_request(transaction, tenant_id, DUE_WAKE);
	hearing->heard = store_enrolment_hear(transaction, tenant_id, &message, hearing->digest);
	(void)store_enrolment_misroute(transaction, tenant_id, hearing->digest);
	call_start(call);
}

static void answer_heard(struct call *call)
{
	const struct hearing *hearing = call->own;
	const bool is_news = store_enrolment_was_news(&call->transaction, hearing->heard);

	log_event(LOG_INFO, "hook.heard", LOG_TEXT("tenant", call->tenant.slug), LOG_TEXT("instance", call->request->parameters[INSTANCE]),
		LOG_TEXT("serial_number", hearing->news.serial_number), LOG_INT("word", hearing->news.word), LOG_BOOL("again", !is_news));
	answer(call, is_news ? "heard" : "known");
}

void hook_take(struct call *call)
{
	enum { NEW, FINDING_TENANT, FINDING_SECRET, HEARING };

	switch (call->state) {
	case NEW:
		AWAIT(call, FINDING_TENANT, find_tenant(call));
		if (call_failed(call)) {
			return;
		}
		take_tenant(call);
		AWAIT(call, FINDING_SECRET, find_secret(call));
		if (call_failed(call) || !is_proven(call) || !says_something(call)) {
			return;
		}
		AWAIT(call, HEARING, hear(call));
		if (!call_failed(call)) {
			answer_heard(call);
		}
	}
}
