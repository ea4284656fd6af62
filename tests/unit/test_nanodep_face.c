// SPDX-License-Identifier: Apache-2.0
//
// The face of NanoDEP: how its JSON is spelled, what its routes ask for, and which headers of a client's reach Apple.
#include "api/nanodep/nanodep.h"
#include "apple/apple.h"
#include "loop/http_route.h"
#include "support/cmocka_all.h"

#include <string.h>

static void texts_are_spelled_as_go_spells_them(void **state)
{
	static const struct {
		const char *text;
		const char *json;
	} cases[] = {
		{ "", "\"\"" },
		{ "a<b>&c", "\"a\\u003cb\\u003e\\u0026c\"" },
		{ "\"\\\n\t", "\"\\\"\\\\\\n\\t\"" },
		{ "\xe2\x80\xa8 \xe2\x80\xa9 \xe2\x80\xaa", "\"\\u2028 \\u2029 \xe2\x80\xaa\"" },
		{ "z\xc3\xbcrich", "\"z\xc3\xbcrich\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buffer out CLEANUP(buffer_fini) = BUFFER(1000);

		nanodep_json(&out, text_of(cases[i].text));
		assert_string_equal(out.bytes, cases[i].json);
	}
}

static void only_the_version_and_nothing_need_no_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < nanodep_route_count; i++) {
		const struct endpoint *endpoint = nanodep_routes[i].tag;
		const bool is_open = endpoint->step == nanodep_version || strcmp(nanodep_routes[i].pattern, "/nanodep/*") == 0;

		assert_int_equal(endpoint->least == ROLE_ANYBODY, is_open);
		assert_string_equal(endpoint->basic_user, "depserver");
		assert_non_null(endpoint->refuse);
		assert_int_equal(endpoint->of_tenant, strstr(nanodep_routes[i].pattern, "{tenant}") != NULL);
	}
}

static void each_path_leads_to_its_route(void **state)
{
	static const struct {
		const char *method;
		const char *path;
		void (*step)(struct call *call);
	} cases[] = {
		{ "PATCH", "/nanodep/version", nanodep_version },
		{ "GET", "/nanodep/v1/tokens/a", nanodep_tokens_show },
		{ "DELETE", "/nanodep/v1/tokens/a", nanodep_wrong_name },
		{ "GET", "/nanodep/v1/tokens/", nanodep_wrong_name },
		{ "GET", "/nanodep/v1/tokens/a/b", nanodep_wrong_name },
		{ "GET", "/nanodep/v1/tokens", nanodep_nothing },
		{ "POST", "/nanodep/v1/dep_names", nanodep_wrong_method },
		{ "GET", "/nanodep/proxy/a/account", nanodep_proxy },
		{ "DELETE", "/nanodep/proxy/a/profile/devices", nanodep_proxy },
		{ "GET", "/nanodep/proxy/a/", nanodep_proxy },
		{ "GET", "/nanodep/proxy/a", nanodep_nothing },
		{ "GET", "/nanodep/proxy//account", nanodep_nothing },
		{ "GET", "/nanodep/", nanodep_nothing },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct text parameters[HTTP_PARAMETERS_MAX];
		char allow[ROUTE_ALLOW_SIZE];
		const struct http_route *route = route_find(nanodep_routes, nanodep_route_count, text_of(cases[i].method), text_of(cases[i].path),
			parameters, allow);

		assert_non_null(route);
		assert_ptr_equal(((const struct endpoint *)route->tag)->step, cases[i].step);
	}
}

static void apple_sees_what_is_listed_and_no_more(void **state)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(1 << 16);
	struct apple_passed passed = { 0 };
	static const char *const fields[][2] = {
		{ "user-agent", "nanodep-tools/0" }, { "Authorization", "Basic x" }, { "Host", "x" }, { "Cookie", "x" }, { "Expect", "100-continue" },
		{ "X-ADM-Auth-Session", "x" }, { "Accept-Encoding", "gzip" }, { "X-HTTP-Method-Override", "DELETE" }, { "Transfer-Encoding", "chunked" },
		{ "x-server-protocol-version", "9\t" }, { "X-Server-Protocol-Version", "123" }, { "Accept", "" }, { "CONTENT-TYPE", "a/b" },
		{ "x-server-protocol-version", "9" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		apple_passed_field(&passed, &arena, text_of(fields[i][0]), text_of(fields[i][1]));
	}
	assert_int_equal(passed.field_count, 3);
	assert_string_equal(passed.fields[0], "User-Agent: nanodep-tools/0");
	assert_string_equal(passed.fields[1], "Content-Type: a/b");
	assert_string_equal(passed.fields[2], "X-Server-Protocol-Version: 9");
	for (size_t i = 0; i < 100; i++) {
		apple_passed_field(&passed, &arena, TEXT("Accept"), TEXT("x"));
	}
	assert_int_equal(passed.field_count, APPLE_PASSED_FIELDS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_spelled_as_go_spells_them),
		cmocka_unit_test(only_the_version_and_nothing_need_no_key),
		cmocka_unit_test(each_path_leads_to_its_route),
		cmocka_unit_test(apple_sees_what_is_listed_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
