// SPDX-License-Identifier: Apache-2.0
//
// migrate.h - brings the schema up to date, and refuses one that is not ours.
//
// Ownership  the caller embeds struct migration and keeps it until op.done.
// Laws       1. each migration is one transaction with its row in schema_migrations; several processes at once do it once
//            2. a database that a newer program wrote, or an applied migration that has another content now, is refused
//            3. after it the linter has no complaint, or it fails
#pragma once

#include "store/store.h"

struct migration {
	struct op op; // OK; ERR_CONFLICT: law 2 when is_foreign, else too many collisions; ERR_BUG: the linter complains; or what pg.h says
	bool is_foreign;
	unsigned applied; // now
	// Inside
	struct pg_pool *pool;
	struct pg_transaction transaction;
	struct buffer statement; // of the migration that is being applied
	size_t next;             // index of the first one that is not applied
	unsigned collisions;     // with other processes that do the same, since the last one was applied
	enum migration_state { MIGRATION_BOOTSTRAP, MIGRATION_READ, MIGRATION_APPLY, MIGRATION_LINT } state;
};

void migration_start(struct migration *migration, struct pg_pool *pool, void (*done)(struct op *op));

// For readiness: one row with the number of the newest migration applied, and one row a complaint of the linter.
unsigned store_schema_select(struct pg_transaction *t);
unsigned store_lint_select(struct pg_transaction *t);
int64_t store_schema_version(const struct pg_transaction *t, unsigned statement);
int64_t store_schema_expected(void); // what this program is made for
// Appends "rule: object; ..." of the first complaints. False when there is none.
MUST_USE bool store_lint_read(const struct pg_transaction *t, unsigned statement, struct buffer *out);

// For depbroker doctor. Settings that may lose what was committed: one row each, its name.
unsigned store_risky_settings_select(struct pg_transaction *t);
struct store_server {
	int64_t version_number; // 150000 and more
	struct text version;
	int64_t now_us;
};
unsigned store_server_select(struct pg_transaction *t);
void store_server_read(const struct pg_transaction *t, unsigned statement, struct store_server *out);

// Partitions of the months ahead, and no more of attempts that are months old; directory scope, once in a while.
unsigned store_partitions_ensure(struct pg_transaction *t);
