// SPDX-License-Identifier: Apache-2.0
//
// A profile that somebody else has written: everything in it that could lead a device elsewhere is found.
#include "support/cmocka_all.h"
#include "tenants/profile_foreign.h"

#include <stdio.h>
#include <string.h>

#define URL  "https://mdm.example/enroll"
#define GOOD "\"profile_name\":\"x\",\"url\":\"" URL "\""

static const struct text hosts[] = { TEXT("mdm.example"), TEXT("sso.example:8443") };
static const struct profile_foreign_place place = { hosts, 2, TEXT(URL) };

static enum err judge(const char *json, bool is_for_devices, struct fault *fault)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(16 << 20);
	struct profile_merged profile;

	*fault = (struct fault){ 0 };
	TRY(profile_foreign_read(&profile, text_of(json), &arena, fault));
	return profile_foreign_check(&profile, &place, is_for_devices, &arena, fault);
}

static void what_stays_on_the_hosts_passes(void **state)
{
	static const char *const good[] = {
		"{" GOOD "}",
		"{" GOOD ",\"configuration_web_url\":\"https://sso.example:8443/x\"}",
		"{" GOOD ",\"configuration_web_url\":\"\",\"devices\":[\"A\"],\"profile_uuid\":\"B\"}", // as Apple shows them
		"{" GOOD ",\"configuration_web_url\":null,\"department\":\"{{tenant.name}}\"}",
		"{" GOOD ",\"new_key_of_apples\":\"x\",\"new_url\":\"https://mdm.example/y\"}",
		"{\"url\":\"https://MDM.example/enroll\"}",
	};
	struct fault fault;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		if (judge(good[i], false, &fault) != OK) {
			fail_msg("%s: %s", good[i], fault.text);
		}
	}
}

static void what_leads_elsewhere_is_refused_with_a_reason(void **state)
{
	static const char *const bad[] = {
		"", "[]", "{}", "{\"url\":\"\"}", "{\"url\":null}", "{\"url\":[\"" URL "\"]}", "{\"url\":{}}",
		"{\"url\":\"https://evil.example/\"}", "{\"url\":\"http://mdm.example/enroll\"}", "{\"url\":\"https://mdm.example@evil.example/\"}",
		"{\"url\":\"https://mdm.example:444/enroll\"}", "{\"url\":\"https://mdm.example\\u0000.evil.example/\"}",
		"{" GOOD ",\"url\":\"https://evil.example/\"}", "{" GOOD ",\"URL\":\"https://evil.example/\"}", "{" GOOD ",\"u_r_l\":\"x\"}",
		"{" GOOD ",\"configuration_web_url\":\"https://evil.example/\"}", "{" GOOD ",\"configuration_web_url\":7}",
		"{" GOOD ",\"Configuration-Web-URL\":\"https://mdm.example/\"}", "{" GOOD ",\"other\":{\"deep\":[\"//evil.example\"]}}",
		"{" GOOD ",\"devices+\":[\"A\"]}", "{" GOOD ",\"skip_setup_items+\":[\"Android\"]}", "{" GOOD ",\"url\\u200b\":\"x\"}",
	};
	struct fault fault;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (judge(bad[i], false, &fault) == OK) {
			fail_msg("passes: %s", bad[i]);
		}
	}
	assert_int_equal(judge("{\"url\":\"https://evil.example/\"}", false, &fault), ERR_BAD_INPUT);
	assert_true(strlen(fault.text) > 0);
}

static void devices_get_it_for_the_enrolment_url_alone(void **state)
{
	struct fault fault;

	(void)state;
	assert_int_equal(judge("{" GOOD "}", true, &fault), OK);
	assert_int_equal(judge("{\"url\":\"" URL "/\"}", false, &fault), OK);
	assert_int_equal(judge("{\"url\":\"" URL "/\"}", true, &fault), ERR_BAD_INPUT);
	assert_int_equal(judge("{\"url\":\"https://mdm.example/other\"}", true, &fault), ERR_BAD_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_stays_on_the_hosts_passes),
		cmocka_unit_test(what_leads_elsewhere_is_refused_with_a_reason),
		cmocka_unit_test(devices_get_it_for_the_enrolment_url_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
