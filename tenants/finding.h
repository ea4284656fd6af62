// SPDX-License-Identifier: Apache-2.0
//
// finding.h - what is wrong, doubtful or worth knowing about an enrolment profile, and where somebody wrote it.
//
// Ownership  findings, with their texts, live in the arena.
// Laws       1. one error is enough for a profile not to go to Apple
//            2. `pointer` is a JSON pointer (RFC 6901) into the document of `layer`, as that layer was written
//            3. nothing is lost in silence: what no longer fits is counted, and an error that is not kept is still an error
#pragma once

#include "depbroker/arena.h"

enum finding_severity {
	FINDING_NOTE,    // worth knowing
	FINDING_WARNING, // doubtful, and done nevertheless
	FINDING_ERROR,   // not done
};

enum { FINDINGS_MAX = 200 };
#define FINDING_NO_LAYER SIZE_MAX // of the profile as a whole

struct finding {
	enum finding_severity severity;
	const char *code;       // stable, for programs: "unknown_key"
	const char *apple_word; // the error of Apple's that this avoids: "FLAGS_INVALID"; NULL: none is known
	struct text pointer;
	struct text sentence;
	size_t layer;           // an index into the layers, or FINDING_NO_LAYER
};

struct findings {
	struct arena *arena;
	struct finding *items;
	size_t count;
	size_t error_count;
	size_t not_kept;
};

#define FINDINGS(in_arena) ((struct findings){ .arena = (in_arena) })

struct finding_place {
	struct text pointer; // copied
	size_t layer;
};

struct finding_kind {
	enum finding_severity severity;
	const char *code;
	const char *apple_word;
};

void finding_add(struct findings *findings, struct finding_kind kind, struct finding_place place, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void finding_add_list(struct findings *findings, struct finding_kind kind, struct finding_place place, const char *format,
	va_list arguments) __attribute__((format(printf, 4, 0)));

const char *finding_severity_name(enum finding_severity severity); // "error"

// Appends "/" and the name, with its own slashes and tildes escaped.
void finding_pointer_add(struct buffer *pointer, struct text name);
