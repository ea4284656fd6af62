// SPDX-License-Identifier: Apache-2.0
#include "worker/worker.h"

#include "depbroker/clock.h"
#include "depbroker/log.h"
#include "depbroker/spare_memory.h"
#include "loop/hint.h"
#include "loop/stop_signal.h"
#include "store/audit.h"
#include "store/migrate.h"
#include "store/stream.h"
#include "worker/own_targets.h"
#include "worker/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CLAIM_EVERY_MS = 250, // on the average
	CLAIM_SPREAD_MS = 100,
	DISTRUST_MS = 1000, // of hints, after one that led to nothing
	CLAIM_SOON_MS = 5, // a run has ended, and others wait for its place, or the client itself is due again
	BEAT_EVERY_MS = NODE_ALIVE_S * 1000 / 3,
	BEAT_AGAIN_MS = 500, // after one that failed
	BEAT_TIMEOUT_MS = 3000,
	BEATS_PER_PARTITIONS = 1000, // about an hour
	POOL_SIZE = 3, // each keeps what its largest write needed, in libpq and in the server
	POOL_KEPT = 2, // with one alone a claim comes before the end of a run that waits for it, and has the client run once more
	REASON_MAX = 300,
	SPARE_MEMORY_MAX = 8 << 20, // that the allocator may keep
	RANGE_SPELLING_MAX = 64,
};

#define USER_AGENT "depbroker/" DEPBROKER_VERSION

struct worker {
	struct worker_process process;
	struct address_range *allowed;
	size_t allowed_count;
	struct own_targets own; // that no webhook may reach
	struct stop_signals signals;
	struct pg_transaction beat; // also introduces us, and says goodbye
	bool beat_runs;
	struct delay beat_timer;
	unsigned beats;
	int64_t beat_sent_at_ms;
	int64_t alive_until_ms; // of our clock that never goes back: we count as alive until then
	bool introduced;
	bool schema_is_ours;
	bool notes_allowed, allowed_is_noted; // what webhooks may reach is in the audit before any leaves
	unsigned schema_at, lint_at, struck_at; // of the introduction's statements
	struct pg_transaction claim;
	bool claim_runs;
	struct delay claim_timer;
	struct hint_listener hints;
	bool hears_hints;
	int64_t hinted[HINT_BATCH]; // clients to be claimed at once
	size_t hinted_count;
	int64_t look_at_ms; // when all that are due are claimed next, hints or not
	bool claim_was_hinted;
	unsigned taken_at; // of the claim's statements, unless it was hinted
	size_t claim_most; // that the claim asks for
	bool more_are_due; // the last claim, hints apart, gave as many as it had asked for
	bool ending; // asked to stop
	bool released;
	unsigned closing;
};

static void try_to_end(struct worker *worker);

static struct worker *worker_of(struct worker_process *process)
{
	return CONTAINER_OF(process, struct worker, process);
}

// --- claiming ---

static void claim_later(struct worker *worker);

// Machines that looked in step would take all that is due, or nothing, for hours.
static int64_t next_look_ms(void)
{
	uint32_t random;

	random_bytes(&random, sizeof random);
	return clock_monotonic_ms() + CLAIM_EVERY_MS - CLAIM_SPREAD_MS / 2 + random % CLAIM_SPREAD_MS;
}

// The stream of a client that was taken with the claim.
static const struct stream_row *taken_stream(const struct worker *worker, int64_t tenant_id, struct stream_row *room)
{
	const size_t count = worker->claim_was_hinted ? 0 : pg_row_count(&worker->claim, worker->taken_at);

	for (size_t i = 0; i < count; i++) {
		if (store_stream_taken_client(&worker->claim, worker->taken_at, i) == tenant_id) {
			store_stream_read(&worker->claim, worker->taken_at, i, room);
			return room;
		}
	}
	return NULL;
}

