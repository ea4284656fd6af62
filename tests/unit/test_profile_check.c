// SPDX-License-Identifier: Apache-2.0
//
// What is found in a profile before Apple sees it, word by word, and that no layer leads around the URL guard.
#include "support/cmocka_all.h"
#include "support/hostile_urls.h"
#include "support/profile_rig.h"
#include "tenants/nearest.h"
#include "tenants/profile_keys.h"

#include <stdio.h>
#include <string.h>

static const char *const severities[] = { "note", "warning", "error" };

static bool is_as_expected(const struct finding *finding, const char *severity, const char *word, const char *pointer)
{
	return strcmp(severities[finding->severity], severity) == 0 && text_equal_string(finding->pointer, pointer) &&
		((finding->apple_word == NULL && word == NULL) ||
			(finding->apple_word != NULL && word != NULL && strcmp(finding->apple_word, word) == 0));
}

static void assert_found(const char *json, const char *severity, const char *code, const char *word, const char *pointer)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_rendered out;
	const struct finding *finding;

	profile_rig_render(&out, (const char *const[PROFILE_RIG_LAYERS]){ json }, &arena);
	finding = profile_rig_finding(&out.findings, code);
	if (finding == NULL || !is_as_expected(finding, severity, word, pointer)) {
		profile_rig_print(&out.findings);
		fail_msg("%s: expected the %s %s, %s, at %s", json, severity, code, word != NULL ? word : "-", pointer);
	}
	assert_true(finding->sentence.length > 0);
}

static void assert_clean(const char *json)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_rendered out;

	profile_rig_render(&out, (const char *const[PROFILE_RIG_LAYERS]){ json }, &arena);
	if (out.findings.count > 0) {
		profile_rig_print(&out.findings);
		fail_msg("%s: nothing is wrong with it", json);
	}
}

#define BODY "MALFORMED_REQUEST_BODY"

static void each_key_has_its_type(void **state)
{
	static const struct {
		const char *name;
		const char *word;
		const char *wrong[6];
	} cases[] = {
		{ "profile_name", "CONFIG_NAME_INVALID", { "\"\"", "1", "true", "[\"x\"]", "{}" } },
		{ "configuration_web_url", "CONFIG_URL_INVALID", { "\"\"", "1", "true", "[\"https://mdm.acme.example/\"]" } },
		{ "department", "DEPARTMENT_INVALID", { "\"\"", "1", "[]" } },
		{ "org_magic", "MAGIC_INVALID", { "\"\"", "1", "false" } },
		{ "support_phone_number", "SUPPORT_PHONE_INVALID", { "\"\"", "44123456789", "{}" } },
		{ "support_email_address", "SUPPORT_EMAIL_INVALID", { "\"\"", "1" } },
		{ "language", "LOCALE_INVALID", { "\"\"", "\"EN\"", "\"e\"", "\"engl\"", "\"de-CH\"", "1" } },
		{ "region", "LOCALE_INVALID", { "\"\"", "\"us\"", "\"USA\"", "\"U\"", "840" } },
		{ "allow_pairing", "FLAGS_INVALID", { "\"true\"", "1", "0", "[]" } },
		{ "is_supervised", "FLAGS_INVALID", { "\"false\"", "1" } },
		{ "is_mandatory", "FLAGS_INVALID", { "\"\"", "1" } },
		{ "is_mdm_removable", "FLAGS_INVALID", { "\"x\"", "0" } },
		{ "await_device_configured", "FLAGS_INVALID", { "\"x\"", "0" } },
		{ "auto_advance_setup", "FLAGS_INVALID", { "\"x\"", "0" } },
		{ "is_multi_user", "FLAGS_INVALID", { "\"x\"", "0" } },
		{ "is_return_to_service", "FLAGS_INVALID", { "\"x\"", "0" } },
		{ "do_not_use_profile_from_backup", "FLAGS_INVALID", { "\"x\"", "0" } },
		{ "anchor_certs", BODY, { "\"MAA=\"", "true", "{}" } },
		{ "supervising_host_certs", BODY, { "\"MAA=\"", "1" } },
		{ "skip_setup_items", BODY, { "\"TOS\"", "{\"TOS\":true}", "true" } },
	};

	(void)state;
	assert_int_equal(sizeof cases / sizeof *cases, profile_key_rule_count - 3); // without url, devices, profile_uuid
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (size_t at = 0; at < 6 && cases[i].wrong[at] != NULL; at++) {
			char json[200], pointer[80];

			(void)snprintf(json, sizeof json, "{\"%s\":%s}", cases[i].name, cases[i].wrong[at]);
			(void)snprintf(pointer, sizeof pointer, "/%s", cases[i].name);
			assert_found(json, "error", "type", cases[i].word, pointer);
		}
	}
}

