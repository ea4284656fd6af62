// SPDX-License-Identifier: Apache-2.0
#include "tenants/profile_variables.h"

#include "tenants/nearest.h"

#include <string.h>

enum { SUGGESTED_FROM_MAX = 64 };

static struct text rest_of(struct text t, size_t from)
{
	return (struct text){ t.bytes + from, t.length - from };
}

static bool is_variable_name(struct text name)
{
	for (size_t i = 0; i < name.length; i++) {
		if ((unsigned char)name.bytes[i] <= ' ' || strchr("{}\x7f", name.bytes[i]) != NULL) {
			return false;
		}
	}
	return name.length > 0 && name.length <= PROFILE_VARIABLE_NAME_MAX;
}

// What stands between the braces that `rest` begins with, and how long that is with both pairs of them; 0: they do not close.
static size_t read_reference(struct text *name, struct text rest)
{
	for (size_t i = 2; i + 1 < rest.length; i++) {
		if (rest.bytes[i] == '}' && rest.bytes[i + 1] == '}') {
			*name = text_trim((struct text){ rest.bytes + 2, i - 2 });
			return i + 2;
		}
	}
	return 0;
}

static enum err refuse_unknown(struct text name, const struct profile_variables *variables, struct fault *fault)
{
	struct text names[SUGGESTED_FROM_MAX];
	size_t count = 0;

	for (; count < variables->count && count < SUGGESTED_FROM_MAX; count++) {
		names[count] = variables->items[count].name;
	}
	const struct text nearest = nearest_word(name, names, count);

	if (nearest.length > 0) {
		return fault_set(fault, ERR_BAD_INPUT, "there is no variable %.*s here; %.*s may be meant", TEXT_ARGS(name),
			TEXT_ARGS(nearest));
	}
	return fault_set(fault, ERR_BAD_INPUT, "there is no variable %.*s here", TEXT_ARGS(name));
}

static enum err add_variable(struct buffer *out, struct text name, const struct profile_variables *variables,
	struct fault *fault)
{
	if (!is_variable_name(name)) {
		return fault_set(fault, ERR_BAD_INPUT, "what stands between {{ and }} is not the name of a variable; "
			"write {{{{ for two braces");
	}
	if (variables->only_form) {
		buffer_add_format(out, "{{%.*s}}", TEXT_ARGS(name));
		return OK;
	}
	for (size_t i = 0; i < variables->count; i++) {
		if (text_equal(name, variables->items[i].name)) {
			buffer_add_text(out, variables->items[i].value);
			return OK;
		}
	}
	return refuse_unknown(name, variables, fault);
}

static enum err expand_into(struct buffer *out, struct text in, const struct profile_variables *variables,
	struct fault *fault)
{
	for (size_t at = 0; at < in.length;) {
		const struct text rest = rest_of(in, at);
		struct text name = TEXT_NONE;

		if (text_starts_with(rest, TEXT("{{{{"))) {
			buffer_add_string(out, "{{");
			at += 4;
		} else if (text_starts_with(rest, TEXT("{{"))) {
			const size_t length = read_reference(&name, rest);

			if (length == 0) {
				return fault_set(fault, ERR_BAD_INPUT, "{{ is not closed by }}; write {{{{ for two braces");
			}
			TRY(add_variable(out, name, variables, fault));
			at += length;
		} else {
			buffer_add(out, rest.bytes, 1);
			at++;
		}
	}
	return OK;
}

enum err profile_variables_expand(struct text *out, struct text in, const struct profile_variables *variables,
	struct arena *arena, struct fault *fault)
{
	struct buffer expanded CLEANUP(buffer_fini) = BUFFER(PROFILE_STRING_MAX);

	*out = in;
	if (in.length < 2 || memmem(in.bytes, in.length, "{{", 2) == NULL) {
		return OK;
	}
	TRY(expand_into(&expanded, in, variables, fault));
	if (!text_is_utf8(buffer_text(&expanded))) {
		return fault_set(fault, ERR_BAD_INPUT, "a variable's value is not well-formed text");
	}
	out->bytes = arena_copy(arena, buffer_text(&expanded));
	out->length = expanded.length;
	if (expanded.overflow || out->bytes == NULL) {
		return fault_set(fault, ERR_BUDGET, "the string is too long with its variables replaced");
	}
	return OK;
}
