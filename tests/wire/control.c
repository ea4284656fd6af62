// SPDX-License-Identifier: Apache-2.0
#include "wire/wire.h"

#include "rig/json.h"

#include <stdlib.h>

static const char *const wound_names[WOUND_KINDS] = {
	[WOUND_NONE] = "none",
	[WOUND_DELAY] = "delay",
	[WOUND_DRIP] = "drip",
	[WOUND_RESET] = "reset",
	[WOUND_HOLE] = "hole",
	[WOUND_SWALLOW] = "swallow",
	[WOUND_CUT_AFTER] = "cut_after",
	[WOUND_CUT_BEFORE] = "cut_before",
};

static void answer_json(struct web_answer *answer, unsigned status)
{
	answer->status = status;
	answer->content_type = "application/json";
}

static void refuse(struct web_answer *answer, unsigned status, const char *why)
{
	answer_json(answer, status);
	buffer_add_string(&answer->body, "{\"error\":");
	buffer_add_json(&answer->body, text_of(why));
	buffer_add_string(&answer->body, "}");
}

static struct route *find_route(struct wire *wire, struct text name)
{
	LIST_EACH (at, after, &wire->routes) {
		struct route *route = CONTAINER_OF(at, struct route, link);

		if (text_equal_string(name, route->name)) {
			return route;
		}
	}
	return NULL;
}

static void put_route(struct wire *wire, struct text name, yyjson_val *wanted, struct web_answer *answer)
{
	struct route *route = find_route(wire, name);
	struct fault fault = { 0 };

	if (route != NULL) {
		refuse(answer, 409, "there is such a route already");
		return;
	}
	if (route_open(&route, wire, name, json_text(wanted, "to"), &fault) != OK) {
		refuse(answer, 400, fault.text);
		return;
	}
	route->is_postgres = json_flag(wanted, "postgres");
	answer_json(answer, 201);
	buffer_add_format(&answer->body, "{\"port\":%u}", route->port);
}

static void read_plan(struct plan *plan, yyjson_val *wanted)
{
	plan->random = (uint64_t)json_number(wanted, "seed", 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	plan->delay_ms = json_number(wanted, "delay_ms", 50);
	plan->hold_ms = json_number(wanted, "hold_ms", 1000);
	plan->within_bytes = json_number(wanted, "within_bytes", 20000);
	for (enum wound wound = WOUND_DELAY; wound < WOUND_KINDS; wound++) {
		plan->share[wound] = json_number(wanted, wound_names[wound], 0);
	}
}

static void answer_stats(const struct wire *wire, struct web_answer *answer)
{
	answer_json(answer, 200);
	buffer_add_format(&answer->body, "{\"connections\":%llu", (unsigned long long)wire->connections);
	for (enum wound wound = WOUND_DELAY; wound < WOUND_KINDS; wound++) {
		buffer_add_format(&answer->body, ",\"%s\":%llu", wound_names[wound], (unsigned long long)wire->wounds[wound]);
	}
	buffer_add_string(&answer->body, ",\"asked\":{");
	LIST_EACH (at, after, &wire->routes) {
		const struct route *route = CONTAINER_OF(at, struct route, link);

		buffer_add_format(&answer->body, "%s\"%s\":%llu", at == wire->routes.next ? "" : ",", route->name,
			(unsigned long long)route->asked_bytes);
	}
	buffer_add_string(&answer->body, "}}");
}

static void end_plans(struct wire *wire, struct web_answer *answer)
{
	LIST_EACH (at, after, &wire->routes) {
		route_end_plan(CONTAINER_OF(at, struct route, link));
	}
	answer_json(answer, 200);
	buffer_add_string(&answer->body, "{}");
}

static void change_route(struct route *route, struct web_request *request, yyjson_val *wanted, struct web_answer *answer)
{
	const bool is_put = text_equal_string(request->method, "PUT");

	if (route == NULL) {
		refuse(answer, 404, "no such route");
		return;
	}
	if (web_path_matches(request, "/routes/{}/cut")) {
		route_cut(route, is_put);
	} else if (is_put) {
		struct plan plan;

		read_plan(&plan, wanted);
		route_begin_plan(route, &plan);
	} else {
		route_end_plan(route);
	}
	answer_json(answer, 200);
	buffer_add_string(&answer->body, "{}");
}

static void handle(struct wire *wire, struct web_request *request, yyjson_val *wanted, struct web_answer *answer)
{
	const bool is_put = text_equal_string(request->method, "PUT");
	const bool is_delete = text_equal_string(request->method, "DELETE");

	if (is_put && web_path_matches(request, "/routes/{}")) {
		put_route(wire, request->parameters[0], wanted, answer);
	} else if ((is_put || is_delete) && (web_path_matches(request, "/routes/{}/plan") || web_path_matches(request, "/routes/{}/cut"))) {
		change_route(find_route(wire, request->parameters[0]), request, wanted, answer);
	} else if (is_delete && text_equal_string(request->path, "/plans")) {
		end_plans(wire, answer);
	} else if (text_equal_string(request->method, "GET") && text_equal_string(request->path, "/stats")) {
		answer_stats(wire, answer);
	} else {
		refuse(answer, 404, "no such request");
	}
}

void wire_handle(struct web_request *request, struct web_answer *answer)
{
	char *body = duplicate(request->body);
	yyjson_doc *doc = yyjson_read(body, request->body.length, 0);

	handle(request->context, request, yyjson_doc_get_root(doc), answer);
	yyjson_doc_free(doc);
	free(body);
}

void wire_close(struct wire *wire)
{
	web_server_close(&wire->control, NULL);
	LIST_EACH (at, after, &wire->routes) {
		route_close(CONTAINER_OF(at, struct route, link));
	}
}

void wire_fini(struct wire *wire)
{
	LIST_EACH (at, after, &wire->routes) {
		free(CONTAINER_OF(at, struct route, link));
	}
}
