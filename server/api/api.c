// SPDX-License-Identifier: Apache-2.0
#include "api/api.h"

#include "api/admin.h"
#include "api/call.h"
#include "api/dep/dep.h"
#include "api/housekeeping.h"
#include "api/job_runner.h"
#include "api/nanodep/nanodep.h"
#include "api/nanodep/proxy_session.h"
#include "api/rate_limit.h"
#include "api/readiness.h"
#include "api/recent.h"
#include "api/routes.h"
#include "depbroker/log.h"
#include "loop/child.h"
#include "loop/stop_signal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { RENEWALS_PER_ADDRESS = 60, RENEWALS_PER_LINK = 30, HOOKS = 12000, DEP_REQUESTS = 12000, PUBLIC_KEYS = 600, REPLAYS = 10 }; // a minute

enum { DRAIN_MS = 20000, CONNECTIONS_TO_DATABASE = 8, CONNECTIONS_KEPT = 2, BODY_MAX = 64 * 1024 };

struct process {
	struct service service;
	struct http_route *routes; // of all faces
	struct stop_signals signals;
	unsigned left_to_close;
	bool is_closing;
};

// --- down: listeners, the calls that they leave behind, then what those use ---

static void on_closed(void *argument)
{
	struct process *process = argument;

	if (--process->left_to_close == 0) {
		stop_signals_close(&process->signals);
		log_event(LOG_INFO, "api.stopped");
	}
}

static void close_rest(struct service *service)
{
	struct process *process = CONTAINER_OF(service, struct process, service);

	service->idle = NULL;
	readiness_close(service->readiness);
	if (service->housekeeping != NULL) {
		housekeeping_close(service->housekeeping);
	}
	if (service->job_runner != NULL) {
		job_runner_close(service->job_runner);
	}
	process->left_to_close = 2;
	pg_pool_close(service->pool, on_closed, process);
	http_client_close(service->apple, on_closed, process);
}

// A call whose client has gone, or lost its patience, may be in the midst of its work.
static void on_listeners_closed(struct process *process)
{
	struct service *service = &process->service;

	if (service->calls > 0) {
		service->idle = close_rest;
	} else {
		close_rest(service);
	}
}

static void on_admin_closed(void *argument)
{
	struct process *process = argument;

	process->service.admin_listener = NULL;
	on_listeners_closed(process);
}

static void on_dep_closed(void *argument)
{
	struct process *process = argument;

	process->service.dep_listener = NULL;
	if (process->service.admin_listener != NULL) {
		http_server_close(process->service.admin_listener, 0, on_admin_closed, process);
	} else {
		on_listeners_closed(process);
	}
}

static void on_public_closed(void *argument)
{
	struct process *process = argument;

	process->service.public_listener = NULL;
	if (process->service.dep_listener != NULL) {
		http_server_close(process->service.dep_listener, DRAIN_MS, on_dep_closed, process);
	} else {
		on_dep_closed(process);
	}
}

static void close_all(struct process *process)
{
	if (process->is_closing) {
		return;
	}
	process->is_closing = true;
	log_event(LOG_INFO, "api.stopping");
	if (process->service.public_listener != NULL) {
		http_server_close(process->service.public_listener, DRAIN_MS, on_public_closed, process);
	} else {
		on_public_closed(process);
	}
}

static void on_signal(struct stop_signals *signals)
{
	close_all(signals->owner);
}

static void on_signal_again(struct stop_signals *signals)
{
	struct process *process = signals->owner;

	close_all(process);
	log_event(LOG_WARNING, "api.hurried");
	_Exit(1); // requests in flight are transactions: made or not made, never half
}

// --- up ---

static enum err open_database(struct service *service, struct fault *fault)
{
	const struct pg_pool_config config = {
		.url = service->config->database_url,
		.application_name = "depbroker/api",
		.size = CONNECTIONS_TO_DATABASE,
		.kept = CONNECTIONS_KEPT,
	};

	return pg_pool_open(&service->pool, &service->loop, &config, fault);
}

// Plain HTTP only for a URL that says so: redirects are never followed.
static enum err open_apple(struct service *service, struct fault *fault)
{
	const struct http_client_config config = {
		.name = "apple",
		.user_agent = "depbroker/" DEPBROKER_VERSION,
		.proxy = service->config->https_proxy,
		.ca_file = service->config->apple_ca_file,
		.allow_plain_http = true,
		.guard = HTTP_ADDRESS_ANY,
	};

