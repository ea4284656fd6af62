// SPDX-License-Identifier: Apache-2.0
#include "api/dep/dep_assigning.h"

#include "api/dep/dep_device_json.h"
#include "apple/apple.h"
#include "store/dep_profiles.h"
#include "store/devices.h"

#include <stdlib.h>

enum { PATIENCE_MS = 8000, LOOK_MS = 150, THROTTLED_SINCE = 9, RETRY_AFTER_SINCE = 10 };
enum { STARTED, READING, WISHING, RESTING, LOOKING };

static void read_devices(struct dep_assigning *assigning, int state)
{
	struct call *call = assigning->call;

	assigning->state = state;
	(void)store_device_by_serials(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		assigning->serials.items, assigning->serials.count);
	call_start(call);
}

// --- what is known of a device ---

static struct device_row *take_rows(const struct dep_assigning *assigning, size_t *count)
{
	const struct pg_transaction *transaction = &assigning->call->transaction;
	struct device_row *rows;

	*count = pg_row_count(transaction, 0);
	rows = allocate_array(*count + 1, sizeof *rows);
	for (size_t i = 0; i < *count; i++) {
		store_device_read(transaction, 0, i, &rows[i]);
	}
	return rows;
}

static int compare_rows(const void *a, const void *b)
{
	return dep_compare_texts(((const struct device_row *)a)->apple.serial_number, ((const struct device_row *)b)->apple.serial_number);
}

static bool is_ours(const struct dep_assigning *assigning, const struct device_row *row)
{
	return row != NULL && row->gone_at_us == INSTANT_NONE && row->instance_id == dep_of(assigning->call)->place.instance_id;
}

static const struct device_row *find(const struct device_row *rows, size_t count, struct text serial)
{
	const struct device_row wanted = { .apple = { .serial_number = serial } };

	return bsearch(&wanted, rows, count, sizeof *rows, compare_rows);
}

static bool has_it(const struct dep_assigning *assigning, const struct device_row *row)
{
	return text_equal_ignoring_case(row->assigned_profile_uuid, assigning->profile_uuid);
}

// NULL: it is not decided yet.
static const char *result_of(struct dep_assigning *assigning, const struct device_row *row)
{
	if (!is_ours(assigning, row)) {
		return "NOT_ACCESSIBLE";
	}
	if (has_it(assigning, row)) {
		return "SUCCESS";
	}
	if (row->assign_state != ASSIGN_THROTTLED && row->assign_state != ASSIGN_FAILED) {
		return NULL;
	}
	const int64_t wait_s = (row->assign_at_us - clock_wall_us()) / SECOND_US;

	if (row->assign_state == ASSIGN_THROTTLED && dep_of(assigning->call)->version >= THROTTLED_SINCE) {
		assigning->retry_after_s = wait_s > assigning->retry_after_s ? wait_s : assigning->retry_after_s;
		return "THROTTLED";
	}
	return "FAILED";
}

// --- the wish ---

static bool take_accepted(struct dep_assigning *assigning)
{
	size_t count;
	struct device_row *rows = take_rows(assigning, &count);

	qsort(rows, count, sizeof *rows, compare_rows);
	assigning->accepted = arena_take(&assigning->call->request->arena, (assigning->serials.count + 1) * sizeof *assigning->accepted);
	for (size_t i = 0; i < assigning->serials.count && assigning->accepted != NULL; i++) {
		if (assigning->accepted_count < APPLE_SERIALS_MAX && is_ours(assigning, find(rows, count, assigning->serials.items[i]))) {
			assigning->accepted[assigning->accepted_count++] = assigning->serials.items[i];
		}
	}
	free(rows);
	return assigning->accepted_count > 0;
}

static void wish(struct dep_assigning *assigning)
{
	struct call *call = assigning->call;

	assigning->state = WISHING;
	store_dep_wish_put(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, dep_of(call)->place.instance_id,
		assigning->profile_uuid, assigning->accepted, assigning->accepted_count);
	call_start(call);
}

// --- the answer ---

