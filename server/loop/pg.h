// SPDX-License-Identifier: Apache-2.0
//
// pg.h - PostgreSQL on the event loop (libpq, asynchronous, pipelined): transactions that are sent whole and answered whole.
//
// Ownership  the caller embeds struct pg_transaction; values are copied when added. Results live until pg_transaction_fini.
// Thread     loop thread only.
// Laws       1. a transaction cannot be made without a scope: whose rows it may touch (a tenant's, or the directory's)
//            2. one round trip: begin; set local role, statement_timeout and depbroker.tenant; the statements; commit
//            3. all or nothing: any error rolls the whole back. op.rc ERR_UNKNOWN: the connection broke after COMMIT may have
//               been sent; the caller finds out by reading
//            4. no session state but statements by name, and without those as soon as the server turns out not to keep them:
//               everything works through PgBouncer in transaction mode
//            5. nothing blocks: host names are resolved by uv_getaddrinfo, connecting and reading follow the socket
#pragma once

#include "depbroker/text.h"
#include "loop/loop.h"

struct pg_pool;

struct pg_pool_config {
	// libpq URL or key=value list. Several hosts are tried in turn, and the first that takes changes is taken, unless
	// target_session_attrs says otherwise. Services (pg_service.conf) are refused.
	const char *url;
	const char *application_name; // "depbroker/worker"
	unsigned size;                // connections, default 4
	unsigned kept;                // of them, open also when nobody needs them; the others come and go. Default all
	int spare_after_ms;           // that the last one came, default 60,000
	unsigned waiting_limit;       // transactions that may wait for a connection, default 1000; beyond it ERR_UNAVAILABLE at once
	int statement_timeout_ms;     // default 10,000
	int connect_timeout_ms;       // for each address, default 5,000; connect_timeout in the URL wins
	int backoff_max_ms;           // between attempts to connect, default 5,000, with full jitter
};

MUST_USE enum err pg_pool_open(struct pg_pool **out, struct loop *loop, const struct pg_pool_config *config,
	struct fault *fault); // only wrong configuration fails; a server that is away is waited for
void pg_pool_close(struct pg_pool *pool, void (*closed)(void *argument), void *argument); // what is in flight gets ERR_CANCELLED
bool pg_pool_is_connected(const struct pg_pool *pool);      // at least one connection works
struct text pg_pool_last_error(const struct pg_pool *pool); // why not, or empty; never holds a password

enum { PG_PORTS_MAX = 64 };
size_t pg_ports(const char *database_url, unsigned ports[PG_PORTS_MAX]); // of its servers that are reached by TCP; their count

// Whose rows. Made only by these, so that "nobody's" cannot be written.
struct pg_scope {
	const char *role; // a role the connection may take: "depbroker_worker"
	int64_t tenant_id;
	bool directory;
};
struct pg_scope pg_scope_tenant(const char *role, int64_t tenant_id); // asserts tenant_id > 0
struct pg_scope pg_scope_directory(const char *role);                 // no tenant: a tenant table read under it is an error
struct pg_scope pg_scope_login(void); // as the login itself, no tenant: for migrations, and for a database that is not ours

enum pg_kind {
	PG_NULL, PG_INT8, PG_INT4, PG_BOOL, PG_TEXT, PG_BYTEA, PG_TIMESTAMPTZ, PG_JSONB,
	PG_INT8_ARRAY, PG_INT4_ARRAY, PG_BOOL_ARRAY, PG_TEXT_ARRAY, PG_BYTEA_ARRAY, PG_TIMESTAMPTZ_ARRAY, PG_JSONB_ARRAY,
};

// One bound value, sent in binary. A text with bytes == NULL is NULL; an instant of INSTANT_NONE is NULL.
struct pg_value {
	enum pg_kind kind;
	int64_t number;           // INT8, INT4, BOOL, TIMESTAMPTZ (microseconds since 1970)
	struct text text;         // TEXT, BYTEA, JSONB
	const int64_t *numbers;   // of the number arrays
	const struct text *texts; // of the text arrays
	size_t count;             // elements of an array
};

