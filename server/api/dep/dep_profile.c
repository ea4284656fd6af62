// SPDX-License-Identifier: Apache-2.0
//
// GET /profile: as Apple has it, if it is the instance's.
#include "api/dep/dep_apple.h"
#include "apple/apple_names.h"
#include "store/dep_profiles.h"

struct reading {
	struct dep_apple apple;
	struct text profile_uuid;
	struct buffer found;
};

static void release(struct dep_call *dep)
{
	struct reading *reading = dep->state;

	dep_apple_fini(&reading->apple);
	buffer_fini(&reading->found);
}

static void find(struct call *call)
{
	const struct reading *reading = dep_of(call)->state;

	(void)store_dep_profile_find_any(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id,
		dep_of(call)->place.instance_id, reading->profile_uuid);
	call_start(call);
}

static bool begin(struct call *call)
{
	struct reading *reading = dep_state(dep_of(call), sizeof *reading, release);

	reading->found = BUFFER(APPLE_ANSWER_MAX);
	reading->profile_uuid = http_request_query(call->request, "profile_uuid");
	if (reading->profile_uuid.length == 0) {
		dep_answer_word(call, 400, "PROFILE_UUID_REQUIRED");
	}
	return reading->profile_uuid.length > 0;
}

static bool is_found(struct call *call)
{
	if (pg_row_count(&call->transaction, 0) == 0) {
		dep_answer_word(call, 400, "NOT_FOUND");
		return false;
	}
	return true;
}

static void ask(struct call *call)
{
	struct reading *reading = dep_of(call)->state;

	apple_get_profile(&reading->apple.apple, &reading->apple.session, reading->profile_uuid, &reading->found);
}

void dep_profile(struct call *call)
{
	enum { NEW, FINDING, ASKING_TOKEN, ASKING_ACCOUNT, ASKING };
	struct reading *reading = dep_of(call)->state;

	switch (call->state) {
	case NEW:
		if (!begin(call)) {
			return;
		}
		AWAIT(call, FINDING, find(call));
		if (call_failed(call) || !is_found(call)) {
			return;
		}
		AWAIT(call, ASKING_TOKEN, dep_apple_ask_token(call));
		if (call_failed(call) || !dep_apple_take_token(&reading->apple, call)) {
			return;
		}
		AWAIT(call, ASKING_ACCOUNT, dep_apple_ask_account(&reading->apple));
		if (!dep_apple_is_ours(&reading->apple)) {
			return;
		}
		AWAIT(call, ASKING, ask(call));
		if (dep_apple_worked(&reading->apple)) {
			dep_answer_json(call, &reading->found);
		}
	}
}
