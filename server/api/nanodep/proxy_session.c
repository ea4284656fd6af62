// SPDX-License-Identifier: Apache-2.0
#include "api/nanodep/proxy_session.h"

#include <assert.h>
#include <stdlib.h>

struct proxy_sessions {
	struct list all; // the one that was used last ahead
	size_t count;
};

struct proxy_sessions *proxy_sessions_open(void)
{
	struct proxy_sessions *sessions = allocate(sizeof *sessions);

	list_init(&sessions->all);
	return sessions;
}

static void end(struct proxy_session *session)
{
	assert(session->users == 0);
	apple_session_fini(&session->apple);
	server_token_fini(&session->token);
	free(session->base_url);
	free(session);
}

static void take_out(struct proxy_sessions *sessions, struct proxy_session *session)
{
	list_remove(&session->link);
	sessions->count--;
	if (session->users == 0) {
		end(session);
	}
}

void proxy_sessions_close(struct proxy_sessions *sessions)
{
	while (sessions != NULL && !list_is_empty(&sessions->all)) {
		take_out(sessions, LIST_FIRST(&sessions->all, struct proxy_session, link));
	}
	free(sessions);
}

static struct proxy_session *session_of(struct proxy_sessions *sessions, int64_t tenant_id)
{
	for (struct list *at = sessions->all.next; at != &sessions->all; at = at->next) {
		struct proxy_session *session = CONTAINER_OF(at, struct proxy_session, link);

		if (session->tenant_id == tenant_id) {
			return session;
		}
	}
	return NULL;
}

static struct proxy_session *use(struct proxy_sessions *sessions, struct proxy_session *session)
{
	session->users++;
	list_remove(&session->link);
	list_add_first(&sessions->all, &session->link);
	return session;
}

struct proxy_session *proxy_session_find(struct proxy_sessions *sessions, const struct call *call)
{
	struct proxy_session *session = session_of(sessions, call->tenant.tenant_id);
	const bool is_good = session != NULL && session->version == call->tenant.version &&
		session->token_expires_at_us == call->tenant_status.token_expires_at_us &&
		!text_equal(call->tenant_status.token_state, TEXT("none")) &&
		clock_monotonic_ms() - session->looked_at_ms < PROXY_SESSION_LOOK_MS;

	return is_good ? use(sessions, session) : NULL;
}

static struct text base_url_of(const struct call *call)
{
	return call->tenant.apple_url.length > 0 ? call->tenant.apple_url : text_of(call->service->config->apple_url);
}

static struct proxy_session *start(struct proxy_sessions *sessions, const struct call *call, int64_t token_id,
	const struct server_token *token)
{
	struct proxy_session *session = allocate(sizeof *session);

	session->tenant_id = call->tenant.tenant_id;
	session->token_id = token_id;
	session->token = *token;
	session->base_url = duplicate(base_url_of(call));
	session->server = (struct apple_server){
		.loop = &call->service->loop,
		.client = call->service->apple,
		.base_url = session->base_url,
		.lane_key = session->tenant_id,
	};
	apple_session_init(&session->apple, &session->server, &session->token);
	list_add_first(&sessions->all, &session->link);
	sessions->count++;
	return session;
}

static void make_room(struct proxy_sessions *sessions)
{
	for (struct list *at = sessions->all.previous; at != &sessions->all && sessions->count >= PROXY_SESSIONS_MAX;) {
		struct proxy_session *session = CONTAINER_OF(at, struct proxy_session, link);

		at = at->previous;
		if (session->users == 0) {
			take_out(sessions, session);
		}
	}
}

struct proxy_session *proxy_session_take(struct proxy_sessions *sessions, const struct call *call, int64_t token_id,
	struct server_token *token)
{
	struct proxy_session *session = session_of(sessions, call->tenant.tenant_id);

	if (session != NULL && session->token_id == token_id && text_equal_string(base_url_of(call), session->base_url)) {
		server_token_fini(token);
	} else {
		if (session != NULL) {
			take_out(sessions, session);
		}
		make_room(sessions);
		session = start(sessions, call, token_id, token);
	}
	session->version = call->tenant.version;
	session->token_expires_at_us = call->tenant_status.token_expires_at_us;
	session->looked_at_ms = clock_monotonic_ms();
	return use(sessions, session);
}

void proxy_session_doubt(struct proxy_session *session)
{
	session->version = -1;
}

void proxy_session_leave(struct proxy_session *session)
{
	if (session != NULL && --session->users == 0 && !list_is_linked(&session->link)) {
		end(session);
	}
}