#define PG_V_INT8(v)        ((struct pg_value){ .kind = PG_INT8, .number = (v) })
#define PG_V_INT4(v)        ((struct pg_value){ .kind = PG_INT4, .number = (v) })
#define PG_V_BOOL(v)        ((struct pg_value){ .kind = PG_BOOL, .number = (v) })
#define PG_V_TEXT(v)        ((struct pg_value){ .kind = PG_TEXT, .text = (v) })
#define PG_V_STRING(v)      ((struct pg_value){ .kind = PG_TEXT, .text = text_of(v) })
#define PG_V_BYTEA(v)       ((struct pg_value){ .kind = PG_BYTEA, .text = (v) })
#define PG_V_JSONB(v)       ((struct pg_value){ .kind = PG_JSONB, .text = (v) })
#define PG_V_INSTANT(v)     ((struct pg_value){ .kind = PG_TIMESTAMPTZ, .number = (v) })
#define PG_V_NUMBERS(k, p, n) ((struct pg_value){ .kind = (k), .numbers = (p), .count = (n) })
#define PG_V_TEXTS(k, p, n)   ((struct pg_value){ .kind = (k), .texts = (p), .count = (n) })

enum { PG_STATEMENTS_MAX = 32 };

struct pg_transaction {
	// OK: committed. Surely not committed: ERR_UNAVAILABLE (not connected, nothing was sent; or to be tried again: a deadlock,
	// a failed serialization, a server that became a standby), ERR_TIMEOUT (before it was sent, or by statement_timeout),
	// ERR_CONFLICT (a unique or exclusion constraint), ERR_BAD_INPUT (another constraint, or a value the type refuses),
	// ERR_FENCED (raised by the schema with SQLSTATE DB001), ERR_DATABASE (anything else). Nobody knows: ERR_UNKNOWN (sent, and
	// not answered in time or at all), ERR_CANCELLED (unless it was cancelled before it was sent)
	struct op op;
	char sqlstate[6];    // of the error, or empty
	char constraint[64]; // its name, or empty
	void *inner;         // its own
	const struct pg_kept *kept; // its results are these: pg_kept_read
};

void pg_transaction_init(struct pg_transaction *transaction, struct pg_scope scope, void (*done)(struct op *op));
// Adds a statement; `sql` must stay valid (a literal). Returns its index, by which its rows are read.
unsigned pg_add(struct pg_transaction *transaction, const char *sql, const struct pg_value *values, size_t count);
#define PG_ADD(transaction, sql, ...)                                                        \
	pg_add((transaction), (sql), (const struct pg_value[]){ __VA_ARGS__ },                   \
		sizeof((const struct pg_value[]){ __VA_ARGS__ }) / sizeof(struct pg_value))
// Its commit does not wait for the server's disk. One after it that does wait makes it last, too.
void pg_commit_lazily(struct pg_transaction *transaction);
void pg_start(struct pg_transaction *transaction, struct pg_pool *pool, int64_t timeout_ms); // the deadline counts waiting
// Completes soon with ERR_CANCELLED, or with its own result when that is there already. What was sent is not called back.
void pg_cancel(struct pg_transaction *transaction);
void pg_transaction_fini(struct pg_transaction *transaction); // wipes results: they may hold sealed secrets

// Results, valid after op.done with OK. Columns by position, as text; a NULL is TEXT_NONE, 0, false, INSTANT_NONE.
size_t pg_row_count(const struct pg_transaction *transaction, unsigned statement);
int64_t pg_affected(const struct pg_transaction *transaction, unsigned statement);
bool pg_is_null(const struct pg_transaction *transaction, unsigned statement, size_t row, unsigned column);
struct text pg_text(const struct pg_transaction *transaction, unsigned statement, size_t row, unsigned column);
int64_t pg_int8(const struct pg_transaction *transaction, unsigned statement, size_t row, unsigned column);
bool pg_bool(const struct pg_transaction *transaction, unsigned statement, size_t row, unsigned column);
// Of a timestamptz column, in UTC as PostgreSQL's ISO style prints it.
int64_t pg_instant(const struct pg_transaction *transaction, unsigned statement, size_t row, unsigned column);
// Of a bytea column; appended to `out`. False when it does not fit into the buffer's limit.
MUST_USE bool pg_bytes(const struct pg_transaction *transaction, unsigned statement, size_t row, unsigned column,
	struct buffer *out);

// A copy of the results, in one small block that outlives the transaction; of statements before `from` no row is kept.
struct pg_kept *pg_keep(const struct pg_transaction *transaction, unsigned from);
size_t pg_kept_size(const struct pg_kept *kept); // bytes
void pg_kept_free(struct pg_kept *kept);         // wiped
// To read them by, like those of the transaction that they were kept from. Nothing else may be done with it, not even pg_transaction_fini.
struct pg_transaction pg_kept_read(const struct pg_kept *kept);

struct pg_pool_counters {
	uint64_t transactions, failed, reconnects;
	unsigned connected, busy, waiting;
};
struct pg_pool_counters pg_pool_counters(const struct pg_pool *pool);
