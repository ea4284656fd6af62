// SPDX-License-Identifier: Apache-2.0
//
// One connection from nothing to ready, and back.
//
// The hosts are tried here, one address at a time, and libpq is always given a single one: so each gets its own time, a name
// that does not resolve only costs its own turn, and libpq never looks up a name itself, which would block the loop.
#include "loop/pg_inner.h"

#include "depbroker/clock.h"

#include <assert.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_FIRST_MS 100
#define PARAMETERS_MAX   64

struct pg_watch {
	uv_poll_t poll;
	struct pg_connection *connection; // NULL: being closed
	struct pg_pool *pool;
};

static void try_next(struct pg_connection *connection);

static void must(int result)
{
	if (result != 0) { // only exhaustion of memory or descriptors gets here: start over under the supervisor
		abort();
	}
}

// --- watching the socket ---

static void on_watch_closed(uv_handle_t *handle)
{
	struct pg_watch *watch = CONTAINER_OF(handle, struct pg_watch, poll);

	pg_pool_handle_closed(watch->pool);
	free(watch);
}

// Before libpq closes the socket, and so before anybody can get the same number again.
static void watch_close(struct pg_connection *connection)
{
	struct pg_watch *watch = connection->watch;

	if (watch != NULL) {
		connection->watch = NULL;
		watch->connection = NULL;
		must(uv_poll_stop(&watch->poll));
		uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
	}
}

static void on_socket(uv_poll_t *poll, int status, int events);

static void watch_open(struct pg_connection *connection, int events)
{
	struct pg_watch *watch = allocate(sizeof *watch);

	assert(connection->watch == NULL);
	watch->connection = connection;
	watch->pool = connection->pool;
	must(uv_poll_init(&connection->pool->loop->uv, &watch->poll, PQsocket(connection->pg)));
	must(uv_poll_start(&watch->poll, events, on_socket));
	connection->pool->open_handles++;
	connection->watch = watch;
	connection->is_wanted_writable = (events & UV_WRITABLE) != 0;
}

// Readable is always wanted: a server that cannot get rid of its answers does not read our statements.
void pg_connection_want_writable(struct pg_connection *connection, bool wanted)
{
	if (connection->is_wanted_writable != wanted) { // uv_poll_start costs two system calls
		connection->is_wanted_writable = wanted;
		must(uv_poll_start(&connection->watch->poll, UV_READABLE | (wanted ? UV_WRITABLE : 0), on_socket));
	}
}

// --- giving up on an attempt, on a connection, on a round ---

static void drop_socket(struct pg_connection *connection)
{
	watch_close(connection);
	PQfinish(connection->pg); // sends a farewell only as far as that does not block
	connection->pg = NULL;
}

static void forget_addresses(struct pg_connection *connection)
{
	uv_freeaddrinfo(connection->addresses);
	connection->addresses = NULL;
	connection->address_at = NULL;
}

// A random part of a limit that doubles: those who lost the same server do not all come back at the same moment.
static void rest(struct pg_connection *connection)
{
	const int64_t most_ms = connection->pool->backoff_max_ms;
	int64_t limit_ms = BACKOFF_FIRST_MS;
	uint64_t random;

	for (unsigned i = 0; i < connection->failed_rounds && limit_ms < most_ms; i++) {
		limit_ms *= 2;
	}
	limit_ms = limit_ms < most_ms ? limit_ms : most_ms;
	random_bytes(&random, sizeof random);
	connection->failed_rounds++;
	connection->state = PG_RESTING;
	delay_start(&connection->timer, (int64_t)(random % ((uint64_t)limit_ms + 1)));
}

static void attempt_failed(struct pg_connection *connection, const char *reason)
{
	delay_stop(&connection->timer);
	pg_pool_note_error(connection->pool, reason);
	drop_socket(connection);
	try_next(connection);
}

// What its owner is told when the connection breaks under a transaction.
static enum err outcome_of(struct pg_inner *transaction, const char *reason)
{
	if (transaction->is_committed || transaction->failed != OK) {
		return transaction->failed;
	}
	return fault_set(&transaction->outer->op.fault, ERR_UNKNOWN,
		"the connection to the database broke before it answered: %.200s", reason);
}

void pg_connection_break(struct pg_connection *connection, const char *reason)
{
	struct pg_inner *transaction = connection->transaction;

	assert(pg_connection_is_connected(connection));
	pg_pool_note_error(connection->pool, reason); // first: the text may be the connection's own
	if (transaction != NULL) {
		connection->transaction = NULL;
		pg_finish(transaction, outcome_of(transaction, connection->pool->last_error));
	}
	list_remove(&connection->link);
	drop_socket(connection);
	rest(connection);
}

// --- connecting ---

struct parameters {
	const char *keywords[PARAMETERS_MAX];
	const char *values[PARAMETERS_MAX];
	size_t count;
};

static void set(struct parameters *parameters, const char *keyword, const char *value)
{
	if (value != NULL) {
		assert(parameters->count + 1 < PARAMETERS_MAX);
		parameters->keywords[parameters->count] = keyword;
		parameters->values[parameters->count++] = value;
	}
}

