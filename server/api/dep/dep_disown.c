// SPDX-License-Identifier: Apache-2.0
//
// POST /devices/disown: nothing takes it back, and it is the organisation's to do, not one MDM server's of several.
#include "api/dep/dep_own.h"

void dep_disown(struct call *call)
{
	enum { NEW, READING };
	struct dep_own *own = dep_of(call)->state;

	switch (call->state) {
	case NEW:
		own = dep_state(dep_of(call), sizeof *own, NULL);
		if (!dep_take_serials(call, &own->serials)) {
			return;
		}
		AWAIT(call, READING, dep_own_ask(call, own));
		if (!call_failed(call)) {
			dep_own_take(call, own);
			dep_own_answer(call, own, "FAILED");
		}
	}
}
