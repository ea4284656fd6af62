// SPDX-License-Identifier: Apache-2.0
#include "wire/wire.h"

#include "depbroker/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BACKLOG = 128 };

// --- chance ---

// xorshift64*
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

int64_t plan_random(struct plan *plan, int64_t below)
{
	return below > 0 ? (int64_t)((next_random(&plan->random) >> 16) % (uint64_t)below) : 0;
}

enum wound plan_wound(struct plan *plan, enum wound first, enum wound last)
{
	int64_t drawn = plan_random(plan, 1000);

	for (enum wound wound = first; wound <= last; wound++) {
		if (drawn < plan->share[wound]) {
			return wound;
		}
		drawn -= plan->share[wound];
	}
	return WOUND_NONE;
}

// --- the route ---

static void on_client(uv_stream_t *listener, int status)
{
	struct route *route = listener->data;

	if (status == 0) {
		pair_open(route);
	}
}

static enum err set_target(struct route *route, struct text target, struct fault *fault)
{
	char address[64];
	const char *colon;

	if (target.length > 0 && target.bytes[0] == '/') {
		if (target.length >= sizeof route->target_path) {
			return fault_set(fault, ERR_BAD_INPUT, "the socket's path is too long");
		}
		(void)snprintf(route->target_path, sizeof route->target_path, "%.*s", TEXT_ARGS(target));
		return OK;
	}
	(void)snprintf(address, sizeof address, "%.*s", TEXT_ARGS(target));
	colon = strrchr(address, ':');
	if (colon != NULL) {
		const long port = strtol(colon + 1, NULL, 10);

		address[colon - address] = '\0';
		if (port > 0 && port <= 65535 && uv_ip4_addr(address, (int)port, &route->target_address) == 0) {
			return OK;
		}
	}
	return fault_set(fault, ERR_BAD_INPUT, "a target is ADDRESS:PORT or the path of a socket");
}

static enum err start_listening(struct route *route, struct fault *fault)
{
	struct sockaddr_in address;
	int size = sizeof address;

	(void)uv_ip4_addr("127.0.0.1", 0, &address);
	(void)uv_tcp_init(&route->wire->loop->uv, &route->listener);
	route->listener.data = route;
	if (uv_tcp_bind(&route->listener, (const struct sockaddr *)&address, 0) != 0 ||
		uv_listen((uv_stream_t *)&route->listener, BACKLOG, on_client) != 0 ||
		uv_tcp_getsockname(&route->listener, (struct sockaddr *)&address, &size) != 0) {
		return fault_set(fault, ERR_SYSTEM, "cannot listen");
	}
	route->port = ntohs(address.sin_port);
	return OK;
}

enum err route_open(struct route **out, struct wire *wire, struct text name, struct text target, struct fault *fault)
{
	struct route *route = allocate(sizeof *route);
	enum err rc;

	*route = (struct route){ .wire = wire };
	list_init(&route->pairs);
	(void)snprintf(route->name, sizeof route->name, "%.*s", TEXT_ARGS(name));
	rc = set_target(route, target, fault);
	if (rc != OK) {
		free(route);
		return rc;
	}
	list_add_last(&wire->routes, &route->link);
	*out = route;
	return start_listening(route, fault);
}

void route_close(struct route *route)
{
	LIST_EACH (at, after, &route->pairs) {
		pair_reset(pair_of(at));
	}
	uv_close((uv_handle_t *)&route->listener, NULL);
}

void route_begin_plan(struct route *route, const struct plan *plan)
{
	route->plan = *plan;
	LIST_EACH (at, after, &route->pairs) {
		pair_begin_plan(pair_of(at));
	}
}

void route_end_plan(struct route *route)
{
	route->plan = (struct plan){ 0 };
	LIST_EACH (at, after, &route->pairs) {
		pair_heal(pair_of(at));
	}
}

void route_cut(struct route *route, bool is_cut)
{
	if (route->is_cut && !is_cut) {
		LIST_EACH (at, after, &route->pairs) {
			pair_reset(pair_of(at));
		}
	}
	route->is_cut = is_cut;
}
