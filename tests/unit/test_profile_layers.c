// SPDX-License-Identifier: Apache-2.0
//
// Profiles out of layers: what each layer may do to a key, where each value is from, variables, and the laws of joining.
#include "support/cmocka_all.h"
#include "support/profile_rig.h"
#include "support/random.h"

#include <stdlib.h>
#include <string.h>

#define BROKERS "\"profile_name\":\"acme main\""
#define URL ",\"url\":\"https://mdm.acme.example/enroll\"}"

static void assert_content(const char *const layers[PROFILE_RIG_LAYERS], const char *expected)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_rendered out;

	profile_rig_render(&out, layers, &arena);
	if (out.content.bytes == NULL) {
		profile_rig_print(&out.findings);
	}
	assert_non_null(out.content.bytes);
	assert_string_equal(out.content.bytes, expected);
}

#define ASSERT_CONTENT(expected, ...) assert_content((const char *const[PROFILE_RIG_LAYERS]){ __VA_ARGS__ }, (expected))

static void no_layer_gives_what_the_broker_gives(void **state)
{
	(void)state;
	ASSERT_CONTENT("{" BROKERS URL, NULL);
	ASSERT_CONTENT("{" BROKERS URL, "{}", "", " { } ");
}

static void an_upper_layer_replaces_key_by_key(void **state)
{
	(void)state;
	ASSERT_CONTENT("{\"allow_pairing\":false,\"department\":\"b\",\"org_magic\":\"m\"," BROKERS URL,
		"{\"department\":\"a\",\"org_magic\":\"m\"}", "{\"department\":\"b\"}", "{\"allow_pairing\":false}");
	ASSERT_CONTENT("{\"profile_name\":\"mine\"" URL, "{}", "{}", "{}", "{\"profile_name\":\"mine\"}");
	ASSERT_CONTENT("{" BROKERS ",\"skip_setup_items\":[\"TOS\"]" URL,
		"{\"skip_setup_items\":[\"AppleID\",\"Siri\"]}", "{\"skip_setup_items\":[\"TOS\"]}");
	ASSERT_CONTENT("{" BROKERS ",\"url\":\"https://mdm.acme.example/enroll\",\"x\":{\"b\":2}}", // objects, too, as a whole
		"{\"x\":{\"a\":1}}", "{\"x\":{\"b\":2}}");
}

static void null_takes_a_key_away(void **state)
{
	(void)state;
	ASSERT_CONTENT("{" BROKERS URL, "{\"department\":\"a\"}", "{\"department\":null}");
	ASSERT_CONTENT("{\"department\":\"b\"," BROKERS URL, "{\"department\":\"a\"}", "{\"department\":null}",
		"{\"department\":\"b\"}");
	ASSERT_CONTENT("{" BROKERS ",\"skip_setup_items\":[\"TOS\"]" URL, "{\"skip_setup_items\":[\"Siri\"]}",
		"{\"skip_setup_items\":null}", "{\"skip_setup_items+\":[\"TOS\"]}");
}

static void plus_adds_what_is_not_there(void **state)
{
	(void)state;
	ASSERT_CONTENT("{" BROKERS ",\"skip_setup_items\":[\"Siri\",\"TOS\",\"AppleID\"]" URL,
		"{\"skip_setup_items\":[\"Siri\"]}", "{\"skip_setup_items+\":[\"TOS\",\"Siri\",\"TOS\"]}",
		"{\"skip_setup_items+\":[\"AppleID\",\"TOS\"]}");
	ASSERT_CONTENT("{" BROKERS ",\"skip_setup_items\":[\"TOS\"]" URL, "{}", "{\"skip_setup_items+\":[\"TOS\"]}");
	ASSERT_CONTENT("{" BROKERS ",\"skip_setup_items\":[\"Siri\"]" URL, "{\"skip_setup_items+\":[\"TOS\"]}",
		"{\"skip_setup_items\":[\"Siri\"]}");
	ASSERT_CONTENT("{" BROKERS ",\"skip_setup_items\":[\"Siri\",\"TOS\"]" URL, // one layer: set, then added to
		"{\"skip_setup_items+\":[\"TOS\"],\"skip_setup_items\":[\"Siri\"]}");
}

