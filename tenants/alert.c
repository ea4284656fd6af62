// SPDX-License-Identifier: Apache-2.0
#include "tenants/alert.h"

#include "tenants/flat_json.h"

#include <stdlib.h>

static const enum event_type events[ALERT_KINDS] = {
	[ALERT_TOKEN_EXPIRING] = EVENT_TOKEN_EXPIRING,
	[ALERT_TOKEN_EXPIRED] = EVENT_TOKEN_EXPIRED,
	[ALERT_TOKEN_REJECTED] = EVENT_TOKEN_REJECTED,
	[ALERT_TERMS_UNSIGNED] = EVENT_TERMS_UNSIGNED,
	[ALERT_SYNC_FAILING] = EVENT_SYNC_FAILING,
	[ALERT_QUARANTINED] = EVENT_TENANT_QUARANTINED,
	[ALERT_PROFILE_UNUSABLE] = EVENT_PROFILE_UNUSABLE,
	[ALERT_PROFILE_UNDEFINED] = EVENT_PROFILE_UNDEFINED,
	[ALERT_PROFILE_DRIFTED] = EVENT_PROFILE_DRIFTED,
	[ALERT_ENDPOINT_DISABLED] = EVENT_ENDPOINT_DISABLED,
	[ALERT_TOKEN_RENEWED] = EVENT_TOKEN_RENEWED,
	[ALERT_ADMIN_CHANGED] = EVENT_TOKEN_ADMIN_CHANGED,
	[ALERT_TOKEN_REFUSED] = EVENT_TOKEN_REFUSED,
};

enum event_type alert_event(enum alert_kind kind)
{
	return events[kind];
}

const char *alert_name(enum alert_kind kind)
{
	return event_type_name(events[kind]);
}

bool alert_of(struct text name, enum alert_kind *kind)
{
	for (*kind = 0; *kind < ALERT_KINDS; (*kind)++) {
		if (text_equal_string(name, alert_name(*kind))) {
			return true;
		}
	}
	return false;
}

static const char *const of_statements[ALERT_KINDS_IN_ALL - ALERT_KINDS] = {
	"device.misrouted", "device.overdue", "device.unexpected", "device.held",
};

int alert_place_of(struct text name)
{
	enum alert_kind kind;

	if (alert_of(name, &kind)) {
		return (int)kind;
	}
	for (int i = ALERT_KINDS; i < ALERT_KINDS_IN_ALL; i++) {
		if (text_equal_string(name, of_statements[i - ALERT_KINDS])) {
			return i;
		}
	}
	return -1;
}

int alert_place_of_event(struct text alert_json)
{
	struct flat_json_member kind = { .name = "kind" };
	char *copy = duplicate(alert_json); // which is read in place
	const int place = flat_json_read(&kind, 1, copy, alert_json.length, NULL) == OK ? alert_place_of(kind.value) : -1;

	free(copy);
	return place;
}

static void set(struct alert_outcome *outcome, enum alert_kind kind, bool is_so)
{
	outcome->raise[kind] = is_so && !outcome->next.open[kind];
	outcome->clear[kind] = !is_so && outcome->next.open[kind];
	outcome->next.open[kind] = is_so;
	outcome->changed = outcome->changed || outcome->raise[kind] || outcome->clear[kind];
}

static void notice(struct alert_outcome *outcome, enum alert_kind kind)
{
	outcome->raise[kind] = true;
	outcome->next.open[kind] = true;
	outcome->changed = true;
}

// A token that was not there before: its thresholds are all to be told.
static void take_token(struct alert_outcome *outcome, const struct alert_facts *facts)
{
	if (facts->token_id == outcome->next.token_id) {
		return;
	}
	if (facts->token_id != 0 && facts->renewed_by_link) {
		notice(outcome, ALERT_TOKEN_RENEWED);
	}
	outcome->next.token_id = facts->token_id;
	outcome->next.days = 0;
	outcome->changed = true;
}

static void take_administrator(struct alert_outcome *outcome, const struct alert_facts *facts)
{
	if (facts->admin_id.length == 0 || text_equal(facts->admin_id, outcome->next.admin_id)) {
		return;
	}
	if (outcome->next.admin_id.length > 0) {
		notice(outcome, ALERT_ADMIN_CHANGED);
	}
	outcome->next.admin_id = facts->admin_id;
	outcome->changed = true;
}

static void take_threshold(struct alert_outcome *outcome, const struct alert_facts *facts)
{
	const bool is_worse = facts->threshold > 0 && (outcome->next.days == 0 || facts->threshold < outcome->next.days);

	set(outcome, ALERT_TOKEN_EXPIRING, facts->threshold > 0);
	outcome->raise[ALERT_TOKEN_EXPIRING] = is_worse;
	if (is_worse) {
		outcome->next.days = facts->threshold;
		outcome->changed = true;
	}
}

void alert_decide(struct alert_outcome *outcome, const struct alert_facts *facts, const struct alert_told *told)
{
	*outcome = (struct alert_outcome){ .next = *told };
	take_token(outcome, facts);
	take_administrator(outcome, facts);
	take_threshold(outcome, facts);
	set(outcome, ALERT_TOKEN_EXPIRED, facts->state == TOKEN_STATE_EXPIRED);
	set(outcome, ALERT_TOKEN_REJECTED, facts->state == TOKEN_STATE_REJECTED);
	set(outcome, ALERT_TERMS_UNSIGNED, facts->state == TOKEN_STATE_TERMS_UNSIGNED);
	set(outcome, ALERT_QUARANTINED, facts->state == TOKEN_STATE_QUARANTINED);
	set(outcome, ALERT_SYNC_FAILING, facts->sync_fails);
	set(outcome, ALERT_PROFILE_UNUSABLE, facts->profile_unusable);
	set(outcome, ALERT_PROFILE_UNDEFINED, facts->profile_undefined);
	set(outcome, ALERT_PROFILE_DRIFTED, facts->profile_drifts);
	set(outcome, ALERT_ENDPOINT_DISABLED, facts->endpoint_disabled);
	if (facts->pending_refused) {
		notice(outcome, ALERT_TOKEN_REFUSED);
	}
}
