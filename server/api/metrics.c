// SPDX-License-Identifier: Apache-2.0
#include "api/metrics.h"

#include "depbroker/op.h"
#include "store/tenants.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { METRICS_MAX = 64 << 20, FAMILY_MAX = 16 << 20, SLUG_SIZE = 64, TIMEOUT_MS = 10000 };

// --- of the process ---

enum type { COUNTER, GAUGE };

static void add_head(struct buffer *out, const char *name, enum type type, const char *help)
{
	buffer_add_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type == COUNTER ? "counter" : "gauge");
}

static void add_one(struct buffer *out, const char *name, enum type type, const char *help, uint64_t value)
{
	add_head(out, name, type, help);
	buffer_add_format(out, "%s %" PRIu64 "\n", name, value);
}

static void add_listener(struct buffer *out, const struct http_server *server)
{
	const struct http_server_counters counters = http_server_counters(server);

	add_one(out, "depbroker_http_received_requests_total", COUNTER, "Requests that the REST listener received.",
		counters.requests);
	add_one(out, "depbroker_http_gate_refusals_total", COUNTER, "Requests whose head was refused.", counters.refused_by_gate);
	add_one(out, "depbroker_http_connections", GAUGE, "Open connections of the REST listener.", counters.connections);
	add_head(out, "depbroker_http_requests_total", COUNTER, "Answers of the REST listener by class of status.");
	for (size_t class = 1; class < sizeof counters.by_class / sizeof *counters.by_class; class++) {
		buffer_add_format(out, "depbroker_http_requests_total{class=\"%zuxx\"} %" PRIu64 "\n", class, counters.by_class[class]);
	}
}

static void add_process(struct buffer *out, const struct service *service)
{
	const struct pg_pool_counters pool = pg_pool_counters(service->pool);
	const struct http_client_counters apple = http_client_counters(service->apple);

	add_head(out, "depbroker_build_info", GAUGE, "The version, as a label.");
	buffer_add_string(out, "depbroker_build_info{version=\"" DEPBROKER_VERSION "\"} 1\n");
	if (service->public_listener != NULL) {
		add_listener(out, service->public_listener);
	}
	add_one(out, "depbroker_pg_transactions_total", COUNTER, "Transactions that were started.", pool.transactions);
	add_one(out, "depbroker_pg_failed_transactions_total", COUNTER, "Transactions that failed.", pool.failed);
	add_one(out, "depbroker_pg_reconnects_total", COUNTER, "Connections that were made again.", pool.reconnects);
	add_one(out, "depbroker_pg_connections", GAUGE, "Connections that work.", pool.connected);
	add_one(out, "depbroker_pg_busy_connections", GAUGE, "Connections in use.", pool.busy);
	add_one(out, "depbroker_pg_waiting_transactions", GAUGE, "Transactions that wait for a connection.", pool.waiting);
	add_one(out, "depbroker_apple_started_requests_total", COUNTER, "Requests to Apple by this process.", apple.started);
	add_one(out, "depbroker_apple_failed_requests_total", COUNTER, "Of these: no answer came.", apple.failed);
}

// --- of tenants: one family after the other, so each is gathered in a buffer of its own ---

enum family { TOKEN_EXPIRY, TOKEN_STATE, DEVICES, EVENTS_PENDING, LAST_SYNC, SYNC_FAILING, QUARANTINED, REMOVALS_HELD, MISSED, PARKED, HELD_OLDEST, ASSIGN_LAG, PROFILE_DRIFT, PROFILE_UNUSABLE, DEFINITIONS_LOST, FAMILIES };