// Ours that the URL may override, and ours that it may not.
static const struct option {
	const char *keyword;
	const char *value; // NULL: set elsewhere
	bool is_forced;
} options[] = {
	{ "host", NULL, true },
	{ "hostaddr", NULL, true },
	{ "port", NULL, true },
	{ "application_name", NULL, false },
	{ "target_session_attrs", "read-write", false }, // a standby shows orders that never came to be
	{ "keepalives_idle", "30", false },
	{ "keepalives_interval", "10", false },
	{ "keepalives_count", "3", false },
	{ "tcp_user_timeout", "30000", false },
	{ "gssencmode", "disable", true },    // its handshake would block
	{ "client_encoding", "UTF8", true },  // what struct text holds
};

static const struct option *option_of(const char *keyword)
{
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		if (strcmp(options[i].keyword, keyword) == 0) {
			return &options[i];
		}
	}
	return NULL;
}

static void collect(struct parameters *parameters, const struct pg_pool *pool, const struct pg_host *host,
	const char *address)
{
	for (const PQconninfoOption *given = pool->url.options; given->keyword != NULL; given++) {
		const struct option *ours = option_of(given->keyword);

		if (ours == NULL || !ours->is_forced) {
			set(parameters, given->keyword, given->val);
		}
	}
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		if (options[i].is_forced || pg_url_option(&pool->url, options[i].keyword) == NULL) {
			set(parameters, options[i].keyword, options[i].value);
		}
	}
	if (pg_url_option(&pool->url, "application_name") == NULL) {
		set(parameters, "application_name", pool->application_name);
	}
	set(parameters, "host", host->name); // with an address beside it, for the certificate alone
	set(parameters, "hostaddr", address);
	set(parameters, "port", host->port);
}

// Notices may quote values, so nobody gets to see them. But while nothing is under way, the server's last words are one, too.
static void on_notice(void *argument, const PGresult *result)
{
	struct pg_connection *connection = argument;
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (connection->state == PG_FREE && sqlstate != NULL && pg_error_breaks_connection(sqlstate)) {
		connection->is_bad = true;
	}
}

static void connect_to(struct pg_connection *connection, const struct pg_host *host, const char *address)
{
	struct parameters parameters = { .count = 0 };

	collect(&parameters, connection->pool, host, address);
	connection->state = PG_CONNECTING;
	connection->pg = PQconnectStartParams(parameters.keywords, parameters.values, 0);
	if (connection->pg == NULL) { // no memory
		abort();
	}
	if (PQstatus(connection->pg) == CONNECTION_BAD) {
		attempt_failed(connection, PQerrorMessage(connection->pg));
		return;
	}
	(void)PQsetNoticeReceiver(connection->pg, on_notice, connection);
	delay_start(&connection->timer, connection->pool->connect_timeout_ms);
	watch_open(connection, UV_WRITABLE);
}

static void connected(struct pg_connection *connection)
{
	struct pg_pool *pool = connection->pool;

	if (PQsetnonblocking(connection->pg, 1) != 0 || PQenterPipelineMode(connection->pg) != 1) {
		attempt_failed(connection, PQerrorMessage(connection->pg));
		return;
	}
	delay_stop(&connection->timer);
	forget_addresses(connection);
	watch_open(connection, UV_READABLE);
	connection->failed_rounds = 0;
	pool->counters.reconnects += connection->was_connected ? 1 : 0;
	connection->was_connected = true;
	pg_pool_note_connected(pool);
	connection->is_bad = false;
	pg_prepared_forget(&connection->prepared); // they were the session's before
	connection->is_tls = PQsslInUse(connection->pg) == 1;
	connection->state = PG_FREE;
	list_add_first(&pool->free, &connection->link);
	pg_pool_serve(pool);
}

static void connect_step(struct pg_connection *connection)
{
	PostgresPollingStatusType next;

	watch_close(connection); // the next step may close the socket and open another of the same number
	next = PQconnectPoll(connection->pg);
	switch (next) {
	case PGRES_POLLING_READING:
		watch_open(connection, UV_READABLE);
		break;
	case PGRES_POLLING_WRITING:
		watch_open(connection, UV_WRITABLE);
		break;
	case PGRES_POLLING_OK:
		connected(connection);
		break;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE:
		attempt_failed(connection, PQerrorMessage(connection->pg));
		break;
	}
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct pg_watch *watch = CONTAINER_OF(poll, struct pg_watch, poll);
	struct pg_connection *connection = watch->connection;

	(void)events;
	if (connection->state == PG_CONNECTING) {
		connect_step(connection);
	} else {
		pg_pipeline_work(connection);
	}
	// An error of the socket is libpq's to find and to name. libuv has stopped to watch it, but there may be more to read.
	if (status != 0 && watch->connection != NULL) {
		must(uv_poll_start(poll, UV_READABLE | (connection->is_wanted_writable ? UV_WRITABLE : 0), on_socket));
	}
}