static void lengths_are_those_of_apple_in_characters(void **state)
{
	static const struct {
		const char *name;
		size_t most;
		const char *word;
	} cases[] = {
		{ "profile_name", 125, "CONFIG_NAME_INVALID" }, { "department", 125, "DEPARTMENT_INVALID" },
		{ "org_magic", 256, "MAGIC_INVALID" }, { "support_phone_number", 50, "SUPPORT_PHONE_INVALID" },
		{ "support_email_address", 250, "SUPPORT_EMAIL_INVALID" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buffer json CLEANUP(buffer_fini) = BUFFER(2000);
		char pointer[80];

		buffer_add_format(&json, "{\"%s\":\"@", cases[i].name);
		for (size_t at = 1; at < cases[i].most; at++) {
			buffer_add_string(&json, "\xc3\xbc"); // one character of two bytes
		}
		const size_t length = json.length;

		buffer_add_string(&json, "\"}");
		assert_clean(json.bytes);
		json.length = length;
		buffer_add_string(&json, "x\"}");
		(void)snprintf(pointer, sizeof pointer, "/%s", cases[i].name);
		assert_found(json.bytes, "error", "length", cases[i].word, pointer);
	}
}

static void what_is_right_is_left_alone(void **state)
{
	(void)state;
	assert_clean("{\"is_supervised\":true,\"is_mdm_removable\":false,\"await_device_configured\":true,\"is_mandatory\":true,"
		"\"auto_advance_setup\":true,\"language\":\"de\",\"region\":\"CH\",\"anchor_certs\":[\"MAMCAQE=\"],"
		"\"configuration_web_url\":\"https://OTHER.example:8443/sso?x=%20\",\"skip_setup_items\":[\"TOS\",\"iCloudStorage\"],"
		"\"support_email_address\":\"help@acme.example\",\"supervising_host_certs\":[\"MAMCAQE=\"],\"allow_pairing\":false}");
	assert_clean("{\"language\":\"haw\"}");
	assert_clean("{\"is_mdm_removable\":true}");
}

static void combinations_that_apple_refuses_are_found(void **state)
{
	(void)state;
	assert_found("{\"is_mdm_removable\":false}", "error", "combination", "FLAGS_INVALID", "/is_mdm_removable");
	assert_found("{\"is_mdm_removable\":false,\"is_supervised\":false}", "error", "combination", "FLAGS_INVALID",
		"/is_mdm_removable");
	assert_found("{\"is_multi_user\":true}", "note", "combination", NULL, "/is_multi_user");
	assert_found("{\"is_return_to_service\":true}", "note", "combination", NULL, "/is_return_to_service");
	assert_found("{\"auto_advance_setup\":true}", "note", "combination", NULL, "/auto_advance_setup");
	assert_found("{\"supervising_host_certs\":[\"MAMCAQE=\"]}", "note", "combination", NULL, "/supervising_host_certs");
	assert_found("{\"await_device_configured\":true}", "note", "combination", NULL, "/await_device_configured");
}

static void a_combination_is_found_across_layers(void **state)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_rendered out;
	const struct finding *finding;

	(void)state;
	profile_rig_render(&out, (const char *const[PROFILE_RIG_LAYERS]){ "{\"is_supervised\":true,\"is_mdm_removable\":false}",
		"{\"is_supervised\":false}" }, &arena);
	finding = profile_rig_finding(&out.findings, "combination");
	assert_non_null(finding);
	assert_int_equal(finding->layer, 1);
	assert_null(out.content.bytes);
	profile_rig_render(&out, (const char *const[PROFILE_RIG_LAYERS]){ "{\"is_mdm_removable\":false}", "{\"is_supervised\":true}" },
		&arena);
	assert_non_null(out.content.bytes);
}

static void what_is_required_is_missed(void **state)
{
	(void)state;
	assert_found("{\"profile_name\":null}", "error", "required", "CONFIG_NAME_REQUIRED", "");
	assert_found("{\"url\":null}", "error", "required", "CONFIG_URL_REQUIRED", "");
}