static const struct {
	const char *name;
	const char *help;
	enum type type;
} families[FAMILIES] = {
	[TOKEN_EXPIRY] = { "depbroker_token_expiry_timestamp_seconds", "When the tenant's server token expires.", GAUGE },
	[TOKEN_STATE] = { "depbroker_token_state", "1 for the state of the tenant's server token.", GAUGE },
	[DEVICES] = { "depbroker_devices", "Devices of the tenant by state.", GAUGE },
	[EVENTS_PENDING] = { "depbroker_events_pending", "Events of the tenant's log that are not delivered yet.", GAUGE },
	[LAST_SYNC] = { "depbroker_last_sync_success_timestamp_seconds", "When the last sync without an error ended.", GAUGE },
	[SYNC_FAILING] = { "depbroker_sync_failing", "1 when the tenant's last sync failed.", GAUGE },
	[REMOVALS_HELD] = { "depbroker_removals_held", "Devices that the last complete list does not have and that are kept until a person has decided.", GAUGE },
	[HELD_OLDEST] = { "depbroker_held_oldest_seconds", "Since when the device is held that is held for longest; 0: none is.", GAUGE },
	[ASSIGN_LAG] = { "depbroker_assign_lag_seconds",
		"From Apple showing devices to Apple having their first profile: the longest of those that were assigned together last.", GAUGE },
	[MISSED] = { "depbroker_reconcile_missed_total", "Changes that scheduled and requested full fetches found and no sync had told.", COUNTER },
	[PARKED] = { "depbroker_records_parked_total", "Records of Apple's that named no usable device; pages went on without them.", COUNTER },
	[PROFILE_DRIFT] = { "depbroker_profile_drift", "Enrolment profiles that Apple has otherwise than they were meant.", GAUGE },
	[PROFILE_UNUSABLE] = { "depbroker_profile_unusable", "1 when nothing is assigned because the profile has an error, or Apple refuses it.", GAUGE },
	[DEFINITIONS_LOST] = { "depbroker_profile_definitions_lost_total", "Definitions of profiles whose answers never came.", COUNTER },
	[QUARANTINED] = { "depbroker_tenant_quarantined", "1 when nothing is done for the tenant until a person has released it.", GAUGE },
};

struct scrape {
	struct service *service;
	struct http_request *request;
	struct pg_transaction transaction;
	bool has_transaction;
	char after[SLUG_SIZE];
	struct buffer samples[FAMILIES];
	enum { SCRAPE_NEW, SCRAPE_LISTING } state;
};

static void add_sample(struct scrape *scrape, enum family family, struct text slug, const char *label, const char *value,
	int64_t number)
{
	buffer_add_format(&scrape->samples[family], "%s{tenant=\"%.*s\"", families[family].name, TEXT_ARGS(slug));
	if (label != NULL) {
		buffer_add_format(&scrape->samples[family], ",%s=\"%s\"", label, value);
	}
	buffer_add_format(&scrape->samples[family], "} %" PRId64 "\n", number);
}

static void add_milliseconds(struct scrape *scrape, enum family family, struct text slug, int64_t milliseconds)
{
	buffer_add_format(&scrape->samples[family], "%s{tenant=\"%.*s\"} %" PRId64 ".%03" PRId64 "\n", families[family].name, TEXT_ARGS(slug),
		milliseconds / 1000, milliseconds % 1000);
}

