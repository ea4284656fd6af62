// SPDX-License-Identifier: Apache-2.0
#include "api/nanodep/nanodep.h"

#include "api/resources.h"
#include "tenants/token.h"

enum { PROXY_BODY_MAX = 1 << 20 };

#define REFUSING(how, route_method, path, ...)                                                              \
	{ .method = (route_method), .pattern = "/nanodep" path, .handle = call_handle,                          \
		.tag = &(const struct endpoint){ .basic_user = "depserver", .any_query = true, .refuse = (how), __VA_ARGS__ } }
#define FACE(route_method, path, ...) REFUSING(nanodep_refuse, route_method, path, __VA_ARGS__)
#define NAMED(route_method, path, ...) FACE(route_method, path "/{tenant}", .of_tenant = true, __VA_ARGS__)
#define TOKEN_ROUTE(path, from)                                                                             \
	{ .method = "PUT", .pattern = "/nanodep" path "/{tenant}", .handle = call_handle, .body_limit = TOKEN_FILE_MAX, \
		.tag = &(const struct endpoint){ .basic_user = "depserver", .any_query = true, .refuse = nanodep_refuse, .of_tenant = true, \
			.least = ROLE_TECHNICIAN, .step = token_upload, .bringer = &(from) } }
// What is left of a path: other methods, no name, a name with a slash in it.
#define REST(path, how) FACE(NULL, path "/*", .least = ROLE_VIEWER, .step = (how))

// The first that fits counts.
const struct http_route nanodep_routes[] = {
	FACE(NULL, "/version", .least = ROLE_ANYBODY, .step = nanodep_version),
	FACE("GET", "/v1/dep_names", .least = ROLE_VIEWER, .step = nanodep_names),
	FACE(NULL, "/v1/dep_names", .least = ROLE_VIEWER, .step = nanodep_wrong_method),
	NAMED("GET", "/v1/tokenpki", .least = ROLE_TECHNICIAN, .step = nanodep_key_pair_make),
	TOKEN_ROUTE("/v1/tokenpki", nanodep_token_file),
	REST("/v1/tokenpki", nanodep_wrong_name),
	NAMED("GET", "/v1/tokens", .least = ROLE_TECHNICIAN, .step = nanodep_tokens_show),
	TOKEN_ROUTE("/v1/tokens", nanodep_token_plain),
	REST("/v1/tokens", nanodep_wrong_name),
	REFUSING(nanodep_refuse_config, "GET", "/v1/config/{tenant}", .of_tenant = true, .least = ROLE_VIEWER, .step = nanodep_config_show),
	NAMED("PUT", "/v1/config", .least = ROLE_OPERATOR, .step = nanodep_config_put),
	REST("/v1/config", nanodep_wrong_name),
	REFUSING(nanodep_refuse_assigner, "GET", "/v1/assigner/{tenant}", .of_tenant = true, .least = ROLE_VIEWER, .step = nanodep_assigner_show),
	NAMED("PUT", "/v1/assigner", .least = ROLE_TECHNICIAN, .step = nanodep_assigner_put),
	REST("/v1/assigner", nanodep_wrong_name),
	NAMED(NULL, "/v1/maidjwt", .least = ROLE_TECHNICIAN, .step = instance_maid_jwt),
	REST("/v1/maidjwt", nanodep_wrong_name_any),
	FACE(NULL, "/v1/bypasscode", .least = ROLE_VIEWER, .step = nanodep_bypass_code),
	{ .method = NULL, .pattern = "/nanodep/proxy/{tenant}/*", .handle = call_handle, .body_limit = PROXY_BODY_MAX,
		.in_parts = nanodep_proxy_in_parts,
		.tag = &(const struct endpoint){ .basic_user = "depserver", .any_query = true, .refuse = nanodep_refuse_proxy, .of_tenant = true,
			.least = ROLE_VIEWER, .step = nanodep_proxy, .takes_recent = nanodep_proxy_reads } },
	REST("/proxy", nanodep_nothing),
	FACE(NULL, "/*", .least = ROLE_ANYBODY, .step = nanodep_nothing),
};

const size_t nanodep_route_count = sizeof nanodep_routes / sizeof *nanodep_routes;
