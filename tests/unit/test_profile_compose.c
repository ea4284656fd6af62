// SPDX-License-Identifier: Apache-2.0
//
// Which layers and variables take part in an instance's profile, and how long a content that is defined in vain is left alone.
#include "support/cmocka_all.h"
#include "support/profile_rig.h"
#include "tenants/profile_compose.h"
#include "worker/profile_content.h"

#include <string.h>

static const struct text hosts[] = { { "mdm.acme.example", 16 } };

static struct profile_parts parts_of(const char *template_layer, const char *tenant_layer, const char *instance_layer, const char *rule_layer)
{
	return (struct profile_parts){
		.tenant_slug = TEXT("acme"), .tenant_name = TEXT("ACME GmbH"), .technical_contact = TEXT("it@acme.example"),
		.labels = TEXT("vip\nsite = Basel\nsite=Bern\n=x\nempty="),
		.template_name = text_of(template_layer == NULL ? NULL : "base"), .template_layer = text_of(template_layer),
		.tenant_layer = text_of(tenant_layer), .instance_name = TEXT("main"), .enrolment_url = TEXT("https://mdm.acme.example/e"),
		.allowed_hosts = hosts, .allowed_host_count = 1, .instance_layer = text_of(instance_layer), .rule_layer = text_of(rule_layer),
	};
}

static void assert_composed(struct profile_parts parts, const char *expected)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	struct profile_rendered out;

	assert_int_equal(profile_compose(&out, &parts, &arena, NULL), OK);
	if (expected == NULL) {
		assert_null(out.content.bytes);
		assert_true(out.findings.error_count > 0);
	} else {
		profile_rig_print(&out.findings);
		assert_non_null(out.content.bytes);
		assert_string_equal(out.content.bytes, expected);
	}
}

static void layers_are_laid_in_their_order(void **state)
{
	(void)state;
	assert_composed(parts_of("{\"department\":\"1\",\"org_magic\":\"1\"}", "{\"department\":\"2\",\"language\":\"de\"}",
		"{\"department\":\"3\",\"region\":\"CH\"}", "{\"department\":\"4\"}"),
		"{\"department\":\"4\",\"language\":\"de\",\"org_magic\":\"1\",\"profile_name\":\"acme main\",\"region\":\"CH\","
		"\"url\":\"https://mdm.acme.example/e\"}");
}

static void variables_are_the_clients(void **state)
{
	(void)state;
	assert_composed(parts_of("{\"department\":\"{{tenant.name}} {{tenant.slug}} {{instance.name}} {{label.site}}\","
		"\"support_email_address\":\"{{tenant.technical_contact}}\"}", NULL, NULL, NULL),
		"{\"department\":\"ACME GmbH acme main Basel\",\"profile_name\":\"acme main\",\"support_email_address\":\"it@acme.example\","
		"\"url\":\"https://mdm.acme.example/e\"}");
}

static void what_a_client_does_not_have_is_an_error(void **state)
{
	(void)state;
	assert_composed(parts_of("{\"department\":\"{{label.floor}}\"}", NULL, NULL, NULL), NULL);
	assert_composed(parts_of("{\"department\":\"{{label.vip}}\"}", NULL, NULL, NULL), NULL);
	assert_composed(parts_of("{\"department\":\"{{label.empty}}\"}", NULL, NULL, NULL), NULL);
	assert_composed(parts_of("{\"department\":\"{{tenant.apple_contact}}\"}", NULL, NULL, NULL), NULL);
}

static void a_template_that_is_not_there_is_an_error(void **state)
{
	struct profile_parts parts = parts_of(NULL, NULL, NULL, NULL);

	(void)state;
	assert_composed(parts, "{\"profile_name\":\"acme main\",\"url\":\"https://mdm.acme.example/e\"}");
	parts.template_name = TEXT("lost");
	assert_composed(parts, NULL);
}

static void no_layer_leads_elsewhere(void **state)
{
	static const char *const hostile[] = { "{\"url\":\"https://mdm.acme.example/e\"}", "{\"URL\":\"https://evil.example/\"}",
		"{\"configuration_web_url\":\"https://evil.example/\"}", "{\"configuration_web_url\":\"https://{{tenant.slug}}.evil.example/\"}",
		"{\"future\":{\"a\":[\"https://evil.example/\"]}}" };

	(void)state;
	for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
		assert_composed(parts_of(hostile[i], NULL, NULL, NULL), NULL);
		assert_composed(parts_of(NULL, hostile[i], NULL, NULL), NULL);
		assert_composed(parts_of(NULL, NULL, hostile[i], NULL), NULL);
		assert_composed(parts_of(NULL, NULL, NULL, hostile[i]), NULL);
	}
}

static void what_is_defined_in_vain_is_soon_tried_once_a_day(void **state)
{
	(void)state;
	assert_int_equal(profile_content_define_at_us(0, INSTANT_NONE), INSTANT_NONE);
	assert_int_equal(profile_content_define_at_us(1, 1000), 1000);
	for (int attempts = 1; attempts < 10; attempts++) {
		assert_true(profile_content_define_at_us(attempts, 0) <= profile_content_define_at_us(attempts + 1, 0));
	}
	assert_true(profile_content_define_at_us(DEFINITIONS_TOLD, 0) >= 600 * SECOND_US);
	assert_int_equal(profile_content_define_at_us(5, 0), DAY_S * SECOND_US);
	assert_int_equal(profile_content_define_at_us(INT64_MAX, 0), DAY_S * SECOND_US);
}

static void an_error_is_told_with_its_place(void **state)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	const struct profile_parts parts = parts_of(NULL, "{\"department\":1}", NULL, NULL);
	struct profile_rendered out;
	char why[401];

	(void)state;
	assert_int_equal(profile_compose(&out, &parts, &arena, NULL), OK);
	profile_content_explain(why, &out.findings);
	assert_non_null(strstr(why, "tenant /department"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layers_are_laid_in_their_order),
		cmocka_unit_test(variables_are_the_clients),
		cmocka_unit_test(what_a_client_does_not_have_is_an_error),
		cmocka_unit_test(a_template_that_is_not_there_is_an_error),
		cmocka_unit_test(no_layer_leads_elsewhere),
		cmocka_unit_test(what_is_defined_in_vain_is_soon_tried_once_a_day),
		cmocka_unit_test(an_error_is_told_with_its_place),
	};

	return cmocka_run_group_tests_name("profile_compose", tests, NULL, NULL);
}
