// SPDX-License-Identifier: Apache-2.0
//
// pg_inner.h - what the files of pg.h share, and nobody else includes.
//
//   pg_url.c          what the URL says: options, hosts
//   pg_connect.c      one connection: resolving names, connecting, back-off, breaking, closing
//   pg_pipeline.c     one connection at work: sending a transaction whole, reading its answers whole
//   pg_prepared.c     which statements a connection has by name
//   pg_pool.c         all connections: who waits, who is served, deadlines, closing
//   pg_spare.c        how many of them are open
//   pg_transaction.c  a transaction as its owner sees it, from pg_transaction_init to pg_transaction_fini
//   pg_error.c        what a refusal of the server means
//   pg_value.c        values in and out
//   pg_kept.c         results that outlive their transaction
//
// Laws       1. a transaction completes through pg_finish alone, which defers: no callback of a user runs inside these files
//            2. a connection's uv_poll_t never watches a socket that libpq may have closed
//            3. PQgetResult is called only while PQisBusy says no
#pragma once

#include "loop/pg.h"

#include <libpq-fe.h>

// --- pg_url.c ---

struct pg_host {
	char *name;    // for TLS and for looking up; a path, '@' or empty: a unix socket; NULL: libpq's default
	char *address; // numeric, as the URL gave it, or NULL
	char *port;    // or NULL
};

struct pg_url {
	PQconninfoOption *options;
	struct pg_host *hosts;
	size_t host_count;
};

MUST_USE enum err pg_url_parse(struct pg_url *out, const char *url, struct fault *fault);
void pg_url_fini(struct pg_url *url);
const char *pg_url_option(const struct pg_url *url, const char *keyword); // NULL when the URL does not give it
bool pg_host_needs_lookup(const struct pg_host *host);

// --- the parts of a transaction ---

struct pg_parameter {
	Oid type;
	bool is_null;
	size_t offset; // into the statement's `encoded`
	size_t length;
};

struct pg_statement {
	const char *sql;
	struct pg_parameter *parameters;
	size_t count;
	struct buffer encoded; // its values
	PGresult *result;
};

enum pg_stage { PG_DRAFT, PG_WAITING, PG_SENT, PG_FINISHED, PG_DONE }; // FINISHED: `done` is about to be called

struct pg_inner {
	struct pg_transaction *outer;
	struct pg_scope scope;
	struct pg_statement statements[PG_STATEMENTS_MAX];
	unsigned count;
	size_t encoded_bytes; // of all statements
	bool commits_lazily;
	enum err refused;      // a value cannot be sent: told at the start
	enum pg_stage stage;
	struct pg_pool *pool;
	struct list link; // of the pool's waiting ones
	struct pg_connection *connection;
	int64_t deadline_ms;
	int64_t waiting_since_ms;
	enum err failed;     // what the server refused it with, or OK
	bool is_committed;   // COMMIT was answered with COMMIT
	bool lacks_names;    // the server does not know a statement by its name: to be sent again
	struct deferred deferred;
};

// --- pg_prepared.c ---

struct pg_prepared {
	uint64_t key; // 0: empty
	unsigned uses;
	bool is_sent; // in the pipeline that is under way
	bool is_there;
};

struct pg_prepared_set {
	struct pg_prepared *slots;
	size_t count;
};

enum { PG_PREPARED_NAME_SIZE = 32 };

// NULL: to be sent without a name.
struct pg_prepared *pg_prepared_look(struct pg_prepared_set *set, const char *role, const char *sql, const Oid *types, size_t count);
void pg_prepared_name(char name[PG_PREPARED_NAME_SIZE], const struct pg_prepared *prepared);
void pg_prepared_forget(struct pg_prepared_set *set);
bool pg_prepared_is_missing(const char *sqlstate); // or is another one's

// --- the pool and its connections ---

// What the results of a pipeline belong to, in their order.
struct pg_expected {
	enum pg_expected_kind { PG_OF_FRAME, PG_OF_PREPARING, PG_OF_STATEMENT, PG_OF_COMMIT } kind;
	int statement; // -1: before the statements
	struct pg_prepared *prepared;
};

enum { PG_EXPECTED_MAX = 2 * (PG_STATEMENTS_MAX + 4) };

enum pg_state {
	PG_SPARE,        // closed until somebody needs it
	PG_RESTING,      // between two rounds of attempts to connect
	PG_RESOLVING,
	PG_CONNECTING,
	PG_FREE,
	PG_BUSY,         // with a transaction, also one that was cancelled and that nobody waits for
	PG_ROLLING_BACK, // what a failed transaction left open
	PG_CLOSED,
};

struct pg_watch;

