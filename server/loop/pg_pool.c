// SPDX-License-Identifier: Apache-2.0
#include "loop/pg_inner.h"

#include "depbroker/clock.h"
#include "depbroker/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_DEFAULT                 4
#define WAITING_LIMIT_DEFAULT        1000
#define STATEMENT_TIMEOUT_DEFAULT_MS 10000
#define CONNECT_TIMEOUT_DEFAULT_MS   5000
#define BACKOFF_MAX_DEFAULT_MS       5000
#define LOG_PAUSE_MS                 10000
#define CLOSED                       "the connections to the database are closed"

// --- what went wrong ---

// Replaces each occurrence of a secret in `message` by "***".
static void mask(char *message, const char *secret)
{
	const size_t length = secret != NULL ? strlen(secret) : 0;
	struct buffer masked CLEANUP(buffer_fini) = BUFFER(PG_ERROR_SIZE - 1);
	const char *rest = message;

	if (length == 0 || strstr(message, secret) == NULL) {
		return;
	}
	for (const char *at = strstr(rest, secret); at != NULL; at = strstr(rest, secret)) {
		buffer_add(&masked, rest, (size_t)(at - rest));
		buffer_add_string(&masked, "***");
		rest = at + length;
	}
	buffer_add_string(&masked, rest);
	(void)snprintf(message, PG_ERROR_SIZE, "%s", masked.bytes != NULL ? masked.bytes : "");
}

// libpq never quotes a password on purpose; but servers and authentication plug-ins write messages, too.
void pg_pool_note_error(struct pg_pool *pool, const char *message)
{
	char line[PG_ERROR_SIZE];
	const int64_t now_ms = clock_monotonic_ms();

	(void)snprintf(line, sizeof line, "%s", message);
	line[strcspn(line, "\n")] = '\0'; // the first line names the cause; what follows are hints
	mask(line, pg_url_option(&pool->url, "password"));
	mask(line, pg_url_option(&pool->url, "sslpassword"));
	if (strcmp(line, pool->last_error) != 0 && now_ms >= pool->log_again_at_ms) {
		pool->log_again_at_ms = now_ms + LOG_PAUSE_MS;
		log_event(LOG_WARNING, "database.connection_failed", LOG_STRING("reason", line));
	}
	memcpy(pool->last_error, line, sizeof line);
}

void pg_pool_note_connected(struct pg_pool *pool)
{
	if (!pg_pool_is_connected(pool)) {
		log_event(LOG_INFO, "database.connected");
	}
	pool->last_error[0] = '\0';
	pool->log_again_at_ms = 0;
}

struct text pg_pool_last_error(const struct pg_pool *pool)
{
	return text_of(pool->last_error);
}

// --- who is served ---

bool pg_pool_is_connected(const struct pg_pool *pool)
{
	for (unsigned i = 0; i < pool->size; i++) {
		if (pg_connection_is_connected(&pool->connections[i])) {
			return true;
		}
	}
	return false;
}

void pg_pool_serve(struct pg_pool *pool)
{
	while (!list_is_empty(&pool->free) && !list_is_empty(&pool->waiting)) {
		struct pg_connection *connection = LIST_FIRST(&pool->free, struct pg_connection, link);
		struct pg_inner *transaction = LIST_FIRST(&pool->waiting, struct pg_inner, link);

		list_remove(&connection->link);
		if (pg_pipeline_prepare(connection)) { // else it was dead: the next
			pg_pool_forget(pool, transaction);
			pg_pipeline_send(connection, transaction);
		}
	}
}

void pg_pool_forget(struct pg_pool *pool, struct pg_inner *transaction)
{
	list_remove(&transaction->link);
	pool->waiting_count--;
}

void pg_pool_take_back(struct pg_pool *pool, struct pg_inner *transaction)
{
	transaction->stage = PG_WAITING;
	transaction->connection = NULL;
	list_add_first(&pool->waiting, &transaction->link);
	pool->waiting_count++;
	pg_pool_watch_deadline(pool, transaction->deadline_ms);
}

