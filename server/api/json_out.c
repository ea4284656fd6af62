// SPDX-License-Identifier: Apache-2.0
#include "api/json_out.h"

#include <inttypes.h>

static void begin(struct json_out *json, const char *name)
{
	if (json->comma) {
		buffer_add_string(json->out, ",");
	}
	json->comma = true;
	if (name != NULL) {
		buffer_add_json(json->out, text_of(name));
		buffer_add_string(json->out, ":");
	}
}

static void open_with(struct json_out *json, const char *name, const char *bracket)
{
	begin(json, name);
	buffer_add_string(json->out, bracket);
	json->comma = false;
}

static void close_with(struct json_out *json, const char *bracket)
{
	buffer_add_string(json->out, bracket);
	json->comma = true;
}

void put_object(struct json_out *json, const char *name)
{
	open_with(json, name, "{");
}

void put_object_end(struct json_out *json)
{
	close_with(json, "}");
}

void put_list(struct json_out *json, const char *name)
{
	open_with(json, name, "[");
}

void put_list_end(struct json_out *json)
{
	close_with(json, "]");
}

void put_raw(struct json_out *json, const char *name, struct text value)
{
	begin(json, name);
	buffer_add_text(json->out, value);
}

void put_null(struct json_out *json, const char *name)
{
	put_raw(json, name, TEXT("null"));
}

void put_text(struct json_out *json, const char *name, struct text value)
{
	if (value.length == 0) {
		put_null(json, name);
		return;
	}
	begin(json, name);
	buffer_add_json(json->out, value);
}

void put_string(struct json_out *json, const char *name, const char *value)
{
	begin(json, name);
	buffer_add_json(json->out, text_of(value));
}

void put_int(struct json_out *json, const char *name, int64_t value)
{
	begin(json, name);
	buffer_add_format(json->out, "%" PRId64, value);
}

void put_int_or_null(struct json_out *json, const char *name, int64_t value)
{
	if (value == 0) {
		put_null(json, name);
	} else {
		put_int(json, name, value);
	}
}

void put_bool(struct json_out *json, const char *name, bool value)
{
	put_raw(json, name, value ? TEXT("true") : TEXT("false"));
}

void put_id(struct json_out *json, const char *name, int64_t value)
{
	begin(json, name);
	buffer_add_format(json->out, "\"%" PRId64 "\"", value);
}

void put_instant(struct json_out *json, const char *name, int64_t at_us)
{
	char instant[INSTANT_TEXT_SIZE];

	if (at_us == INSTANT_NONE || at_us <= 0) {
		put_null(json, name);
		return;
	}
	put_string(json, name, instant_format(instant, at_us, true));
}
