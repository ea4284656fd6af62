// SPDX-License-Identifier: Apache-2.0
#include "loop/http_inner.h"

#include "depbroker/log.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	DEFAULT_BODY_LIMIT = 1024 * 1024,
	DEFAULT_HEAD_TIMEOUT_MS = 10000,
	DEFAULT_TIMEOUT_MS = 30000,
	DEFAULT_CONNECTION_LIMIT = 1000,
	// The heads that libmicrohttpd gets are small (http_connection.c). This holds the head of an answer and a block of a body,
	// and is what a busy connection costs.
	MHD_MEMORY = 16 * 1024,
	BACKLOG = 1024,
	ACCEPTS_A_ROUND = 32,
	ACCEPT_AGAIN_MS = 100,
	PUMPS_A_ROUND = 8,
	DESCRIPTORS_OF_OTHERS = 256,
};

static void must(int result)
{
	if (result != 0) {
		abort();
	}
}

void server_count_answer(struct http_server *server, unsigned status)
{
	if (status / 100 < sizeof server->counters.by_class / sizeof *server->counters.by_class) {
		server->counters.by_class[status / 100]++;
	}
}

// ---- libmicrohttpd inside of the loop

void server_wake(struct http_server *server, struct http_connection *connection)
{
	server->must_run = true;
	if (connection != NULL && connection->phase != CLOSING && !list_is_linked(&connection->woken_link)) {
		list_add_last(&server->woken, &connection->woken_link);
	}
}

static void pump(struct http_server *server)
{
	server->must_run = false;
	(void)MHD_run(server->daemon);
	for (struct http_connection *woken;
		(woken = LIST_FIRST(&server->woken, struct http_connection, woken_link)) != NULL;) {
		list_remove(&woken->woken_link);
		connection_advance(woken);
	}
}

static void on_own_handle_closed(uv_handle_t *handle)
{
	struct http_server *server = handle->data;

	if (--server->own_handles == 0) {
		server->is_over = true;
		if (server->closed != NULL) {
			server->closed(server->closed_argument);
		}
		server_check_end(server);
	}
}

static void on_timer_closed(struct delay *timer)
{
	struct http_server *server = CONTAINER_OF(timer, struct http_server, timer);

	on_own_handle_closed((uv_handle_t *)&server->before_sleep);
}

void server_check_end(struct http_server *server)
{
	server->must_run = true;
	if (server->is_over && list_is_empty(&server->requests)) {
		free(server);
	}
}

static void end(struct http_server *server)
{
	uv_handle_t *const handles[] = {
		(uv_handle_t *)&server->daemon_poll,
		(uv_handle_t *)&server->before_sleep,
		(uv_handle_t *)&server->no_sleep,
	};

	for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
		handles[i]->data = server;
		uv_close(handles[i], on_own_handle_closed);
	}
	delay_close(&server->timer, on_timer_closed);
	MHD_stop_daemon(server->daemon); // knows of no connection, so none can be suspended
	server->daemon = NULL;
}

static bool is_at_end(const struct http_server *server)
{
	return server->is_closing && server->daemon != NULL && server->backs == 0 && server->listener < 0 &&
		list_is_empty(&server->connections);
}

static void on_no_sleep(uv_idle_t *idle)
{
	(void)idle;
}

static void on_before_sleep(uv_prepare_t *prepare)
{
	struct http_server *server = CONTAINER_OF(prepare, struct http_server, before_sleep);
	MHD_UNSIGNED_LONG_LONG timeout_ms = 0;

	for (int i = 0; i < PUMPS_A_ROUND && server->must_run; i++) {
		pump(server);
	}
	if (is_at_end(server)) {
		end(server);
		return;
	}
	// It has no clock to watch. A time-out of nothing says that it has kept input that no event will tell of again.
	if (MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0) {
		server->must_run = true;
	}
	if (server->must_run != uv_is_active((uv_handle_t *)&server->no_sleep)) {
		must(server->must_run ? uv_idle_start(&server->no_sleep, on_no_sleep) : uv_idle_stop(&server->no_sleep));
	}
}

static void on_daemon(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	CONTAINER_OF(poll, struct http_server, daemon_poll)->must_run = true;
}

// Version 0.9 looks at a new connection at once, version 1.0 in its next run; until then we may have given it up.
static struct http_back *find_pending(struct http_server *server, int fd)
{
	LIST_EACH(at, after, &server->pending) {
		struct http_back *back = CONTAINER_OF(at, struct http_back, link);

		if (back->other_fd == fd) {
			return back;
		}
	}
	return NULL;
}

void server_add_pending(struct http_back *back)
{
	struct http_back *stale = find_pending(back->server, back->other_fd);

	if (stale != NULL) { // its number is free again: libmicrohttpd has closed it without having looked
		list_remove(&stale->link);
	}
	list_add_last(&back->server->pending, &back->link);
}

