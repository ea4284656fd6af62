// SPDX-License-Identifier: Apache-2.0
#include "loop/problem.h"

static void add_member(struct buffer *out, const char *name, const char *value)
{
	if (value != NULL) {
		buffer_add_format(out, ",\"%s\":", name);
		buffer_add_json(out, text_of(value));
	}
}

void problem_write(struct buffer *out, const struct problem *problem, const char *request_id)
{
	buffer_add_format(out, "{\"type\":\"https://depbroker.dev/problems/%s\",\"status\":%u", problem->code, problem->status);
	add_member(out, "code", problem->code);
	add_member(out, "title", problem->title);
	add_member(out, "detail", problem->detail);
	add_member(out, "fix", problem->fix);
	if (request_id != NULL) {
		buffer_add_format(out, ",\"instance\":\"urn:request:%s\"", request_id);
	}
	add_member(out, "request_id", request_id);
	if (problem->extra.length > 0) {
		buffer_add_string(out, ",");
		buffer_add_text(out, problem->extra);
	}
	buffer_add_string(out, "}");
}