struct pg_connection {
	struct pg_pool *pool;
	enum pg_state state;
	struct list link; // of the pool's free ones
	PGconn *pg;       // in all states from CONNECTING to ROLLING_BACK
	struct pg_watch *watch;
	struct delay timer; // RESTING: until the next round; CONNECTING: until the next address; at work: until looking again
	bool is_tls;
	bool is_wanted_writable;
	bool was_connected; // once, at any time
	unsigned failed_rounds;
	// Where the round of attempts is: one host after the other, of each host one address after the other.
	size_t host_at;
	uv_getaddrinfo_t lookup;
	bool is_looking_up; // the request is libuv's, also for a while after the connection was closed
	struct addrinfo *addresses;
	const struct addrinfo *address_at;
	// The pipeline under way.
	struct pg_inner *transaction; // NULL: nobody waits for it
	struct pg_expected expected[PG_EXPECTED_MAX];
	unsigned expected_count;
	unsigned results; // seen so far
	struct pg_prepared_set prepared;
	int64_t deadline_ms;
	bool is_bad; // to be dropped: the server is going away, or is not the primary any more
};

enum { PG_ERROR_SIZE = 512 };

struct pg_pool {
	struct loop *loop;
	struct pg_url url;
	char *application_name;
	unsigned size;
	unsigned kept; // open also when nobody needs them
	unsigned waiting_limit;
	int spare_after_ms;
	int64_t spare_at_ms; // when those that are not kept are closed; INT64_MAX: there are none
	int statement_timeout_ms;
	int connect_timeout_ms;
	int backoff_max_ms;
	struct pg_connection *connections;
	struct list free;
	struct list waiting;
	unsigned waiting_count;
	struct delay deadline;         // for the earliest of all deadlines
	int64_t deadline_at_ms;        // what it is set to; INT64_MAX: not set
	char last_error[PG_ERROR_SIZE];
	int64_t log_again_at_ms; // two hosts that fail in turn would fill the log
	struct pg_pool_counters counters; // the first three; the others are counted when asked for
	unsigned unfinished;              // transactions that were started and whose `done` was not called yet
	unsigned open_handles;            // of libuv, and look-ups
	bool is_nameless; // there is a pooler between that does not keep statements
	bool is_closing;
	void (*closed)(void *argument);
	void *closed_argument;
	struct deferred ending;
};

// --- pg_connect.c ---

void pg_connection_init(struct pg_connection *connection, struct pg_pool *pool); // a spare one
void pg_connection_wake(struct pg_connection *connection);                       // of a spare one: connects, soon
void pg_connection_spare(struct pg_connection *connection);                      // of a free one: closed until it is woken
void pg_connection_close(struct pg_connection *connection);
// Drops it and connects again later. Its transaction is finished: as failed when its error is known, as committed when that
// is known, else ERR_UNKNOWN.
void pg_connection_break(struct pg_connection *connection, const char *reason);
void pg_connection_want_writable(struct pg_connection *connection, bool wanted);
bool pg_connection_is_connected(const struct pg_connection *connection);
bool pg_connection_is_working(const struct pg_connection *connection); // a pipeline is under way

// --- pg_pipeline.c ---

bool pg_pipeline_prepare(struct pg_connection *connection); // false: it turned out to be dead, and is broken now
void pg_pipeline_send(struct pg_connection *connection, struct pg_inner *transaction);
void pg_pipeline_work(struct pg_connection *connection); // its socket can be read or written

// --- pg_pool.c ---

void pg_pool_accept(struct pg_pool *pool, struct pg_inner *transaction); // sends it, lets it wait, or refuses it
void pg_pool_refuse(struct pg_pool *pool, struct pg_inner *transaction, enum err rc);
void pg_pool_forget(struct pg_pool *pool, struct pg_inner *transaction); // it does not wait any more
void pg_pool_take_back(struct pg_pool *pool, struct pg_inner *transaction); // nothing was done: the next one to be sent
void pg_pool_serve(struct pg_pool *pool);                                // gives free connections to who waits
void pg_pool_watch_deadline(struct pg_pool *pool, int64_t deadline_ms);
void pg_pool_note_error(struct pg_pool *pool, const char *message);
void pg_pool_note_connected(struct pg_pool *pool); // right before the connection is counted as connected
void pg_pool_handle_closed(struct pg_pool *pool);
void pg_pool_transaction_done(struct pg_pool *pool);

// --- pg_spare.c ---

void pg_spare_init(struct pg_pool *pool, unsigned kept, int spare_after_ms);
void pg_spare_note_waiting(struct pg_pool *pool);
void pg_spare_look(struct pg_pool *pool, int64_t now_ms); // opens and closes what is due

// --- pg_transaction.c ---

void pg_finish(struct pg_inner *transaction, enum err rc);

// --- pg_error.c ---

// Fills in the outer one's fault, sqlstate and constraint. `statement` is -1 before the first, and its count for COMMIT.
enum err pg_error_take(struct pg_inner *transaction, const PGresult *result, int statement);
bool pg_error_breaks_connection(const char *sqlstate);
bool pg_error_leaves_unknown(const char *sqlstate);

// --- pg_value.c ---

// False when the value does not fit into its type.
bool pg_value_encode(struct buffer *out, struct pg_parameter *parameter, const struct pg_value *value);
void pg_result_free(PGresult *result); // wiped

// --- pg_kept.c ---

size_t pg_kept_row_count(const struct pg_kept *kept, unsigned statement);
struct text pg_kept_text(const struct pg_kept *kept, unsigned statement, size_t row, unsigned column);