static void on_claimed(struct op *op)
{
	struct worker *worker = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct worker, claim);
	size_t count = 0;

	worker->claim_runs = false;
	if (op->rc == OK) {
		count = pg_row_count(&worker->claim, 0);
		if (count > 0) {
			log_event(LOG_DEBUG, "worker.claimed", LOG_INT("tenants", (int64_t)count), LOG_BOOL("hinted", worker->claim_was_hinted));
		}
		for (size_t i = 0; i < count; i++) {
			struct due_row due;
			struct stream_row taken;

			store_due_read(&worker->claim, 0, i, &due);
			run_start(&worker->process, &due, taken_stream(worker, due.tenant_id, &taken));
		}
	} else if (!worker->process.stopping) {
		log_event(LOG_WARNING, "worker.claim_failed", LOG_STRING("error", err_name(op->rc)), LOG_STRING("reason", op->fault.text));
	}
	pg_transaction_fini(&worker->claim);
	if (!worker->claim_was_hinted) {
		worker->more_are_due = op->rc == OK && count == worker->claim_most;
		worker->look_at_ms = next_look_ms();
	}
	claim_later(worker);
	try_to_end(worker);
}

// How many more clients may be in flight.
static size_t room(const struct worker *worker)
{
	const struct worker_process *process = &worker->process;
	const unsigned long_ones = process->long_count < RUNS_LONG_MAX ? process->long_count : RUNS_LONG_MAX;
	const unsigned telling = process->telling_count < RUNS_TELLING_MAX ? process->telling_count : RUNS_TELLING_MAX;
	const unsigned spared = long_ones + telling;

	return process->run_count < RUNS_MAX + spared ? RUNS_MAX + spared - process->run_count : 0;
}

static bool may_run(const struct worker *worker)
{
	return worker->introduced && worker->schema_is_ours && worker->allowed_is_noted && !worker->process.stopping && room(worker) > 0;
}

static bool may_claim(const struct worker *worker)
{
	return may_run(worker) && !worker->claim_runs;
}

// Hints come first, but a flood of them does not keep the others waiting.
static bool is_hints_turn(const struct worker *worker)
{
	return worker->hinted_count > 0 && !(worker->claim_was_hinted && clock_monotonic_ms() >= worker->look_at_ms);
}

static struct due_share share_of(const struct worker *worker)
{
	const struct config *config = worker->process.config;

	return (struct due_share){ config->workers > 0 ? config->workers : 1, config->worker_index };
}

static void claim(struct worker *worker)
{
	const struct text node_id = text_of(worker->process.node_id);
	const size_t most = room(worker);

	worker->claim_runs = true;
	worker->claim_most = most;
	worker->claim_was_hinted = is_hints_turn(worker);
	pg_transaction_init(&worker->claim, store_directory(), on_claimed);
	if (worker->claim_was_hinted) {
		(void)store_due_claim_hinted(&worker->claim, node_id, worker->hinted, worker->hinted_count < most ? worker->hinted_count : most);
		worker->hinted_count = 0;
	} else {
		(void)store_due_claim(&worker->claim, node_id, (int)most, !run_has_suspect(&worker->process), share_of(worker));
		worker->taken_at = store_stream_take_claimed(&worker->claim, node_id);
	}
	store_commit_lazily(&worker->claim); // a claim is but a word among workers: lost, the client is due again
	pg_start(&worker->claim, worker->process.pool, STORE_TIMEOUT_MS);
}

static void claim_later(struct worker *worker)
{
	const int64_t left_ms = worker->hinted_count > 0 ? 0 : worker->look_at_ms - clock_monotonic_ms();

	if (!worker->ending) {
		delay_start(&worker->claim_timer, left_ms > 0 ? left_ms : 0);
	}
}

static void on_claim_time(struct delay *timer)
{
	struct worker *worker = CONTAINER_OF(timer, struct worker, claim_timer);

	if (may_claim(worker)) {
		claim(worker);
	} else if (!worker->claim_runs) {
		worker->more_are_due = true; // as far as we know
		worker->hinted_count = 0;
		worker->look_at_ms = next_look_ms();
		claim_later(worker);
	}
}

static void on_run_ended(struct worker_process *process, bool is_due_again)
{
	struct worker *worker = worker_of(process);

	if (worker->more_are_due || is_due_again) {
		worker->look_at_ms = clock_monotonic_ms() + CLAIM_SOON_MS;
		claim_later(worker);
	}
	try_to_end(worker);
}

// --- hints ---

// Each worker of this machine hears each hint. Whose turn it is goes by the number, so that not all of them ask the database; and if that
// one cannot, another one's next look at what is due comes soon enough.
static bool is_mine(const struct worker *worker, int64_t tenant_id)
{
	const struct config *config = worker->process.config;

	return tenant_id % config->workers == config->worker_index % config->workers;
}