static bool was_accepted(const struct dep_assigning *assigning, struct text serial)
{
	size_t low = 0;

	for (size_t high = assigning->accepted_count; low < high;) {
		const size_t middle = low + (high - low) / 2;
		const int order = dep_compare_texts(assigning->accepted[middle], serial);

		if (order == 0) {
			return true;
		}
		low = order < 0 ? middle + 1 : low;
		high = order < 0 ? high : middle;
	}
	return false;
}

static const char *final_result(struct dep_assigning *assigning, const struct device_row *rows, size_t count, struct text serial)
{
	const struct device_row *row = find(rows, count, serial);

	if (is_ours(assigning, row) && !was_accepted(assigning, serial)) {
		return "FAILED"; // more than Apple takes at a time
	}
	const char *result = result_of(assigning, row);

	return result != NULL ? result : "SUCCESS";
}

static void answer(struct dep_assigning *assigning, const struct device_row *rows, size_t count)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);

	buffer_add_string(&body, "{\"profile_uuid\":");
	buffer_add_json(&body, assigning->profile_uuid);
	buffer_add_string(&body, ",\"devices\":{");
	assigning->retry_after_s = 0;
	for (size_t i = 0; i < assigning->serials.count; i++) {
		buffer_add_string(&body, i > 0 ? "," : "");
		buffer_add_json(&body, assigning->serials.items[i]);
		buffer_add_format(&body, ":\"%s\"", final_result(assigning, rows, count, assigning->serials.items[i]));
	}
	buffer_add_string(&body, "}");
	if (assigning->retry_after_s > 0 && dep_of(assigning->call)->version >= RETRY_AFTER_SINCE) {
		buffer_add_format(&body, ",\"retry_after_seconds\":%lld", (long long)assigning->retry_after_s);
	}
	buffer_add_string(&body, "}");
	dep_answer_json(assigning->call, &body);
}

static bool is_decided(struct dep_assigning *assigning, const struct device_row *rows, size_t count)
{
	for (size_t i = 0; i < assigning->accepted_count; i++) {
		if (result_of(assigning, find(rows, count, assigning->accepted[i])) == NULL) {
			return false;
		}
	}
	return true;
}

static void on_alarm(void *argument)
{
	struct dep_assigning *assigning = argument;

	alarm_stop(assigning->alarm);
	assigning->alarm = NULL;
	assigning->call->endpoint->step(assigning->call);
}

static void rest(struct dep_assigning *assigning)
{
	assigning->state = RESTING;
	assigning->alarm = alarm_start(&assigning->call->service->loop, LOOK_MS, on_alarm, assigning);
}

static void look(struct dep_assigning *assigning)
{
	size_t count;
	struct device_row *rows = take_rows(assigning, &count);

	qsort(rows, count, sizeof *rows, compare_rows);
	if (is_decided(assigning, rows, count) || clock_monotonic_ms() >= assigning->until_ms) {
		answer(assigning, rows, count);
	} else {
		rest(assigning);
	}
	free(rows);
}

void dep_assigning_step(struct dep_assigning *assigning)
{
	if (assigning->state != RESTING && call_failed(assigning->call)) {
		return;
	}
	switch (assigning->state) {
	case READING:
		if (take_accepted(assigning)) {
			wish(assigning);
		} else {
			look(assigning);
		}
		return;
	case WISHING:
		call_hint_workers(assigning->call->service, assigning->call->tenant.tenant_id);
		rest(assigning);
		return;
	case RESTING: read_devices(assigning, LOOKING); return;
	case LOOKING: look(assigning);
	}
}

void dep_assigning_start(struct dep_assigning *assigning, struct call *call, struct text profile_uuid)
{
	assigning->call = call;
	assigning->profile_uuid = profile_uuid;
	assigning->until_ms = clock_monotonic_ms() + PATIENCE_MS;
	read_devices(assigning, READING);
}

void dep_assigning_fini(struct dep_assigning *assigning)
{
	alarm_stop(assigning->alarm);
	json_decref(assigning->kept);
}