static void add_tenant(struct scrape *scrape, const struct tenant_row *row, const struct tenant_status_row *status,
	int64_t now_us)
{
	const struct token_facts facts = store_token_facts(row, status);
	const char *state = token_state_name(token_view(&facts, now_us).state);

	if (status->token_expires_at_us != INSTANT_NONE) {
		add_sample(scrape, TOKEN_EXPIRY, row->slug, NULL, NULL, status->token_expires_at_us / SECOND_US);
	}
	add_sample(scrape, TOKEN_STATE, row->slug, "state", state, 1);
	add_sample(scrape, DEVICES, row->slug, "state", "present", status->devices);
	add_sample(scrape, DEVICES, row->slug, "state", "assigned", status->assigned);
	add_sample(scrape, DEVICES, row->slug, "state", "held", status->held);
	add_sample(scrape, EVENTS_PENDING, row->slug, NULL, NULL, status->event_seq - status->announced_seq);
	if (status->synced_at_us != INSTANT_NONE) {
		add_sample(scrape, LAST_SYNC, row->slug, NULL, NULL, status->synced_at_us / SECOND_US);
	}
	add_sample(scrape, SYNC_FAILING, row->slug, NULL, NULL, status->sync_error.length > 0 ? 1 : 0);
	add_sample(scrape, REMOVALS_HELD, row->slug, NULL, NULL, status->removals_held);
	add_sample(scrape, HELD_OLDEST, row->slug, NULL, NULL,
		status->held_since_us != INSTANT_NONE && status->held_since_us < now_us ? (now_us - status->held_since_us) / SECOND_US : 0);
	add_milliseconds(scrape, ASSIGN_LAG, row->slug, status->assign_lag_ms);
	add_sample(scrape, MISSED, row->slug, NULL, NULL, status->missed_changes);
	add_sample(scrape, PARKED, row->slug, NULL, NULL, status->parked_records);
	add_sample(scrape, PROFILE_DRIFT, row->slug, NULL, NULL, status->profile_drifts);
	add_sample(scrape, PROFILE_UNUSABLE, row->slug, NULL, NULL, status->profile_unusable ? 1 : 0);
	add_sample(scrape, DEFINITIONS_LOST, row->slug, NULL, NULL, status->definitions_lost);
	add_sample(scrape, QUARANTINED, row->slug, NULL, NULL, text_equal(row->state, TEXT("quarantined")) ? 1 : 0);
}

// True when there may be more.
static bool take_page(struct scrape *scrape)
{
	const size_t count = pg_row_count(&scrape->transaction, 0);
	const int64_t now_us = clock_wall_us();
	struct tenant_row row = { 0 };

	for (size_t i = 0; i < count; i++) {
		struct tenant_status_row status;

		store_tenant_read(&scrape->transaction, 0, i, &row);
		store_tenant_status_read(&scrape->transaction, 0, i, &status);
		add_tenant(scrape, &row, &status, now_us);
	}
	text_put(scrape->after, sizeof scrape->after, row.slug.length > 0 ? row.slug : TEXT(""));
	return count == STORE_LIST_MAX;
}

static void scrape_step(struct scrape *scrape);

static void on_page(struct op *op)
{
	scrape_step(CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct scrape, transaction));
}

static void ask_page(struct scrape *scrape)
{
	if (scrape->has_transaction) {
		pg_transaction_fini(&scrape->transaction);
	}
	scrape->has_transaction = true;
	pg_transaction_init(&scrape->transaction, store_directory(), on_page);
	(void)store_tenant_list(&scrape->transaction, text_of(scrape->after), NULL, 0, STORE_LIST_MAX);
	pg_start(&scrape->transaction, scrape->service->pool, TIMEOUT_MS);
}

static void scrape_end(struct scrape *scrape, bool database_is_up)
{
	struct buffer body = BUFFER(METRICS_MAX);

	add_process(&body, scrape->service);
	add_one(&body, "depbroker_database_up", GAUGE, "1 when this scrape could ask the database.", database_is_up ? 1 : 0);
	for (enum family family = 0; family < FAMILIES; family++) {
		if (database_is_up && !scrape->samples[family].overflow) {
			add_head(&body, families[family].name, families[family].type, families[family].help);
			buffer_add_text(&body, buffer_text(&scrape->samples[family]));
		}
		buffer_fini(&scrape->samples[family]);
	}
	http_answer_buffer(scrape->request, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
	pg_transaction_fini(&scrape->transaction);
	free(scrape);
}

static void scrape_step(struct scrape *scrape)
{
	switch (scrape->state) {
	case SCRAPE_NEW:
		do {
			AWAIT(scrape, SCRAPE_LISTING, ask_page(scrape));
		} while (scrape->transaction.op.rc == OK && take_page(scrape));
		scrape_end(scrape, scrape->transaction.op.rc == OK);
	}
}

void metrics_answer(struct service *service, struct http_request *request)
{
	struct scrape *scrape = allocate(sizeof *scrape);

	scrape->service = service;
	scrape->request = request;
	for (size_t i = 0; i < FAMILIES; i++) {
		scrape->samples[i] = BUFFER(FAMILY_MAX);
	}
	scrape_step(scrape);
}
