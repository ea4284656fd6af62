// SPDX-License-Identifier: Apache-2.0
//
// Statements that a connection has used before are sent by name from then on: the server parses, plans and checks the walls of row
// level security once, which costs more than most of our statements take to run.
//
// The name is made of the text, the types and the role, so that a name means the same whoever gave it: plans behind row level
// security belong to a role. A pooler that gives each transaction another server knows no names, or another one's; the server then
// says so before it has done anything, and the pool goes on without.
#include "loop/pg_inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FNV_START UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

enum {
	SLOTS = 256,    // a power of two
	USED_MOST = 192, // what a server keeps for each of them adds up
	USED_TWICE = 2,  // before that it may have been the only time
};

static uint64_t mix(uint64_t key, const void *bytes, size_t length)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < length; i++) {
		key = (key ^ at[i]) * FNV_PRIME;
	}
	return key;
}

static uint64_t key_of(const char *role, const char *sql, const Oid *types, size_t count)
{
	uint64_t key = mix(FNV_START, sql, strlen(sql) + 1);

	key = mix(key, role, strlen(role) + 1);
	for (size_t i = 0; i < count; i++) {
		key = mix(key, &types[i], sizeof types[i]);
	}
	return key != 0 ? key : 1;
}

// NULL: there are too many already.
static struct pg_prepared *slot_of(struct pg_prepared_set *set, uint64_t key)
{
	size_t at = (size_t)key % SLOTS;

	if (set->slots == NULL) {
		set->slots = allocate_array(SLOTS, sizeof *set->slots);
	}
	while (set->slots[at].key != key) {
		if (set->slots[at].key == 0) {
			if (set->count == USED_MOST) {
				return NULL;
			}
			set->count++;
			set->slots[at].key = key;
			return &set->slots[at];
		}
		at = (at + 1) % SLOTS;
	}
	return &set->slots[at];
}

struct pg_prepared *pg_prepared_look(struct pg_prepared_set *set, const char *role, const char *sql, const Oid *types, size_t count)
{
	struct pg_prepared *prepared = slot_of(set, key_of(role, sql, types, count));

	if (prepared == NULL || ++prepared->uses <= USED_TWICE) {
		return NULL;
	}
	return prepared;
}

void pg_prepared_name(char name[PG_PREPARED_NAME_SIZE], const struct pg_prepared *prepared)
{
	(void)snprintf(name, PG_PREPARED_NAME_SIZE, "depbroker_%016" PRIx64, prepared->key);
}

void pg_prepared_forget(struct pg_prepared_set *set)
{
	free(set->slots);
	*set = (struct pg_prepared_set){ 0 };
}

bool pg_prepared_is_missing(const char *sqlstate)
{
	return strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "42P05") == 0;
}
