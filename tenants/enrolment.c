// SPDX-License-Identifier: Apache-2.0
#include "tenants/enrolment.h"

const char *enrolment_state_name(enum enrolment_state state)
{
	static const char *const names[] = {
		[ENROLMENT_ENROLLING] = "enrolling",
		[ENROLMENT_ENROLLED] = "enrolled",
		[ENROLMENT_UNENROLLED] = "unenrolled",
	};

	return (size_t)state < sizeof names / sizeof *names ? names[state] : NULL;
}

static enum enrolment_state state_after(enum enrolment_word word)
{
	switch (word) {
	case ENROLMENT_WORD_AUTHENTICATE: return ENROLMENT_ENROLLING;
	case ENROLMENT_WORD_TOKEN_UPDATE: return ENROLMENT_ENROLLED;
	case ENROLMENT_WORD_CHECK_OUT: return ENROLMENT_UNENROLLED;
	}
	return ENROLMENT_NONE;
}

static bool is_live(const struct enrolment *enrolment)
{
	return enrolment->state == ENROLMENT_ENROLLING || enrolment->state == ENROLMENT_ENROLLED;
}

static void tell(struct enrolment_outcome *outcome, enum event_type type)
{
	outcome->events[outcome->event_count++] = type;
}

static bool is_elsewhere(const struct enrolment_place *place)
{
	return place->is_present && place->wanted_id != 0 && place->wanted_id != place->instance_id;
}

static void take_news(struct enrolment_outcome *outcome, const struct enrolment *before, const struct enrolment_news *news)
{
	struct enrolment *next = &outcome->next;

	next->at_us = news->at_us;
	next->state = state_after(news->word);
	if (next->state == ENROLMENT_ENROLLED && before->state != ENROLMENT_ENROLLED) {
		outcome->again = before->enrolled_at_us != INSTANT_NONE;
		outcome->is_sole = true;
		next->enrolled_at_us = news->at_us;
	}
}

// What is told of a device that the client has: of an orphan that has found its device everything is news.
static void take_events(struct enrolment_outcome *outcome, const struct enrolment *before)
{
	const struct enrolment *next = &outcome->next;
	const bool is_other = before->is_orphan || next->state != before->state;

	if (next->state == ENROLMENT_ENROLLED && is_other) {
		tell(outcome, EVENT_DEVICE_ENROLLED);
	}
	if (next->state == ENROLMENT_UNENROLLED && is_other && is_live(before)) {
		tell(outcome, EVENT_DEVICE_UNENROLLED);
	}
	if (next->is_misrouted && !before->is_misrouted) {
		tell(outcome, EVENT_DEVICE_MISROUTED);
	}
}

void enrolment_decide(struct enrolment_outcome *outcome, const struct enrolment *stored, const struct enrolment_news *news,
	const struct enrolment_place *place)
{
	const struct enrolment nothing = { .at_us = INSTANT_NONE, .enrolled_at_us = INSTANT_NONE };
	const struct enrolment *before = stored != NULL ? stored : &nothing;
	struct enrolment *next = &outcome->next;

	*outcome = (struct enrolment_outcome){ .next = *before };
	if (news != NULL && before->at_us != INSTANT_NONE && news->at_us <= before->at_us) {
		return;
	}
	if (news != NULL) {
		take_news(outcome, before, news);
	}
	const bool shows_misroute = news != NULL || before->is_orphan || before->is_misrouted;

	next->is_orphan = !place->is_present && (stored == NULL || before->is_orphan || news != NULL);
	next->is_misrouted = shows_misroute && is_live(next) && is_elsewhere(place);
	outcome->write = news != NULL || next->is_orphan != before->is_orphan || next->is_misrouted != before->is_misrouted;
	if (place->is_present && outcome->write) {
		take_events(outcome, before);
	}
}
