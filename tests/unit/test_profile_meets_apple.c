// SPDX-License-Identifier: Apache-2.0
//
// Our check against the simulator's, which is written apart from it after the same documentation: what passes here is
// accepted there, and what is refused there is refused here with the same word.
#include "applesim/apple.h"
#include "support/cmocka_all.h"
#include "support/profile_rig.h"
#include "support/random.h"
#include "tenants/profile_diff.h"
#include "tenants/profile_keys.h"

#include <stdlib.h>
#include <string.h>

static const char *pick(const char *const *from, size_t count)
{
	return from[random_below(count)];
}

#define PICK(...) pick((const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static void add_long_string(struct buffer *out, size_t characters)
{
	buffer_add_string(out, "\"");
	for (size_t i = 0; i < characters; i++) {
		buffer_add_string(out, random_chance(5) ? "\xc3\xbc" : "x");
	}
	buffer_add_string(out, "\"");
}

static void add_text_value(struct buffer *out, const struct profile_key_rule *rule)
{
	if (random_chance(60)) {
		add_long_string(out, random_chance(50) ? 1 + random_below(20) : rule->most - 2 + random_below(5));
	} else {
		buffer_add_string(out, PICK("\"\"", "\"a@b\"", "true", "7", "[]", "{}", "null", "[\"x\"]"));
	}
}

static void add_value(struct buffer *out, const struct profile_key_rule *rule)
{
	switch (rule->type) {
	case PROFILE_KEY_TEXT: add_text_value(out, rule); break;
	case PROFILE_KEY_URL:
		buffer_add_string(out, PICK("\"https://mdm.acme.example/sso\"", "\"https://other.example:8443/x%20y\"", "\"\"", "1",
			"\"https://mdm.acme.example/%zz\"", "\"https://evil.example/\"", "\"mailto:a@b\"", "\"https:///x\"", "null"));
		break;
	case PROFILE_KEY_FLAG: buffer_add_string(out, PICK("true", "false", "true", "false", "null", "\"true\"", "0", "[]")); break;
	case PROFILE_KEY_LANGUAGE: buffer_add_string(out, PICK("\"en\"", "\"deu\"", "\"EN\"", "\"e\"", "\"de-CH\"", "\"\"", "null", "1")); break;
	case PROFILE_KEY_REGION: buffer_add_string(out, PICK("\"CH\"", "\"US\"", "\"us\"", "\"USA\"", "\"\"", "null", "false")); break;
	case PROFILE_KEY_CERTIFICATES:
		buffer_add_string(out, PICK("[]", "[\"MAA=\"]", "[\"MAA\",\"MAMCAQE=\"]", "[\"%\"]", "[\"\"]", "[1]", "\"MAA=\"", "null",
			"[\"-----BEGIN CERTIFICATE-----\"]"));
		break;
	case PROFILE_KEY_SKIP_ITEMS:
		buffer_add_string(out, PICK("[]", "[\"TOS\"]", "[\"Sirri\",\"AppleID\"]", "[null]", "[\"TOS\",1]", "{}", "\"TOS\"", "null"));
		break;
	case PROFILE_KEY_REFUSED: buffer_add_string(out, PICK("[]", "[\"C02X\"]", "null")); break;
	}
}

static void random_layer(struct buffer *out, unsigned percent)
{
	const char *comma = "";

	buffer_add_string(out, "{");
	for (size_t i = 0; i < profile_key_rule_count; i++) {
		const struct profile_key_rule *rule = &profile_key_rules[i];

		if (random_chance(rule->is_brokers ? 2 : percent)) {
			buffer_add_format(out, "%s\"%s\":", comma, rule->name.bytes);
			add_value(out, rule);
			comma = ",";
		}
	}
	buffer_add_string(out, "}");
}

// As if the check were not there: what the layers make, sent to Apple.
static void write_unchecked(struct buffer *out, const struct profile_merged *merged)
{
	for (size_t i = 0; i < merged->count; i++) {
		buffer_add_string(out, i > 0 ? "," : "{");
		buffer_add_json(out, merged->keys[i].name);
		buffer_add_string(out, ":");
		tree_value_write(out, &merged->keys[i].value);
	}
	buffer_add_string(out, merged->count > 0 ? "}" : "{}");
}

static bool names_word(const struct findings *findings, const char *word)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];

		if (finding->severity == FINDING_ERROR && finding->apple_word != NULL && strcmp(finding->apple_word, word) == 0) {
			return true;
		}
	}
	return false;
}

static void compare_verdicts(size_t counts[2])
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct buffer layers[2] = { BUFFER(100000), BUFFER(100000) }, unchecked CLEANUP(buffer_fini) = BUFFER(200000);
	const unsigned percent = random_chance(50) ? 4 : 30;
	struct profile_rendered out;
	yyjson_doc *doc;
	const char *word;

	random_layer(&layers[0], percent);
	random_layer(&layers[1], percent);
	profile_rig_render(&out, (const char *const[PROFILE_RIG_LAYERS]){ layers[0].bytes, layers[1].bytes }, &arena);
	write_unchecked(&unchecked, &out.merged);
	doc = yyjson_read(unchecked.bytes, unchecked.length, 0);
	LAW(doc != NULL);
	word = profile_mistake(yyjson_doc_get_root(doc));
	LAW(out.content.bytes == NULL || word == NULL);
	LAW(word == NULL || names_word(&out.findings, word));
	LAW(out.content.bytes == NULL || text_equal(out.content, buffer_text(&unchecked)));
	counts[word == NULL ? 0 : 1]++;
	yyjson_doc_free(doc);
	buffer_fini(&layers[0]);
	buffer_fini(&layers[1]);
}

static void what_apple_refuses_is_refused_before_with_apples_word(void **state)
{
	size_t counts[2] = { 0 };

	(void)state;
	for (size_t i = 0; i < 5000; i++) {
		random_case("test_profile_meets_apple", i);
		compare_verdicts(counts);
	}
	assert_true(counts[0] > 250 && counts[1] > 250); // both verdicts were seen
}

static void what_apple_gives_back_is_no_drift(void **state)
{
	size_t compared = 0;

	(void)state;
	for (size_t i = 0; i < 3000; i++) {
		struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
		struct buffer layer CLEANUP(buffer_fini) = BUFFER(100000);
		struct profile_differences differences;
		struct profile_rendered out;

		random_case("test_profile_meets_apple", i);
		random_layer(&layer, 4);
		profile_rig_render(&out, (const char *const[PROFILE_RIG_LAYERS]){ layer.bytes }, &arena);
		if (out.content.bytes == NULL) {
			continue;
		}
		yyjson_doc *doc = yyjson_read(out.content.bytes, out.content.length, 0);
		char *given_back = profile_text(yyjson_doc_get_root(doc), "0123456789ABCDEF0123456789ABCDEF", 10);

		assert_int_equal(profile_diff(&differences, out.content, text_of(given_back), &arena, NULL), OK);
		LAW(differences.count == 0);
		compared++;
		free(given_back);
		yyjson_doc_free(doc);
	}
	assert_true(compared > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_apple_refuses_is_refused_before_with_apples_word),
		cmocka_unit_test(what_apple_gives_back_is_no_drift),
	};

	return cmocka_run_group_tests_name("profile_meets_apple", tests, NULL, NULL);
}
