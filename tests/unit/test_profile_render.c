// SPDX-License-Identifier: Apache-2.0
//
// One content, one digest; and what a profile at Apple may differ in without being another one.
#include "support/cmocka_all.h"
#include "support/profile_rig.h"
#include "support/random.h"
#include "tenants/profile.h"
#include "tenants/profile_diff.h"

#include <stdio.h>
#include <string.h>

static void digest_layers(unsigned char out[SHA256_SIZE], const char *first, const char *second)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_rendered rendered;
	unsigned char again[SHA256_SIZE];

	profile_rig_render(&rendered, (const char *const[PROFILE_RIG_LAYERS]){ first, second }, &arena);
	assert_non_null(rendered.content.bytes);
	memcpy(out, rendered.digest, SHA256_SIZE);
	assert_int_equal(profile_digest(again, rendered.content, NULL), OK);
	assert_memory_equal(out, again, SHA256_SIZE);
}

static void assert_same(bool same, const char *first_a, const char *second_a, const char *first_b, const char *second_b)
{
	unsigned char a[SHA256_SIZE], b[SHA256_SIZE];

	digest_layers(a, first_a, second_a);
	digest_layers(b, first_b, second_b);
	assert_int_equal(memcmp(a, b, SHA256_SIZE) == 0, same);
}

static void the_same_content_has_the_same_digest(void **state)
{
	(void)state;
	assert_same(true, "{\"department\":\"x\",\"org_magic\":\"y\"}", NULL, "{ \"org_magic\" : \"y\" ,\n \"department\":\"x\" }", NULL);
	assert_same(true, "{\"department\":\"x\",\"org_magic\":\"y\"}", NULL, "{\"org_magic\":\"y\"}", "{\"department\":\"x\"}");
	assert_same(true, "{\"department\":\"\\u00fc\\/\"}", NULL, "{\"department\":\"\xc3\xbc/\"}", NULL);
	assert_same(true, "{\"department\":\"acme\"}", NULL, "{\"department\":\"{{tenant.slug}}\"}", NULL);
	assert_same(true, "{\"x\":{\"a\":1,\"b\":[{\"d\":2,\"c\":3}]}}", NULL, "{\"x\":{\"b\":[{\"c\":3,\"d\":2}],\"a\":1}}", NULL);
	assert_same(true, "{\"department\":\"x\"}", "{\"department\":null}", "{}", NULL);
}

static void another_content_has_another_digest(void **state)
{
	(void)state;
	assert_same(false, "{\"department\":\"x\"}", NULL, "{\"department\":\"y\"}", NULL);
	assert_same(false, "{\"department\":\"x\"}", NULL, "{\"org_magic\":\"x\"}", NULL);
	assert_same(false, "{\"allow_pairing\":true}", NULL, "{}", NULL); // what Apple adds by itself is not known for sure
	assert_same(false, "{\"skip_setup_items\":[\"TOS\",\"Siri\"]}", NULL, "{\"skip_setup_items\":[\"Siri\",\"TOS\"]}", NULL);
	assert_same(false, "{\"x\":1}", NULL, "{\"x\":1.0}", NULL);
}

static void what_is_written_elsewhere_has_its_digest_too(void **state)
{
	struct buffer written CLEANUP(buffer_fini) = BUFFER(10000);
	unsigned char ours[SHA256_SIZE], stored[SHA256_SIZE];

	(void)state;
	profile_write(&written, &(struct profile_source){ .tenant_slug = TEXT("acme"), .instance_name = TEXT("main"),
		.enrolment_url = TEXT("https://mdm.acme.example/enroll"), .members = TEXT("{\"org_magic\":\"m\",\"department\":\"d\"}") });
	digest_layers(ours, "{\"department\":\"d\",\"org_magic\":\"m\"}", NULL);
	assert_int_equal(profile_digest(stored, buffer_text(&written), NULL), OK);
	assert_memory_equal(ours, stored, SHA256_SIZE);
	assert_int_equal(profile_digest(stored, TEXT("[1]"), NULL), ERR_BAD_INPUT);
	assert_int_equal(profile_digest(stored, TEXT("{"), NULL), ERR_BAD_INPUT);
}

static void two_long_slugs_make_a_name_that_apple_takes(void **state)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_recipe recipe = profile_rig_recipe(NULL, 0);
	struct profile_rendered out;
	char slug[64];

	(void)state;
	memset(slug, 'a', 63);
	slug[63] = '\0';
	recipe.tenant_slug = recipe.instance_name = text_of(slug);
	assert_int_equal(profile_render(&out, &recipe, &arena, NULL), OK);
	assert_non_null(out.content.bytes);
	assert_int_equal(profile_merged_find(&out.merged, TEXT("profile_name"))->value.text.length, PROFILE_NAME_MAX);
}

static void seventeen_layers_are_too_many(void **state)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	const struct profile_layer layers[PROFILE_LAYERS_MAX + 1] = { 0 };
	struct profile_recipe recipe = profile_rig_recipe(layers, PROFILE_LAYERS_MAX + 1);
	struct profile_rendered out;

	(void)state;
	assert_int_equal(profile_render(&out, &recipe, &arena, NULL), ERR_BAD_INPUT);
	recipe.layer_count--;
	assert_int_equal(profile_render(&out, &recipe, &arena, NULL), OK);
}

