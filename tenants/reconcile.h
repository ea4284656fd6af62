// SPDX-License-Identifier: Apache-2.0
//
// reconcile.h - what one piece of news about one device makes of its row, and which events the log gets: routing (route.h)
// and assignment (assign.h) together, so that a device's row and its events are decided in one place.
//
// Ownership  rows and their texts are borrowed; `next` borrows from `stored` and from the record.
// Laws       1. pure: time and randomness are given
//            2. news that is applied and told once more writes nothing and has no events
//            3. one device.assigned for each profile that a device gets, whether Apple's answer to the assignment or a later record
//               is what told us, and never one for a profile that is not wanted
//            4. a device that is gone or held is never to be assigned
//            5. whatever changes a device's state (history.h) has an event, and what is gone stays as it was when it went. Events of a
//               device never go back in time: each is at next.changed_at_us
#pragma once

#include "tenants/device_row.h"
#include "tenants/event.h"
#include "tenants/route.h"

struct reconcile_settings {
	struct route_wish wish; // for this one device
	int64_t rules_version;  // that it is of
	struct text wanted_profile_uuid; // of a device that is where the wish says; empty: none
	struct text parking_profile_uuid; // of one that is held, and no place to go to; empty: none
	int64_t now_us;
};

enum { RECONCILE_EVENTS_MAX = 3 };

struct reconcile_outcome {
	bool write; // the row becomes `next`
	const struct device_row *stored; // NULL: the device is new
	struct device_row next;
	struct route_event events[RECONCILE_EVENTS_MAX]; // in this order
	size_t event_count;
};

// How assign.h sees a row.
struct assign_view reconcile_assign_view(const struct reconcile_settings *settings, const struct device_row *row);

// A record of Apple's. `stored` NULL: the device is new. `gone`: the record says that Apple has it no more.
void reconcile_record(struct reconcile_outcome *outcome, const struct reconcile_settings *settings,
	const struct device_row *stored, const struct device_record *record, bool gone);
// Without a record: a complete generation did not list it, or Apple does not let us see it.
void reconcile_unseen(struct reconcile_outcome *outcome, const struct reconcile_settings *settings, const struct device_row *stored,
	enum removal_reason reason);
// Rules, a pin, instances or the profile may have changed.
void reconcile_again(struct reconcile_outcome *outcome, const struct reconcile_settings *settings, const struct device_row *stored);
// Its profile cannot be defined before that time.
void reconcile_wait(struct reconcile_outcome *outcome, const struct device_row *stored, int64_t until_us);
// Apple's word about its assignment. `asked_profile_uuid` is what was asked for.
void reconcile_assigned(struct reconcile_outcome *outcome, const struct reconcile_settings *settings, const struct device_row *stored,
	struct text asked_profile_uuid, enum assign_result result, int64_t retry_after_s, uint64_t random);
