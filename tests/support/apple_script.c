// SPDX-License-Identifier: Apache-2.0
#include "support/apple_script.h"
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void send_answer(struct raw_connection *connection, unsigned status, const char *body, const char *headers)
{
	struct buffer answer CLEANUP(buffer_fini) = BUFFER((size_t)16 << 20);

	body = body != NULL ? body : "";
	buffer_add_format(&answer, "HTTP/1.1 %u Scripted\r\nContent-Length: %zu\r\n", status, strlen(body));
	buffer_add_string(&answer, headers != NULL ? headers : "");
	buffer_add_string(&answer, "\r\n");
	buffer_add_string(&answer, body);
	raw_send(connection, buffer_text(&answer));
}

static void on_request(struct raw_peer *peer, struct raw_connection *connection)
{
	struct apple_script *script = CONTAINER_OF(peer, struct apple_script, http.peer);
	const struct apple_step *step = &script->steps[script->at];
	const size_t length = (size_t)(connection->path.bytes + connection->path.length - connection->head.bytes);

	if (script->at == script->count) {
		fail_msg("a request too many: %.*s", (int)length, connection->head.bytes);
	}
	if (!text_equal_string((struct text){ connection->head.bytes, length }, step->request)) {
		fail_msg("request %zu is %.*s and not %s", script->at, (int)length, connection->head.bytes, step->request);
	}
	script->seen[script->at].head = duplicate(connection->head);
	script->seen[script->at].body = duplicate(connection->body);
	script->seen[script->at].connection = connection;
	script->at++;
	if (step->status != 0) {
		send_answer(connection, step->status, step->body, step->headers);
	}
}

void apple_script_open(struct apple_script *script, const struct apple_step *steps, size_t count)
{
	assert_true(count <= APPLE_SCRIPT_MAX);
	*script = (struct apple_script){ .steps = steps, .count = count };
	http_world_open(&script->http, (struct http_client_config){ .allow_plain_http = true }, on_request);
	(void)snprintf(script->base_url, sizeof script->base_url, "http://127.0.0.1:%u", script->http.peer.port);
	script->token = (struct server_token){
		.consumer_key = TEXT("CK_0123456789abcdef"),
		.consumer_secret = TEXT("CS_fedcba9876543210"),
		.access_token = TEXT("AT_O1234567890Oabcdef"),
		.access_secret = TEXT("AS_0011223344556677"),
		.expires_at_us = INSTANT_NONE,
	};
	script->server = (struct apple_server){
		.loop = &script->http.loop,
		.client = script->http.client,
		.base_url = script->base_url,
		.lane_key = 1,
	};
	apple_session_init(&script->session, &script->server, &script->token);
}

void apple_script_close(struct apple_script *script)
{
	assert_int_equal(script->at, script->count);
	apple_session_fini(&script->session);
	for (size_t i = 0; i < script->at; i++) {
		free(script->seen[i].head);
		free(script->seen[i].body);
	}
	http_world_close(&script->http);
}

void apple_script_signed_in(struct apple_script *script, const char *session_token)
{
	(void)snprintf(script->session.token, sizeof script->session.token, "%s", session_token);
}

void apple_script_answer(struct apple_script *script, size_t step, unsigned status, const char *body, const char *headers)
{
	assert_true(step < script->at);
	send_answer(script->seen[step].connection, status, body, headers);
}

void apple_script_wait_for_step(struct apple_script *script, size_t step)
{
	HTTP_WAIT_UNTIL(&script->http, script->at > step);
}

char *apple_script_header(const struct apple_script *script, size_t step, const char *name)
{
	const size_t length = strlen(name);
	char *value = NULL;

	assert_true(step < script->at);
	for (const char *line = script->seen[step].head; line != NULL; line = strstr(line, "\r\n")) {
		line += strncmp(line, "\r\n", 2) == 0 ? 2 : 0;
		if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
			assert_null(value);
			value = duplicate(text_trim((struct text){ line + length + 1, strcspn(line + length + 1, "\r\n") }));
		}
	}
	return value;
}

void apple_script_check_header(const struct apple_script *script, size_t step, const char *name, const char *value)
{
	char *found = apple_script_header(script, step, name);

	if (value == NULL) {
		assert_null(found);
	} else {
		assert_non_null(found);
		assert_string_equal(found, value);
	}
	free(found);
}

static void on_done(struct op *op)
{
	struct apple_trial *trial = CONTAINER_OF(op, struct apple_trial, call.op);

	assert_false(trial->is_inside);
	assert_false(apple_call_is_running(&trial->call));
	assert_null(trial->call.credentials.bytes); // wiped and given back
	trial->completions++;
	if (trial->done != NULL) {
		trial->done(trial);
	}
}

void apple_trial_init(struct apple_trial *trial, struct apple_script *script)
{
	*trial = (struct apple_trial){ .script = script };
	apple_call_init(&trial->call, on_done);
	trial->call.timeout_ms = 20000;
}

void apple_trial_wait(struct apple_trial *trial)
{
	HTTP_WAIT_UNTIL(&trial->script->http, trial->completions > 0);
	assert_int_equal(trial->completions, 1);
	trial->completions = 0;
}

void apple_trial_cancel(struct apple_trial *trial)
{
	trial->is_inside = true;
	apple_call_cancel(&trial->call);
	trial->is_inside = false;
}

void apple_trial_fini(struct apple_trial *trial)
{
	assert_int_equal(trial->completions, 0);
	apple_call_fini(&trial->call);
}