static void assert_differences(const char *meant, const char *found, const char *expected)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct buffer told CLEANUP(buffer_fini) = BUFFER(10000);
	struct profile_differences differences;
	size_t drift_count = 0;

	assert_int_equal(profile_diff(&differences, text_of(meant), text_of(found), &arena, NULL), OK);
	buffer_add_string(&told, "");
	for (size_t i = 0; i < differences.count; i++) {
		const struct profile_difference *item = &differences.items[i];

		buffer_add_format(&told, "%s%.*s %s %.*s %.*s;", item->is_drift ? "" : "~", TEXT_ARGS(item->name),
			profile_difference_name(item->kind), item->meant.bytes != NULL ? (int)item->meant.length : 1,
			item->meant.bytes != NULL ? item->meant.bytes : "-", item->found.bytes != NULL ? (int)item->found.length : 1,
			item->found.bytes != NULL ? item->found.bytes : "-");
		drift_count += item->is_drift ? 1 : 0;
	}
	assert_string_equal(told.bytes, expected);
	assert_int_equal(differences.drift_count, drift_count);
}

static void what_apple_does_to_every_profile_is_no_difference(void **state)
{
	(void)state;
	assert_differences("{\"url\":\"u\",\"profile_name\":\"n\"}",
		"{\"profile_name\":\"n\",\"url\":\"u\",\"allow_pairing\":true,\"is_mdm_removable\":true,\"is_supervised\":false,"
		"\"is_mandatory\":false,\"await_device_configured\":false,\"skip_setup_items\":[],\"department\":\"\",\"org_magic\":null,"
		"\"anchor_certs\":[],\"profile_uuid\":\"X\"}", "");
	assert_differences("{\"allow_pairing\":true,\"skip_setup_items\":[],\"devices\":[\"A\"]}", "{}", "");
	assert_differences("{\"skip_setup_items\":[\"TOS\",\"Siri\"]}", "{\"skip_setup_items\":[\"Siri\",\"TOS\"]}", "");
	assert_differences("{\"x\":{\"a\":1,\"b\":2}}", "{\"x\":{\"b\":2,\"a\":1}}", "");
}

static void everything_else_is_a_difference(void **state)
{
	(void)state;
	assert_differences("{\"url\":\"u\"}", "{\"url\":\"v\"}", "url changed \"u\" \"v\";");
	assert_differences("{\"url\":\"u\"}", "{}", "url missing \"u\" -;");
	assert_differences("{}", "{\"url\":\"v\"}", "url added - \"v\";");
	assert_differences("{\"is_mdm_removable\":false}", "{}", "is_mdm_removable missing false -;");
	assert_differences("{\"allow_pairing\":true}", "{\"allow_pairing\":false}", "allow_pairing changed true false;");
	assert_differences("{}", "{\"is_supervised\":true}", "is_supervised added - true;");
	assert_differences("{\"skip_setup_items\":[\"TOS\",\"TOS\"]}", "{\"skip_setup_items\":[\"TOS\",\"Siri\"]}",
		"skip_setup_items changed [\"TOS\",\"TOS\"] [\"TOS\",\"Siri\"];");
	assert_differences("{\"department\":\"a\",\"org_magic\":\"m\"}", "{\"department\":\"b\",\"org_magic\":\"n\"}",
		"department changed \"a\" \"b\";org_magic changed \"m\" \"n\";");
}

static void what_cannot_be_mended_is_no_drift(void **state)
{
	(void)state;
	assert_differences("{\"next_key\":1}", "{}", "~next_key missing 1 -;");
	assert_differences("{}", "{\"made_by_apple\":[1]}", "~made_by_apple added - [1];");
	assert_differences("{\"x\":[1,2]}", "{\"x\":[2,1]}", "~x changed [1,2] [2,1];");
}

static void what_is_no_profile_is_not_compared(void **state)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_differences differences;

	(void)state;
	assert_int_equal(profile_diff(&differences, TEXT("{}"), TEXT("<html>"), &arena, NULL), ERR_BAD_INPUT);
	assert_int_equal(profile_diff(&differences, TEXT("{}"), TEXT("[]"), &arena, NULL), ERR_BAD_INPUT);
	assert_int_equal(profile_diff(&differences, TEXT(""), TEXT("{}"), &arena, NULL), ERR_BAD_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_content_has_the_same_digest),
		cmocka_unit_test(another_content_has_another_digest),
		cmocka_unit_test(what_is_written_elsewhere_has_its_digest_too),
		cmocka_unit_test(two_long_slugs_make_a_name_that_apple_takes),
		cmocka_unit_test(seventeen_layers_are_too_many),
		cmocka_unit_test(what_apple_does_to_every_profile_is_no_difference),
		cmocka_unit_test(everything_else_is_a_difference),
		cmocka_unit_test(what_cannot_be_mended_is_no_drift),
		cmocka_unit_test(what_is_no_profile_is_not_compared),
	};

	return cmocka_run_group_tests_name("profile_render", tests, NULL, NULL);
}
