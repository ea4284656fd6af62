// SPDX-License-Identifier: Apache-2.0
//
// What libcurl is told for a webhook, option by option: a new one, a missing one or another value is seen here. curl_easy_setopt is replaced by one
// that keeps what it is given.
#include "support/cmocka_all.h"
#include "support/http_world.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef curl_easy_setopt

enum { OPTIONS_MAX = 200, ANYTHING = -1 };

static struct {
	CURLoption option;
	long number;
	char *text; // NULL: none, or not a text
	bool is_set; // a pointer that is not NULL
} given[OPTIONS_MAX];
static size_t given_count;
static struct curl_slist *other_addresses; // for libcurl, in the place of those that were judged

static bool is_text(CURLoption option)
{
	const struct curl_easyoption *known = curl_easy_option_by_id(option);

	return known != NULL && known->type == CURLOT_STRING;
}

CURLcode curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
	CURLcode (*real)(CURL *, CURLoption, ...);
	void *found = dlsym(RTLD_NEXT, "curl_easy_setopt");
	va_list arguments;
	void *value;

	memcpy(&real, &found, sizeof real);
	va_start(arguments, option);
	value = va_arg(arguments, void *);
	va_end(arguments);
	assert_true(given_count < OPTIONS_MAX);
	given[given_count].option = option;
	given[given_count].number = (long)(intptr_t)value;
	given[given_count].is_set = value != NULL;
	given[given_count].text = is_text(option) && value != NULL ? strdup(value) : NULL;
	given_count++;
	return real(easy, option, option == CURLOPT_RESOLVE && other_addresses != NULL ? other_addresses : value);
}

struct expected {
	CURLoption option;
	long number;      // of those that are numbers
	const char *text; // of those that are texts; NULL: it is not given, or no text
};

// `number` 1 of a pointer: it is given; 0: it is NULL.
static const struct expected of_webhooks[] = {
	{ CURLOPT_CLOSESOCKETFUNCTION, 1, NULL }, { CURLOPT_CLOSESOCKETDATA, 1, NULL }, { CURLOPT_NOSIGNAL, 1, NULL }, { CURLOPT_QUICK_EXIT, 1, NULL },
	{ CURLOPT_URL, 0, "http://localhost:1/" }, { CURLOPT_DISALLOW_USERNAME_IN_URL, 1, NULL }, { CURLOPT_PROTOCOLS_STR, 0, "http,https" },
	{ CURLOPT_CUSTOMREQUEST, 0, "GET" }, { CURLOPT_HTTPHEADER, 1, NULL }, { CURLOPT_HEADEROPT, CURLHEADER_SEPARATE, NULL },
	{ CURLOPT_USERAGENT, 0, "depbroker-test/1" }, { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1, NULL }, { CURLOPT_PIPEWAIT, 0, NULL },
	{ CURLOPT_PROXY, 0, "" }, { CURLOPT_NOPROXY, 0, "" }, { CURLOPT_NETRC, CURL_NETRC_IGNORED, NULL }, { CURLOPT_FOLLOWLOCATION, 0, NULL },
	{ CURLOPT_HTTP09_ALLOWED, 0, NULL }, { CURLOPT_ACCEPT_ENCODING, 0, NULL },
	{ CURLOPT_OPENSOCKETFUNCTION, 1, NULL }, { CURLOPT_OPENSOCKETDATA, 1, NULL }, { CURLOPT_SSL_VERIFYPEER, 1, NULL },
	{ CURLOPT_SSL_VERIFYHOST, 2, NULL }, { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2, NULL }, { CURLOPT_CAPATH, 0, NULL },
	{ CURLOPT_FRESH_CONNECT, 0, NULL }, { CURLOPT_MAXLIFETIME_CONN, 300, NULL }, { CURLOPT_DNS_CACHE_TIMEOUT, 21, NULL },
	{ CURLOPT_RESOLVE, 1, NULL },
	{ CURLOPT_PRIVATE, 1, NULL }, { CURLOPT_ERRORBUFFER, 1, NULL }, { CURLOPT_WRITEFUNCTION, 1, NULL }, { CURLOPT_WRITEDATA, 1, NULL },
	{ CURLOPT_HEADERFUNCTION, 1, NULL }, { CURLOPT_HEADERDATA, 1, NULL },
};
enum { EXPECTED_COUNT = sizeof of_webhooks / sizeof *of_webhooks };

static const char *name_of(CURLoption option)
{
	const struct curl_easyoption *known = curl_easy_option_by_id(option);

	return known != NULL ? known->name : "an unknown one";
}

static bool is_number(CURLoption option)
{
	return option < CURLOPTTYPE_OBJECTPOINT || (option >= CURLOPTTYPE_OFF_T && option < CURLOPTTYPE_BLOB);
}

static void compare(size_t at, const struct expected *wanted)
{
	const bool same = is_number(wanted->option) ? given[at].number == wanted->number
		: is_text(wanted->option) ? (given[at].text == NULL ? wanted->text == NULL : wanted->text != NULL && strcmp(given[at].text, wanted->text) == 0)
		: given[at].is_set == (wanted->number != 0);

	if (!same) {
		fail_msg("%s is %ld \"%s\"", name_of(wanted->option), given[at].number, given[at].text != NULL ? given[at].text : "");
	}
}

