// SPDX-License-Identifier: Apache-2.0
#include "apple/apple_endpoint.h"

#include "tenants/flat_json.h"
#include "tenants/oauth.h"

#include <assert.h>
#include <string.h>

enum { NONCE_SIZE = 16 };

void apple_session_init(struct apple_session *session, const struct apple_server *server, const struct server_token *token)
{
	*session = (struct apple_session){ .server = server, .server_token = token };
	list_init(&session->waiting);
}

void apple_session_fini(struct apple_session *session)
{
	assert(session->signing_in == NULL && list_is_empty(&session->waiting));
	apple_session_forget(session);
}

bool apple_session_is_usable(struct text token)
{
	for (size_t i = 0; i < token.length; i++) {
		if (token.bytes[i] <= ' ' || token.bytes[i] > '~') {
			return false;
		}
	}
	return token.length > 0 && token.length <= APPLE_SESSION_TOKEN_MAX;
}

void apple_session_adopt(struct apple_session *session, struct text token)
{
	apple_session_forget(session);
	memcpy(session->token, token.bytes, token.length);
	session->generation++;
}

void apple_session_forget(struct apple_session *session)
{
	wipe(session->token, sizeof session->token);
}

enum err apple_session_read(struct apple_call *call)
{
	struct flat_json_member member = { .name = "auth_session_token" };
	struct buffer *answer = &call->http.answer;

	if (answer->length == 0 || flat_json_read(&member, 1, answer->bytes, answer->length, NULL) != OK) {
		return fault_set(&call->op.fault, ERR_BAD_ANSWER, "Apple's answer to GET /session is not a session");
	}
	if (!apple_session_is_usable(member.value)) {
		return fault_set(&call->op.fault, ERR_BAD_ANSWER, "Apple gave an empty or unusable session");
	}
	apple_session_adopt(call->session, member.value);
	call->session->signed_in_anew = true;
	return OK;
}

// After a refusal the time is Apple's own: a wrong clock of ours must not look like a dead token.
static int64_t timestamp_s(const struct apple_call *call)
{
	return clock_wall_us() / SECOND_US + (call->nonce_renewed ? call->clock_difference_s : 0);
}

enum err apple_session_authorize(struct apple_call *call)
{
	struct buffer nonce CLEANUP(buffer_fini) = BUFFER(2 * NONCE_SIZE);
	unsigned char random[NONCE_SIZE];

	random_bytes(random, sizeof random);
	buffer_add_hex(&nonce, random, sizeof random);
	buffer_add_string(&call->credentials, "Authorization: ");
	if (oauth_authorization(&call->credentials, call->session->server_token, buffer_text(&call->session_url),
			buffer_text(&nonce), timestamp_s(call)) != OK || call->credentials.overflow) {
		return fault_set(&call->op.fault, ERR_BAD_INPUT, "GET /session cannot be signed: the address is not one, or the "
			"server token is too long");
	}
	return OK;
}
