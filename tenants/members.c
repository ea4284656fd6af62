// SPDX-License-Identifier: Apache-2.0
#include "tenants/members.h"

#include <assert.h>

void member_walk_init(struct member_walk *walk, struct text object)
{
	const struct text trimmed = text_trim(object);

	walk->rest = TEXT_NONE;
	if (trimmed.length > 0) {
		assert(trimmed.length >= 2 && trimmed.bytes[0] == '{' && trimmed.bytes[trimmed.length - 1] == '}');
		walk->rest = text_trim((struct text){ trimmed.bytes + 1, trimmed.length - 2 });
	}
}

// Up to `end`, outside of strings and containers, or up to the end of the text.
static size_t length_until(struct text rest, char end)
{
	bool in_string = false;
	int depth = 0;
	size_t at = 0;

	for (; at < rest.length; at++) {
		const char c = rest.bytes[at];

		if (in_string) {
			at += c == '\\' ? 1 : 0;
			in_string = c != '"';
		} else if (c == '"') {
			in_string = true;
		} else if (c == end && depth == 0) {
			break;
		} else {
			depth += (c == '{' || c == '[') - (c == '}' || c == ']');
		}
	}
	return at < rest.length ? at : rest.length;
}

static struct text cut(struct text *rest, char end)
{
	const size_t length = length_until(*rest, end);
	const size_t used = length < rest->length ? length + 1 : length;
	const struct text item = text_trim((struct text){ rest->bytes, length });

	*rest = text_trim((struct text){ rest->bytes + used, rest->length - used });
	return item;
}

bool member_walk_next(struct member_walk *walk, struct text *name, struct text *value)
{
	if (walk->rest.length == 0) {
		return false;
	}
	*name = cut(&walk->rest, ':');
	*value = cut(&walk->rest, ',');
	return true;
}

struct text member_value(struct text object, struct text name)
{
	struct member_walk walk;
	struct text found, value;

	member_walk_init(&walk, object);
	while (member_walk_next(&walk, &found, &value)) {
		if (text_equal(found, name)) {
			return value;
		}
	}
	return TEXT_NONE;
}