void pg_pool_refuse(struct pg_pool *pool, struct pg_inner *transaction, enum err rc)
{
	pool->unfinished++;
	pool->counters.transactions++;
	pg_finish(transaction, rc);
}

void pg_pool_accept(struct pg_pool *pool, struct pg_inner *transaction)
{
	struct fault *fault = &transaction->outer->op.fault;

	if (pool->is_closing) {
		pg_pool_refuse(pool, transaction, fault_set(fault, ERR_CANCELLED, CLOSED));
		return;
	}
	if (list_is_empty(&pool->free) && pool->waiting_count >= pool->waiting_limit) {
		pg_pool_refuse(pool, transaction,
			fault_set(fault, ERR_UNAVAILABLE, "%u transactions wait for the database already", pool->waiting_count));
		return;
	}
	pool->unfinished++;
	pool->counters.transactions++;
	transaction->waiting_since_ms = clock_monotonic_ms();
	list_add_last(&pool->waiting, &transaction->link);
	pool->waiting_count++;
	pg_pool_watch_deadline(pool, transaction->deadline_ms);
	pg_pool_serve(pool);
	if (!list_is_empty(&pool->waiting)) {
		pg_spare_note_waiting(pool);
	}
}

// --- deadlines ---

void pg_pool_watch_deadline(struct pg_pool *pool, int64_t deadline_ms)
{
	if (deadline_ms < pool->deadline_at_ms) {
		pool->deadline_at_ms = deadline_ms;
		delay_start(&pool->deadline, deadline_ms - clock_monotonic_ms());
	}
}

static void give_up_waiting(struct pg_pool *pool, struct pg_inner *transaction)
{
	struct fault *fault = &transaction->outer->op.fault;

	pg_pool_forget(pool, transaction);
	pg_finish(transaction, pg_pool_is_connected(pool) ?
		fault_set(fault, ERR_TIMEOUT, "no connection to the database became free in time") :
		fault_set(fault, ERR_UNAVAILABLE, "there is no connection to the database: %.250s", pool->last_error));
}

// The timer may come for a transaction that has ended since: then it is set to the next one.
static void on_deadline(struct delay *timer)
{
	struct pg_pool *pool = CONTAINER_OF(timer, struct pg_pool, deadline);
	const int64_t now_ms = clock_monotonic_ms();

	pool->deadline_at_ms = INT64_MAX;
	pg_spare_look(pool, now_ms);
	LIST_EACH (at, after, &pool->waiting) {
		struct pg_inner *transaction = CONTAINER_OF(at, struct pg_inner, link);

		if (transaction->deadline_ms <= now_ms) {
			give_up_waiting(pool, transaction);
		} else {
			pg_pool_watch_deadline(pool, transaction->deadline_ms);
		}
	}
	for (unsigned i = 0; i < pool->size; i++) {
		struct pg_connection *connection = &pool->connections[i];

		if (!pg_connection_is_working(connection)) {
			continue;
		}
		if (connection->deadline_ms <= now_ms) {
			pg_connection_break(connection, "it did not answer in time");
		} else {
			pg_pool_watch_deadline(pool, connection->deadline_ms);
		}
	}
}

// --- opening and closing ---

static void free_pool(struct pg_pool *pool)
{
	pg_url_fini(&pool->url);
	free(pool->application_name);
	free(pool->connections);
	free(pool);
}

static void on_ending(struct deferred *deferred)
{
	struct pg_pool *pool = CONTAINER_OF(deferred, struct pg_pool, ending);
	void (*const closed)(void *argument) = pool->closed;
	void *const argument = pool->closed_argument;

	if (pool->open_handles > 0 || pool->unfinished > 0) { // somebody has started another one meanwhile
		return;
	}
	free_pool(pool);
	if (closed != NULL) {
		closed(argument);
	}
}

static void end_when_nothing_is_left(struct pg_pool *pool)
{
	if (pool->is_closing && pool->open_handles == 0 && pool->unfinished == 0 && !list_is_linked(&pool->ending.link)) {
		loop_defer(pool->loop, &pool->ending);
	}
}

void pg_pool_handle_closed(struct pg_pool *pool)
{
	pool->open_handles--;
	end_when_nothing_is_left(pool);
}

