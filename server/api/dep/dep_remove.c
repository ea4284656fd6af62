// SPDX-License-Identifier: Apache-2.0
//
// DELETE /profile/devices: the wishes go, and the answer waits, for a while, until Apple has taken what the worker puts in their place.
#include "api/alarm.h"
#include "api/dep/dep_device_json.h"
#include "api/dep/dep_own.h"
#include "store/dep_profiles.h"
#include "store/devices.h"

enum { PATIENCE_MS = 8000, LOOK_MS = 150 };

struct wish {
	struct text serial, profile_uuid;
};

struct removing {
	struct dep_own own;
	unsigned statement;
	struct wish *wishes; // that there were
	size_t wish_count;
	struct alarm *alarm;
	int64_t until_ms;
};

static void release(struct dep_call *dep)
{
	alarm_stop(((struct removing *)dep->state)->alarm);
}

static void forget_wishes(struct call *call)
{
	struct removing *removing = dep_of(call)->state;

	removing->statement = store_dep_wish_delete(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		dep_of(call)->place.instance_id, removing->own.ours, removing->own.count);
	call_start(call);
}

static void take_wishes(struct call *call)
{
	struct removing *removing = dep_of(call)->state;
	struct arena *arena = &call->request->arena;
	const size_t count = pg_row_count(&call->transaction, removing->statement);
	struct text serial, uuid;

	removing->wishes = arena_take(arena, (count + 1) * sizeof *removing->wishes);
	for (size_t i = 0; i < count && removing->wishes != NULL; i++) {
		store_dep_wish_read(&call->transaction, removing->statement, i, &serial, &uuid);
		removing->wishes[removing->wish_count++] = (struct wish){ text_of(arena_copy(arena, serial)), text_of(arena_copy(arena, uuid)) };
	}
	removing->until_ms = clock_monotonic_ms() + PATIENCE_MS;
}

static bool has_it_still(const struct removing *removing, const struct device_row *row)
{
	const struct device_record record = dep_device_by_now(row);

	for (size_t i = 0; i < removing->wish_count; i++) {
		if (text_equal(removing->wishes[i].serial, record.serial_number)) {
			return text_equal_ignoring_case(removing->wishes[i].profile_uuid, record.profile_uuid);
		}
	}
	return false;
}

static bool is_done(struct call *call)
{
	const struct removing *removing = dep_of(call)->state;

	for (size_t i = 0; i < pg_row_count(&call->transaction, 0); i++) {
		struct device_row row;

		store_device_read(&call->transaction, 0, i, &row);
		if (row.gone_at_us == INSTANT_NONE && row.instance_id == dep_of(call)->place.instance_id && has_it_still(removing, &row)) {
			return false;
		}
	}
	return true;
}

static void on_alarm(void *argument)
{
	struct call *call = argument;
	struct removing *removing = dep_of(call)->state;

	alarm_stop(removing->alarm);
	removing->alarm = NULL;
	call->endpoint->step(call);
}

static void rest(struct call *call)
{
	struct removing *removing = dep_of(call)->state;

	removing->alarm = alarm_start(&call->service->loop, LOOK_MS, on_alarm, call);
}

static struct removing *begin(struct call *call)
{
	struct removing *removing = dep_state(dep_of(call), sizeof *removing, release);

	return dep_take_serials(call, &removing->own.serials) ? removing : NULL;
}

void dep_remove(struct call *call)
{
	enum { NEW, READING, FORGETTING, RESTING, LOOKING };
	struct removing *removing = dep_of(call)->state;

	switch (call->state) {
	case NEW:
		removing = begin(call);
		if (removing == NULL) {
			return;
		}
		AWAIT(call, READING, dep_own_ask(call, &removing->own));
		if (call_failed(call)) {
			return;
		}
		dep_own_take(call, &removing->own);
		AWAIT(call, FORGETTING, forget_wishes(call));
		if (call_failed(call)) {
			return;
		}
		take_wishes(call);
		call_hint_workers(call->service, call->tenant.tenant_id);
		while (removing->wish_count > 0) {
			AWAIT(call, RESTING, rest(call));
			AWAIT(call, LOOKING, dep_own_ask(call, &removing->own));
			if (call_failed(call)) {
				return;
			}
			if (is_done(call) || clock_monotonic_ms() >= removing->until_ms) {
				break;
			}
		}
		dep_own_answer(call, &removing->own, "SUCCESS");
	}
}
