// SPDX-License-Identifier: Apache-2.0
//
// GET /session: OAuth 1.0a (dep-api.md, section 4). A proxy that ends TLS before this listener hands the Host on as it came.
#include "api/dep/dep.h"
#include "api/dep/dep_session.h"
#include "tenants/oauth_claim.h"

enum { HEADER_MAX = 4096, URL_MAX = 512 };

bool dep_claim_take(struct call *call)
{
	struct dep_call *dep = dep_of(call);
	struct oauth_claim *claim = arena_take(&call->request->arena, sizeof *claim);
	const struct text header = http_request_header(call->request, "Authorization");

	if (claim == NULL || header.length > HEADER_MAX || !oauth_claim_read(claim, header, &call->request->arena)) {
		dep_answer_word(call, 400, "");
		return false;
	}
	if (!dep_place_of_key(&dep->place, claim->consumer_key)) {
		dep_answer_word(call, 401, "token_rejected");
		return false;
	}
	dep->claim = claim;
	return true;
}

static bool is_signed_for(struct call *call, const char *scheme)
{
	const struct dep_call *dep = dep_of(call);
	struct buffer url CLEANUP(buffer_fini) = BUFFER(URL_MAX);

	buffer_add_string(&url, scheme);
	buffer_add_text(&url, http_request_header(call->request, "Host"));
	buffer_add_text(&url, call->request->path);
	return !url.overflow && oauth_claim_fits(dep->claim, &dep->secret.token, TEXT("GET"), buffer_text(&url));
}

// NULL: nothing is wrong as far as one can see without the nonces.
static const char *mistake(struct call *call, unsigned *status)
{
	const struct dep_call *dep = dep_of(call);
	const struct oauth_claim *claim = dep->claim;
	const int64_t now_s = clock_wall_us() / SECOND_US;

	*status = 401;
	if (!text_equal(claim->consumer_key, dep->secret.token.consumer_key)) {
		return "token_rejected";
	}
	if (!text_equal(claim->token, dep->secret.token.access_token)) { // another one has been made since
		*status = 403;
		return "token_rejected";
	}
	if (!is_signed_for(call, "http://") && !is_signed_for(call, "https://")) {
		return "signature_invalid";
	}
	if (claim->timestamp_s < now_s - DEP_CLOCK_WINDOW_S || claim->timestamp_s > now_s + DEP_CLOCK_WINDOW_S) {
		return "timestamp_refused";
	}
	return NULL;
}

static void take_nonce(struct call *call)
{
	const struct dep_call *dep = dep_of(call);
	const struct oauth_claim *claim = dep->claim;
	const struct digest_part parts[] = {
		{ &claim->timestamp_s, sizeof claim->timestamp_s }, { claim->nonce.bytes, claim->nonce.length },
	};
	unsigned char digest[SHA256_SIZE];

	sha256(digest, parts, sizeof parts / sizeof *parts);
	struct pg_transaction *transaction = call_transaction(call, store_api(dep->place.tenant_id));

	dep_state(dep_of(call), sizeof(unsigned), NULL);
	*(unsigned *)dep->state = store_dep_nonce_take(transaction, dep->place.tenant_id, dep->place.instance_id, digest,
		claim->timestamp_s * SECOND_US, DEP_CLOCK_WINDOW_S);
	call_start(call);
}

static void answer(struct call *call)
{
	const struct dep_call *dep = dep_of(call);
	const int64_t now_us = clock_wall_us();
	struct buffer body = BUFFER(1024);

	if (pg_row_count(&call->transaction, *(const unsigned *)dep->state) == 0) {
		dep_answer_word(call, 401, "nonce_used");
		return;
	}
	if (dep->server.expires_at_us <= now_us) {
		dep_answer_word(call, 401, "token_expired");
		return;
	}
	buffer_add_string(&body, "{\"auth_session_token\":\"");
	dep_session_write(&body, dep->place, &dep->secret, now_us);
	buffer_add_string(&body, "\"}");
	dep_answer_json(call, &body);
}

void dep_sign_on(struct call *call)
{
	enum { NEW, TAKING };
	const char *word;
	unsigned status;

	switch (call->state) {
	case NEW:
		word = mistake(call, &status);
		if (word != NULL) {
			dep_answer_word(call, status, word);
			return;
		}
		AWAIT(call, TAKING, take_nonce(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}
