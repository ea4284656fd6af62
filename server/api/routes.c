// SPDX-License-Identifier: Apache-2.0
#include "api/routes.h"

#include "api/expected.h"
#include "api/hook.h"
#include "api/html.h"
#include "api/job_input.h"
#include "api/renewal.h"
#include "api/resources.h"
#include "tenants/ruleset.h"
#include "tenants/token.h"

#define LIST_QUERY { "limit", "cursor" }
#define SORTED_QUERY { "limit", "cursor", "sort" }
#define LAYER_QUERY { "dry_run" }
#define JOBS_QUERY { "limit", "cursor", "state", "kind" }
#define LOG_QUERY  { "limit", "after" }
#define ROUTE(route_method, route_pattern, ...)                                                   \
	{ .method = (route_method), .pattern = (route_pattern), .handle = call_handle,                 \
		.tag = &(const struct endpoint){ __VA_ARGS__ } }
// Of one tenant: `rest` stands after its slug.
#define TENANT_ROUTE(route_method, rest, ...) \
	ROUTE(route_method, "/api/v1/tenants/{tenant}" rest, .of_tenant = true, __VA_ARGS__)
// Of the endpoints for the alerts of all tenants.
#define EVERYBODY_ROUTE(route_method, rest, ...) \
	ROUTE(route_method, "/api/v1/endpoints" rest, .least = ROLE_ADMIN, .of_everybody = true, __VA_ARGS__)
// Whose body may be a list of rules.
#define RULES_ROUTE(route_method, rest, ...)                                                                             \
	{ .method = (route_method), .pattern = "/api/v1/tenants/{tenant}/rules" rest, .handle = call_handle,                 \
		.body_limit = RULESET_DOCUMENT_MAX, .tag = &(const struct endpoint){ .of_tenant = true, __VA_ARGS__ } }
// A client's purchase list.
#define LIST_ROUTE(route_method)                                                                                            \
	{ .method = (route_method), .pattern = "/api/v1/tenants/{tenant}/expected", .handle = call_handle, .body_limit = EXPECTED_LIST_MAX, \
		.tag = &(const struct endpoint){ .of_tenant = true, .least = ROLE_TECHNICIAN, .step = expected_put, .query = { "hold" } } }
// What an MDM server tells.
#define HOOK_ROUTE(rest)                                                                                                    \
	{ .method = "POST", .pattern = "/hooks/{tenant}/{instance}" rest, .handle = call_handle, .body_limit = HOOK_BODY_MAX,    \
		.tag = &(const struct endpoint){ .least = ROLE_ANYBODY, .of_hook = true, .step = hook_take } }
// Behind a renewal link.
#define LINK_ROUTE(route_method, rest, limit, ...)                                                                       \
	{ .method = (route_method), .pattern = "/renew/{link}" rest, .handle = call_handle, .body_limit = (limit),           \
		.tag = &(const struct endpoint){ .least = ROLE_ANYBODY, .of_link = true, .refuse = renewal_refuse, __VA_ARGS__ } }

