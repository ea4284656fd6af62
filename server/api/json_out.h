// SPDX-License-Identifier: Apache-2.0
//
// json_out.h - writes JSON answers into a buffer, commas included.
//
// Laws  the caller opens and closes what it opened; names are ours, values may be anything.
#pragma once

#include "depbroker/clock.h"

struct json_out {
	struct buffer *out;
	bool comma; // before the next member
};

// `name` NULL: an element of a list, or the document itself.
void put_object(struct json_out *json, const char *name);
void put_object_end(struct json_out *json);
void put_list(struct json_out *json, const char *name);
void put_list_end(struct json_out *json);
void put_text(struct json_out *json, const char *name, struct text value); // empty: null
void put_string(struct json_out *json, const char *name, const char *value);
void put_int(struct json_out *json, const char *name, int64_t value);
void put_int_or_null(struct json_out *json, const char *name, int64_t value); // 0: null
void put_bool(struct json_out *json, const char *name, bool value);
void put_null(struct json_out *json, const char *name);
void put_id(struct json_out *json, const char *name, int64_t value); // as a string
void put_instant(struct json_out *json, const char *name, int64_t at_us); // INSTANT_NONE, 0: null
void put_raw(struct json_out *json, const char *name, struct text value); // JSON already
