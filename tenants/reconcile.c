// SPDX-License-Identifier: Apache-2.0
#include "tenants/reconcile.h"

#include <string.h>

static bool is_gone(const struct device_row *row)
{
	return row->gone_at_us != INSTANT_NONE;
}

// The profile that this row should have now; empty: none.
static struct text wanted_of(const struct reconcile_settings *settings, const struct device_row *row)
{
	if (is_gone(row) || row->instance_id != settings->wish.instance_id) {
		return TEXT_NONE;
	}
	return row->instance_id == INSTANCE_NONE ? settings->parking_profile_uuid : settings->wanted_profile_uuid;
}

static bool same_uuid(struct text a, struct text b)
{
	return text_equal_ignoring_case(a, b);
}

// What Apple has accepted is newer than its last record, which shows something else.
static bool accepted_since(const struct device_row *row)
{
	return row->assigned_profile_uuid.length > 0 && !same_uuid(row->assigned_profile_uuid, row->apple.profile_uuid);
}

// `reported`: the row's members are Apple's as of now. A device that is waited for, and is wanted elsewhere by now, is not waited for any
// more; and what it had before is not what it has, even if just this is wanted again.
static struct assign_view view_of(const struct reconcile_settings *settings, const struct device_row *row, bool reported)
{
	const struct text wanted = wanted_of(settings, row);
	const bool confirming = row->assign_state == ASSIGN_CONFIRMING;
	const bool overtaken = confirming && wanted.length > 0 && row->assigned_profile_uuid.length > 0 &&
		!same_uuid(row->assigned_profile_uuid, wanted);
	const bool newer = accepted_since(row) && (overtaken || (!reported && !confirming));

	return (struct assign_view){
		.wanted_profile_uuid = wanted,
		.observed_profile_uuid = newer ? row->assigned_profile_uuid : row->apple.profile_uuid,
		.observed_status = newer ? TEXT("assigned") : row->apple.profile_status,
		.gone = is_gone(row),
		.state = overtaken ? ASSIGN_PENDING : row->assign_state,
		.next_attempt_at_us = overtaken ? INSTANT_NONE : row->assign_at_us,
	};
}

struct assign_view reconcile_assign_view(const struct reconcile_settings *settings, const struct device_row *row)
{
	return view_of(settings, row, false);
}

static bool is_observed(const struct device_row *row, struct text profile_uuid)
{
	return profile_uuid.length > 0 && same_uuid(row->apple.profile_uuid, profile_uuid) &&
		(text_equal_string(row->apple.profile_status, "assigned") || text_equal_string(row->apple.profile_status, "pushed"));
}

static void add_event(struct reconcile_outcome *outcome, enum event_type type, int64_t instance_id)
{
	if (outcome->event_count < RECONCILE_EVENTS_MAX) {
		outcome->events[outcome->event_count++] = (struct route_event){ .type = type, .instance_id = instance_id };
	}
}

static struct route_stored route_view_of(const struct device_row *stored)
{
	struct route_stored view = { .op_date_us = INSTANT_NONE };

	if (stored != NULL) {
		view.known = true;
		view.gone = is_gone(stored);
		view.instance_id = stored->instance_id;
		view.op_date_us = stored->apple.op_date_us;
		memcpy(view.fingerprint, stored->apple.fingerprint, sizeof view.fingerprint);
	}
	return view;
}

// The row as it is, or as a new device begins.
static void begin(struct reconcile_outcome *outcome, const struct reconcile_settings *settings, const struct device_row *stored)
{
	*outcome = (struct reconcile_outcome){ .write = false, .stored = stored };
	if (stored != NULL) {
		outcome->next = *stored;
		return;
	}
	outcome->next = (struct device_row){
		.gone_at_us = INSTANT_NONE,
		.held_since_us = INSTANT_NONE,
		.assign_at_us = INSTANT_NONE,
		.first_seen_at_us = settings->now_us,
	};
}

// The time of what happens to a device now: clocks of several machines may differ, its history does not go back.
static int64_t moment(const struct reconcile_outcome *outcome, const struct reconcile_settings *settings)
{
	const struct device_row *stored = outcome->stored;

	return stored != NULL && stored->changed_at_us > settings->now_us ? stored->changed_at_us : settings->now_us;
}

static void set_gone(struct reconcile_outcome *outcome, const struct reconcile_settings *settings, enum removal_reason reason)
{
	outcome->next.gone_at_us = reason != REMOVAL_NONE ? moment(outcome, settings) : INSTANT_NONE;
	outcome->next.gone_reason = reason;
	outcome->next.gone_seq = 0;
}

