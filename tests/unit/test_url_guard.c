// SPDX-License-Identifier: Apache-2.0
//
// The guard that keeps enrolment URLs on an instance's own hosts.
#include "tenants/url_guard.h"
#include "support/cmocka_all.h"
#include "support/hostile_urls.h"

#include <string.h>

static const struct text hosts[] = { { "mdm.acme.example", 16 }, { "other.example:8443", 18 }, { "xn--mnchen-3ya.example", 22 } };

static bool passes(const char *url)
{
	struct fault fault = { 0 };
	const enum err rc = url_guard_check(text_of(url), hosts, sizeof hosts / sizeof *hosts, &fault);

	assert_true(rc == OK || rc == ERR_BAD_INPUT);
	assert_true((rc == OK) == (fault.text[0] == '\0'));
	return rc == OK;
}

static void a_url_on_a_listed_host_passes(void **state)
{
	(void)state;
	assert_true(passes("https://mdm.acme.example"));
	assert_true(passes("https://mdm.acme.example/"));
	assert_true(passes("https://mdm.acme.example/enroll?a=b@c&d=https://evil.example"));
	assert_true(passes("https://mdm.acme.example?x=1"));
	assert_true(passes("https://mdm.acme.example:443/enroll"));
	assert_true(passes("HTTPS://MDM.Acme.Example/enroll"));
	assert_true(passes("https://other.example:8443/enroll"));
	assert_true(passes("https://xn--mnchen-3ya.example/"));
}

static void anything_else_is_refused(void **state)
{
	static const char *const urls[] = {
		"", "https", "https://", "https:///enroll", "https:mdm.acme.example", "//mdm.acme.example/", "mdm.acme.example",
		"http://mdm.acme.example/", "ftp://mdm.acme.example/", " https://mdm.acme.example/",
		"https://evil.example/", "https://evil.example/mdm.acme.example", "https://evil.example?https://mdm.acme.example/",
		"https://mdm.acme.example.evil.example/", "https://evilmdm.acme.example/", "https://acme.example/",
		"https://x.mdm.acme.example/", "https://mdm.acme.exampl/", "https://mdm.acme.example./", "https://.mdm.acme.example/",
		"https://mdm.acme.example:8443/", "https://other.example/", "https://other.example:443/", "https://mdm.acme.example:/",
		"https://mdm.acme.example:0443/", "https://mdm.acme.example:65979/", "https://mdm.acme.example:443:443/",
		"https://mdm.acme.example:4294967739/",
		"https://user@mdm.acme.example/", "https://mdm.acme.example@evil.example/", "https://mdm.acme.example:443@evil.example/",
		"https://evil.example\\@mdm.acme.example/", "https://mdm.acme.example\\@evil.example/", "https://evil.example#@mdm.acme.example/",
		"https://mdm.acme.example#x", "https://mdm.acme.example/ x", "https://mdm.acme.example/\n", "https://mdm.acme.example\t/",
		"https://m\xc3\xbcnchen.example/", "https://mdm.acme.example/\xc3\xbc", "https://mdm%2eacme.example/", "https://[::1]/",
		"https://mdm.acme.example\x7f/", "https://mdm..acme.example/",
	};

	(void)state;
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		if (passes(urls[i])) {
			fail_msg("let through: %s", urls[i]);
		}
	}
}

// Two hundred and more: the list is not to shrink unseen.
static void no_spelling_leads_to_another_host(void **state)
{
	static const struct text listed[] = { { "mdm.acme.example", 16 }, { "other.example:8443", 18 }, { "10.0.0.9", 8 } };

	(void)state;
	assert_true(HOSTILE_URL_COUNT >= 200);
	for (size_t i = 0; i < HOSTILE_URL_COUNT; i++) {
		if (url_guard_check(text_of(hostile_urls[i]), listed, 3, NULL) == OK) {
			fail_msg("let through: %s", hostile_urls[i]);
		}
	}
}

static void escapes_are_whole(void **state)
{
	(void)state;
	assert_true(passes("https://mdm.acme.example/a%20b?c=%C3%bc"));
	assert_false(passes("https://mdm.acme.example/a%2"));
	assert_false(passes("https://mdm.acme.example/a%"));
	assert_false(passes("https://mdm.acme.example/%%20"));
}

static void bytes_after_a_nul_are_seen(void **state)
{
	static const char url[] = "https://mdm.acme.example\0.evil.example/";

	(void)state;
	assert_int_equal(url_guard_check((struct text){ url, sizeof url - 1 }, hosts, 3, NULL), ERR_BAD_INPUT);
}

static void a_url_may_be_as_long_as_apple_takes_it(void **state)
{
	char url[URL_GUARD_URL_MAX + 2];

	(void)state;
	memset(url, 'a', sizeof url);
	memcpy(url, "https://mdm.acme.example/", 25);
	assert_int_equal(url_guard_check((struct text){ url, URL_GUARD_URL_MAX }, hosts, 3, NULL), OK);
	assert_int_equal(url_guard_check((struct text){ url, URL_GUARD_URL_MAX + 1 }, hosts, 3, NULL), ERR_BAD_INPUT);
}

static void an_empty_list_allows_nothing(void **state)
{
	(void)state;
	assert_int_equal(url_guard_check(TEXT("https://mdm.acme.example/"), NULL, 0, NULL), ERR_BAD_INPUT);
}

static void entries_of_the_list_are_checked(void **state)
{
	static const char *const good[] = { "a", "mdm.acme.example", "MDM.acme.example:8443", "10.0.0.1", "xn--mnchen-3ya.example" };
	static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "https://a", "a/b", "a:0", "a:", "a:65536", "a b", "*.example",
		"[::1]", "\xc3\xbc.example", "a@b" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(url_guard_check_host(text_of(good[i]), NULL), OK);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (url_guard_check_host(text_of(bad[i]), NULL) == OK) {
			fail_msg("let through: %s", bad[i]);
		}
	}
}

static void other_urls_need_a_scheme_and_a_host(void **state)
{
	(void)state;
	assert_int_equal(url_check(TEXT("http://127.0.0.1:7001/webhook"), NULL), OK);
	assert_int_equal(url_check(TEXT("https://hooks.example/x?y"), NULL), OK);
	assert_int_equal(url_check(TEXT("file:///etc/passwd"), NULL), ERR_BAD_INPUT);
	assert_int_equal(url_check(TEXT("http://a:b@hooks.example/"), NULL), ERR_BAD_INPUT);
	assert_int_equal(url_check(TEXT("http:///x"), NULL), ERR_BAD_INPUT);
	assert_int_equal(url_check(TEXT_NONE, NULL), ERR_BAD_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_on_a_listed_host_passes),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(no_spelling_leads_to_another_host),
		cmocka_unit_test(escapes_are_whole),
		cmocka_unit_test(bytes_after_a_nul_are_seen),
		cmocka_unit_test(a_url_may_be_as_long_as_apple_takes_it),
		cmocka_unit_test(an_empty_list_allows_nothing),
		cmocka_unit_test(entries_of_the_list_are_checked),
		cmocka_unit_test(other_urls_need_a_scheme_and_a_host),
	};

	return cmocka_run_group_tests_name("url_guard", tests, NULL, NULL);
}
