// SPDX-License-Identifier: Apache-2.0
//
// Which URLs a webhook may have, and that libcurl, which connects to them, reads each of these as we do: the same host, the same port, nobody's name.
#include "support/cmocka_all.h"
#include "support/webhook_urls.h"
#include "tenants/url_guard.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

static void each_url_has_its_verdict(void **state)
{
	(void)state;
	assert_true(WEBHOOK_URL_COUNT >= 500);
	for (size_t i = 0; i < WEBHOOK_URL_COUNT; i++) {
		struct fault fault = { 0 };
		const enum err rc = url_check(text_of(webhook_urls[i].url), &fault);

		if (rc != (webhook_urls[i].verdict == TAKEN ? OK : ERR_BAD_INPUT) || (rc == OK) != (fault.text[0] == '\0')) {
			fail_msg("%s: %s", webhook_urls[i].url, err_name(rc));
		}
	}
}

static char *part_of(CURLU *url, CURLUPart part, unsigned flags)
{
	char *value = NULL;

	return curl_url_get(url, part, &value, flags) == CURLUE_OK ? value : NULL;
}

// Host and port as they stand between the slashes.
static void assert_same_place(const char *spelling, CURLU *url)
{
	const char *authority = strstr(spelling, "//") + 2;
	const size_t host_length = strcspn(authority, ":/?");
	char *host = part_of(url, CURLUPART_HOST, 0);
	char *port = part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	const char *wanted_port = strncasecmp(spelling, "https", 5) == 0 ? "443" : "80";
	const char *given = authority[host_length] == ':' ? authority + host_length + 1 : wanted_port;
	const size_t port_length = authority[host_length] == ':' ? strcspn(given, "/?") : strlen(given);

	if (host == NULL || port == NULL || strlen(host) != host_length || strncasecmp(host, authority, host_length) != 0 ||
		strlen(port) != port_length || strncmp(port, given, port_length) != 0) {
		fail_msg("%s is read as host %s, port %s", spelling, host, port);
	}
	curl_free(host);
	curl_free(port);
}

// It turns numbers into addresses, which are judged when they are connected to.
static bool is_all_numbers(const char *spelling)
{
	const char *authority = strstr(spelling, "//") + 2;

	return strspn(authority, "0123456789.xXabcdefABCDEF") == strcspn(authority, ":/?") && strspn(authority, "0123456789") > 0;
}

static void libcurl_reads_what_is_taken_as_we_do(void **state)
{
	size_t compared = 0;

	(void)state;
	for (size_t i = 0; i < WEBHOOK_URL_COUNT; i++) {
		const char *const spelling = webhook_urls[i].url;
		CURLU *url = curl_url();

		if (webhook_urls[i].verdict == TAKEN) {
			if (curl_url_set(url, CURLUPART_URL, spelling, CURLU_DISALLOW_USER) != CURLUE_OK) {
				fail_msg("libcurl does not read %s", spelling);
			}
			assert_null(part_of(url, CURLUPART_USER, 0));
			if (!is_all_numbers(spelling)) {
				assert_same_place(spelling, url);
				compared++;
			}
		}
		curl_url_cleanup(url);
	}
	assert_true(compared > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_url_has_its_verdict),
		cmocka_unit_test(libcurl_reads_what_is_taken_as_we_do),
	};

	return cmocka_run_group_tests_name("webhook_urls", tests, NULL, NULL);
}
