// SPDX-License-Identifier: Apache-2.0
//
// profile_render with hostile layers, which a byte 0xff parts: no crash, and what comes out keeps its laws: strict JSON that
// reads back to the same bytes, on the instance's host, without the broker's keys from elsewhere; joining is associative.
#include "tenants/profile_diff.h"
#include "tenants/profile_render.h"
#include "tenants/url_guard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LAYERS = 3 };

static const struct text host = { "mdm.acme.example", 16 };
static const struct profile_variable variable = { { "v", 1 }, { "{{v}}\"\\", 7 } };
static const struct profile_variables variables = { .items = &variable, .count = 1 };

static size_t part_layers(struct profile_layer layers[LAYERS], const char *bytes, size_t size)
{
	size_t count = 0;

	for (size_t at = 0; count < LAYERS && at <= size; count++) {
		const char *end = at < size ? memchr(bytes + at, 0xff, size - at) : NULL;
		const size_t length = end != NULL && count + 1 < LAYERS ? (size_t)(end - bytes) - at : size - at;

		layers[count] = (struct profile_layer){ .json = { bytes + at, length } };
		at += length + 1;
	}
	return count;
}

static void assert_laws(const struct profile_rendered *out)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct buffer again CLEANUP(buffer_fini) = BUFFER(2 * PROFILE_SIZE_MAX);
	struct profile_differences differences;
	struct tree_value value;
	const struct tree_value *url;
	char *copy = arena_copy(&arena, out->content);

	assert(copy != NULL && tree_value_read(&value, copy, out->content.length, &arena, NULL) == OK);
	tree_value_write(&again, &value);
	assert(text_equal(buffer_text(&again), out->content));
	url = tree_value_find(&value, TEXT("url"));
	assert(url != NULL && text_equal_string(url->text, "https://mdm.acme.example/enroll"));
	url = tree_value_find(&value, TEXT("configuration_web_url"));
	assert(url == NULL || url_guard_check(url->text, &host, 1, NULL) == OK);
	assert(tree_value_find(&value, TEXT("devices")) == NULL);
	assert(profile_diff(&differences, out->content, out->content, &arena, NULL) == OK && differences.count == 0);
}

static void write_applied(struct buffer *out, const struct profile_changes *changes, struct arena *arena)
{
	struct findings findings = FINDINGS(arena);
	struct profile_merged merged;

	if (profile_changes_apply(&merged, changes, &variables, &findings, arena) != OK) {
		return;
	}
	for (size_t i = 0; i < merged.count; i++) {
		profile_pointer_of_key(out, &merged.keys[i]);
		tree_value_write(out, &merged.keys[i].value);
	}
}

static void assert_associative(const struct profile_layer layers[LAYERS])
{
	struct arena arena CLEANUP(arena_fini) = ARENA(4 * (size_t)PROFILE_ARENA_BUDGET);
	struct buffer x CLEANUP(buffer_fini) = BUFFER(1 << 24), y CLEANUP(buffer_fini) = BUFFER(1 << 24);
	struct findings findings = FINDINGS(&arena);
	struct profile_changes each[LAYERS], ab, bc, left, right;

	for (size_t i = 0; i < LAYERS; i++) {
		if (profile_changes_read(&each[i], layers[i].json, i, &findings, &arena) != OK) {
			return;
		}
	}
	if (profile_changes_join(&ab, &each[0], &each[1], &arena) != OK || profile_changes_join(&left, &ab, &each[2], &arena) != OK ||
		profile_changes_join(&bc, &each[1], &each[2], &arena) != OK || profile_changes_join(&right, &each[0], &bc, &arena) != OK) {
		return;
	}
	write_applied(&x, &left, &arena);
	write_applied(&y, &right, &arena);
	assert(text_equal(buffer_text(&x), buffer_text(&y)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_layer layers[LAYERS] = { 0 };
	const struct profile_recipe recipe = {
		.tenant_slug = TEXT("acme"), .instance_name = TEXT("main"), .enrolment_url = TEXT("https://mdm.acme.example/enroll"),
		.layers = layers, .layer_count = part_layers(layers, (const char *)data, size), .variables = variables,
		.allowed_hosts = &host, .allowed_host_count = 1, .systems = PROFILE_FOR_MACOS,
	};
	struct profile_rendered out;
	struct findings findings;

	if (profile_render(&out, &recipe, &arena, NULL) == OK && out.content.bytes != NULL) {
		assert_laws(&out);
	}
	assert_associative(layers);
	assert(profile_layer_check(&findings, layers[0].json, &arena, NULL) != ERR_BAD_INPUT);
	return 0;
}