static void on_mhd_connection(void *argument, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code)
{
	struct http_server *server = argument;
	struct http_back *back = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = find_pending(server, MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
		back = *context;
		if (back != NULL) {
			list_remove(&back->link);
			back->known_to_mhd = true;
		}
	} else if (back != NULL) {
		back->known_to_mhd = false;
		server_forget_back(back);
	}
}

void server_forget_back(struct http_back *back)
{
	struct http_server *server = back->server;

	server->must_run = true;
	if (!back->poll_is_open && !back->known_to_mhd) {
		list_remove(&back->link);
		free(back);
		server->backs--;
	}
}

static enum err start_daemon(struct http_server *server, struct fault *fault)
{
	server->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
		request_on_access, server,
		MHD_OPTION_NOTIFY_COMPLETED, request_on_completed, server,
		MHD_OPTION_NOTIFY_CONNECTION, on_mhd_connection, server,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MHD_MEMORY,
		MHD_OPTION_CONNECTION_LIMIT, server->config.connection_limit * 2 + 16, // with those that are about to be closed
		MHD_OPTION_CONNECTION_TIMEOUT, 0u,
#if MHD_VERSION >= 0x00097701
		MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
#else
		MHD_OPTION_STRICT_FOR_CLIENT, 1,
#endif
		MHD_OPTION_END);
	if (server->daemon == NULL) {
		return fault_set(fault, ERR_SYSTEM, "libmicrohttpd cannot be started: %s", strerror(errno));
	}
	return OK;
}

// ---- the listener

static void on_listen(uv_poll_t *poll, int status, int events);

static void set_accepting(struct http_server *server, bool accepts)
{
	if (server->accepts != accepts) {
		server->accepts = accepts;
		must(accepts ? uv_poll_start(&server->listen_poll, UV_READABLE, on_listen) : uv_poll_stop(&server->listen_poll));
	}
}

void server_accept_again(struct http_server *server)
{
	if (!server->is_closing && server->counters.connections < server->config.connection_limit) {
		set_accepting(server, true);
	}
}

static void on_listen(uv_poll_t *poll, int status, int events)
{
	struct http_server *server = CONTAINER_OF(poll, struct http_server, listen_poll);

	(void)status, (void)events;
	for (int i = 0; i < ACCEPTS_A_ROUND; i++) {
		struct sockaddr_storage address;
		socklen_t size = sizeof address;
		const int on = 1;

		if (server->counters.connections >= server->config.connection_limit) {
			set_accepting(server, false); // the others wait in the backlog
			return;
		}
		const int client = accept4(server->listener, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (client < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
			log_event(LOG_ERROR, "http.cannot_accept", LOG_STRING("reason", strerror(errno)));
			set_accepting(server, false);
			delay_start(&server->timer, ACCEPT_AGAIN_MS);
			return;
		}
		if (client < 0) {
			return;
		}
		(void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		connection_open(server, client, (const struct sockaddr *)&address);
	}
}

static void cut_everybody(struct http_server *server)
{
	LIST_EACH(at, after, &server->connections) {
		connection_cut(CONTAINER_OF(at, struct http_connection, link));
	}
	LIST_EACH(at, after, &server->requests) {
		request_give_up(CONTAINER_OF(at, struct live_request, link));
	}
	server->must_run = true;
}

static void on_timer(struct delay *timer)
{
	struct http_server *server = CONTAINER_OF(timer, struct http_server, timer);

	if (server->is_closing) {
		cut_everybody(server);
	} else {
		server_accept_again(server);
	}
}

static bool parse_port(struct text digits, int *port)
{
	*port = 0;
	for (size_t i = 0; i < digits.length; i++) {
		if (digits.bytes[i] < '0' || digits.bytes[i] > '9') {
			return false;
		}
		*port = *port * 10 + (digits.bytes[i] - '0');
	}
	return digits.length > 0 && digits.length <= 5 && *port <= UINT16_MAX;
}

static enum err parse_address(struct sockaddr_storage *out, const char *listen, struct fault *fault)
{
	const char *colon = strrchr(listen, ':');
	char host[INET6_ADDRSTRLEN + 2];
	int port;

	if (colon == NULL || (size_t)(colon - listen) >= sizeof host || !parse_port(text_of(colon + 1), &port)) {
		return fault_set(fault, ERR_BAD_INPUT, "cannot listen on %s: expected ADDRESS:PORT, such as 127.0.0.1:8080", listen);
	}
	memcpy(host, listen, (size_t)(colon - listen));
	host[colon - listen] = '\0';
	const size_t length = strlen(host);
	int result;

	if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = '\0';
		result = uv_ip6_addr(host + 1, port, (struct sockaddr_in6 *)out);
	} else {
		result = uv_ip4_addr(host, port, (struct sockaddr_in *)out);
	}
	if (result != 0) {
		return fault_set(fault, ERR_BAD_INPUT, "cannot listen on %s: expected an IP address, [in brackets] for IPv6", listen);
	}
	return OK;
}

static enum err listen_on(struct http_server *server, struct fault *fault)
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof address;
	const int on = 1;

	TRY(parse_address(&address, server->config.listen, fault));
	server->listener = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (server->listener < 0 || setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
		bind(server->listener, (const struct sockaddr *)&address,
			address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) != 0 ||
		listen(server->listener, BACKLOG) != 0 ||
		getsockname(server->listener, (struct sockaddr *)&address, &size) != 0) {
		return fault_set(fault, ERR_SYSTEM, "cannot listen on %s: %s", server->config.listen, strerror(errno));
	}
	server->port = ntohs(address.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&address)->sin6_port
	                                                    : ((const struct sockaddr_in *)&address)->sin_port);
	return OK;
}

