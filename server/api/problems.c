// SPDX-License-Identifier: Apache-2.0
#include "api/problems.h"

#include <assert.h>
#include <string.h>

enum { CODE_SIZE = 48 };

static const struct row {
	unsigned status;
	const char *name;
	const char *title;
	const char *fix;
} rows[] = {
#define PROBLEM_ROW(name, status, title, fix) { status, #name, title, fix },
	API_PROBLEMS(PROBLEM_ROW)
#undef PROBLEM_ROW
};

static char codes[API_PROBLEM_COUNT][CODE_SIZE]; // the names in lower case, once asked for

static const char *code_of(enum api_problem which)
{
	const char *name = rows[which].name;
	const size_t length = strlen(name);

	assert(length < CODE_SIZE);
	for (size_t i = 0; i < length; i++) {
		codes[which][i] = name[i] == '_' ? '_' : (char)(name[i] - 'A' + 'a');
	}
	return codes[which];
}

struct problem api_problem(enum api_problem which)
{
	assert(which < API_PROBLEM_COUNT);
	return (struct problem){
		.status = rows[which].status,
		.code = code_of(which),
		.title = rows[which].title,
		.fix = rows[which].fix,
	};
}
