// SPDX-License-Identifier: Apache-2.0
//
// POST and PUT /profile/devices.
#include "api/dep/dep_assigning.h"
#include "store/dep_profiles.h"

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