// ---- open and close

// A busy connection takes three descriptors: the client's and a pair (http_inner.h). The usual soft limit is 1,024.
static void allow_descriptors(const struct http_server_config *config)
{
	const rlim_t wanted = (rlim_t)config->connection_limit * 3 + DESCRIPTORS_OF_OTHERS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
		return;
	}
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
		log_event(LOG_WARNING, "http.few_descriptors", LOG_INT("limit", (int64_t)limit.rlim_cur),
			LOG_INT("wanted", (int64_t)wanted));
	}
}

static void set_defaults(struct http_server_config *config)
{
	config->body_limit = config->body_limit != 0 ? config->body_limit : DEFAULT_BODY_LIMIT;
	config->head_timeout_ms = config->head_timeout_ms != 0 ? config->head_timeout_ms : DEFAULT_HEAD_TIMEOUT_MS;
	config->body_timeout_ms = config->body_timeout_ms != 0 ? config->body_timeout_ms : DEFAULT_TIMEOUT_MS;
	config->answer_timeout_ms = config->answer_timeout_ms != 0 ? config->answer_timeout_ms : DEFAULT_TIMEOUT_MS;
	config->write_timeout_ms = config->write_timeout_ms != 0 ? config->write_timeout_ms : DEFAULT_TIMEOUT_MS;
	config->connection_limit = config->connection_limit != 0 ? config->connection_limit : DEFAULT_CONNECTION_LIMIT;
}

static void watch_all(struct http_server *server)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	uv_loop_t *uv = &server->loop->uv;

	must(uv_poll_init(uv, &server->daemon_poll, info->epoll_fd));
	must(uv_poll_start(&server->daemon_poll, UV_READABLE, on_daemon));
	must(uv_prepare_init(uv, &server->before_sleep));
	must(uv_prepare_start(&server->before_sleep, on_before_sleep));
	must(uv_idle_init(uv, &server->no_sleep));
	must(uv_poll_init(uv, &server->listen_poll, server->listener));
	delay_init(&server->timer, server->loop, on_timer);
	server->own_handles = 4;
	set_accepting(server, true);
}

enum err http_server_open(struct http_server **out, struct loop *loop, const struct http_server_config *config, struct fault *fault)
{
	struct http_server *server = allocate(sizeof *server);
	enum err result;

	*out = NULL;
	server->config = *config;
	server->loop = loop;
	server->listener = -1;
	list_init(&server->connections);
	list_init(&server->woken);
	list_init(&server->requests);
	list_init(&server->pending);
	set_defaults(&server->config);
	result = listen_on(server, fault);
	if (result == OK) {
		result = start_daemon(server, fault);
	}
	if (result != OK) {
		if (server->listener >= 0) {
			(void)close(server->listener);
		}
		free(server);
		return result;
	}
	allow_descriptors(&server->config);
	watch_all(server);
	*out = server;
	return OK;
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct http_server *server = CONTAINER_OF(handle, struct http_server, listen_poll);

	(void)close(server->listener);
	server->listener = -1;
	server->must_run = true;
}

void http_server_close(struct http_server *server, int64_t drain_ms, void (*closed)(void *argument), void *argument)
{
	assert(!server->is_closing);
	server->is_closing = true;
	server->closed = closed;
	server->closed_argument = argument;
	uv_close((uv_handle_t *)&server->listen_poll, on_listener_closed);
	LIST_EACH(at, after, &server->connections) {
		connection_stop(CONTAINER_OF(at, struct http_connection, link));
	}
	delay_start(&server->timer, drain_ms);
}

unsigned http_server_port(const struct http_server *server)
{
	return server->port;
}

struct http_server_counters http_server_counters(const struct http_server *server)
{
	return server->counters;
}
