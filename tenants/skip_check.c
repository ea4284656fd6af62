// SPDX-License-Identifier: Apache-2.0
#include "tenants/skip_check.h"

#include "tenants/skip_items.h"

static const struct finding_kind unknown = { FINDING_WARNING, "unknown_skip_item", NULL };
static const struct finding_kind unlisted = { FINDING_NOTE, "unlisted_skip_item", NULL };
static const struct finding_kind no_effect = { FINDING_NOTE, "no_effect", NULL };
static const struct finding_kind not_always = { FINDING_NOTE, "not_always_skipped", NULL };

static void advise_on_unknown(struct findings *findings, const struct profile_key *key, size_t index, struct text name)
{
	const struct text nearest = skip_item_nearest(name);

	if (skip_item_is_seen_in_the_wild(name)) {
		profile_find_at_element(findings, key, index, unlisted, "Apple does not list %.*s, but profiles with it are known to work",
			TEXT_ARGS(name));
	} else if (nearest.length > 0) {
		profile_find_at_element(findings, key, index, unknown, "Apple does not list %.*s; %.*s may be meant", TEXT_ARGS(name),
			TEXT_ARGS(nearest));
	} else {
		profile_find_at_element(findings, key, index, unknown, "Apple does not list %.*s; it is passed on as it is",
			TEXT_ARGS(name));
	}
}

enum state { ABSENT, GONE, OLD, NOT_ALWAYS, WORKS, STATE_COUNT };

static enum state state_on(const struct skip_availability *on)
{
	return on->since == NULL ? ABSENT : on->gone_since != NULL ? GONE : on->old_since != NULL ? OLD
		: on->not_always ? NOT_ALWAYS : WORKS;
}

static bool is_meant(unsigned systems, int os)
{
	return (systems & 1U << os) != 0;
}

static void say_that_it_is_dead(struct findings *findings, const struct profile_key *key, size_t index,
	const struct skip_item *item, enum state best, unsigned systems)
{
	for (int os = 0; os < SKIP_OS_COUNT; os++) {
		const struct skip_availability *on = &item->on[os];

		if (!is_meant(systems, os) || state_on(on) != best) {
			continue;
		}
		if (best == ABSENT) {
			profile_find_at_element(findings, key, index, no_effect, "%s has no pane %.*s", skip_os_name((enum skip_os)os),
				TEXT_ARGS(item->name));
		} else {
			profile_find_at_element(findings, key, index, no_effect, "%s has %s %.*s since %s", skip_os_name((enum skip_os)os),
				best == GONE ? "dropped" : "deprecated", TEXT_ARGS(item->name), best == GONE ? on->gone_since : on->old_since);
		}
	}
}

// One profile may serve several systems: it is enough that a pane is skipped on one of them.
static void advise_on_item(struct findings *findings, const struct profile_key *key, size_t index,
	const struct skip_item *item, unsigned systems)
{
	enum state best = ABSENT;

	for (int os = 0; os < SKIP_OS_COUNT; os++) {
		if (is_meant(systems, os) && state_on(&item->on[os]) > best) {
			best = state_on(&item->on[os]);
		}
	}
	if (best == NOT_ALWAYS) {
		profile_find_at_element(findings, key, index, not_always,
			"%.*s may be shown nevertheless: it can come before the device has its profile", TEXT_ARGS(item->name));
	} else if (best < NOT_ALWAYS) {
		say_that_it_is_dead(findings, key, index, item, best, systems);
	}
}

void skip_check(struct findings *findings, const struct profile_key *key, size_t index, unsigned systems)
{
	const struct text name = key->value.members[index].value.text;
	const struct skip_item *item = skip_item_find(name);

	if (item == NULL) {
		advise_on_unknown(findings, key, index, name);
	} else if (systems != 0) {
		advise_on_item(findings, key, index, item, systems);
	}
}