static void assert_origin(const struct profile_rendered *out, const char *name, size_t layer, const char *pointer)
{
	const struct profile_key *key = profile_merged_find(&out->merged, text_of(name));
	struct buffer at CLEANUP(buffer_fini) = BUFFER(1000);

	assert_non_null(key);
	profile_pointer_of_key(&at, key);
	assert_int_equal(key->origin.layer, layer);
	assert_string_equal(at.bytes, pointer);
}

static void each_value_knows_its_layer(void **state)
{
	static const char *const layers[PROFILE_RIG_LAYERS] = {
		"{\"department\":\"a\",\"skip_setup_items\":[\"Siri\"],\"org_magic\":\"m\"}",
		"{\"department\":\"b\",\"skip_setup_items+\":[\"Siri\",\"TOS\"]}", "{\"anchor_certs+\":[\"MAA=\"]}",
		"{\"a~b/c\":1,\"skip_setup_items+\":[\"AppleID\"]}",
	};
	static const struct {
		size_t layer;
		const char *pointer;
	} elements[] = { { 1, "/skip_setup_items/0" }, { 2, "/skip_setup_items+/1" }, { 4, "/skip_setup_items+/0" } };
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_rendered out;
	const struct profile_key *key;

	(void)state;
	profile_rig_render(&out, layers, &arena);
	assert_origin(&out, "profile_name", PROFILE_BROKER_LAYER, "/profile_name");
	assert_origin(&out, "url", PROFILE_BROKER_LAYER, "/url");
	assert_origin(&out, "org_magic", 1, "/org_magic");
	assert_origin(&out, "department", 2, "/department");
	assert_origin(&out, "anchor_certs", 3, "/anchor_certs+");
	assert_origin(&out, "a~b/c", 4, "/a~0b~1c");
	key = profile_merged_find(&out.merged, TEXT("skip_setup_items"));
	assert_int_equal(key->value.count, 3);
	for (size_t i = 0; i < 3; i++) {
		struct buffer at CLEANUP(buffer_fini) = BUFFER(1000);

		profile_pointer_of_element(&at, key, i);
		assert_int_equal(key->elements[i].layer, elements[i].layer);
		assert_string_equal(at.bytes, elements[i].pointer);
	}
}

static void assert_error(const char *code, size_t layer, const char *pointer, const char *const layers[PROFILE_RIG_LAYERS])
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_rendered out;
	const struct finding *finding;

	profile_rig_render(&out, layers, &arena);
	finding = profile_rig_finding(&out.findings, code);
	if (finding == NULL || finding->severity != FINDING_ERROR || finding->layer != layer ||
		!text_equal_string(finding->pointer, pointer)) {
		profile_rig_print(&out.findings);
		fail_msg("expected the error %s at %s of layer %zu", code, pointer, layer);
	}
	assert_null(out.content.bytes);
}

#define ASSERT_ERROR(code, layer, pointer, ...) \
	assert_error((code), (layer), (pointer), (const char *const[PROFILE_RIG_LAYERS]){ __VA_ARGS__ })

static void what_is_no_layer_is_an_error(void **state)
{
	(void)state;
	ASSERT_ERROR("not_json", 2, "", "{}", "{\"a\":1,}");
	ASSERT_ERROR("not_json", 1, "", "[]");
	ASSERT_ERROR("not_json", 1, "", "null");
	ASSERT_ERROR("not_json", 3, "", "{}", "{}", "{\"a\":1,\"\\u0061\":2}");  // one name twice: readers differ in which counts
	ASSERT_ERROR("not_json", 3, "", "{}", "{}", "{\"x\":{\"a\":1,\"a\":2}}");
	ASSERT_ERROR("not_json", 1, "", "{\"a\":\"\xff\"}");
	ASSERT_ERROR("addition", 1, "/department+", "{\"department+\":\"x\"}");
	ASSERT_ERROR("addition", 1, "/skip_setup_items++", "{\"skip_setup_items++\":[]}");
	ASSERT_ERROR("addition", 1, "/+", "{\"+\":[]}");
	ASSERT_ERROR("addition", 2, "/department+", "{\"department\":\"x\"}", "{\"department+\":[\"y\"]}");
	ASSERT_ERROR("addition", 2, "/url+", "{}", "{\"url+\":[\"https://mdm.acme.example/\"]}");
}