static void what_is_the_brokers_is_no_layers(void **state)
{
	(void)state;
	assert_found("{\"url\":\"https://mdm.acme.example/\"}", "error", "refused", NULL, "/url");
	assert_found("{\"devices\":[]}", "error", "refused", NULL, "/devices");
	assert_found("{\"devices+\":[\"C02\"]}", "error", "refused", NULL, "/devices+");
	assert_found("{\"profile_uuid\":\"0123456789ABCDEF0123456789ABCDEF\"}", "error", "refused", NULL, "/profile_uuid");
}

static void elements_are_checked_where_they_stand(void **state)
{
	(void)state;
	assert_found("{\"skip_setup_items\":[\"TOS\",1]}", "error", "type", BODY, "/skip_setup_items/1");
	assert_found("{\"skip_setup_items+\":[\"TOS\",\"Siri\",\"\"]}", "error", "type", BODY, "/skip_setup_items+/2");
	assert_found("{\"skip_setup_items\":[null]}", "error", "type", BODY, "/skip_setup_items/0");
	assert_found("{\"anchor_certs\":[\"MAMCAQE=\",\"?\"]}", "error", "certificate", BODY, "/anchor_certs/1");
	assert_found("{\"anchor_certs\":[\"-----BEGIN CERTIFICATE-----\\nMAA=\"]}", "error", "certificate", BODY, "/anchor_certs/0");
	assert_found("{\"anchor_certs\":[\"eHg=\"]}", "error", "certificate", NULL, "/anchor_certs/0");     // not DER
	assert_found("{\"anchor_certs\":[\"MAMCAQ==\"]}", "error", "certificate", NULL, "/anchor_certs/0"); // cut
	assert_found("{\"anchor_certs\":[\"MAMCAQEA\"]}", "error", "certificate", NULL, "/anchor_certs/0"); // with something behind
}

static void doubtful_shapes_are_warnings(void **state)
{
	(void)state;
	assert_found("{\"support_email_address\":\"acme.example\"}", "warning", "shape", NULL, "/support_email_address");
	assert_found("{\"region\":\"UK\"}", "warning", "shape", "LOCALE_INVALID", "/region");
	assert_clean("{\"region\":\"GB\"}");
	assert_clean("{\"region\":\"AD\"}");
	assert_clean("{\"region\":\"ZW\"}");
}

static void assert_sentence(const char *json, unsigned systems, const char *code, const char *part)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	const struct profile_layer layer = { .level = PROFILE_LEVEL_TENANT, .json = text_of(json) };
	struct profile_recipe recipe = profile_rig_recipe(&layer, 1);
	struct profile_rendered out;
	const struct finding *finding;

	recipe.systems = systems;
	assert_int_equal(profile_render(&out, &recipe, &arena, NULL), OK);
	finding = profile_rig_finding(&out.findings, code);
	if (part == NULL) {
		assert_null(finding);
	} else if (finding == NULL || !text_contains_ignoring_case(finding->sentence, part)) {
		profile_rig_print(&out.findings);
		fail_msg("%s: expected \"%s\"", json, part);
	}
	assert_non_null(out.content.bytes); // advice stops nothing
}

static void unknown_panes_pass_with_a_suggestion(void **state)
{
	(void)state;
	assert_sentence("{\"skip_setup_items\":[\"appleid\"]}", 0, "unknown_skip_item", "AppleID may be meant");
	assert_sentence("{\"skip_setup_items\":[\"Biometrics\"]}", 0, "unknown_skip_item", "Biometric may be meant");
	assert_sentence("{\"skip_setup_items\":[\"Diagonstics\"]}", 0, "unknown_skip_item", "Diagnostics may be meant");
	assert_sentence("{\"skip_setup_items\":[\"Teleporter\"]}", 0, "unknown_skip_item", "passed on as it is");
	assert_sentence("{\"skip_setup_items\":[\"Registration\"]}", 0, "unlisted_skip_item", "known to work");
	assert_sentence("{\"skip_setup_items\":[\"AppleID\"]}", 0, "unknown_skip_item", NULL);
}

