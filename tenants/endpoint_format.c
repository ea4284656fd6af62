// SPDX-License-Identifier: Apache-2.0
#include "tenants/endpoint_format.h"

static const char *const names[] = { [ENDPOINT_NATIVE] = "native", [ENDPOINT_NANODEP] = "nanodep" };

const char *endpoint_format_name(enum endpoint_format format)
{
	return names[format];
}

bool endpoint_format_of(struct text name, enum endpoint_format *out)
{
	for (size_t format = 0; format < sizeof names / sizeof *names; format++) {
		if (text_equal_string(name, names[format])) {
			*out = (enum endpoint_format)format;
			return true;
		}
	}
	return false;
}
