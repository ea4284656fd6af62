// SPDX-License-Identifier: Apache-2.0
//
// json.h - short words for reading members of a JSON object.
#pragma once

#include "depbroker/text.h"

#include <yyjson.h>

static inline struct text json_text(yyjson_val *object, const char *name) // TEXT_NONE when it is no string
{
	yyjson_val *value = yyjson_obj_get(object, name);

	return yyjson_is_str(value) ? (struct text){ yyjson_get_str(value), yyjson_get_len(value) } : TEXT_NONE;
}

static inline int64_t json_number(yyjson_val *object, const char *name, int64_t otherwise)
{
	yyjson_val *value = yyjson_obj_get(object, name);

	return yyjson_is_int(value) ? yyjson_get_sint(value) : otherwise;
}

static inline bool json_flag(yyjson_val *object, const char *name)
{
	return yyjson_is_true(yyjson_obj_get(object, name));
}

static inline char *json_duplicate(yyjson_val *object, const char *name) // NULL when it is no string
{
	const struct text t = json_text(object, name);

	return t.bytes != NULL ? duplicate(t) : NULL;
}