static void panes_without_effect_are_noted(void **state)
{
	const unsigned ios = PROFILE_FOR_IOS, macos = PROFILE_FOR_MACOS, tvos = PROFILE_FOR_TVOS;

	(void)state;
	assert_sentence("{\"skip_setup_items\":[\"FileVault\"]}", ios, "no_effect", "iOS has no pane FileVault");
	assert_sentence("{\"skip_setup_items\":[\"FileVault\"]}", ios | macos, "no_effect", NULL);
	assert_sentence("{\"skip_setup_items\":[\"FileVault\"]}", 0, "no_effect", NULL);
	assert_sentence("{\"skip_setup_items\":[\"Wallpaper\"]}", macos, "no_effect", "macOS has dropped Wallpaper since 26.0");
	assert_sentence("{\"skip_setup_items\":[\"OnBoarding\"]}", ios, "no_effect", "iOS has deprecated OnBoarding since 14.0");
	assert_sentence("{\"skip_setup_items\":[\"Keyboard\"]}", ios, "not_always_skipped", "may be shown nevertheless");
	assert_sentence("{\"skip_setup_items\":[\"Siri\"]}", ios | macos | tvos, "no_effect", NULL);
	assert_sentence("{\"is_multi_user\":true}", macos, "no_effect", "is_multi_user has no effect");
	assert_sentence("{\"is_multi_user\":true}", ios | macos, "no_effect", NULL);
	assert_int_equal(profile_system_of(TEXT("OSX")), PROFILE_FOR_MACOS);
	assert_int_equal(profile_system_of(TEXT("iPadOS")), PROFILE_FOR_IOS);
	assert_int_equal(profile_system_of(TEXT("watchOS")), 0);
}

static void unknown_keys_pass_with_a_warning(void **state)
{
	(void)state;
	assert_found("{\"apples_next_key\":{\"a\":[1,null]}}", "warning", "unknown_key", NULL, "/apples_next_key");
	assert_sentence("{\"apples_next_key\":1}", 0, "unknown_key", "It is passed on");
	assert_sentence("{\"is_mdm_removeable\":false}", 0, "unknown_key", "is_mdm_removable may be meant");
	assert_sentence("{\"Department\":\"x\"}", 0, "unknown_key", "department may be meant");
}

static void a_key_that_looks_like_a_guarded_one_is_refused(void **state)
{
	static const char *const names[] = { "URL", "Url", "u_r_l", "url ", " url", "url.", "configuration_web_URL", "configurationWebUrl",
		"Configuration-Web-Url", "configurationweburl", "Devices", "DEVICES", "profileUUID", "profile_uuid_", "\\u00fcrl", "device\xc5\xbf",
		"a\\u0007" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
		struct profile_rendered out;
		char json[100];

		(void)snprintf(json, sizeof json, "{\"%s\":1}", names[i]);
		profile_rig_render(&out, (const char *const[PROFILE_RIG_LAYERS]){ json }, &arena);
		if (out.content.bytes != NULL || profile_rig_finding(&out.findings, "look_alike") == NULL) {
			fail_msg("let through: %s", json);
		}
	}
}

static void urls_in_unknown_keys_are_guarded(void **state)
{
	static const char *const values[] = { "\"https://evil.example/\"", "\"http://mdm.acme.example/\"", "[{\"a\":[\"x\",\"https://evil.example\"]}]",
		"\"HTTPS:evil.example\"", "\"//evil.example/\"", "\"\\\\\\\\evil.example\"", "\" https:/evil.example\"", "{\"b_url\":\"evil.example\"}",
		"\"see https://evil.example\"" };

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		char json[200];

		(void)snprintf(json, sizeof json, "{\"apples_next_key\":%s}", values[i]);
		assert_found(json, "error", "host", NULL, "/apples_next_key");
	}
	assert_found("{\"other_url\":\"evil.example\"}", "error", "host", NULL, "/other_url");
	assert_found("{\"other_url\":\"https://mdm.acme.example/x\"}", "warning", "unknown_key", NULL, "/other_url");
}

static void quote(struct buffer *out, const char *before, const char *url, const char *after)
{
	buffer_clear(out);
	buffer_add_string(out, before);
	buffer_add_json(out, text_of(url));
	buffer_add_string(out, after);
}

