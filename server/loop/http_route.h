// SPDX-License-Identifier: Apache-2.0
//
// http_route.h - which route a request takes, and what its path and its query say when decoded.
//
// Ownership  pure functions; decoded texts live in the arena that is given.
// Laws       1. literal segments are compared with the raw bytes of the path; only what {names} match is decoded, once
//            2. a decoded text is UTF-8 without NUL
//            3. no query parameter occurs twice
#pragma once

#include "depbroker/arena.h"
#include "loop/http_server.h"

enum { ROUTE_QUERY_MAX = 32, ROUTE_ALLOW_SIZE = 128 };

struct route_query {
	struct text names[ROUTE_QUERY_MAX];
	struct text values[ROUTE_QUERY_MAX];
	size_t count;
};

// The first route that fits, with its parameters still raw; NULL when none does. Then `allow` lists the methods that this
// path has, and is empty when it has none.
const struct http_route *route_find(const struct http_route *routes, size_t count, struct text method, struct text path,
	struct text parameters[HTTP_PARAMETERS_MAX], char allow[ROUTE_ALLOW_SIZE]);
MUST_USE bool route_decode(struct arena *arena, struct text raw, bool plus_is_blank, struct text *out);
MUST_USE bool route_parse_query(struct arena *arena, struct text raw, struct route_query *query);