static void variables_are_replaced(void **state)
{
	(void)state;
	ASSERT_CONTENT("{\"department\":\"ACME GmbH, Z\xc3\xbcrich\"," BROKERS URL, "{\"department\":\"{{tenant.name}}, {{ label.site }}\"}");
	ASSERT_CONTENT("{\"department\":\"{{tenant.name}} } }} {\"," BROKERS URL, "{\"department\":\"{{{{tenant.name}} } }} {\"}");
	ASSERT_CONTENT("{\"department\":\"{{tenant.name}}\"," BROKERS URL, "{\"department\":\"{{tricky}}\"}"); // once only
	ASSERT_CONTENT("{" BROKERS ",\"skip_setup_items\":[\"acme\"]" URL, // before additions are compared
		"{\"skip_setup_items\":[\"{{tenant.slug}}\"]}", "{\"skip_setup_items+\":[\"acme\"]}");
	ASSERT_CONTENT("{" BROKERS ",\"url\":\"https://mdm.acme.example/enroll\",\"x\":{\"{{y}}\":[\"acme\"]}}",
		"{\"x\":{\"{{y}}\":[\"{{tenant.slug}}\"]}}");
}

static void unknown_variables_are_errors_where_they_stand(void **state)
{
	(void)state;
	ASSERT_ERROR("variable", 1, "/department", "{\"department\":\"{{tenant.nam}}\"}");
	ASSERT_ERROR("variable", 1, "/department", "{\"department\":\"{{tenant.name\"}");
	ASSERT_ERROR("variable", 1, "/department", "{\"department\":\"{{}}\"}");
	ASSERT_ERROR("variable", 1, "/department", "{\"department\":\"{{{tenant.name}}}\"}");
	ASSERT_ERROR("variable", 2, "/skip_setup_items+/1", "{}", "{\"skip_setup_items+\":[\"TOS\",\"{{a}}\"]}");
	ASSERT_ERROR("variable", 1, "/x/y~1z/0", "{\"x\":{\"y/z\":[\"{{a}}\"]}}");
	ASSERT_CONTENT("{\"department\":\"b\"," BROKERS URL, "{\"department\":\"{{a}}\"}", "{\"department\":\"b\"}"); // not in it
}

static void a_misspelt_variable_has_a_suggestion(void **state)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_rendered out;

	(void)state;
	profile_rig_render(&out, (const char *const[PROFILE_RIG_LAYERS]){ "{\"department\":\"{{tenant.nmae}}\"}" }, &arena);
	assert_true(text_contains_ignoring_case(out.findings.items[0].sentence, "tenant.name may be meant"));
}

static const char *random_value(void)
{
	static const char *const values[] = {
		"null", "true", "false", "1", "1.0", "1e3", "\"x\"", "\"{{tenant.slug}}\"", "[]", "[\"a\",\"b\"]", "[\"b\",1,null]",
		"{}", "{\"z\":[{}],\"a\":\"\\u00fc\"}",
	};

	return values[random_below(sizeof values / sizeof *values)];
}

static void random_layer(struct buffer *out)
{
	static const char *const names[] = { "a", "a!", "b", "unheard_of", "skip_setup_items" };
	const char *comma = "";

	buffer_add_string(out, "{");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (random_chance(50)) {
			buffer_add_format(out, "%s\"%s\":%s", comma, names[i], random_value());
			comma = ",";
		}
		if (random_chance(40)) {
			buffer_add_format(out, "%s\"%s+\":%s", comma, names[i], random_chance(50) ? "[\"c\",\"a\"]" : "[\"acme\",{\"k\":1}]");
			comma = ",";
		}
	}
	buffer_add_string(out, "}");
}

// Everything that a merged profile is: values, origins, findings.
static void describe(struct buffer *out, const struct profile_changes *changes, struct arena *arena)
{
	const struct profile_recipe recipe = profile_rig_recipe(NULL, 0);
	struct findings findings = FINDINGS(arena);
	struct profile_merged merged;

	assert_int_equal(profile_changes_apply(&merged, changes, &recipe.variables, &findings, arena), OK);
	for (size_t i = 0; i < merged.count; i++) {
		const struct profile_key *key = &merged.keys[i];

		buffer_add_format(out, "%zu ", key->origin.layer);
		profile_pointer_of_key(out, key);
		for (size_t at = 0; key->elements != NULL && at < key->value.count; at++) {
			buffer_add_format(out, " %zu ", key->elements[at].layer);
			profile_pointer_of_element(out, key, at);
		}
		buffer_add_string(out, " = ");
		tree_value_write(out, &key->value);
		buffer_add_string(out, "\n");
	}
	for (size_t i = 0; i < findings.count; i++) {
		buffer_add_text(out, findings.items[i].pointer);
		buffer_add_text(out, findings.items[i].sentence);
	}
}

