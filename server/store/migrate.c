// SPDX-License-Identifier: Apache-2.0
#include "store/migrate.h"

#include "depbroker/digest.h"
#include "depbroker/embedded.h"
#include "depbroker/log.h"
#include "store/store_inner.h"

#include <assert.h>
#include <string.h>

extern const struct embedded_file migrations_files[];
extern const size_t migrations_count;

enum { MIGRATION_TIMEOUT_MS = 600000, COLLISIONS_MAX = 20, STATEMENT_MAX = 4 * 1024 * 1024 };

static int64_t number_of(const struct embedded_file *file)
{
	int64_t number = 0;

	for (size_t i = 0; i < 4; i++) { // NNNN_name.sql
		assert(file->name[i] >= '0' && file->name[i] <= '9');
		number = number * 10 + (file->name[i] - '0');
	}
	return number;
}

static struct text name_of(const struct embedded_file *file)
{
	struct text name = text_of(file->name);

	assert(name.length > strlen("0001_.sql"));
	return (struct text){ name.bytes + 5, name.length - strlen("0001_.sql") };
}

static void hash_of(unsigned char hash[SHA256_SIZE], const struct embedded_file *file)
{
	sha256(hash, &(struct digest_part){ file->bytes, (size_t)(file->end - file->bytes) }, 1);
}

int64_t store_schema_expected(void)
{
	return number_of(&migrations_files[migrations_count - 1]);
}

// --- the flow: bootstrap, then read and apply until nothing is left, then lint ---

static void on_done(struct op *op);

// Migrations act as the owner of the schema: the login itself at first, depbroker_owner afterwards.
static void begin(struct migration *migration, enum migration_state state)
{
	migration->state = state;
	pg_transaction_init(&migration->transaction, pg_scope_login(), on_done);
	(void)PG_ADD(&migration->transaction,
		"select set_config('role', pg_get_userbyid(nspowner), true), set_config('statement_timeout', $1, true)"
		" from pg_namespace where nspname = 'depbroker'",
		PG_V_STRING("600000")); // MIGRATION_TIMEOUT_MS
}

static void start(struct migration *migration)
{
	pg_start(&migration->transaction, migration->pool, MIGRATION_TIMEOUT_MS);
}

static void bootstrap(struct migration *migration)
{
	begin(migration, MIGRATION_BOOTSTRAP);
	(void)pg_add(&migration->transaction,
		"do $bootstrap$ begin"
		"  if to_regnamespace('depbroker') is null then create schema depbroker; end if;"
		"  if to_regclass('depbroker.schema_migrations') is null then"
		"    create table depbroker.schema_migrations (number bigint primary key, name text not null,"
		"      sha256 bytea not null, applied_at timestamptz not null default now());"
		"  end if;"
		" end $bootstrap$",
		NULL, 0);
	start(migration);
}

static void read_applied(struct migration *migration)
{
	begin(migration, MIGRATION_READ);
	(void)pg_add(&migration->transaction,
		"select number, name, encode(sha256, 'hex') from depbroker.schema_migrations order by number", NULL, 0);
	start(migration);
}

// The lock lets others wait until this one is applied; then their row is refused as a duplicate, before their file runs.
static void apply(struct migration *migration)
{
	const struct embedded_file *file = &migrations_files[migration->next];
	unsigned char hash[SHA256_SIZE];

	hash_of(hash, file);
	begin(migration, MIGRATION_APPLY);
	(void)pg_add(&migration->transaction, "lock table depbroker.schema_migrations in exclusive mode", NULL, 0);
	(void)PG_ADD(&migration->transaction,
		"insert into depbroker.schema_migrations (number, name, sha256) values ($1, $2, $3)", PG_V_INT8(number_of(file)),
		PG_V_TEXT(name_of(file)), PG_V_BYTEA(((struct text){ (const char *)hash, sizeof hash })));
	buffer_clear(&migration->statement);
	buffer_add_string(&migration->statement, "do $migration$ ");
	buffer_add(&migration->statement, file->bytes, (size_t)(file->end - file->bytes));
	buffer_add_string(&migration->statement, " $migration$");
	assert(!migration->statement.overflow);
	(void)pg_add(&migration->transaction, migration->statement.bytes, NULL, 0);
	start(migration);
}

static void lint(struct migration *migration)
{
	begin(migration, MIGRATION_LINT);
	(void)store_lint_select(&migration->transaction);
	(void)store_risky_settings_select(&migration->transaction);
	start(migration);
}

enum { FIRST = 1, SECOND }; // statements after that of begin()

static void end(struct migration *migration, enum err rc)
{
	pg_transaction_fini(&migration->transaction);
	buffer_fini(&migration->statement);
	op_done(&migration->op, rc);
}

