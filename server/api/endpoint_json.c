// SPDX-License-Identifier: Apache-2.0
#include "api/endpoint_json.h"

#include "crypto/certificate_authority.h"
#include "store/deliveries.h"
#include "tenants/endpoint_header.h"
#include "tenants/webhook.h"
#include "tenants/webhook_key.h"

#include <assert.h>
#include <string.h>

static void headers_json(struct json_out *json, const struct endpoint_row *row)
{
	put_object(json, "headers");
	for (size_t i = 0; i < row->header_count; i++) {
		const struct text line = row->headers[i];
		const char *colon = memchr(line.bytes, ':', line.length);
		char name[ENDPOINT_HEADER_NAME_MAX + 1] = "";

		assert(colon != NULL && colon - line.bytes <= ENDPOINT_HEADER_NAME_MAX); // as it was checked when it was taken
		memcpy(name, line.bytes, (size_t)(colon - line.bytes));
		put_text(json, name, text_trim((struct text){ colon + 1, line.length - (size_t)(colon + 1 - line.bytes) }));
	}
	put_object_end(json);
}

static void put_fingerprint(struct json_out *json, const char *name, const struct authority_facts *facts)
{
	struct buffer hex CLEANUP(buffer_fini) = BUFFER(2 * sizeof facts->fingerprint);

	buffer_add_hex(&hex, facts->fingerprint, sizeof facts->fingerprint);
	put_text(json, name, buffer_text(&hex));
}

void endpoint_authority_fingerprints(struct json_out *json, const char *name, struct text pem)
{
	struct authority_facts facts[AUTHORITY_CERTIFICATES_MAX];
	const size_t count = certificate_authority_describe(facts, pem);

	if (count == 0) {
		put_null(json, name);
		return;
	}
	put_list(json, name);
	for (size_t i = 0; i < count; i++) {
		put_fingerprint(json, NULL, &facts[i]);
	}
	put_list_end(json);
}

static void authorities_json(struct json_out *json, struct text pem)
{
	struct authority_facts facts[AUTHORITY_CERTIFICATES_MAX];
	const size_t count = certificate_authority_describe(facts, pem);

	put_list(json, "authorities");
	for (size_t i = 0; i < count; i++) {
		put_object(json, NULL);
		put_string(json, "subject", facts[i].subject);
		put_instant(json, "not_before", facts[i].not_before_us);
		put_instant(json, "not_after", facts[i].not_after_us);
		put_fingerprint(json, "sha256", &facts[i]);
		put_object_end(json);
	}
	put_list_end(json);
}

static void words_json(struct json_out *json, const char *name, const struct text *words, size_t count)
{
	put_list(json, name);
	for (size_t i = 0; i < count; i++) {
		put_text(json, NULL, words[i]);
	}
	put_list_end(json);
}

void endpoint_json(struct json_out *json, const char *name, const struct endpoint_row *row, struct text secret)
{
	put_object(json, name);
	put_id(json, "id", row->endpoint_id);
	put_text(json, "instance", row->instance);
	put_text(json, "url", row->url);
	words_json(json, "events", row->events, row->event_count);
	words_json(json, "alert_kinds", row->alert_kinds, row->alert_kind_count);
	headers_json(json, row);
	put_text(json, "certificate_authority", row->certificate_authority);
	authorities_json(json, row->certificate_authority);
	put_string(json, "format", endpoint_format_name(row->format));
	put_int(json, "batch_size", row->batch_size);
	if (secret.length > 0) {
		put_text(json, "secret", secret);
	}
	put_instant(json, "disabled_at", row->disabled_at_us);
	put_text(json, "disabled_reason", row->disabled_reason);
	put_instant(json, "not_before", row->not_before_us);
	put_instant(json, "created_at", row->created_at_us);
	put_instant(json, "updated_at", row->updated_at_us);
	put_object_end(json);
}

// --- secrets ---

void endpoint_secret_make(struct buffer *spelling)
{
	unsigned char random[WEBHOOK_SECRET_NEW];
	struct webhook_secret secret CLEANUP(webhook_secret_fini);

	random_bytes(random, sizeof random);
	webhook_secret_make(&secret, random);
	wipe(random, sizeof random);
	webhook_secret_write(spelling, &secret);
	assert(!spelling->overflow);
}

void endpoint_key_make(struct buffer *private_key, struct buffer *public_key)
{
	unsigned char seed[ED25519_SIZE];
	struct webhook_key key CLEANUP(webhook_key_fini);

	random_bytes(seed, sizeof seed);
	webhook_key_make(&key, seed);
	wipe(seed, sizeof seed);
	webhook_key_write(private_key, &key);
	webhook_key_write_public(public_key, &key);
	assert(!private_key->overflow && !public_key->overflow);
}

// --- deliveries ---

enum { POSITIONS, ATTEMPTS, PARKED, PARKED_SHOWN = 1000 };

void endpoint_deliveries_ask(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int limit)
{
	(void)store_position_list(t, tenant_id);
	(void)store_attempt_list(t, tenant_id, endpoint_id, limit);
	(void)store_parked_event_list(t, tenant_id, endpoint_id, 0, PARKED_SHOWN);
}

static void positions_json(struct json_out *json, const struct call *call, int64_t endpoint_id)
{
	put_list(json, "lanes");
	for (size_t i = 0; i < pg_row_count(&call->transaction, POSITIONS); i++) {
		struct position_row row;

		store_position_read(&call->transaction, POSITIONS, i, &row);
		if (row.endpoint_id == endpoint_id) {
			put_object(json, NULL);
			put_int(json, "lane", row.lane);
			put_int(json, "acked_seq", row.acked_seq);
			put_int(json, "failed_attempts", row.attempts);
			put_instant(json, "next_try_at", row.next_try_at_us);
			put_instant(json, "first_failed_at", row.first_failed_at_us);
			put_object_end(json);
		}
	}
	put_list_end(json);
}

static void attempts_json(struct json_out *json, const struct call *call)
{
	put_list(json, "items");
	for (size_t i = 0; i < pg_row_count(&call->transaction, ATTEMPTS); i++) {
		struct attempt_row row;

		store_attempt_read(&call->transaction, ATTEMPTS, i, &row);
		put_object(json, NULL);
		put_int(json, "seq", row.seq);
		put_int(json, "events", row.events);
		put_int(json, "attempt", row.attempt);
		put_instant(json, "at", row.at_us);
		put_int_or_null(json, "status", row.status);
		put_text(json, "error", row.error);
		put_int(json, "took_ms", row.took_ms);
		put_text(json, "answer", row.answer);
		put_object_end(json);
	}
	put_list_end(json);
}

static void parked_json(struct json_out *json, const struct call *call)
{
	put_list(json, "parked");
	for (size_t i = 0; i < pg_row_count(&call->transaction, PARKED); i++) {
		struct parked_event_row row;

		store_parked_event_read(&call->transaction, PARKED, i, &row);
		put_object(json, NULL);
		put_int(json, "seq", row.seq);
		put_int(json, "attempts", row.attempts);
		put_instant(json, "first_failed_at", row.first_failed_at_us);
		put_instant(json, "parked_at", row.parked_at_us);
		put_int_or_null(json, "status", row.status);
		put_object_end(json);
	}
	put_list_end(json);
}

void endpoint_deliveries_answer(struct call *call, int64_t endpoint_id)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	positions_json(&json, call, endpoint_id);
	attempts_json(&json, call);
	parked_json(&json, call);
	put_object_end(&json);
	call_answer(call, 200, &body);
}