static struct profile_changes read_changes(const struct buffer *json, size_t layer, struct arena *arena)
{
	struct findings findings = FINDINGS(arena);
	struct profile_changes changes;

	assert_int_equal(profile_changes_read(&changes, buffer_text(json), layer, &findings, arena), OK);
	LAW(findings.count == 0);
	return changes;
}

static struct profile_changes join(struct profile_changes lower, struct profile_changes upper, struct arena *arena)
{
	struct profile_changes joined;

	assert_int_equal(profile_changes_join(&joined, &lower, &upper, arena), OK);
	return joined;
}

static void law_same(const struct profile_changes *a, const struct profile_changes *b, struct arena *arena)
{
	struct buffer x CLEANUP(buffer_fini) = BUFFER(100000), y CLEANUP(buffer_fini) = BUFFER(100000);

	describe(&x, a, arena);
	describe(&y, b, arena);
	LAW(text_equal(buffer_text(&x), buffer_text(&y)));
}

static void joining_is_associative(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3000; i++) {
		struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
		const struct profile_changes nothing = { 0 };
		struct profile_changes layers[3], left, right;

		random_case("test_profile_layers", i);
		for (size_t at = 0; at < 3; at++) {
			struct buffer json CLEANUP(buffer_fini) = BUFFER(10000);

			random_layer(&json);
			layers[at] = read_changes(&json, at, &arena);
		}
		left = join(join(layers[0], layers[1], &arena), layers[2], &arena);
		right = join(layers[0], join(layers[1], layers[2], &arena), &arena);
		law_same(&left, &right, &arena);
		left = join(nothing, layers[0], &arena);
		right = join(layers[0], nothing, &arena);
		law_same(&left, &right, &arena);
		law_same(&left, &layers[0], &arena);
	}
}

// What a person would write down: the last layer that sets a key decides, whatever the key is.
static void the_last_layer_that_sets_a_key_decides(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3000; i++) {
		struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
		struct buffer jsons[PROFILE_RIG_LAYERS], expected CLEANUP(buffer_fini) = BUFFER(1000);
		const char *layers[PROFILE_RIG_LAYERS], *last = "null";
		struct profile_rendered out;
		const struct profile_key *key;

		random_case("test_profile_layers", i);
		for (size_t at = 0; at < PROFILE_RIG_LAYERS; at++) {
			const char *value = random_value();

			jsons[at] = BUFFER(1000);
			if (random_chance(60)) {
				last = value;
				buffer_add_format(&jsons[at], "{\"unheard_of\":%s}", value);
			}
			layers[at] = jsons[at].length > 0 ? jsons[at].bytes : "{}";
		}
		profile_rig_render(&out, layers, &arena);
		key = profile_merged_find(&out.merged, TEXT("unheard_of"));
		LAW((key == NULL) == (strcmp(last, "null") == 0));
		if (key != NULL) {
			tree_value_write(&expected, &key->value);
			LAW(text_equal_string(buffer_text(&expected), strstr(last, "{{") != NULL ? "\"acme\""
				: strstr(last, "00fc") != NULL ? "{\"a\":\"\xc3\xbc\",\"z\":[{}]}" : last));
		}
		for (size_t at = 0; at < PROFILE_RIG_LAYERS; at++) {
			buffer_fini(&jsons[at]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_layer_gives_what_the_broker_gives),
		cmocka_unit_test(an_upper_layer_replaces_key_by_key),
		cmocka_unit_test(null_takes_a_key_away),
		cmocka_unit_test(plus_adds_what_is_not_there),
		cmocka_unit_test(each_value_knows_its_layer),
		cmocka_unit_test(what_is_no_layer_is_an_error),
		cmocka_unit_test(variables_are_replaced),
		cmocka_unit_test(unknown_variables_are_errors_where_they_stand),
		cmocka_unit_test(a_misspelt_variable_has_a_suggestion),
		cmocka_unit_test(joining_is_associative),
		cmocka_unit_test(the_last_layer_that_sets_a_key_decides),
	};

	return cmocka_run_group_tests_name("profile_layers", tests, NULL, NULL);
}