// One hint alone is worth a run that claims and takes in one. When hints come in crowds, or lead to nothing, they are looked at first.
static bool is_promising(const struct worker *worker, size_t count)
{
	const int64_t missed_at_ms = worker->process.hint_missed_at_ms;

	return count == 1 && worker->hinted_count == 0 && may_run(worker) &&
		(missed_at_ms == 0 || clock_monotonic_ms() - missed_at_ms > DISTRUST_MS);
}

static void on_heard(struct hint_listener *listener, const int64_t *numbers, size_t count)
{
	struct worker *worker = listener->owner;

	for (size_t i = 0; i < count; i++) {
		if (run_look(&worker->process, numbers[i]) || !is_mine(worker, numbers[i])) {
			continue;
		}
		if (is_promising(worker, count)) {
			run_start_hinted(&worker->process, numbers[i]);
		} else if (worker->hinted_count < HINT_BATCH) {
			worker->hinted[worker->hinted_count++] = numbers[i];
		}
	}
	if (worker->hinted_count > 0 && may_claim(worker)) {
		delay_stop(&worker->claim_timer);
		claim(worker);
	}
}

static void hear_hints(struct worker *worker)
{
	worker->hears_hints = worker->process.config->hint_sockets > 0;
	if (worker->hears_hints) {
		worker->hints = (struct hint_listener){ .heard = on_heard, .owner = worker };
		hint_listener_open(&worker->hints, &worker->process.loop, HINT_SOCKET_FIRST);
	}
}

// --- the heart-beat ---

// Who was in flight when our predecessor crashed.
static void log_struck(const struct worker *worker)
{
	const size_t count = worker->struck_at > 0 ? pg_row_count(&worker->beat, worker->struck_at) : 0;

	for (size_t i = 0; i < count; i++) {
		struct struck_row struck;

		store_struck_read(&worker->beat, worker->struck_at, i, &struck);
		log_event(struck.quarantined ? LOG_ERROR : LOG_WARNING, struck.quarantined ? "tenant.quarantined" : "tenant.struck",
			LOG_TEXT("tenant", struck.slug), LOG_STRING("reason", "it was in flight when a worker crashed"),
			LOG_INT("crashes", struck.crashes));
	}
}

// The first beat: whom we replace is released, and the schema must be the one that this program is made for.
static void take_introduction(struct worker *worker)
{
	struct buffer complaints CLEANUP(buffer_fini) = BUFFER(REASON_MAX);
	const int64_t version = store_schema_version(&worker->beat, worker->schema_at);

	worker->introduced = true;
	log_struck(worker);
	worker->schema_is_ours = version == store_schema_expected() && !store_lint_read(&worker->beat, worker->lint_at, &complaints);
	if (worker->schema_is_ours) {
		log_event(LOG_INFO, "worker.started", LOG_STRING("node", worker->process.node_id));
	} else {
		log_event(LOG_ERROR, "worker.schema_refused", LOG_INT("version", version), LOG_INT("expected", store_schema_expected()),
			LOG_STRING("complaints", complaints.length > 0 ? complaints.bytes : ""));
	}
}

// Law 2 of process.h: nobody trusts us to be alive any more, so others may have our clients.
static void stop_when_cut_off(struct worker *worker)
{
	if (worker->introduced && !worker->process.stopping && clock_monotonic_ms() > worker->alive_until_ms) {
		log_event(LOG_ERROR, "worker.cut_off", LOG_STRING("reason", "the heart-beat does not reach the database"));
		run_stop_all(&worker->process);
	}
}

// A schema that is not ours may not know how.
static bool has_to_note_allowed(const struct worker *worker)
{
	return worker->introduced && worker->schema_is_ours && !worker->allowed_is_noted;
}

static void note_allowed(struct worker *worker)
{
	struct buffer ranges CLEANUP(buffer_fini) = BUFFER(worker->allowed_count * RANGE_SPELLING_MAX);

	for (size_t i = 0; i < worker->allowed_count; i++) {
		address_range_write(&ranges, &worker->allowed[i]);
		buffer_add_string(&ranges, "\n");
	}
	store_webhook_allow_note(&worker->beat, text_of(worker->process.node_id), buffer_text(&ranges));
}

