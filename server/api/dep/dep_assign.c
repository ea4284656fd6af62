// SPDX-License-Identifier: Apache-2.0
//
// POST, PUT and DELETE /profile/devices, and what is refused: POST /devices/disown.
#include "api/dep/dep_assigning.h"
#include "api/dep/dep_device_json.h"
#include "store/dep_profiles.h"
#include "store/devices.h"

#include <stdlib.h>

static struct dep_assigning *assigning_of(struct call *call)
{
	return dep_of(call)->state;
}

static void release(struct dep_call *dep)
{
	dep_assigning_fini(dep->state);
}

// --- POST and PUT ---

static bool begin(struct call *call)
{
	struct dep_assigning *assigning = dep_state(dep_of(call), sizeof *assigning, release);

	if (!dep_take_serials(call, &assigning->serials)) {
		return false;
	}
	assigning->profile_uuid = dep_member(call, "profile_uuid");
	if (assigning->profile_uuid.length == 0) {
		dep_answer_word(call, 400, "PROFILE_UUID_REQUIRED");
	}
	return assigning->profile_uuid.length > 0;
}

static void find_profile(struct call *call)
{
	(void)store_dep_profile_find(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		dep_of(call)->place.instance_id, assigning_of(call)->profile_uuid);
	call_start(call);
}

void dep_assign(struct call *call)
{
	enum { NEW, FINDING, ASSIGNING };

	switch (call->state) {
	case NEW:
		if (!begin(call)) {
			return;
		}
		AWAIT(call, FINDING, find_profile(call));
		if (call_failed(call)) {
			return;
		}
		if (pg_row_count(&call->transaction, 0) == 0) {
			dep_answer_word(call, 404, "PROFILE_NOT_FOUND");
			return;
		}
		call->state = ASSIGNING;
		dep_assigning_start(assigning_of(call), call, assigning_of(call)->profile_uuid);
		return;
	case ASSIGNING: dep_assigning_step(assigning_of(call));
	}
}

// --- DELETE, and disowning ---

struct removing {
	struct dep_serials serials;
	struct text *ours; // of them, sorted alike
	size_t count;
};

static bool begin_removing(struct call *call)
{
	struct removing *removing = dep_state(dep_of(call), sizeof *removing, NULL);

	return dep_take_serials(call, &removing->serials);
}

static void read_devices(struct call *call)
{
	const struct removing *removing = dep_of(call)->state;

	(void)store_device_by_serials(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, removing->serials.items,
		removing->serials.count);
	call_start(call);
}

static int compare(const void *a, const void *b)
{
	return dep_compare_texts(*(const struct text *)a, *(const struct text *)b);
}

static void take_ours(struct call *call)
{
	struct removing *removing = dep_of(call)->state;
	const size_t found = pg_row_count(&call->transaction, 0);
	struct device_row row;

	removing->ours = arena_take(&call->request->arena, (found + 1) * sizeof *removing->ours);
	for (size_t i = 0; i < found && removing->ours != NULL; i++) {
		store_device_read(&call->transaction, 0, i, &row);
		if (row.gone_at_us == INSTANT_NONE && row.instance_id == dep_of(call)->place.instance_id) {
			const char *copy = arena_copy(&call->request->arena, row.apple.serial_number);

			removing->ours[removing->count++] = (struct text){ copy, copy != NULL ? row.apple.serial_number.length : 0 };
		}
	}
	qsort(removing->ours, removing->count, sizeof *removing->ours, compare);
}

static void answer_removing(struct call *call, const char *result)
{
	const struct removing *removing = dep_of(call)->state;
	const struct dep_profile_set ours = { removing->ours, removing->count };
	struct buffer body = BUFFER(CALL_ANSWER_MAX);

	buffer_add_string(&body, "{\"devices\":{");
	for (size_t i = 0; i < removing->serials.count; i++) {
		buffer_add_string(&body, i > 0 ? "," : "");
		buffer_add_json(&body, removing->serials.items[i]);
		buffer_add_format(&body, ":\"%s\"", dep_profile_is_known(ours, removing->serials.items[i]) ? result : "NOT_ACCESSIBLE");
	}
	buffer_add_string(&body, "}}");
	dep_answer_json(call, &body);
}

static void forget_wishes(struct call *call)
{
	const struct removing *removing = dep_of(call)->state;

	store_dep_wish_delete(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, dep_of(call)->place.instance_id,
		removing->ours, removing->count);
	call_start(call);
}

void dep_remove(struct call *call)
{
	enum { NEW, READING, FORGETTING };

	switch (call->state) {
	case NEW:
		if (!begin_removing(call)) {
			return;
		}
		AWAIT(call, READING, read_devices(call));
		if (call_failed(call)) {
			return;
		}
		take_ours(call);
		AWAIT(call, FORGETTING, forget_wishes(call));
		if (!call_failed(call)) {
			call_hint_workers(call->service, call->tenant.tenant_id);
			answer_removing(call, "SUCCESS");
		}
	}
}

// Nothing takes it back, and it is the organisation's to do, not one MDM server's of several.
void dep_disown(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW:
		if (!begin_removing(call)) {
			return;
		}
		AWAIT(call, READING, read_devices(call));
		if (!call_failed(call)) {
			take_ours(call);
			answer_removing(call, "FAILED");
		}
	}
}
