// SPDX-License-Identifier: Apache-2.0
#include "api/readiness.h"

#include "api/json_out.h"
#include "depbroker/list.h"
#include "depbroker/log.h"
#include "store/migrate.h"

#include <inttypes.h>
#include <stdlib.h>

enum { GOOD_FOR_MS = 2000, CHECK_TIMEOUT_MS = 2000, REASONS_MAX = 4096 };

struct waiting { // in its request's arena
	struct list link;
	struct http_request *request;
};

struct readiness {
	struct service *service;
	struct pg_transaction transaction;
	bool is_checking;
	bool is_closed;
	bool is_ready;
	int64_t checked_ms; // 0: never
	struct buffer reasons; // the elements of a JSON list
	struct list waiting;
};

struct readiness *readiness_open(struct service *service)
{
	struct readiness *readiness = allocate(sizeof *readiness);

	readiness->service = service;
	readiness->reasons = BUFFER(REASONS_MAX);
	list_init(&readiness->waiting);
	return readiness;
}

static void free_readiness(struct readiness *readiness)
{
	buffer_fini(&readiness->reasons);
	free(readiness);
}

void readiness_close(struct readiness *readiness)
{
	readiness->is_closed = true;
	if (!readiness->is_checking) {
		free_readiness(readiness);
	}
}

static void answer(const struct readiness *readiness, struct http_request *request)
{
	struct buffer body = BUFFER(2 * REASONS_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	put_string(&json, "status", readiness->is_ready ? "ready" : "unready");
	put_list(&json, "reasons");
	if (readiness->reasons.length > 0) {
		put_raw(&json, NULL, buffer_text(&readiness->reasons));
	}
	put_list_end(&json);
	put_object_end(&json);
	http_answer_buffer(request, readiness->is_ready ? 200 : 503, "application/json", &body);
}

static void add_reason(struct readiness *readiness, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_reason(struct readiness *readiness, const char *format, ...)
{
	struct json_out json = { .out = &readiness->reasons, .comma = readiness->reasons.length > 0 };
	char reason[1024];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(reason, sizeof reason, format, arguments);
	va_end(arguments);
	put_string(&json, NULL, reason);
}

static void judge(struct readiness *readiness)
{
	struct buffer complaints CLEANUP(buffer_fini) = BUFFER(512);
	const struct op *op = &readiness->transaction.op;

	if (op->rc != OK) {
		const struct text why = pg_pool_last_error(readiness->service->pool);

		add_reason(readiness, "database: %s%s%.*s", op->fault.text[0] != '\0' ? op->fault.text : err_text(op->rc),
			why.length > 0 ? "; " : "", TEXT_ARGS(why.length > 0 ? why : TEXT("")));
		return;
	}
	const int64_t version = store_schema_version(&readiness->transaction, 0);

	if (version != store_schema_expected()) {
		add_reason(readiness, "schema: the database has version %" PRId64 " and this program is made for %" PRId64
			": run depbroker migrate of the newer one", version, store_schema_expected());
	}
	if (store_lint_read(&readiness->transaction, 1, &complaints)) {
		add_reason(readiness, "linter: %.*s", TEXT_ARGS(buffer_text(&complaints)));
	}
}

static void on_checked(struct op *op)
{
	struct readiness *readiness = CONTAINER_OF(CONTAINER_OF(op, struct pg_transaction, op), struct readiness, transaction);
	const bool was_ready = readiness->is_ready;

	buffer_clear(&readiness->reasons);
	judge(readiness);
	readiness->is_ready = readiness->reasons.length == 0;
	readiness->is_checking = false;
	readiness->checked_ms = clock_monotonic_ms();
	pg_transaction_fini(&readiness->transaction);
	if (readiness->is_ready != was_ready) {
		log_event(readiness->is_ready ? LOG_INFO : LOG_WARNING, readiness->is_ready ? "api.ready" : "api.unready",
			LOG_TEXT("reasons", buffer_text(&readiness->reasons)));
	}
	while (!list_is_empty(&readiness->waiting)) {
		struct waiting *waiting = LIST_FIRST(&readiness->waiting, struct waiting, link);

		list_remove(&waiting->link);
		answer(readiness, waiting->request);
	}
	if (readiness->is_closed) {
		free_readiness(readiness);
	}
}

static void check(struct readiness *readiness)
{
	readiness->is_checking = true;
	pg_transaction_init(&readiness->transaction, store_directory(), on_checked);
	(void)store_schema_select(&readiness->transaction);
	(void)store_lint_select(&readiness->transaction);
	pg_start(&readiness->transaction, readiness->service->pool, CHECK_TIMEOUT_MS);
}

void readiness_answer(struct readiness *readiness, struct http_request *request)
{
	struct waiting *waiting;

	if (readiness->checked_ms > 0 && clock_monotonic_ms() - readiness->checked_ms < GOOD_FOR_MS) {
		answer(readiness, request);
		return;
	}
	waiting = arena_take(&request->arena, sizeof *waiting);
	if (waiting == NULL) {
		http_answer_empty(request, 503);
		return;
	}
	waiting->request = request;
	list_add_last(&readiness->waiting, &waiting->link);
	if (!readiness->is_checking) {
		check(readiness);
	}
}
