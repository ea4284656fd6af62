// SPDX-License-Identifier: Apache-2.0
#include "applesim/control.h"

#include <stdlib.h>
#include <string.h>

void refuse_control(struct control_call *call, unsigned status, const char *why)
{
	call->answer->status = status;
	buffer_clear(call->out);
	buffer_add_string(call->out, "{\"error\":");
	buffer_add_json(call->out, text_of(why));
	buffer_add_string(call->out, "}");
}

static void add_fault(struct control_call *call)
{
	const char *reason = NULL;
	const struct fault_plan *plan = fault_list_add(&call->control->apple->faults, call->body, &reason);

	if (plan == NULL) {
		refuse_control(call, 400, reason);
		return;
	}
	buffer_add_format(call->out, "{\"id\":%lld}", (long long)plan->id);
}

static void show_faults(struct control_call *call)
{
	fault_list_json(call->out, &call->control->apple->faults);
}

static void clear_faults(struct control_call *call)
{
	fault_list_clear(&call->control->apple->faults);
	buffer_add_string(call->out, "{}");
}

static void delete_fault(struct control_call *call)
{
	char *id = duplicate(call->request->parameters[0]);

	if (fault_list_delete(&call->control->apple->faults, strtoll(id, NULL, 10))) {
		buffer_add_string(call->out, "{}");
	} else {
		refuse_control(call, 404, "there is no such fault");
	}
	free(id);
}

static void show_clock(struct control_call *call)
{
	char now[INSTANT_TEXT_SIZE];

	buffer_add_format(call->out, "{\"now\":\"%s\",\"advance_s\":%lld,\"skew_s\":%lld}",
		instant_format(now, world_now_s(call->world) * SECOND_US, false), (long long)call->world->advance_s,
		(long long)call->world->skew_s);
}

static void change_clock(struct control_call *call)
{
	call->world->advance_s += json_number(call->body, "advance_s", 0);
	call->world->skew_s = json_number(call->body, "skew_s", call->world->skew_s);
	call->world->session_life_s = json_number(call->body, "session_life_s", call->world->session_life_s);
	call->world->rotate_after = json_number(call->body, "rotate_after", call->world->rotate_after);
	call->world->is_changed = true;
	show_clock(call);
}

static void forget_sessions(struct control_call *call)
{
	sessions_forget(call->world);
	buffer_add_string(call->out, "{}");
}

enum needs { NEEDS_NOTHING, NEEDS_TENANT, NEEDS_DEVICE };

static const struct control_route {
	const char *method;
	const char *pattern;
	enum needs needs;
	bool needs_json;
	void (*handle)(struct control_call *call);
} routes[] = {
	{ "POST", "/tenants", NEEDS_NOTHING, true, control_add_tenants },
	{ "GET", "/tenants", NEEDS_NOTHING, false, control_tenants },
	{ "GET", "/tenants/{}", NEEDS_TENANT, false, control_tenant },
	{ "PATCH", "/tenants/{}", NEEDS_TENANT, true, control_change_tenant },
	{ "PUT", "/tenants/{}/certificate", NEEDS_TENANT, false, control_certificate },
	{ "POST", "/tenants/{}/token", NEEDS_TENANT, false, control_make_token },
	{ "GET", "/tenants/{}/token", NEEDS_TENANT, false, control_show_token },
	{ "POST", "/tenants/{}/devices", NEEDS_TENANT, true, control_add_devices },
	{ "PATCH", "/tenants/{}/devices/{}", NEEDS_DEVICE, true, control_change_device },
	{ "DELETE", "/tenants/{}/devices/{}", NEEDS_DEVICE, false, control_delete_device },
	{ "POST", "/tenants/{}/devices/{}/move", NEEDS_DEVICE, true, control_move_device },
	{ "POST", "/tenants/{}/devices/{}/replace", NEEDS_DEVICE, false, control_replace_device },
	{ "GET", "/tenants/{}/truth", NEEDS_TENANT, false, control_truth },
	{ "GET", "/tenants/{}/changes", NEEDS_TENANT, false, control_changes },
	{ "GET", "/tenants/{}/assignments", NEEDS_TENANT, false, control_assignments },
	{ "GET", "/tenants/{}/profiles", NEEDS_TENANT, false, control_profiles },
	{ "PATCH", "/tenants/{}/profiles/{}", NEEDS_TENANT, true, control_change_profile },
	{ "GET", "/devices/{}", NEEDS_NOTHING, false, control_where },
	{ "GET", "/requests", NEEDS_NOTHING, false, control_requests },
	{ "GET", "/stats", NEEDS_NOTHING, false, control_stats },
	{ "POST", "/faults", NEEDS_NOTHING, true, add_fault },
	{ "GET", "/faults", NEEDS_NOTHING, false, show_faults },
	{ "DELETE", "/faults", NEEDS_NOTHING, false, clear_faults },
	{ "DELETE", "/faults/{}", NEEDS_NOTHING, false, delete_fault },
	{ "GET", "/clock", NEEDS_NOTHING, false, show_clock },
	{ "POST", "/clock", NEEDS_NOTHING, true, change_clock },
	{ "DELETE", "/sessions", NEEDS_NOTHING, false, forget_sessions },
};

// By number or by name.
static struct tenant *find_tenant(const struct world *world, struct text key)
{
	int64_t id = 0;

	for (size_t i = 0; i < key.length && id >= 0; i++) {
		const char c = key.bytes[i];

		id = c >= '0' && c <= '9' && i < 12 ? id * 10 + (c - '0') : -1;
	}
	return id > 0 ? world_tenant(world, id) : text_index_find(&world->by_name, key);
}

static bool find_subjects(struct control_call *call, enum needs needs)
{
	if (needs == NEEDS_NOTHING) {
		return true;
	}
	call->tenant = find_tenant(call->world, call->request->parameters[0]);
	if (call->tenant == NULL) {
		refuse_control(call, 404, "there is no such tenant");
		return false;
	}
	if (needs == NEEDS_DEVICE) {
		call->device = world_device(call->world, call->request->parameters[1]);
		if (call->device == NULL || call->device->tenant != call->tenant) {
			refuse_control(call, 404, "there is no such device on this server");
			return false;
		}
	}
	return true;
}

static void run(struct control_call *call, const struct control_route *route)
{
	char *bytes;

	memcpy(&bytes, &call->request->body.bytes, sizeof bytes); // read only, whatever yyjson's interface says
	yyjson_doc *doc = yyjson_read_opts(bytes, call->request->body.length, 0, NULL, NULL);

	call->body = yyjson_doc_get_root(doc);
	if (route->needs_json && !yyjson_is_obj(call->body)) {
		refuse_control(call, 400, "the body must be a JSON object");
	} else if (find_subjects(call, route->needs)) {
		route->handle(call);
	}
	yyjson_doc_free(doc);
}

void control_handle(struct web_request *request, struct web_answer *answer)
{
	struct control *control = request->context;
	struct control_call call = {
		.control = control, .world = control->world, .request = request, .answer = answer, .out = &answer->body,
	};

	answer->content_type = "application/json";
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		if (text_equal_string(request->method, routes[i].method) && web_path_matches(request, routes[i].pattern)) {
			run(&call, &routes[i]);
			return;
		}
	}
	refuse_control(&call, 404, "no such thing; tests/applesim/README.md lists what there is");
}
