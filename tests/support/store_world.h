// SPDX-License-Identifier: Apache-2.0
//
// store_world.h - a migrated database with a pool of connections, and rows for tests of the store to start from.
//
// Laws  everything blocks until it is done; what cannot be done fails the test
#pragma once

#include "store/migrate.h"
#include "store/stream.h"
#include "store/tenants.h"
#include "support/pg_world.h"
#include "support/postgres.h"

struct store_world {
	struct test_postgres *postgres;
	struct pg_world pg;
};

void store_world_open(struct store_world *world);
void store_world_close(struct store_world *world);
enum err migrate_now(struct migration *migration, struct pg_world *pg); // `migration` shows what happened

// A transaction: store_..._select(begin(&call, scope), ...); run(&call, world); store_..._read(&call.transaction, ...); end(&call).
struct pg_transaction *begin(struct pg_call *call, struct pg_scope scope);
void run(struct pg_call *call, struct store_world *world);                        // it must be committed
void run_and_end(struct pg_call *call, struct store_world *world);
void refuse(struct pg_call *call, struct store_world *world, enum err expected); // it must fail with this; ended, too
void end(struct pg_call *call);

// As the superuser.
int64_t ask_number(const struct store_world *world, const char *sql);
extern const char *const client_tables[]; // every table with rows of clients, without partitions; NULL ends them
char *rows_of_tenant(const struct store_world *world, int64_t tenant_id); // a digest of each table's; the caller frees

int64_t new_tenant(struct store_world *world, const char *slug); // active
int64_t new_object_id(struct store_world *world);
int64_t new_instance(struct store_world *world, int64_t tenant_id, const char *name);
// A key pair and a current token on it; gives the token.
int64_t new_token(struct store_world *world, int64_t tenant_id);

// A heart-beat that outlasts the test, however slow the machine is.
void beat(struct store_world *world, const char *node_id);
// Takes the client for the node, which must work. The texts of `row` are not kept.
struct stream_fence take(struct store_world *world, int64_t tenant_id, const char *node_id);