static void on_beat(struct op *op)
{
	struct worker *worker = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct worker, beat);

	worker->beat_runs = false;
	if (op->rc == OK) {
		worker->alive_until_ms = worker->beat_sent_at_ms + NODE_ALIVE_S * 1000;
		worker->allowed_is_noted = worker->allowed_is_noted || worker->notes_allowed;
		if (!worker->introduced) {
			take_introduction(worker);
		}
		worker->process.stopping = worker->ending;
	} else {
		log_event(LOG_WARNING, "worker.beat_failed", LOG_STRING("error", err_name(op->rc)), LOG_STRING("reason", op->fault.text));
		stop_when_cut_off(worker);
	}
	pg_transaction_fini(&worker->beat);
	spare_memory_return(SPARE_MEMORY_MAX);
	if (!worker->ending) {
		delay_start(&worker->beat_timer, op->rc != OK ? BEAT_AGAIN_MS : has_to_note_allowed(worker) ? 0 : BEAT_EVERY_MS);
	}
	try_to_end(worker);
}

static void add_end_of(struct worker *worker, struct text replaced)
{
	if (worker->process.config->replaced_crashed) {
		worker->struck_at = store_node_crashed(&worker->beat, replaced);
	} else {
		store_node_release(&worker->beat, replaced);
	}
}

static void on_beat_time(struct delay *timer)
{
	struct worker *worker = CONTAINER_OF(timer, struct worker, beat_timer);
	const char *replaces = worker->process.config->replaces_node;

	worker->beat_runs = true;
	worker->beat_sent_at_ms = clock_monotonic_ms();
	pg_transaction_init(&worker->beat, store_directory(), on_beat);
	(void)store_node_beat(&worker->beat, text_of(worker->process.node_id));
	if (worker->beats++ % BEATS_PER_PARTITIONS == 0) {
		(void)store_partitions_ensure(&worker->beat);
	}
	if (!worker->introduced) {
		if (replaces != NULL) {
			add_end_of(worker, text_of(replaces));
		}
		worker->schema_at = store_schema_select(&worker->beat);
		worker->lint_at = store_lint_select(&worker->beat);
	}
	worker->notes_allowed = has_to_note_allowed(worker);
	if (worker->notes_allowed) {
		note_allowed(worker);
	}
	pg_start(&worker->beat, worker->process.pool, BEAT_TIMEOUT_MS);
}

// --- the end ---

static void on_closed(void *argument)
{
	struct worker *worker = argument;

	if (--worker->closing == 0) {
		stop_signals_close(&worker->signals);
	}
}

static void on_delay_closed(struct delay *delay)
{
	(void)delay;
}

static void close_all(struct worker *worker)
{
	worker->closing = 3;
	http_client_close(worker->process.apple, on_closed, worker);
	http_client_close(worker->process.webhooks, on_closed, worker);
	pg_pool_close(worker->process.pool, on_closed, worker);
	delay_close(&worker->beat_timer, on_delay_closed);
	delay_close(&worker->claim_timer, on_delay_closed);
	quiet_ends_close(&worker->process.ends, on_delay_closed);
	if (worker->hears_hints) {
		hint_listener_close(&worker->hints, NULL);
	}
}

static void on_released(struct op *op)
{
	struct worker *worker = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct worker, beat);

	if (op->rc != OK) {
		log_event(LOG_WARNING, "worker.not_released", LOG_STRING("reason", op->fault.text));
	}
	pg_transaction_fini(&worker->beat);
	log_event(LOG_INFO, "worker.stopped", LOG_STRING("node", worker->process.node_id));
	close_all(worker);
}

static void try_to_end(struct worker *worker)
{
	if (!worker->ending || worker->released || worker->beat_runs || worker->claim_runs || worker->process.run_count > 0) {
		return;
	}
	worker->released = true;
	pg_transaction_init(&worker->beat, store_directory(), on_released);
	store_node_release(&worker->beat, text_of(worker->process.node_id));
	pg_start(&worker->beat, worker->process.pool, BEAT_TIMEOUT_MS);
}

static void on_stop(struct stop_signals *signals)
{
	struct worker *worker = signals->owner;

	log_event(LOG_INFO, "worker.stopping", LOG_INT("runs", worker->process.run_count));
	worker->ending = true;
	delay_stop(&worker->claim_timer);
	delay_stop(&worker->beat_timer);
	run_stop_all(&worker->process);
	try_to_end(worker);
}