void pg_pool_transaction_done(struct pg_pool *pool)
{
	pool->unfinished--;
	end_when_nothing_is_left(pool);
}

// In seconds, as libpq has it; it wins over the configuration.
static int connect_timeout_ms(const struct pg_pool *pool, int configured_ms)
{
	const char *given = pg_url_option(&pool->url, "connect_timeout");
	const long seconds = given != NULL ? strtol(given, NULL, 10) : 0;

	if (seconds > 0 && seconds < 3600) {
		return (int)seconds * 1000;
	}
	return configured_ms > 0 ? configured_ms : CONNECT_TIMEOUT_DEFAULT_MS;
}

static int or_default(int configured, int fallback)
{
	return configured > 0 ? configured : fallback;
}

enum err pg_pool_open(struct pg_pool **out, struct loop *loop, const struct pg_pool_config *config, struct fault *fault)
{
	struct pg_pool *pool = allocate(sizeof *pool);
	const enum err rc = pg_url_parse(&pool->url, config->url, fault);

	*out = NULL;
	if (rc != OK) {
		free_pool(pool);
		return rc;
	}
	pool->loop = loop;
	pool->application_name = config->application_name != NULL ? duplicate(text_of(config->application_name)) : NULL;
	pool->size = config->size > 0 ? config->size : SIZE_DEFAULT;
	pg_spare_init(pool, config->kept, config->spare_after_ms);
	pool->waiting_limit = config->waiting_limit > 0 ? config->waiting_limit : WAITING_LIMIT_DEFAULT;
	pool->statement_timeout_ms = or_default(config->statement_timeout_ms, STATEMENT_TIMEOUT_DEFAULT_MS);
	pool->connect_timeout_ms = connect_timeout_ms(pool, config->connect_timeout_ms);
	pool->backoff_max_ms = or_default(config->backoff_max_ms, BACKOFF_MAX_DEFAULT_MS);
	pool->ending.run = on_ending;
	list_init(&pool->free);
	list_init(&pool->waiting);
	delay_init(&pool->deadline, loop, on_deadline);
	pool->deadline_at_ms = INT64_MAX;
	pool->open_handles = 1;
	pool->connections = allocate_array(pool->size, sizeof *pool->connections);
	for (unsigned i = 0; i < pool->size; i++) {
		pg_connection_init(&pool->connections[i], pool);
	}
	for (unsigned i = 0; i < pool->kept; i++) {
		pg_connection_wake(&pool->connections[i]);
	}
	*out = pool;
	return OK;
}

static void on_deadline_closed(struct delay *timer)
{
	pg_pool_handle_closed(CONTAINER_OF(timer, struct pg_pool, deadline));
}

static void cancel(struct pg_inner *transaction)
{
	pg_finish(transaction, fault_set(&transaction->outer->op.fault, ERR_CANCELLED, CLOSED));
}

void pg_pool_close(struct pg_pool *pool, void (*closed)(void *argument), void *argument)
{
	assert(!pool->is_closing);
	pool->is_closing = true;
	pool->closed = closed;
	pool->closed_argument = argument;
	LIST_EACH (at, after, &pool->waiting) {
		struct pg_inner *transaction = CONTAINER_OF(at, struct pg_inner, link);

		pg_pool_forget(pool, transaction);
		cancel(transaction);
	}
	for (unsigned i = 0; i < pool->size; i++) {
		struct pg_connection *connection = &pool->connections[i];

		if (connection->transaction != NULL) {
			cancel(connection->transaction);
			connection->transaction = NULL;
		}
		pg_connection_close(connection);
	}
	delay_close(&pool->deadline, on_deadline_closed);
}

struct pg_pool_counters pg_pool_counters(const struct pg_pool *pool)
{
	struct pg_pool_counters counters = pool->counters;

	for (unsigned i = 0; i < pool->size; i++) {
		counters.connected += pg_connection_is_connected(&pool->connections[i]) ? 1 : 0;
		counters.busy += pg_connection_is_working(&pool->connections[i]) ? 1 : 0;
	}
	counters.waiting = pool->waiting_count;
	return counters;
}
