// SPDX-License-Identifier: Apache-2.0
#include "tenants/route.h"

#include <string.h>

static bool is_older(const struct route_stored *stored, const struct route_report *report)
{
	return stored->known && report->op_date_us != INSTANT_NONE && stored->op_date_us != INSTANT_NONE &&
		report->op_date_us < stored->op_date_us;
}

// A fetch has no date, but what it shows cannot be older than the device's assignment, nor than the deletion after which it is
// there again: one microsecond more makes a repetition of that deletion the older one, and any other operation, dated in
// whole seconds, stays younger. The other way round nothing is done: a device that a generation has not seen may come back by
// whatever Apple reports.
static int64_t next_op_date(const struct route_stored *stored, const struct route_report *report)
{
	int64_t op_date_us = stored->known ? stored->op_date_us : INSTANT_NONE;

	if (report->op_date_us != INSTANT_NONE) {
		return report->op_date_us;
	}
	if (report->gone) {
		return op_date_us;
	}
	if (stored->gone && op_date_us != INSTANT_NONE) {
		op_date_us++;
	}
	return report->assigned_at_us > 0 && report->assigned_at_us > op_date_us ? report->assigned_at_us : op_date_us;
}

static bool says_something_else(const struct route_stored *stored, const struct route_report *report)
{
	return report->fingerprint != NULL && memcmp(stored->fingerprint, report->fingerprint, DEVICE_FINGERPRINT_SIZE) != 0;
}

static void add_event(struct route_outcome *outcome, enum event_type type, int64_t instance_id)
{
	outcome->events[outcome->event_count++] = (struct route_event){ type, instance_id };
}

static void add_events(struct route_outcome *outcome, const struct route_stored *stored, bool changed)
{
	const bool was_present = stored->known && !stored->gone;
	const bool moved = stored->instance_id != outcome->instance_id;

	if (outcome->gone) {
		if (was_present) {
			add_event(outcome, EVENT_DEVICE_REMOVED, stored->instance_id);
		}
		return;
	}
	if (was_present && !moved) {
		if (changed) {
			add_event(outcome, EVENT_DEVICE_CHANGED, outcome->instance_id);
		}
		return;
	}
	if (was_present && stored->instance_id != INSTANCE_NONE) {
		add_event(outcome, EVENT_DEVICE_REMOVED, stored->instance_id);
	}
	add_event(outcome, outcome->instance_id == INSTANCE_NONE ? EVENT_DEVICE_HELD : EVENT_DEVICE_ADDED, outcome->instance_id);
}

struct route_outcome route_device(const struct route_wish *wish, const struct route_stored *stored,
	const struct route_report *report)
{
	if (is_older(stored, report)) {
		return (struct route_outcome){
			.stale = true,
			.gone = stored->gone,
			.instance_id = stored->instance_id,
			.op_date_us = stored->op_date_us,
		};
	}
	struct route_outcome outcome = {
		.gone = report->gone,
		.instance_id = report->gone ? INSTANCE_NONE : wish->instance_id,
		.op_date_us = next_op_date(stored, report),
	};
	const bool changed = says_something_else(stored, report);

	outcome.write = !stored->known || changed || stored->gone != outcome.gone || stored->op_date_us != outcome.op_date_us ||
		stored->instance_id != outcome.instance_id;
	add_events(&outcome, stored, changed);
	return outcome;
}