const struct http_route api_routes[] = {
	ROUTE("GET", "/openapi.json", .least = ROLE_ANYBODY, .step = openapi_show),
	ROUTE("GET", "/api/v1/openapi.json", .least = ROLE_ANYBODY, .step = openapi_show),
	ROUTE("GET", "/api/v1/status", .least = ROLE_VIEWER, .step = status_show, .query = SORTED_QUERY),
	ROUTE("GET", "/api/v1/tenants", .least = ROLE_VIEWER, .step = tenants_list, .query = SORTED_QUERY),
	ROUTE("POST", "/api/v1/tenants", .least = ROLE_OPERATOR, .step = tenants_create),

	ROUTE("GET", "/api/v1/alerts", .least = ROLE_VIEWER, .step = alerts_list, .query = { "limit", "cursor", "all" }),
	ROUTE("POST", "/api/v1/alerts/{id}/ack", .least = ROLE_TECHNICIAN, .step = alert_ack),
	EVERYBODY_ROUTE("GET", "", .step = endpoints_list, .query = LIST_QUERY),
	EVERYBODY_ROUTE("POST", "", .step = endpoints_create),
	EVERYBODY_ROUTE("GET", "/{endpoint}", .step = endpoint_show),
	EVERYBODY_ROUTE("PATCH", "/{endpoint}", .step = endpoint_change),
	EVERYBODY_ROUTE("DELETE", "/{endpoint}", .step = endpoint_delete),
	EVERYBODY_ROUTE("POST", "/{endpoint}/enable", .step = endpoint_enable),
	EVERYBODY_ROUTE("POST", "/{endpoint}/secret", .step = endpoint_rotate),
	EVERYBODY_ROUTE("POST", "/{endpoint}/signing-key", .step = endpoint_rotate_key),
	EVERYBODY_ROUTE("DELETE", "/{endpoint}/signing-key", .step = endpoint_drop_keys),
	ROUTE("GET", "/webhook-keys/{endpoint}", .least = ROLE_ANYBODY, .step = endpoint_public_keys_of_everybody),
	EVERYBODY_ROUTE("POST", "/{endpoint}/replay", .step = endpoint_replay),
	EVERYBODY_ROUTE("POST", "/{endpoint}/test", .step = endpoint_test),
	EVERYBODY_ROUTE("GET", "/{endpoint}/deliveries", .step = endpoint_deliveries, .query = { "limit" }),
	ROUTE("GET", "/api/v1/event-types", .least = ROLE_VIEWER, .step = event_types_list),
	ROUTE("GET", "/api/v1/audit", .least = ROLE_ADMIN, .step = audit_list, .query = LOG_QUERY),

	ROUTE("GET", "/api/v1/approvals", .least = ROLE_VIEWER, .step = approvals_list, .query = { "limit", "cursor", "all" }),
	ROUTE("GET", "/api/v1/approvals/{id}", .least = ROLE_VIEWER, .step = approval_show),
	ROUTE("GET", "/api/v1/approvals/{id}/devices", .least = ROLE_VIEWER, .step = approval_devices, .query = LIST_QUERY),
	ROUTE("POST", "/api/v1/approvals/{id}/approve", .least = ROLE_TECHNICIAN, .step = approval_approve),
	ROUTE("POST", "/api/v1/approvals/{id}/reject", .least = ROLE_TECHNICIAN, .step = approval_reject),
	ROUTE("GET", "/api/v1/jobs", .least = ROLE_VIEWER, .step = jobs_list, .query = JOBS_QUERY),
	ROUTE("GET", "/api/v1/devices/{serial}", .least = ROLE_VIEWER, .step = device_search),
	ROUTE("GET", "/api/v1/templates", .least = ROLE_VIEWER, .step = templates_list, .query = LIST_QUERY),
	ROUTE("GET", "/api/v1/templates/{template}", .least = ROLE_VIEWER, .step = template_show, .query = { "version" }),
	ROUTE("PUT", "/api/v1/templates/{template}", .least = ROLE_OPERATOR, .step = template_put, .query = LAYER_QUERY),

	ROUTE("GET", "/renew.css", .least = ROLE_ANYBODY, .step = html_style),
	LINK_ROUTE("GET", "", 0, .step = renewal_page),
	LINK_ROUTE("GET", "/certificate.pem", 0, .step = renewal_certificate),
	LINK_ROUTE("POST", "", RENEWAL_FORM_MAX, .step = token_upload),

	HOOK_ROUTE(""),
	HOOK_ROUTE("/{secret}"),

	TENANT_ROUTE("GET", "", .least = ROLE_VIEWER, .step = tenant_show),
	TENANT_ROUTE("PATCH", "", .least = ROLE_TECHNICIAN, .step = tenant_change),
	TENANT_ROUTE("DELETE", "", .least = ROLE_ADMIN, .step = tenant_delete),
	TENANT_ROUTE("GET", "/token/keys", .least = ROLE_VIEWER, .step = token_keys_list, .query = LIST_QUERY),
	TENANT_ROUTE("POST", "/token/keys", .least = ROLE_TECHNICIAN, .step = token_keys_create),
	TENANT_ROUTE("GET", "/token/keys/{key}/certificate", .least = ROLE_VIEWER, .step = token_key_certificate),
	TENANT_ROUTE("GET", "/token", .least = ROLE_VIEWER, .step = token_show),
	{ .method = "PUT", .pattern = "/api/v1/tenants/{tenant}/token", .handle = call_handle, .body_limit = TOKEN_FILE_MAX,
		.tag = &(const struct endpoint){ .of_tenant = true, .least = ROLE_TECHNICIAN, .step = token_upload,
			.query = { "dry_run", "override", "reason" } } },
	TENANT_ROUTE("DELETE", "/token/pending", .least = ROLE_TECHNICIAN, .step = token_pending_remove),
	TENANT_ROUTE("GET", "/token/renewal-links", .least = ROLE_VIEWER, .step = renewal_links_list, .query = LIST_QUERY),
	TENANT_ROUTE("POST", "/token/renewal-links", .least = ROLE_TECHNICIAN, .step = renewal_links_create),
	TENANT_ROUTE("DELETE", "/token/renewal-links/{id}", .least = ROLE_TECHNICIAN, .step = renewal_link_revoke),
	TENANT_ROUTE("DELETE", "/token", .least = ROLE_TECHNICIAN, .step = token_remove),
	TENANT_ROUTE("GET", "/sync", .least = ROLE_VIEWER, .step = sync_show),
	TENANT_ROUTE("GET", "/sync/parked", .least = ROLE_VIEWER, .step = sync_parked, .query = LIST_QUERY),
	TENANT_ROUTE("POST", "/sync", .least = ROLE_TECHNICIAN, .step = sync_request),
	TENANT_ROUTE("GET", "/instances", .least = ROLE_VIEWER, .step = instances_list, .query = LIST_QUERY),
	TENANT_ROUTE("POST", "/instances", .least = ROLE_TECHNICIAN, .step = instances_create),
	TENANT_ROUTE("GET", "/instances/{instance}", .least = ROLE_VIEWER, .step = instance_show),
	TENANT_ROUTE("PATCH", "/instances/{instance}", .least = ROLE_TECHNICIAN, .step = instance_change, .query = LAYER_QUERY),
	TENANT_ROUTE("GET", "/instances/{instance}/profile", .least = ROLE_VIEWER, .step = instance_profile_show, .query = { "version" }),
	TENANT_ROUTE("PUT", "/instances/{instance}/profile", .least = ROLE_TECHNICIAN, .step = instance_profile_put, .query = LAYER_QUERY),
	TENANT_ROUTE("GET", "/profile", .least = ROLE_VIEWER, .step = tenant_profile_show, .query = { "version" }),
	TENANT_ROUTE("PUT", "/profile", .least = ROLE_TECHNICIAN, .step = tenant_profile_put, .query = LAYER_QUERY),
	TENANT_ROUTE("POST", "/instances/{instance}/enable", .least = ROLE_TECHNICIAN, .step = instance_enable),
	TENANT_ROUTE("GET", "/instances/{instance}/deliveries", .least = ROLE_VIEWER, .step = instance_deliveries,
		.query = { "limit" }),
	TENANT_ROUTE("GET", "/endpoints", .least = ROLE_VIEWER, .step = endpoints_list, .query = LIST_QUERY),
	TENANT_ROUTE("POST", "/endpoints", .least = ROLE_TECHNICIAN, .step = endpoints_create),
	TENANT_ROUTE("GET", "/endpoints/{endpoint}", .least = ROLE_VIEWER, .step = endpoint_show),
	TENANT_ROUTE("PATCH", "/endpoints/{endpoint}", .least = ROLE_TECHNICIAN, .step = endpoint_change),
	TENANT_ROUTE("DELETE", "/endpoints/{endpoint}", .least = ROLE_TECHNICIAN, .step = endpoint_delete),
	TENANT_ROUTE("POST", "/endpoints/{endpoint}/enable", .least = ROLE_TECHNICIAN, .step = endpoint_enable),
	TENANT_ROUTE("POST", "/endpoints/{endpoint}/secret", .least = ROLE_TECHNICIAN, .step = endpoint_rotate),
	TENANT_ROUTE("POST", "/endpoints/{endpoint}/signing-key", .least = ROLE_TECHNICIAN, .step = endpoint_rotate_key),
	TENANT_ROUTE("DELETE", "/endpoints/{endpoint}/signing-key", .least = ROLE_TECHNICIAN, .step = endpoint_drop_keys),
	ROUTE("GET", "/webhook-keys/{tenant}/{endpoint}", .least = ROLE_ANYBODY, .step = endpoint_public_keys),
	TENANT_ROUTE("POST", "/endpoints/{endpoint}/replay", .least = ROLE_TECHNICIAN, .step = endpoint_replay),
	TENANT_ROUTE("POST", "/endpoints/{endpoint}/test", .least = ROLE_TECHNICIAN, .step = endpoint_test),
	TENANT_ROUTE("GET", "/endpoints/{endpoint}/deliveries", .least = ROLE_VIEWER, .step = endpoint_deliveries,
		.query = { "limit" }),
	TENANT_ROUTE("POST", "/instances/{instance}/hook", .least = ROLE_TECHNICIAN, .step = hook_secret_make),
	TENANT_ROUTE("DELETE", "/instances/{instance}/hook", .least = ROLE_TECHNICIAN, .step = hook_secret_remove),
	TENANT_ROUTE("GET", "/instances/{instance}/dep-token", .least = ROLE_VIEWER, .step = dep_token_show),
	TENANT_ROUTE("POST", "/instances/{instance}/dep-token", .least = ROLE_TECHNICIAN, .step = dep_token_make),
	TENANT_ROUTE("DELETE", "/instances/{instance}/dep-token", .least = ROLE_TECHNICIAN, .step = dep_token_revoke),
	TENANT_ROUTE("GET", "/dep-tokens", .least = ROLE_VIEWER, .step = dep_tokens_list),
	TENANT_ROUTE("GET", "/enrolments", .least = ROLE_VIEWER, .step = enrolments_list, .query = { "limit", "cursor", "orphans" }),
	TENANT_ROUTE("GET", "/expected", .least = ROLE_VIEWER, .step = expected_show, .query = { "limit", "cursor", "state" }),
	LIST_ROUTE("PUT"),
	LIST_ROUTE("POST"),
	TENANT_ROUTE("GET", "/jobs", .least = ROLE_VIEWER, .step = jobs_list, .query = JOBS_QUERY),
	{ .method = "POST", .pattern = "/api/v1/tenants/{tenant}/jobs", .handle = call_handle, .body_limit = JOB_BODY_MAX,
		.tag = &(const struct endpoint){ .of_tenant = true, .least = ROLE_TECHNICIAN, .step = jobs_create,
			.query = { "dry_run", "kind", "instance", "hold", "reason", "labels", "start_at", "confirm_devices" } } },
	TENANT_ROUTE("GET", "/jobs/{id}", .least = ROLE_VIEWER, .step = job_show),
	TENANT_ROUTE("DELETE", "/jobs/{id}", .least = ROLE_TECHNICIAN, .step = job_cancel),
	TENANT_ROUTE("GET", "/jobs/{id}/results", .least = ROLE_VIEWER, .step = job_results, .query = { "format" }),
	TENANT_ROUTE("GET", "/instances/{instance}/maidjwt", .least = ROLE_TECHNICIAN, .step = instance_maid_jwt),
	TENANT_ROUTE("GET", "/rules", .least = ROLE_VIEWER, .step = rules_show, .query = { "version" }),
	RULES_ROUTE("PUT", "", .least = ROLE_TECHNICIAN, .step = rules_put, .query = { "dry_run", "reason" }),
	TENANT_ROUTE("GET", "/rules/versions", .least = ROLE_VIEWER, .step = rules_versions, .query = LIST_QUERY),
	RULES_ROUTE("POST", "/preview", .least = ROLE_VIEWER, .step = rules_preview, .query = { "limit", "cursor", "days" }),
	TENANT_ROUTE("GET", "/devices", .least = ROLE_VIEWER, .step = devices_list,
		.query = { "limit", "cursor", "instance", "held", "gone", "as_of", "state", "who", "cause", "since_until", "serial_prefix", "profile",
			"profile_status", "rule", "family", "model", "label", "awaiting_enrolment_since", "next_before" }),
	TENANT_ROUTE("GET", "/devices/{serial}", .least = ROLE_VIEWER, .step = device_show, .query = { "as_of" }),
	TENANT_ROUTE("GET", "/pins", .least = ROLE_VIEWER, .step = pins_list, .query = { "limit", "cursor", "instance", "held" }),
	TENANT_ROUTE("POST", "/pins", .least = ROLE_TECHNICIAN, .step = pins_put),
	TENANT_ROUTE("PUT", "/devices/{serial}/pin", .least = ROLE_TECHNICIAN, .step = pin_put),
	TENANT_ROUTE("DELETE", "/devices/{serial}/pin", .least = ROLE_TECHNICIAN, .step = pin_delete),
	TENANT_ROUTE("GET", "/devices/{serial}/labels", .least = ROLE_VIEWER, .step = device_labels_show),
	TENANT_ROUTE("PATCH", "/devices/{serial}/labels", .least = ROLE_TECHNICIAN, .step = device_labels_change),
	TENANT_ROUTE("GET", "/devices/{serial}/history", .least = ROLE_VIEWER, .step = device_history, .query = LOG_QUERY),
	TENANT_ROUTE("GET", "/devices/{serial}/bypass-code", .least = ROLE_TECHNICIAN, .step = bypass_code_show),
	TENANT_ROUTE("POST", "/devices/{serial}/bypass-code", .least = ROLE_TECHNICIAN, .step = bypass_code_make),
	TENANT_ROUTE("POST", "/devices/{serial}/activation-lock", .least = ROLE_TECHNICIAN, .step = activation_lock),
	TENANT_ROUTE("GET", "/events", .least = ROLE_VIEWER, .step = events_list, .query = LOG_QUERY),
};

const size_t api_route_count = sizeof api_routes / sizeof *api_routes;
