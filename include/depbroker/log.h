// SPDX-License-Identifier: Apache-2.0
//
// log.h - one event, one line, one JSON object on standard error.
//
// Laws       1. event names are stable ("sync.page"); prose is only in the fault of an error
//            2. nothing secret is a field: there is no field type for secrets, tokens, keys or raw bodies
//            3. one line is one write of at most 4 KiB, so that lines of several processes do not mix; longer ones are cut
//
//   log_event(LOG_INFO, "sync.page", LOG_TEXT("tenant", slug), LOG_INT("devices", count));
#pragma once

#include "depbroker/text.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

struct log_field {
	const char *name;
	enum { LOG_FIELD_INT, LOG_FIELD_TEXT, LOG_FIELD_BOOL } kind;
	int64_t number;
	struct text text;
};

#define LOG_INT(field, value)    ((struct log_field){ .name = (field), .kind = LOG_FIELD_INT, .number = (value) })
#define LOG_BOOL(field, value)   ((struct log_field){ .name = (field), .kind = LOG_FIELD_BOOL, .number = (value) })
#define LOG_STRING(field, value) ((struct log_field){ .name = (field), .kind = LOG_FIELD_TEXT, .text = text_of(value) })
#define LOG_TEXT(field, value)   ((struct log_field){ .name = (field), .kind = LOG_FIELD_TEXT, .text = (value) })

#define log_event(level, event, ...)                                                               \
	do {                                                                                           \
		if (log_is_heard(level)) {                                                                 \
			const struct log_field log_fields[] = { __VA_ARGS__ };                                 \
			log_write((level), (event), log_fields, sizeof log_fields / sizeof *log_fields);       \
		}                                                                                          \
	} while (0)

bool log_is_heard(enum log_level level);

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t count);

MUST_USE bool log_set_level(struct text name);  // "debug", "info", "warning", "error"; false for any other
void log_set_process(const char *name);         // borrowed; becomes the field "process" of every line