	return http_client_open(&service->apple, &service->loop, &config, fault);
}

// REST first, then the NanoDEP API.
static struct http_route *join_routes(void)
{
	struct http_route *routes = allocate_array(api_route_count + nanodep_route_count, sizeof *routes);

	memcpy(routes, api_routes, api_route_count * sizeof *routes);
	memcpy(routes + api_route_count, nanodep_routes, nanodep_route_count * sizeof *routes);
	return routes;
}

static enum err open_listeners(struct service *service, const struct http_route *routes, struct fault *fault)
{
	const struct http_server_config config = {
		.listen = service->config->listen,
		.routes = routes,
		.route_count = api_route_count + nanodep_route_count,
		.admit = call_admit,
		.finished = call_finished,
		.context = service,
		.body_limit = BODY_MAX,
	};

	const struct http_server_config dep_config = {
		.listen = service->config->dep_listen,
		.routes = dep_routes,
		.route_count = dep_route_count,
		.admit = dep_admit,
		.finished = call_finished,
		.context = service,
		.body_limit = DEP_BODY_MAX,
	};

	TRY(admin_open(service, fault));
	TRY(http_server_open(&service->dep_listener, &service->loop, &dep_config, fault));
	return http_server_open(&service->public_listener, &service->loop, &config, fault);
}

static enum err open_all(struct process *process, struct fault *fault)
{
	struct service *service = &process->service;
	enum err rc;

	TRY(key_provider_open_file(&service->keys, service->config->master_key_file, fault));
	TRY(open_database(service, fault));
	rc = open_apple(service, fault);
	if (rc != OK) {
		process->left_to_close = 1;
		pg_pool_close(service->pool, on_closed, process);
		return rc;
	}
	service->readiness = readiness_open(service);
	rc = open_listeners(service, process->routes, fault);
	if (rc != OK) {
		close_all(process);
		return rc;
	}
	service->housekeeping = housekeeping_open(service);
	service->job_runner = job_runner_open(service);
	return OK;
}

int api_main(const struct config *config)
{
	struct process process = { .service.config = config };
	struct fault fault = { 0 };
	enum err rc;

	if (config->parent_pid > 0) {
		child_tie_to_parent(SIGTERM, (pid_t)config->parent_pid);
	}
	loop_init(&process.service.loop);
	process.signals = (struct stop_signals){ .stop = on_signal, .again = on_signal_again, .owner = &process };
	process.routes = join_routes();
	process.service.proxy_sessions = proxy_sessions_open();
	process.service.recent = recent_open();
	process.service.address_rates = rate_limit_open(RENEWALS_PER_ADDRESS);
	process.service.link_rates = rate_limit_open(RENEWALS_PER_LINK);
	process.service.hook_rates = rate_limit_open(HOOKS);
	process.service.public_key_rates = rate_limit_open(PUBLIC_KEYS);
	process.service.replay_rates = rate_limit_open(REPLAYS);
	process.service.dep_rates = rate_limit_open(DEP_REQUESTS);
	stop_signals_open(&process.signals, &process.service.loop);
	rc = open_all(&process, &fault);
	if (rc == OK) {
		log_event(LOG_INFO, "api.started", LOG_STRING("listen", config->listen),
			LOG_STRING("dep_listen", config->dep_listen), LOG_STRING("admin_listen", config->admin_listen),
			LOG_INT("port", http_server_port(process.service.public_listener)),
			LOG_INT("dep_port", http_server_port(process.service.dep_listener)),
			LOG_INT("admin_port", http_server_port(process.service.admin_listener)));
	} else {
		log_event(LOG_ERROR, "api.failed", LOG_STRING("reason", fault.text));
		if (process.service.pool == NULL) {
			stop_signals_close(&process.signals);
		}
	}
	loop_run(&process.service.loop);
	loop_fini(&process.service.loop);
	key_provider_close(process.service.keys);
	proxy_sessions_close(process.service.proxy_sessions);
	recent_close(process.service.recent);
	free(process.routes);
	rate_limit_close(process.service.address_rates);
	rate_limit_close(process.service.link_rates);
	rate_limit_close(process.service.hook_rates);
	rate_limit_close(process.service.public_key_rates);
	rate_limit_close(process.service.replay_rates);
	rate_limit_close(process.service.dep_rates);
	return rc == OK ? 0 : 1;
}