// Each spelling, in each layer, as what each of the two keys ends up with.
static void no_layer_leads_around_the_guard(void **state)
{
	(void)state;
	assert_true(HOSTILE_URL_COUNT >= 200);
	for (size_t i = 0; i < HOSTILE_URL_COUNT; i++) {
		for (size_t at = 0; at < PROFILE_RIG_LAYERS; at++) {
			const char *layers[PROFILE_RIG_LAYERS] = { "{\"configuration_web_url\":\"https://mdm.acme.example/\"}", "{}", "{}", "{}" };
			struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
			struct buffer json CLEANUP(buffer_fini) = BUFFER(2000);
			struct profile_rendered out;

			quote(&json, "{\"configuration_web_url\":", hostile_urls[i], "}");
			layers[at] = json.bytes;
			profile_rig_render(&out, layers, &arena);
			if (out.content.bytes != NULL) {
				fail_msg("let through in layer %zu: %s", at, json.bytes);
			}
		}
	}
}

static void the_instances_own_url_is_guarded(void **state)
{
	(void)state;
	for (size_t i = 0; i < HOSTILE_URL_COUNT; i++) {
		struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
		struct profile_recipe recipe = profile_rig_recipe(NULL, 0);
		struct profile_rendered out;

		recipe.enrolment_url = text_of(hostile_urls[i]);
		assert_int_equal(profile_render(&out, &recipe, &arena, NULL), OK);
		if (out.content.bytes != NULL) {
			fail_msg("let through: %s", hostile_urls[i]);
		}
	}
}

static void a_variable_does_not_lead_around_the_guard(void **state)
{
	(void)state;
	assert_found("{\"configuration_web_url\":\"https://{{label.host}}/\"}", "error", "host", NULL, "/configuration_web_url");
	assert_found("{\"apples_next_url\":\"{{label.host}}\"}", "error", "host", NULL, "/apples_next_url");
	assert_clean("{\"configuration_web_url\":\"https://mdm.{{tenant.slug}}.example/{{tenant.slug}}\"}");
}

static void older_protocols_are_heeded(void **state)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	const struct profile_layer layer = { .json = TEXT("{\"await_device_configured\":true,\"is_supervised\":true}") };
	struct profile_recipe recipe = profile_rig_recipe(&layer, 1);
	struct profile_rendered out;

	(void)state;
	recipe.protocol_version = 1;
	assert_int_equal(profile_render(&out, &recipe, &arena, NULL), OK);
	assert_int_equal(profile_rig_finding(&out.findings, "protocol_version")->severity, FINDING_WARNING);
	recipe.protocol_version = 2;
	assert_int_equal(profile_render(&out, &recipe, &arena, NULL), OK);
	assert_int_equal(out.findings.count, 0);
}

static size_t draft_errors(const char *json)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct findings findings;

	assert_int_equal(profile_layer_check(&findings, text_of(json), &arena, NULL), OK);
	return findings.error_count;
}

static void a_template_alone_is_checked_as_far_as_it_can_be(void **state)
{
	(void)state;
	assert_int_equal(draft_errors("{}"), 0);
	assert_int_equal(draft_errors("{\"is_mdm_removable\":false}"), 0); // another layer may supervise
	assert_int_equal(draft_errors("{\"configuration_web_url\":\"https://{{x}}/\",\"language\":\"{{l}}\",\"anchor_certs\":[\"{{c}}\"]}"), 0);
	assert_int_equal(draft_errors("{\"configuration_web_url\":\"https://anywhere.example/\"}"), 0); // no instance is known yet
	assert_int_equal(draft_errors("{\"configuration_web_url\":\"https://user@anywhere.example/\"}"), 1);
	assert_int_equal(draft_errors("{\"department\":\"{{x\"}"), 1);
	assert_int_equal(draft_errors("{\"department\":7}"), 1);
	assert_int_equal(draft_errors("{\"url\":\"https://mdm.acme.example/\"}"), 1);
	assert_int_equal(draft_errors("{\"URL\":\"{{x}}\"}"), 1);
	assert_int_equal(draft_errors("{\"skip_setup_items\":[\"{{x}}\",3]}"), 1);
	assert_int_equal(draft_errors("[]"), 1);
}

static void findings_beyond_the_limit_are_counted(void **state)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct buffer json CLEANUP(buffer_fini) = BUFFER(20000);
	struct profile_rendered out;

	(void)state;
	buffer_add_string(&json, "{\"skip_setup_items\":[");
	for (size_t i = 0; i < 300; i++) {
		buffer_add_string(&json, "\"Teleporter\",");
	}
	buffer_add_string(&json, "1]}");
	profile_rig_render(&out, (const char *const[PROFILE_RIG_LAYERS]){ json.bytes }, &arena);
	assert_int_equal(out.findings.error_count, 1); // the first and only error
	assert_null(out.content.bytes);

	json.length -= 3;
	for (size_t i = 0; i < 300; i++) {
		buffer_add_string(&json, i > 0 ? ",1" : "1");
	}
	buffer_add_string(&json, "]}");
	profile_rig_render(&out, (const char *const[PROFILE_RIG_LAYERS]){ json.bytes }, &arena);
	assert_int_equal(out.findings.error_count, 300);
	assert_int_equal(out.findings.count, FINDINGS_MAX);
	assert_int_equal(out.findings.not_kept, 100);
}

