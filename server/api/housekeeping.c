// SPDX-License-Identifier: Apache-2.0
#include "api/housekeeping.h"

#include "api/alarm.h"
#include "depbroker/log.h"
#include "store/jobs.h"
#include "store/renewal_links.h"
#include "store/tenants.h"

#include <stdlib.h>

enum { EVERY_MS = 30000, CHORES_MAX = 100 };

struct chore {
	int64_t tenant_id;
	enum { ERASE, DROP_LINK_KEYS, PRUNE_JOBS } what;
};

struct housekeeping {
	struct service *service;
	struct alarm *alarm; // NULL: a transaction is under way
	struct pg_transaction transaction;
	bool is_closed;
	struct chore chores[3 * CHORES_MAX];
	size_t count, at;
};

static void on_looked(struct op *op);
static void on_chore(struct op *op);

static void on_alarm(void *argument)
{
	struct housekeeping *housekeeping = argument;

	alarm_stop(housekeeping->alarm);
	housekeeping->alarm = NULL;
	pg_transaction_init(&housekeeping->transaction, store_directory(), on_looked);
	(void)store_tenant_erasing(&housekeeping->transaction, CHORES_MAX);
	(void)store_renewal_link_unused(&housekeeping->transaction, CHORES_MAX);
	(void)store_job_old(&housekeeping->transaction, housekeeping->service->config->job_retention_days, CHORES_MAX);
	pg_start(&housekeeping->transaction, housekeeping->service->pool, STORE_TIMEOUT_MS);
}

static void go_on(struct housekeeping *housekeeping)
{
	if (housekeeping->is_closed) {
		free(housekeeping);
		return;
	}
	if (housekeeping->at == housekeeping->count) {
		housekeeping->alarm = alarm_start(&housekeeping->service->loop, EVERY_MS, on_alarm, housekeeping);
		return;
	}
	const struct chore *chore = &housekeeping->chores[housekeeping->at];

	pg_transaction_init(&housekeeping->transaction, store_api(chore->tenant_id), on_chore);
	if (chore->what == ERASE) {
		(void)store_tenant_erase(&housekeeping->transaction, STORE_ERASE_ROWS);
	} else if (chore->what == PRUNE_JOBS) {
		(void)store_job_prune(&housekeeping->transaction, chore->tenant_id, housekeeping->service->config->job_retention_days);
	} else {
		store_renewal_link_drop_keys(&housekeeping->transaction, chore->tenant_id);
	}
	pg_start(&housekeeping->transaction, housekeeping->service->pool, STORE_TIMEOUT_MS);
}

static void complain(const struct op *op, int64_t tenant_id)
{
	log_event(LOG_WARNING, "housekeeping.failed", LOG_INT("tenant_id", tenant_id),
		LOG_STRING("reason", op->fault.text[0] != '\0' ? op->fault.text : err_text(op->rc)));
}

static void take_chores(struct housekeeping *housekeeping)
{
	const struct pg_transaction *transaction = &housekeeping->transaction;

	for (size_t i = 0; i < pg_row_count(transaction, 0); i++) {
		housekeeping->chores[housekeeping->count++] = (struct chore){ store_tenant_erasing_read(transaction, 0, i), ERASE };
	}
	for (size_t i = 0; i < pg_row_count(transaction, 1); i++) {
		housekeeping->chores[housekeeping->count++] = (struct chore){ store_renewal_link_unused_read(transaction, 1, i), DROP_LINK_KEYS };
	}
	for (size_t i = 0; i < pg_row_count(transaction, 2); i++) {
		housekeeping->chores[housekeeping->count++] = (struct chore){ store_job_old_read(transaction, 2, i), PRUNE_JOBS };
	}
}

static const char *const done_events[] = {
	[ERASE] = "tenant.erased", [DROP_LINK_KEYS] = "renewal_link.keys_dropped", [PRUNE_JOBS] = "jobs.pruned",
};

// Of what is done a part at a time.
static bool is_unfinished(const struct pg_transaction *transaction, const struct chore *chore)
{
	switch (chore->what) {
	case ERASE: return !store_tenant_erase_read(transaction, 0);
	case PRUNE_JOBS: return store_job_prune_read(transaction, JOB_PRUNE_LEFT);
	case DROP_LINK_KEYS: break;
	}
	return false;
}

static void on_looked(struct op *op)
{
	struct housekeeping *housekeeping = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct housekeeping, transaction);

	housekeeping->count = housekeeping->at = 0;
	if (op->rc == OK) {
		take_chores(housekeeping);
	} else if (op->rc != ERR_CANCELLED) {
		complain(op, 0);
	}
	pg_transaction_fini(&housekeeping->transaction);
	go_on(housekeeping);
}

// ERR_FENCED: somebody else has ended the deletion meanwhile.
static void on_chore(struct op *op)
{
	struct housekeeping *housekeeping = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct housekeeping, transaction);
	const struct chore *chore = &housekeeping->chores[housekeeping->at];
	const bool is_to_go_on = op->rc == OK && is_unfinished(&housekeeping->transaction, chore);

	if (op->rc != OK && op->rc != ERR_FENCED && op->rc != ERR_CANCELLED) {
		complain(op, chore->tenant_id);
	} else if (op->rc == OK && !is_to_go_on) {
		log_event(LOG_INFO, done_events[chore->what], LOG_INT("tenant_id", chore->tenant_id));
	}
	housekeeping->at += is_to_go_on ? 0 : 1;
	pg_transaction_fini(&housekeeping->transaction);
	go_on(housekeeping);
}

struct housekeeping *housekeeping_open(struct service *service)
{
	struct housekeeping *housekeeping = allocate(sizeof *housekeeping);

	housekeeping->service = service;
	housekeeping->alarm = alarm_start(&service->loop, 0, on_alarm, housekeeping);
	return housekeeping;
}

void housekeeping_close(struct housekeeping *housekeeping)
{
	housekeeping->is_closed = true;
	if (housekeeping->alarm != NULL) {
		alarm_stop(housekeeping->alarm);
		free(housekeeping);
	}
}