// Whether row `row` of read_applied is our file of the same place.
static enum err check_applied(struct migration *migration, size_t row)
{
	const struct pg_transaction *t = &migration->transaction;
	struct columns at = { t, FIRST, row, 0 };
	const int64_t number = next_number(&at);
	const struct text name = next_text(&at);
	const struct text stored_hash = next_text(&at);
	struct buffer hash_text CLEANUP(buffer_fini) = BUFFER(2 * SHA256_SIZE);
	unsigned char hash[SHA256_SIZE];

	if (number > store_schema_expected()) {
		migration->is_foreign = true;
		return fault_set(&migration->op.fault, ERR_CONFLICT, "a newer depbroker has used this database (migration %lld, %.*s): "
			"start that version or a later one", (long long)number, TEXT_ARGS(name));
	}
	if (row < migrations_count) {
		hash_of(hash, &migrations_files[row]);
		buffer_add_hex(&hash_text, hash, sizeof hash);
	}
	if (row >= migrations_count || number != number_of(&migrations_files[row]) ||
		!text_equal(stored_hash, buffer_text(&hash_text))) {
		migration->is_foreign = true;
		return fault_set(&migration->op.fault, ERR_CONFLICT, "migration %lld (%.*s) of this database is not the one that this "
			"depbroker has under that number", (long long)number, TEXT_ARGS(name));
	}
	return OK;
}

static void after_read(struct migration *migration)
{
	const size_t count = pg_row_count(&migration->transaction, FIRST);

	for (size_t row = 0; row < count; row++) {
		const enum err rc = check_applied(migration, row);

		if (rc != OK) {
			end(migration, rc);
			return;
		}
	}
	pg_transaction_fini(&migration->transaction);
	migration->collisions = count > migration->next ? 0 : migration->collisions; // somebody has got on
	migration->next = count;
	if (count < migrations_count) {
		apply(migration);
	} else {
		lint(migration);
	}
}

static void after_apply(struct migration *migration)
{
	const struct embedded_file *file = &migrations_files[migration->next];

	log_event(LOG_INFO, "migration.applied", LOG_INT("number", number_of(file)), LOG_TEXT("name", name_of(file)));
	migration->applied++;
	migration->collisions = 0;
	pg_transaction_fini(&migration->transaction);
	read_applied(migration);
}

static void after_lint(struct migration *migration)
{
	const struct pg_transaction *t = &migration->transaction;
	struct buffer complaints CLEANUP(buffer_fini) = BUFFER(sizeof migration->op.fault.text);

	for (size_t row = 0; row < pg_row_count(t, SECOND); row++) {
		log_event(LOG_WARNING, "database.may_lose_data", LOG_TEXT("setting", pg_text(t, SECOND, row, 0)));
	}
	if (store_lint_read(t, FIRST, &complaints)) {
		end(migration, fault_set(&migration->op.fault, ERR_BUG, "the schema is not as it must be: %s", complaints.bytes));
	} else {
		end(migration, OK);
	}
}

// What happens when other processes do the same at the same time: they make the same objects, or the schema gets another owner
// while we wait for its lock. Also when the connection broke: reading tells what was done.
static bool is_collision(const struct pg_transaction *t)
{
	static const char *const states[] = { "42P06", "42P07", "42710", "42501", "XX000" };

	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		if (strcmp(t->sqlstate, states[i]) == 0) {
			return true;
		}
	}
	return t->op.rc == ERR_CONFLICT || t->op.rc == ERR_UNKNOWN;
}

static void after_failure(struct migration *migration)
{
	const enum err rc = migration->transaction.op.rc;

	if (is_collision(&migration->transaction) && migration->collisions++ < COLLISIONS_MAX) {
		pg_transaction_fini(&migration->transaction);
		bootstrap(migration);
		return;
	}
	migration->op.fault = migration->transaction.op.fault;
	if (migration->state == MIGRATION_APPLY) {
		(void)fault_wrap(&migration->op.fault, rc, "migration %s", migrations_files[migration->next].name);
	}
	end(migration, rc);
}

static void on_done(struct op *op)
{
	struct migration *migration = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct migration, transaction);

	if (op->rc != OK) {
		after_failure(migration);
		return;
	}
	switch (migration->state) {
	case MIGRATION_BOOTSTRAP:
		pg_transaction_fini(&migration->transaction);
		read_applied(migration);
		break;
	case MIGRATION_READ:
		after_read(migration);
		break;
	case MIGRATION_APPLY:
		after_apply(migration);
		break;
	case MIGRATION_LINT:
		after_lint(migration);
		break;
	}
}

void migration_start(struct migration *migration, struct pg_pool *pool, void (*done)(struct op *op))
{
	*migration = (struct migration){ .pool = pool, .statement = BUFFER(STATEMENT_MAX) };
	op_init(&migration->op, done);
	bootstrap(migration);
}