// --- from one address to the next ---

static void connect_to_address(struct pg_connection *connection, const struct addrinfo *address)
{
	char numeric[NI_MAXHOST];
	const int result = getnameinfo(address->ai_addr, address->ai_addrlen, numeric, sizeof numeric, NULL, 0,
		NI_NUMERICHOST);

	if (result != 0) {
		attempt_failed(connection, gai_strerror(result));
		return;
	}
	connect_to(connection, &connection->pool->url.hosts[connection->host_at], numeric);
}

static void look_up_failed(struct pg_connection *connection, const char *reason)
{
	char message[256];

	(void)snprintf(message, sizeof message, "could not find the host \"%.100s\": %s",
		connection->pool->url.hosts[connection->host_at].name, reason);
	connection->host_at++;
	attempt_failed(connection, message);
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
	struct pg_connection *connection = CONTAINER_OF(request, struct pg_connection, lookup);

	connection->is_looking_up = false;
	connection->addresses = addresses;
	connection->address_at = addresses;
	if (connection->state == PG_CLOSED) {
		forget_addresses(connection);
		pg_pool_handle_closed(connection->pool);
		return;
	}
	connection->pool->open_handles--;
	if (status != 0) {
		look_up_failed(connection, uv_strerror(status));
	} else {
		try_next(connection);
	}
}

static void look_up(struct pg_connection *connection, const struct pg_host *host)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	int result;

	connection->state = PG_RESOLVING;
	result = uv_getaddrinfo(&connection->pool->loop->uv, &connection->lookup, on_looked_up, host->name, NULL, &hints);
	if (result != 0) { // a name that cannot be one
		look_up_failed(connection, uv_strerror(result));
		return;
	}
	connection->is_looking_up = true;
	connection->pool->open_handles++;
}

// The next address of this host, else the next host, else a pause.
static void try_next(struct pg_connection *connection)
{
	const struct pg_url *url = &connection->pool->url;
	const struct addrinfo *address = connection->address_at;

	if (address != NULL) {
		connection->address_at = address->ai_next;
		connect_to_address(connection, address);
		return;
	}
	if (connection->addresses != NULL) {
		forget_addresses(connection);
		connection->host_at++;
	}
	if (connection->host_at == url->host_count) {
		connection->host_at = 0;
		rest(connection);
		return;
	}
	const struct pg_host *host = &url->hosts[connection->host_at];

	if (pg_host_needs_lookup(host)) {
		look_up(connection, host);
	} else {
		connection->host_at++;
		connect_to(connection, host, host->address);
	}
}

static void on_timer(struct delay *timer)
{
	struct pg_connection *connection = CONTAINER_OF(timer, struct pg_connection, timer);

	if (connection->state == PG_CONNECTING) {
		char message[256];

		(void)snprintf(message, sizeof message, "the server at \"%.100s\" did not answer within %d ms",
			PQhost(connection->pg), connection->pool->connect_timeout_ms);
		attempt_failed(connection, message);
	} else if (connection->state == PG_RESTING) {
		connection->host_at = 0;
		try_next(connection);
	} else {
		pg_pipeline_work(connection);
	}
}

// --- from outside ---

bool pg_connection_is_working(const struct pg_connection *connection)
{
	return connection->state == PG_BUSY || connection->state == PG_ROLLING_BACK;
}

bool pg_connection_is_connected(const struct pg_connection *connection)
{
	return connection->state == PG_FREE || pg_connection_is_working(connection);
}

void pg_connection_init(struct pg_connection *connection, struct pg_pool *pool)
{
	*connection = (struct pg_connection){ .pool = pool, .state = PG_SPARE };
	list_init(&connection->link);
	delay_init(&connection->timer, pool->loop, on_timer);
	pool->open_handles++;
}

void pg_connection_wake(struct pg_connection *connection)
{
	assert(connection->state == PG_SPARE);
	connection->state = PG_RESTING;
	delay_start(&connection->timer, 0);
}

void pg_connection_spare(struct pg_connection *connection)
{
	assert(connection->state == PG_FREE);
	list_remove(&connection->link);
	delay_stop(&connection->timer);
	drop_socket(connection);
	pg_prepared_forget(&connection->prepared);
	connection->was_connected = false; // to open it again makes no lost connection good
	connection->state = PG_SPARE;
}

static void on_timer_closed(struct delay *timer)
{
	pg_pool_handle_closed(CONTAINER_OF(timer, struct pg_connection, timer)->pool);
}

void pg_connection_close(struct pg_connection *connection)
{
	connection->state = PG_CLOSED;
	list_remove(&connection->link);
	drop_socket(connection);
	pg_prepared_forget(&connection->prepared);
	if (connection->is_looking_up) {
		(void)uv_cancel((uv_req_t *)&connection->lookup); // its callback comes in any case
	} else {
		forget_addresses(connection);
	}
	delay_close(&connection->timer, on_timer_closed);
}
