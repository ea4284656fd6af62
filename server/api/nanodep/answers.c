// SPDX-License-Identifier: Apache-2.0
#include "api/nanodep/nanodep.h"

#include "tenants/go_json.h"

#include <stdio.h>

enum { SENTENCE_SIZE = 1024 };

void nanodep_json(struct buffer *out, struct text value)
{
	struct buffer quoted CLEANUP(buffer_fini_wiped) = BUFFER(NANODEP_ANSWER_MAX);

	buffer_add_json(&quoted, value);
	go_json_escape(out, buffer_text(&quoted));
}

void nanodep_answer(struct call *call, unsigned status, struct buffer *json)
{
	call_answer_as(call, status, NANODEP_JSON, json);
}

void nanodep_error(struct call *call, unsigned status, const char *format, ...)
{
	struct buffer body = BUFFER(NANODEP_ANSWER_MAX);
	char sentence[SENTENCE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	buffer_add_string(&body, "{\"error\":");
	nanodep_json(&body, text_of(sentence));
	buffer_add_string(&body, "}\n");
	nanodep_answer(call, status, &body);
}

void nanodep_plain(struct call *call, unsigned status, const char *sentence)
{
	http_answer(call->request, status, NANODEP_PLAIN, text_of(sentence));
}

static void refuse_key(struct call *call)
{
	http_answer_header(call->request, "WWW-Authenticate", "Basic realm=\"depserver\"");
	nanodep_plain(call, 401, "Unauthorized\n");
}

void nanodep_refuse(struct call *call, enum api_problem which, const char *detail)
{
	const struct problem problem = api_problem(which);

	if (which == PROBLEM_UNAUTHENTICATED) {
		refuse_key(call);
	} else if (which == PROBLEM_FORBIDDEN) {
		nanodep_error(call, 403, "%s", detail);
	} else if (which == PROBLEM_TENANT_NOT_FOUND || which == PROBLEM_TOKEN_NOT_FOUND || which == PROBLEM_NO_KEY_PAIR) {
		nanodep_error(call, 500, "resource not found: %.*s", TEXT_ARGS(call->request->parameters[0]));
	} else {
		nanodep_error(call, 500, "%s%s%s", problem.title, detail[0] != '\0' ? ": " : "", detail);
	}
}

static void answer_constant(struct call *call, const char *json)
{
	http_answer(call->request, 200, NANODEP_JSON, text_of(json));
}

void nanodep_refuse_config(struct call *call, enum api_problem which, const char *detail)
{
	if (which == PROBLEM_TENANT_NOT_FOUND) {
		answer_constant(call, "null\n");
		return;
	}
	nanodep_refuse(call, which, detail);
}

void nanodep_refuse_assigner(struct call *call, enum api_problem which, const char *detail)
{
	if (which == PROBLEM_TENANT_NOT_FOUND) {
		answer_constant(call, "{}\n");
		return;
	}
	nanodep_refuse(call, which, detail);
}

// What NanoDEP answers when it cannot get through is 502 without a body; a request that depbroker refuses has its reason.
void nanodep_refuse_proxy(struct call *call, enum api_problem which, const char *detail)
{
	const struct problem problem = api_problem(which);

	if (which == PROBLEM_UNAUTHENTICATED) {
		refuse_key(call);
	} else if (which == PROBLEM_TENANT_NOT_FOUND || which == PROBLEM_TOKEN_NOT_FOUND || problem.status >= 500) {
		http_answer_empty(call->request, 502);
	} else {
		nanodep_error(call, problem.status, "%s%s%s", problem.title, detail[0] != '\0' ? ": " : "", detail);
	}
}

bool nanodep_is_get(struct call *call)
{
	if (text_equal(call->request->method, TEXT("GET"))) {
		return true;
	}
	nanodep_plain(call, 405, "Method Not Allowed\n");
	return false;
}
