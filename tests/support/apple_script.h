// SPDX-License-Identifier: Apache-2.0
//
// apple_script.h - Apple as a script: which requests must come, in which order, and what each is answered with.
//
// A request that the script does not have fails the test, so that a script also says how many requests there are.
#pragma once

#include "apple/apple.h"
#include "support/http_world.h"

enum { APPLE_SCRIPT_MAX = 16 };

struct apple_step {
	const char *request; // "GET /account"
	unsigned status;     // 0: not answered until apple_script_answer
	const char *body;    // NULL: empty
	const char *headers; // "Name: value\r\n..."; NULL: none
};

struct apple_script {
	struct http_world http;
	const struct apple_step *steps;
	size_t count;
	size_t at;
	struct { // what came
		char *head;
		char *body;
		struct raw_connection *connection;
	} seen[APPLE_SCRIPT_MAX];
	char base_url[64];
	struct server_token token;
	struct apple_server server;
	struct apple_session session;
};

struct apple_trial {
	struct apple_call call;
	struct apple_script *script;
	bool is_inside; // a call that starts or cancels: no completion may come from there
	unsigned completions;
	void (*done)(struct apple_trial *trial); // may be NULL
};

#define APPLE_SCRIPT_OPEN(script, ...)                                              \
	apple_script_open((script), (const struct apple_step[]){ __VA_ARGS__ },         \
		sizeof((const struct apple_step[]){ __VA_ARGS__ }) / sizeof(struct apple_step))

// The steps must live as long as the script.
void apple_script_open(struct apple_script *script, const struct apple_step *steps, size_t count);
void apple_script_close(struct apple_script *script); // fails unless every step was taken
void apple_script_signed_in(struct apple_script *script, const char *session_token); // as if it had been stored
void apple_script_answer(struct apple_script *script, size_t step, unsigned status, const char *body, const char *headers);
void apple_script_wait_for_step(struct apple_script *script, size_t step); // until that request has come
// The value of a header of a request, the caller frees; NULL: it has none. Fails when it is there twice.
char *apple_script_header(const struct apple_script *script, size_t step, const char *name);
void apple_script_check_header(const struct apple_script *script, size_t step, const char *name, const char *value);

void apple_trial_init(struct apple_trial *trial, struct apple_script *script);
void apple_trial_wait(struct apple_trial *trial); // until it has completed
void apple_trial_cancel(struct apple_trial *trial);
void apple_trial_fini(struct apple_trial *trial);

// APPLE_TRIAL(&trial, apple_account(&trial.call, &script.session, &account)) starts; apple_trial_wait waits.
#define APPLE_TRIAL(trial, start)     \
	do {                              \
		(trial)->is_inside = true;    \
		start;                        \
		(trial)->is_inside = false;   \
	} while (0)