static bool is_held(const struct device_row *row)
{
	return row->instance_id == INSTANCE_NONE && !is_gone(row);
}

static bool is_as_decided(const struct device_row *row, const struct route_wish *wish)
{
	const bool explained = !is_held(row) || (text_equal(row->hold_reason, wish->hold_reason) && row->held_since_us != INSTANT_NONE);

	return row->instance_id == wish->instance_id && row->decider == wish->decider && text_equal(row->rule_id, wish->rule_id) && explained;
}

// What decided, as long as the device is there; when it has gone, the last word stays.
static void take_decision(struct reconcile_outcome *outcome, const struct reconcile_settings *settings)
{
	const struct route_wish *wish = &settings->wish;
	struct device_row *next = &outcome->next;

	if (!is_gone(next)) {
		const bool same = outcome->stored != NULL && outcome->stored->instance_id == wish->instance_id && next->decider == wish->decider &&
			text_equal(next->rule_id, wish->rule_id);

		next->rules_version = same ? next->rules_version : settings->rules_version;
		next->decider = wish->decider;
		next->rule_id = wish->rule_id;
		next->last_instance_id = next->instance_id != INSTANCE_NONE ? next->instance_id : next->last_instance_id;
	}
	next->hold_reason = is_held(next) ? wish->hold_reason : TEXT_NONE;
	next->held_since_us = !is_held(next) ? INSTANT_NONE : next->held_since_us != INSTANT_NONE ? next->held_since_us : next->changed_at_us;
}

static struct route_outcome apply_route(struct reconcile_outcome *outcome, const struct reconcile_settings *settings,
	const struct device_row *stored, const struct route_report *report, enum removal_reason reason)
{
	const struct route_stored view = route_view_of(stored);
	const struct route_outcome route = route_device(&settings->wish, &view, report);
	struct device_row *next = &outcome->next;

	if (route.write || (!route.stale && !route.gone && !is_as_decided(next, &settings->wish))) {
		outcome->write = true;
		next->changed_at_us = moment(outcome, settings);
		if (route.gone != is_gone(next)) {
			set_gone(outcome, settings, route.gone ? reason : REMOVAL_NONE);
		}
		next->instance_id = route.instance_id;
		take_decision(outcome, settings);
	}
	for (size_t i = 0; i < route.event_count; i++) {
		add_event(outcome, route.events[i].type, route.events[i].instance_id);
		if (route.events[i].type == EVENT_DEVICE_ADDED && same_uuid(next->assigned_profile_uuid, wanted_of(settings, next))) {
			next->assigned_profile_uuid = TEXT_NONE; // it comes back with the profile that it had here: news to this instance
		}
	}
	return route;
}

// The profile that Apple shows is the wanted one: tell it, unless it was told when Apple answered.
static void tell_assigned(struct reconcile_outcome *outcome, const struct reconcile_settings *settings, bool reported)
{
	struct device_row *next = &outcome->next;
	const struct text wanted = wanted_of(settings, next);

	if (!reported && !is_gone(next) && accepted_since(next)) {
		return; // what Apple shows is older
	}
	if (is_observed(next, wanted) && !same_uuid(next->assigned_profile_uuid, wanted)) {
		next->assigned_profile_uuid = wanted;
		next->changed_at_us = moment(outcome, settings);
		outcome->write = true;
		add_event(outcome, EVENT_DEVICE_ASSIGNED, next->instance_id);
	} else if (next->assigned_profile_uuid.length > 0 && next->assign_state != ASSIGN_CONFIRMING &&
		!same_uuid(next->apple.profile_uuid, next->assigned_profile_uuid)) {
		next->assigned_profile_uuid = TEXT_NONE; // Apple has taken it away: getting it again is news again
		outcome->write = true;
	}
}

// `reported`: the row's members are Apple's as of now, otherwise as of some time ago.
static void apply_assignment(struct reconcile_outcome *outcome, const struct reconcile_settings *settings, bool reported)
{
	struct device_row *next = &outcome->next;
	const struct assign_view view = view_of(settings, next, reported);
	const struct text wanted = view.wanted_profile_uuid;
	const bool accepted = next->assign_state == ASSIGN_CONFIRMING && same_uuid(next->assigned_profile_uuid, wanted);
	struct assign_next after;

	if (!reported && accepted && wanted.length > 0 && !is_observed(next, wanted)) {
		return; // what we know is older than Apple's SUCCESS
	}
	after = assign_after_record(&view, settings->now_us);
	if (after.state != ASSIGN_SETTLED && after.next_attempt_at_us == INSTANT_NONE) { // at once: due since when it was said first
		after.next_attempt_at_us = after.state == next->assign_state && next->assign_at_us != INSTANT_NONE &&
			next->assign_at_us < settings->now_us ? next->assign_at_us : settings->now_us;
	}
	if (after.state != next->assign_state || after.next_attempt_at_us != next->assign_at_us) {
		outcome->write = true;
	}
	next->assign_state = after.state;
	next->assign_at_us = after.next_attempt_at_us;
	if (after.state == ASSIGN_SETTLED && next->assign_attempts != 0) {
		next->assign_attempts = 0;
		outcome->write = true;
	}
	tell_assigned(outcome, settings, reported);
}

