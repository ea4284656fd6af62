// SPDX-License-Identifier: Apache-2.0
#include "depbroker/clock.h"
#include "depbroker/log.h"

#include <inttypes.h>
#include <unistd.h>

#define LINE_LIMIT 4096

static const char *const level_names[] = {
	[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARNING] = "warning", [LOG_ERROR] = "error"
};
static enum log_level lowest = LOG_INFO;
static const char *process_name = "depbroker";

bool log_set_level(struct text name)
{
	for (enum log_level level = LOG_DEBUG; level <= LOG_ERROR; level++) {
		if (text_equal_string(name, level_names[level])) {
			lowest = level;
			return true;
		}
	}
	return false;
}

void log_set_process(const char *name)
{
	process_name = name;
}

static void add_field(struct buffer *line, const struct log_field *field)
{
	buffer_add_string(line, ",");
	buffer_add_json(line, text_of(field->name));
	buffer_add_string(line, ":");
	switch (field->kind) {
	case LOG_FIELD_INT: buffer_add_format(line, "%" PRId64, field->number); break;
	case LOG_FIELD_BOOL: buffer_add_string(line, field->number != 0 ? "true" : "false"); break;
	case LOG_FIELD_TEXT: buffer_add_json(line, field->text); break;
	}
}

bool log_is_heard(enum log_level level)
{
	return level >= lowest;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
	char now[INSTANT_TEXT_SIZE];
	struct buffer line CLEANUP(buffer_fini) = BUFFER(LINE_LIMIT - 2);

	if (!log_is_heard(level)) {
		return;
	}
	buffer_add_format(&line, "{\"ts\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"event\":\"%s\"",
		instant_format(now, clock_wall_us(), true), level_names[level], process_name, event);
	for (size_t i = 0; i < count; i++) {
		const size_t whole = line.length;

		add_field(&line, &fields[i]);
		if (line.overflow) { // the line ends before the field that does not fit
			line.length = whole;
			line.overflow = false;
			break;
		}
	}
	line.limit = LINE_LIMIT;
	buffer_add_string(&line, "}\n");
	ssize_t written = write(STDERR_FILENO, line.bytes, line.length);
	(void)written; // a log that cannot be written has nobody to tell
}
