// SPDX-License-Identifier: Apache-2.0
//
// The OpenAPI document and the route table say the same, both ways: paths, methods, roles, query parameters.
#include "api/call.h"
#include "api/routes.h"
#include "depbroker/embedded.h"
#include "support/cmocka_all.h"
#include "tenants/alert.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

extern const struct embedded_file openapi_files[];

static json_t *read_document(void)
{
	const struct embedded_file *file = &openapi_files[0];
	json_t *document = json_loadb(file->bytes, (size_t)(file->end - file->bytes), JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(document);
	return document;
}

static json_t *operation_of(json_t *document, const struct http_route *route)
{
	char method[16];
	size_t i;

	for (i = 0; route->method[i] != '\0'; i++) {
		method[i] = (char)tolower((unsigned char)route->method[i]);
	}
	method[i] = '\0';
	return json_object_get(json_object_get(json_object_get(document, "paths"), route->pattern), method);
}

static void every_route_is_described(void **state)
{
	json_t *document = read_document();

	(void)state;
	for (size_t i = 0; i < api_route_count; i++) {
		if (operation_of(document, &api_routes[i]) == NULL) {
			fail_msg("not described: %s %s", api_routes[i].method, api_routes[i].pattern);
		}
	}
	json_decref(document);
}

static bool is_routed(const char *path, const char *method)
{
	for (size_t i = 0; i < api_route_count; i++) {
		if (strcmp(api_routes[i].pattern, path) == 0 && strcasecmp(api_routes[i].method, method) == 0) {
			return true;
		}
	}
	return false;
}

static void everything_described_is_routed(void **state)
{
	json_t *document = read_document();
	const char *path;
	const char *method;
	json_t *operations;
	json_t *operation;

	(void)state;
	json_object_foreach(json_object_get(document, "paths"), path, operations) {
		json_object_foreach(operations, method, operation) {
			if (!is_routed(path, method)) {
				fail_msg("not routed: %s %s", method, path);
			}
		}
	}
	json_decref(document);
}

static void every_description_names_the_least_role(void **state)
{
	json_t *document = read_document();

	(void)state;
	for (size_t i = 0; i < api_route_count; i++) {
		const struct endpoint *endpoint = api_routes[i].tag;
		const json_t *operation = operation_of(document, &api_routes[i]);
		const char *description = json_string_value(json_object_get(operation, "description"));
		char expected[96];

		if (endpoint->least == ROLE_ANYBODY) {
			assert_int_equal(json_array_size(json_object_get(operation, "security")), 0);
			assert_true(json_is_array(json_object_get(operation, "security")));
			continue;
		}
		(void)snprintf(expected, sizeof expected, "Least role: %s.%s", role_name(endpoint->least),
			endpoint->of_everybody ? " For a key of some tenants it does not exist." : "");
		assert_non_null(description);
		assert_string_equal(description, expected);
		assert_null(json_object_get(operation, "security"));
	}
	json_decref(document);
}

// A parameter is described in place, or in the components.
static const json_t *parameter(const json_t *document, const json_t *described)
{
	const char *reference = json_string_value(json_object_get(described, "$ref"));

	if (reference == NULL) {
		return described;
	}
	return json_object_get(json_object_get(json_object_get(document, "components"), "parameters"), strrchr(reference, '/') + 1);
}

static bool is_known(const struct endpoint *endpoint, const char *name)
{
	for (size_t i = 0; i < ENDPOINT_QUERY_MAX && endpoint->query[i] != NULL; i++) {
		if (strcmp(endpoint->query[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static void query_parameters_are_the_described_ones(void **state)
{
	json_t *document = read_document();

	(void)state;
	for (size_t i = 0; i < api_route_count; i++) {
		const struct endpoint *endpoint = api_routes[i].tag;
		size_t index;
		size_t known = 0;
		size_t described = 0;
		json_t *item;

		while (known < ENDPOINT_QUERY_MAX && endpoint->query[known] != NULL) {
			known++;
		}
		json_array_foreach(json_object_get(operation_of(document, &api_routes[i]), "parameters"), index, item) {
			const json_t *found = parameter(document, item);

			if (strcmp(json_string_value(json_object_get(found, "in")), "query") == 0) {
				assert_true(is_known(endpoint, json_string_value(json_object_get(found, "name"))));
				described++;
			}
		}
		assert_int_equal(known, described);
	}
	json_decref(document);
}

static void no_route_is_open_by_accident(void **state)
{
	size_t open = 0;

	(void)state;
	for (size_t i = 0; i < api_route_count; i++) {
		const struct endpoint *endpoint = api_routes[i].tag;

		assert_non_null(endpoint);
		assert_non_null(endpoint->step);
		assert_ptr_equal(api_routes[i].handle, call_handle);
		assert_true(endpoint->of_tenant == (strstr(api_routes[i].pattern, "/tenants/{tenant}") != NULL));
		assert_true(endpoint->of_everybody == text_starts_with(text_of(api_routes[i].pattern), TEXT("/api/v1/endpoints")));
		assert_true(endpoint->of_link == (strstr(api_routes[i].pattern, "/{link}") != NULL));
		assert_true(endpoint->of_hook == text_starts_with(text_of(api_routes[i].pattern), TEXT("/hooks/")));
		open += endpoint->least == ROLE_ANYBODY ? 1 : 0;
	}
	assert_int_equal(open, 10); // the document itself, public keys, what is behind a renewal link, which is a permission, and hooks, which bring a proof
}

static void kinds_of_alerts_are_those_that_there_are(void **state)
{
	json_t *document = read_document();
	json_t *kinds = NULL;

	(void)state;
	assert_int_equal(json_unpack(document, "{s:{s:{s:{s:{s:{s:o}}}}}}", "components", "schemas", "AlertEndpointCreation", "properties", "alert_kinds",
		"items", &kinds), 0);
	kinds = json_object_get(kinds, "enum");
	assert_int_equal(json_array_size(kinds), ALERT_KINDS_IN_ALL);
	for (size_t i = 0; i < json_array_size(kinds); i++) {
		if (alert_place_of(text_of(json_string_value(json_array_get(kinds, i)))) < 0) {
			fail_msg("no kind of alert: %s", json_string_value(json_array_get(kinds, i)));
		}
	}
	json_decref(document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route_is_described),
		cmocka_unit_test(kinds_of_alerts_are_those_that_there_are),
		cmocka_unit_test(everything_described_is_routed),
		cmocka_unit_test(every_description_names_the_least_role),
		cmocka_unit_test(query_parameters_are_the_described_ones),
		cmocka_unit_test(no_route_is_open_by_accident),
	};

	return cmocka_run_group_tests_name("openapi", tests, NULL, NULL);
}
