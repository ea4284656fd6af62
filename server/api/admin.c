// SPDX-License-Identifier: Apache-2.0
#include "api/admin.h"

#include "api/metrics.h"
#include "api/readiness.h"

static void livez(struct http_request *request)
{
	http_answer(request, 200, "application/json", TEXT("{\"status\":\"ok\"}"));
}

static void readyz(struct http_request *request)
{
	const struct service *service = request->context;

	readiness_answer(service->readiness, request);
}

static void metrics(struct http_request *request)
{
	metrics_answer(request->context, request);
}

static const struct http_route routes[] = {
	{ .method = "GET", .pattern = "/livez", .handle = livez },
	{ .method = "GET", .pattern = "/readyz", .handle = readyz },
	{ .method = "GET", .pattern = "/metrics", .handle = metrics },
};

enum err admin_open(struct service *service, struct fault *fault)
{
	const struct http_server_config config = {
		.listen = service->config->admin_listen,
		.routes = routes,
		.route_count = sizeof routes / sizeof *routes,
		.context = service,
		.connection_limit = 100,
	};

	return http_server_open(&service->admin_listener, &service->loop, &config, fault);
}
