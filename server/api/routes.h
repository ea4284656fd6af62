// SPDX-License-Identifier: Apache-2.0
//
// routes.h - the REST API's routes, each tagged with the least role that it needs. docs/reference/openapi.json describes them.
#pragma once

#include "loop/http_server.h"

extern const struct http_route api_routes[];
extern const size_t api_route_count;
