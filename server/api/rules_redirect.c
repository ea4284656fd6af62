// SPDX-License-Identifier: Apache-2.0
#include "api/rules_redirect.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

static void redirect(json_t *target, struct text from, struct text to)
{
	const json_t *instance = json_object_get(target, "instance");

	if (json_is_string(instance) && text_equal((struct text){ json_string_value(instance), json_string_length(instance) }, from)) {
		(void)json_object_set_new(target, "instance", json_stringn(to.bytes, to.length));
	}
}

void rules_redirect(struct buffer *out, const struct ruleset *rules, struct text from, struct text to)
{
	const struct text document = ruleset_document(rules);
	json_t *json = json_loadb(document.bytes, document.length, 0, NULL);
	size_t index;
	json_t *rule;

	assert(json != NULL); // it is in its one form
	json_array_foreach(json_object_get(json, "rules"), index, rule) {
		redirect(json_object_get(rule, "then"), from, to);
	}
	redirect(json_object_get(json, "otherwise"), from, to);
	char *bytes = json_dumps(json, JSON_COMPACT);

	assert(bytes != NULL);
	buffer_add_string(out, bytes);
	free(bytes);
	json_decref(json);
}