// --- the beginning ---

static void make_node_id(struct worker *worker)
{
	unsigned char random[8];
	struct buffer id CLEANUP(buffer_fini) = BUFFER(64);

	if (worker->process.config->node_id != NULL) {
		(void)snprintf(worker->process.node_id, sizeof worker->process.node_id, "%s", worker->process.config->node_id);
		return;
	}
	random_bytes(random, sizeof random);
	buffer_add_hex(&id, random, sizeof random);
	(void)snprintf(worker->process.node_id, sizeof worker->process.node_id, "worker-%s", id.bytes);
}

static enum err open_clients(struct worker *worker, struct fault *fault)
{
	const struct config *config = worker->process.config;
	const struct http_client_config apple = {
		.name = "apple",
		.user_agent = USER_AGENT,
		.proxy = config->https_proxy,
		.ca_file = config->apple_ca_file,
		.allow_plain_http = true, // a client's apple_url may be a simulator; Apple's own is https
		.guard = HTTP_ADDRESS_ANY,
		.in_flight = 32,
		.in_flight_per_key = 2,
		.connections = 32,
	};
	struct http_client_config webhooks = {
		.name = "webhooks",
		.user_agent = USER_AGENT,
		.allow_plain_http = true,
		.guard = HTTP_ADDRESS_PUBLIC_ONLY,
		.in_flight = 2 * RUNS_TELLING_MAX, // those that hang have one each, until they are known not to (delivery.c)
		.in_flight_per_key = 16, // of one client: the lanes of two endpoints
		.connections = 64 + RUNS_TELLING_MAX, // so that those that hang keep none of the others' from being used again
	};

	TRY(address_ranges_parse(&worker->allowed, &worker->allowed_count, text_of(config->webhook_allow), fault));
	webhooks.allowed = worker->allowed;
	webhooks.allowed_count = worker->allowed_count;
	own_targets_find(&worker->own, config);
	webhooks.refused = worker->own.ranges;
	webhooks.refused_count = worker->own.count;
	TRY(http_client_open(&worker->process.apple, &worker->process.loop, &apple, fault));
	return http_client_open(&worker->process.webhooks, &worker->process.loop, &webhooks, fault);
}

static enum err open_all(struct worker *worker, struct fault *fault)
{
	const struct config *config = worker->process.config;
	const struct pg_pool_config pool = { .url = config->database_url, .application_name = "depbroker/worker", .size = POOL_SIZE,
		.kept = POOL_KEPT };

	TRY(key_provider_open_file(&worker->process.keys, config->master_key_file, fault));
	TRY(open_clients(worker, fault));
	return pg_pool_open(&worker->process.pool, &worker->process.loop, &pool, fault);
}

int worker_main(const struct config *config)
{
	struct worker worker = { .process = { .config = config, .run_ended = on_run_ended } };
	struct fault fault;

	spare_memory_keep();
	make_node_id(&worker);
	list_init(&worker.process.runs);
	list_init(&worker.process.breakers.all);
	fair_queue_init(&worker.process.pages, (unsigned)config->pages_at_once);
	loop_init(&worker.process.loop);
	quiet_ends_init(&worker.process.ends, &worker.process);
	if (open_all(&worker, &fault) != OK) { // wrong configuration: nothing runs yet, the process ends
		log_event(LOG_ERROR, "worker.failed", LOG_STRING("reason", fault.text));
		return EXIT_FAILURE;
	}
	worker.signals = (struct stop_signals){ .stop = on_stop, .owner = &worker };
	stop_signals_open(&worker.signals, &worker.process.loop);
	delay_init(&worker.beat_timer, &worker.process.loop, on_beat_time);
	delay_init(&worker.claim_timer, &worker.process.loop, on_claim_time);
	hear_hints(&worker);
	delay_start(&worker.beat_timer, 0);
	delay_start(&worker.claim_timer, CLAIM_SOON_MS);
	loop_run(&worker.process.loop);
	loop_fini(&worker.process.loop);
	key_provider_close(worker.process.keys);
	breakers_free(&worker.process.breakers);
	load_cache_free(&worker.process.loads);
	own_targets_fini(&worker.own);
	free(worker.allowed);
	return EXIT_SUCCESS;
}
