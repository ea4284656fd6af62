// SPDX-License-Identifier: Apache-2.0
//
// What endpoints of virtual DEP servers have in common: their state, and members of bodies.
#include "api/dep/dep.h"
#include "api/dep/dep_device_json.h"

#include <stdlib.h>

void *dep_state(struct dep_call *dep, size_t size, void (*release)(struct dep_call *dep))
{
	dep->state = arena_take(&dep->call->request->arena, size);
	dep->release = release;
	if (dep->state == NULL) {
		abort(); // a few hundred bytes of an arena of 2 MiB
	}
	return dep->state;
}

struct text dep_member(const struct call *call, const char *name)
{
	const json_t *value = json_object_get(call->body, name);

	return json_is_string(value) ? (struct text){ json_string_value(value), json_string_length(value) } : TEXT_NONE;
}

static int compare(const void *a, const void *b)
{
	const struct text *one = a;
	const struct text *other = b;

	return dep_compare_texts(*one, *other);
}

static void keep_each_once(struct dep_serials *serials)
{
	size_t kept = 0;

	qsort(serials->items, serials->count, sizeof *serials->items, compare);
	for (size_t i = 0; i < serials->count; i++) {
		if (kept == 0 || !text_equal(serials->items[kept - 1], serials->items[i])) {
			serials->items[kept++] = serials->items[i];
		}
	}
	serials->count = kept;
}

bool dep_take_serials(struct call *call, struct dep_serials *out)
{
	const json_t *devices = json_object_get(call->body, "devices");
	const size_t count = json_array_size(devices);

	if (count == 0) {
		dep_answer_word(call, 400, "DEVICE_ID_REQUIRED");
		return false;
	}
	*out = (struct dep_serials){ .items = arena_take(&call->request->arena, count * sizeof *out->items) };
	for (; out->count < count && count <= DEP_SERIALS_MAX && out->items != NULL; out->count++) {
		const json_t *serial = json_array_get(devices, out->count);

		if (!json_is_string(serial)) {
			break;
		}
		out->items[out->count] = (struct text){ json_string_value(serial), json_string_length(serial) };
	}
	if (out->count < count) {
		dep_answer_word(call, 400, "MALFORMED_REQUEST_BODY");
		return false;
	}
	keep_each_once(out);
	return true;
}
