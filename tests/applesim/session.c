// SPDX-License-Identifier: Apache-2.0
//
// session.c - session tokens (dep-api.md, section 4.6): several may live at once, each expires, and after many uses an
// answer brings a new one while the old one still serves for a minute.
#include "applesim/apple.h"

#include <stdio.h>
#include <string.h>

#define GRACE_MS 60000
#define HEADER   "X-ADM-Auth-Session"

// The tenant's number stands in front, so that no table of sessions is needed.
static void make_session(struct tenant *tenant, struct session *session)
{
	struct world *world = tenant->world;
	struct buffer text CLEANUP(buffer_fini) = BUFFER(SESSION_SIZE);
	unsigned char random[16];

	random_bytes(random, sizeof random);
	buffer_add_format(&text, "%08llx%012llx", (unsigned long long)tenant->id, (unsigned long long)++world->sessions_made);
	buffer_add_hex(&text, random, sizeof random);
	*session = (struct session){ .expires_at_ms = world_now_ms(world) + world->session_life_s * 1000 };
	memcpy(session->token, text.bytes, text.length + 1);
	tenant->counters.sessions++;
}

static struct session *oldest_session(struct tenant *tenant)
{
	struct session *oldest = &tenant->sessions[0];

	for (size_t i = 1; i < SESSIONS_MAX; i++) {
		oldest = tenant->sessions[i].expires_at_ms < oldest->expires_at_ms ? &tenant->sessions[i] : oldest;
	}
	return oldest;
}

struct tenant *session_owner(const struct world *world, struct text token)
{
	int64_t id = 0;

	for (size_t i = 0; i < 8 && i < token.length; i++) {
		const char c = token.bytes[i];

		id = id * 16 + (c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0);
	}
	return token.length > 8 ? world_tenant(world, id) : NULL;
}

static struct session *find_session(struct tenant *tenant, struct text token)
{
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		if (tenant->sessions[i].token[0] != '\0' && text_equal_string(token, tenant->sessions[i].token)) {
			return &tenant->sessions[i];
		}
	}
	return NULL;
}

static void rotate(struct call *call)
{
	const int64_t grace_ends_ms = world_now_ms(call->world) + GRACE_MS;
	struct session *old = call->session;
	struct session *fresh;

	if (old->expires_at_ms > grace_ends_ms) {
		old->expires_at_ms = grace_ends_ms;
	}
	fresh = oldest_session(call->tenant);
	make_session(call->tenant, fresh);
	web_answer_header(call->answer, HEADER, fresh->token);
}

bool session_check(struct call *call)
{
	const struct text token = web_header(call->request, HEADER);

	call->session = call->tenant != NULL ? find_session(call->tenant, token) : NULL;
	if (call->session == NULL || call->session->expires_at_ms <= world_now_ms(call->world)) {
		answer_word(call, 401, "UNAUTHORIZED");
		return false;
	}
	call->session->uses++;
	if (call->world->rotate_after > 0 && call->session->uses == call->world->rotate_after) {
		rotate(call);
	}
	return true;
}

void handle_session(struct call *call)
{
	unsigned status = 0;
	const char *word = "";

	if (oauth_check(call, &status, &word) != OAUTH_FITS) {
		answer_word(call, status, word);
		return;
	}
	struct session *session = oldest_session(call->tenant);

	make_session(call->tenant, session);
	buffer_add_format(&call->answer->body, "{\"auth_session_token\":\"%s\"}", session->token);
	answer_json(call);
}

void sessions_forget(struct world *world)
{
	for (size_t i = 0; i < world->tenant_count; i++) {
		memset(world->tenants[i]->sessions, 0, sizeof world->tenants[i]->sessions);
	}
}