static void on_request(struct raw_peer *peer, struct raw_connection *connection)
{
	(void)peer;
	raw_send_string(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void forget(void)
{
	for (size_t i = 0; i < given_count; i++) {
		free(given[i].text);
	}
	given_count = 0;
}

static struct address_range *allowed;

static void open_guarded(struct http_world *world, const char *list)
{
	struct http_client_config config = { .allow_plain_http = true, .guard = HTTP_ADDRESS_PUBLIC_ONLY };

	assert_int_equal(address_ranges_parse(&allowed, &config.allowed_count, text_of(list), NULL), OK);
	config.allowed = allowed;
	http_world_open(world, config, on_request);
	forget();
}

static void close_guarded(struct http_world *world)
{
	forget();
	http_world_close(world);
	free(allowed);
}

static void libcurl_is_told_exactly_this(void **state)
{
	struct http_world world;
	size_t at[EXPECTED_COUNT];

	(void)state;
	open_guarded(&world, "127.0.0.1, ::1");
	assert_int_equal(http_outcome(&world, "http://localhost:1/"), ERR_NETWORK);
	for (size_t wanted = 0; wanted < EXPECTED_COUNT; wanted++) {
		at[wanted] = given_count;
		for (size_t i = 0; i < given_count; i++) {
			at[wanted] = given[i].option == of_webhooks[wanted].option ? i : at[wanted]; // the last one counts
		}
		if (at[wanted] == given_count) {
			fail_msg("%s is not said", name_of(of_webhooks[wanted].option));
		}
		compare(at[wanted], &of_webhooks[wanted]);
	}
	for (size_t i = 0; i < given_count; i++) {
		bool is_known = false;

		for (size_t wanted = 0; wanted < EXPECTED_COUNT; wanted++) {
			is_known = is_known || of_webhooks[wanted].option == given[i].option;
		}
		if (!is_known) {
			fail_msg("%s is said, too: is it meant, and does it belong into this table?", name_of(given[i].option));
		}
	}
	close_guarded(&world);
}

static void of_a_host_that_is_refused_it_hears_nothing(void **state)
{
	struct http_world world;

	(void)state;
	open_guarded(&world, "");
	assert_int_equal(http_outcome(&world, "http://127.0.0.1:1/"), ERR_FORBIDDEN_ADDRESS);
	assert_int_equal(http_outcome(&world, "http://localhost:1/"), ERR_FORBIDDEN_ADDRESS);
	assert_int_equal(given_count, 0);
	close_guarded(&world);
}

// The second wall, at the socket: as if libcurl took addresses from elsewhere.
static void no_socket_is_opened_to_what_was_not_judged(void **state)
{
	static const char *const others[] = { "10.0.0.1", "127.0.0.2" }; // neither allowed; allowed, and not the name's
	struct http_world world;
	char resolution[64];
	char url[64];

	(void)state;
	open_guarded(&world, "127.0.0.0/8, ::1");
	(void)snprintf(url, sizeof url, "http://localhost:%u/", world.peer.port);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		(void)snprintf(resolution, sizeof resolution, "+localhost:%u:%s", world.peer.port, others[i]);
		other_addresses = curl_slist_append(NULL, resolution);
		assert_int_equal(http_outcome(&world, url), ERR_FORBIDDEN_ADDRESS);
		curl_slist_free_all(other_addresses);
		other_addresses = NULL;
	}
	assert_int_equal(world.peer.accepted, 0);
	assert_int_equal(http_client_counters(world.client).refused_addresses, 2);
	assert_int_equal(http_outcome(&world, url), OK);
	assert_int_equal(world.peer.accepted, 1);
	close_guarded(&world);
}

static void where_plain_http_is_not_meant_it_is_no_protocol(void **state)
{
	struct http_world world;

	(void)state;
	http_world_open(&world, (struct http_client_config){ .guard = HTTP_ADDRESS_ANY }, on_request);
	forget();
	assert_int_equal(http_outcome(&world, "/"), ERR_BAD_INPUT);
	for (size_t i = 0; i < given_count; i++) {
		if (given[i].option == CURLOPT_PROTOCOLS_STR) {
			assert_string_equal(given[i].text, "https");
		}
		assert_int_not_equal(given[i].option, CURLOPT_RESOLVE); // without a guard, libcurl asks the resolver and remembers
		if (given[i].option == CURLOPT_DNS_CACHE_TIMEOUT) {
			assert_int_equal(given[i].number, 300);
		}
	}
	assert_int_equal(world.peer.accepted, 0);
	forget();
	http_world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libcurl_is_told_exactly_this),
		cmocka_unit_test(of_a_host_that_is_refused_it_hears_nothing),
		cmocka_unit_test(no_socket_is_opened_to_what_was_not_judged),
		cmocka_unit_test(where_plain_http_is_not_meant_it_is_no_protocol),
	};

	return cmocka_run_group_tests_name("http_options", tests, NULL, NULL);
}
