// SPDX-License-Identifier: Apache-2.0
//
// problem.h - an error as people and programs read it: application/problem+json (RFC 9457).
//
// Ownership  borrows all its texts.
#pragma once

#include "depbroker/text.h"

struct problem {
	unsigned status;
	const char *code;   // stable, snake case: "tenant_not_found"; `type` is "https://depbroker.dev/problems/<code>"
	const char *title;  // the same for each problem of this code
	const char *detail; // about this one; may be NULL
	const char *fix;    // one sentence: what to do; may be NULL
	struct text extra;  // further members as JSON text without the braces, `"apple_error":"..."`; may be TEXT_NONE
};

#define PROBLEM_CONTENT_TYPE "application/problem+json"

void problem_write(struct buffer *out, const struct problem *problem, const char *request_id);