static void an_arena_that_is_too_small_lets_nothing_through(void **state)
{
	(void)state;
	for (size_t budget = 0; budget < 40000; budget += 64) {
		struct arena arena CLEANUP(arena_fini) = ARENA(budget);
		const struct profile_layer layer = { .json = TEXT("{\"department\":\"{{tenant.name}}\",\"skip_setup_items+\":[\"x\",1]}") };
		const struct profile_recipe recipe = profile_rig_recipe(&layer, 1);
		struct profile_rendered out;
		const enum err rc = profile_render(&out, &recipe, &arena, NULL);

		assert_true(rc == OK || rc == ERR_BUDGET);
		assert_null(out.content.bytes);
	}
}

static void each_key_is_in_the_reference(void **state)
{
	struct buffer page CLEANUP(buffer_fini) = BUFFER(1 << 20);
	FILE *file = fopen(SOURCE_DIRECTORY "/docs/reference/profiles.md", "r");
	char line[4096];

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof line, file) != NULL) {
		buffer_add_string(&page, line);
	}
	(void)fclose(file);
	for (size_t i = 0; i < profile_key_rule_count; i++) {
		char row[100];

		(void)snprintf(row, sizeof row, "\n| `%s` |", profile_key_rules[i].name.bytes);
		if (strstr(page.bytes, row) == NULL) {
			fail_msg("docs/reference/profiles.md does not say what %s is", profile_key_rules[i].name.bytes);
		}
	}
}

static void the_nearest_word_is_near(void **state)
{
	static const struct text words[] = { { "alpha", 5 }, { "beta", 4 }, { "alphabet", 8 } };

	(void)state;
	assert_true(text_equal_string(nearest_word(TEXT("ALPHA"), words, 3), "alpha"));
	assert_true(text_equal_string(nearest_word(TEXT("aplha"), words, 3), "alpha"));
	assert_true(text_equal_string(nearest_word(TEXT("alphaet"), words, 3), "alphabet"));
	assert_null(nearest_word(TEXT("gamma"), words, 3).bytes);
	assert_null(nearest_word(TEXT(""), words, 3).bytes);
	assert_null(nearest_word(TEXT("bea"), words, 3).bytes); // one mistake in three bytes
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_key_has_its_type),
		cmocka_unit_test(lengths_are_those_of_apple_in_characters),
		cmocka_unit_test(what_is_right_is_left_alone),
		cmocka_unit_test(combinations_that_apple_refuses_are_found),
		cmocka_unit_test(a_combination_is_found_across_layers),
		cmocka_unit_test(what_is_required_is_missed),
		cmocka_unit_test(what_is_the_brokers_is_no_layers),
		cmocka_unit_test(elements_are_checked_where_they_stand),
		cmocka_unit_test(doubtful_shapes_are_warnings),
		cmocka_unit_test(unknown_panes_pass_with_a_suggestion),
		cmocka_unit_test(panes_without_effect_are_noted),
		cmocka_unit_test(unknown_keys_pass_with_a_warning),
		cmocka_unit_test(a_key_that_looks_like_a_guarded_one_is_refused),
		cmocka_unit_test(urls_in_unknown_keys_are_guarded),
		cmocka_unit_test(no_layer_leads_around_the_guard),
		cmocka_unit_test(the_instances_own_url_is_guarded),
		cmocka_unit_test(a_variable_does_not_lead_around_the_guard),
		cmocka_unit_test(older_protocols_are_heeded),
		cmocka_unit_test(a_template_alone_is_checked_as_far_as_it_can_be),
		cmocka_unit_test(findings_beyond_the_limit_are_counted),
		cmocka_unit_test(an_arena_that_is_too_small_lets_nothing_through),
		cmocka_unit_test(each_key_is_in_the_reference),
		cmocka_unit_test(the_nearest_word_is_near),
	};

	return cmocka_run_group_tests_name("profile_check", tests, NULL, NULL);
}