// Apple says little about a device that it has no more: what was known of it stays, for those who ask later.
static void take_record(struct device_row *next, const struct device_row *stored, const struct device_record *record, bool gone)
{
	next->apple = *record;
	if (gone && stored != NULL && is_gone(stored)) {
		next->apple = stored->apple;
		memcpy(next->apple.fingerprint, record->fingerprint, sizeof next->apple.fingerprint);
	} else if (gone && stored != NULL) {
		next->apple = stored->apple;
		memcpy(next->apple.fingerprint, record->fingerprint, sizeof next->apple.fingerprint);
		if (record->extra.length > 0) { // such as released_by_replacement
			next->apple.extra = record->extra;
		}
	}
	if (gone) {
		next->apple.list_hash = 0; // which was of what the fingerprint was of
	}
}

void reconcile_record(struct reconcile_outcome *outcome, const struct reconcile_settings *settings,
	const struct device_row *stored, const struct device_record *record, bool gone)
{
	const struct route_report report = {
		.gone = gone,
		.op_date_us = record->op_date_us,
		.assigned_at_us = record->device_assigned_date_us,
		.fingerprint = record->fingerprint,
	};
	struct route_outcome route;

	begin(outcome, settings, stored);
	route = apply_route(outcome, settings, stored, &report, record->released_by_replacement ? REMOVAL_REPLACED : REMOVAL_DELETED);
	if (!route.stale) {
		take_record(&outcome->next, stored, record, gone);
		outcome->next.apple.op_date_us = route.op_date_us;
		apply_assignment(outcome, settings, true);
	}
}

static void reconcile_without_record(struct reconcile_outcome *outcome, const struct reconcile_settings *settings,
	const struct device_row *stored, bool gone, enum removal_reason reason)
{
	const struct route_report report = { .gone = gone, .op_date_us = INSTANT_NONE, .fingerprint = NULL };
	struct route_outcome route;

	begin(outcome, settings, stored);
	route = apply_route(outcome, settings, stored, &report, reason);
	outcome->next.apple.op_date_us = route.op_date_us;
	apply_assignment(outcome, settings, false);
}

void reconcile_unseen(struct reconcile_outcome *outcome, const struct reconcile_settings *settings, const struct device_row *stored,
	enum removal_reason reason)
{
	reconcile_without_record(outcome, settings, stored, true, reason);
}

void reconcile_again(struct reconcile_outcome *outcome, const struct reconcile_settings *settings, const struct device_row *stored)
{
	reconcile_without_record(outcome, settings, stored, is_gone(stored), stored->gone_reason);
}

void reconcile_wait(struct reconcile_outcome *outcome, const struct device_row *stored, int64_t until_us)
{
	*outcome = (struct reconcile_outcome){ .write = true, .stored = stored, .next = *stored };
	outcome->next.assign_at_us = until_us;
}

void reconcile_assigned(struct reconcile_outcome *outcome, const struct reconcile_settings *settings, const struct device_row *stored,
	struct text asked_profile_uuid, enum assign_result result, int64_t retry_after_s, uint64_t random)
{
	const struct assign_next after =
		assign_after_result(result, (int)stored->assign_attempts, retry_after_s, settings->now_us, random);
	struct device_row *next = &outcome->next;

	begin(outcome, settings, stored);
	outcome->write = true;
	next->changed_at_us = moment(outcome, settings);
	next->assign_state = after.state;
	next->assign_at_us = after.next_attempt_at_us == INSTANT_NONE ? settings->now_us : after.next_attempt_at_us;
	if (result != ASSIGN_RESULT_SUCCESS) {
		next->assign_attempts++;
		return;
	}
	next->assign_attempts = 0;
	if (!same_uuid(next->assigned_profile_uuid, asked_profile_uuid)) {
		next->assigned_profile_uuid = asked_profile_uuid;
		add_event(outcome, EVENT_DEVICE_ASSIGNED, next->instance_id);
	}
}
