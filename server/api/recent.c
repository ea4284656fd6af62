// SPDX-License-Identifier: Apache-2.0
#include "api/recent.h"

#include "depbroker/clock.h"
#include "store/store.h"

#include <assert.h>
#include <stdlib.h>

struct recent {
	struct list all; // those that are kept, the newest ahead
	size_t count;
	uint64_t forgettings;
};

struct recent_rows {
	struct list link; // linked: kept
	struct recent *recent;
	unsigned users;
	int64_t asked_at_ms, tenant_id;
	uint64_t forgettings; // when they were asked for: what was read before a change is not kept after it
	char *key_id, *slug;
	struct pg_transaction transaction;
	void (*done)(void *argument);
	void *argument;
};

struct recent *recent_open(void)
{
	struct recent *recent = allocate(sizeof *recent);

	list_init(&recent->all);
	return recent;
}

static void drop(struct recent_rows *rows)
{
	pg_transaction_fini(&rows->transaction);
	free(rows->key_id);
	free(rows->slug);
	free(rows);
}

static void forget(struct recent_rows *rows)
{
	list_remove(&rows->link);
	rows->recent->count--;
	if (rows->users == 0) {
		drop(rows);
	}
}

void recent_close(struct recent *recent)
{
	while (recent != NULL && !list_is_empty(&recent->all)) {
		forget(LIST_FIRST(&recent->all, struct recent_rows, link));
	}
	free(recent);
}

// They are in the order of their age, or nearly: one that was asked for earlier may have been answered later.
static void forget_old(struct recent *recent)
{
	const int64_t oldest_ms = clock_monotonic_ms() - RECENT_MS;

	while (recent->count > 0) {
		struct recent_rows *rows = CONTAINER_OF(recent->all.previous, struct recent_rows, link);

		if (recent->count <= RECENT_MAX && rows->asked_at_ms > oldest_ms) {
			return;
		}
		forget(rows);
	}
}

struct recent_rows *recent_find(struct recent *recent, struct text key_id, struct text slug)
{
	const int64_t oldest_ms = clock_monotonic_ms() - RECENT_MS;

	forget_old(recent);
	for (struct list *at = recent->all.next; at != &recent->all; at = at->next) {
		struct recent_rows *rows = CONTAINER_OF(at, struct recent_rows, link);

		if (rows->asked_at_ms > oldest_ms && text_equal_string(slug, rows->slug) && text_equal_string(key_id, rows->key_id)) {
			rows->users++;
			return rows;
		}
	}
	return NULL;
}

static void on_transaction(struct op *op)
{
	struct pg_transaction *transaction = CONTAINER_OF(op, struct pg_transaction, op);
	struct recent_rows *rows = CONTAINER_OF(transaction, struct recent_rows, transaction);

	rows->done(rows->argument);
}

struct recent_rows *recent_begin(struct recent *recent, struct text key_id, struct text slug, void (*done)(void *argument), void *argument)
{
	struct recent_rows *rows = allocate(sizeof *rows);

	rows->recent = recent;
	rows->users = 1;
	rows->asked_at_ms = clock_monotonic_ms();
	rows->forgettings = recent->forgettings;
	rows->key_id = duplicate(key_id);
	rows->slug = duplicate(slug);
	rows->done = done;
	rows->argument = argument;
	pg_transaction_init(&rows->transaction, store_directory(), on_transaction);
	return rows;
}

struct pg_transaction *recent_transaction(struct recent_rows *rows)
{
	return &rows->transaction;
}

void recent_start(struct recent_rows *rows, struct pg_pool *pool, int timeout_ms)
{
	pg_start(&rows->transaction, pool, timeout_ms);
}

void recent_keep(struct recent_rows *rows, int64_t tenant_id)
{
	struct recent *recent = rows->recent;

	if (list_is_linked(&rows->link) || rows->forgettings != recent->forgettings) {
		return;
	}
	rows->tenant_id = tenant_id;
	list_add_first(&recent->all, &rows->link);
	recent->count++;
	forget_old(recent);
}

void recent_leave(struct recent_rows *rows)
{
	if (rows == NULL) {
		return;
	}
	assert(rows->users > 0);
	if (--rows->users == 0 && !list_is_linked(&rows->link)) {
		drop(rows);
	}
}

void recent_forget(struct recent *recent, int64_t tenant_id)
{
	recent->forgettings++;
	for (struct list *at = recent->all.next; at != &recent->all;) {
		struct recent_rows *rows = CONTAINER_OF(at, struct recent_rows, link);

		at = at->next;
		if (rows->tenant_id == tenant_id) {
			forget(rows);
		}
	}
}
