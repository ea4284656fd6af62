// SPDX-License-Identifier: Apache-2.0
#include "api/device_json.h"

#include "api/labels.h"
#include "store/instances.h"
#include "tenants/device.h"

#include <assert.h>

enum { DEVICE_JSON_MAX = 65536, HELD = 0 };

static struct text instance_name(const struct pg_transaction *t, unsigned instances, int64_t instance_id)
{
	for (size_t i = 0; i < pg_row_count(t, instances); i++) {
		struct instance_row row;

		store_instance_read(t, instances, i, &row);
		if (row.instance_id == instance_id) {
			return row.name;
		}
	}
	return TEXT_NONE;
}

static void assignment_json(struct json_out *json, const struct device_row *row)
{
	put_object(json, "assignment");
	put_string(json, "state", assign_state_name(row->assign_state));
	put_instant(json, "next_at", row->assign_at_us);
	put_int(json, "attempts", row->assign_attempts);
	put_text(json, "profile_uuid", row->assigned_profile_uuid);
	put_object_end(json);
}

// --- what it waits for ---

enum { UNASSIGNABLE = DEVICE_WORDS - 1 }; // a device that nothing is planned for although it waits

static const struct device_word {
	const char *state;
	const char *cause; // of a held one and of one that is gone: the reason that is stored
	const char *who;   // must act; NULL: nobody
	const char *next;  // NULL: nothing
} words[] = {
	{ "waiting", "its profile is to be assigned", "depbroker", "the profile is assigned" },
	{ "assigning", "Apple has been asked, and has not shown the profile yet", "depbroker", "the device is read back from Apple" },
	{ "assigned", "Apple has the profile; the device has not fetched it", "user", "the device fetches the profile when it is set up" },
	{ "pushed", "the device has fetched the profile; its MDM server has not told of it", "user", "the MDM server tells of the enrolment" },
	{ "enrolled", "its MDM server has told so", NULL, NULL },
	{ "throttled", "Apple wants a pause for this device", "apple", "the profile is assigned" },
	{ "failed", "Apple could not assign the profile", "apple", "the profile is assigned" },
	{ "held", "no rule sends it anywhere", "technician", "a rule, or a pin, sends it to an instance" },
	{ "misrouted", "it has enrolled with another instance than it is wanted at", "technician", "it enrols where it is wanted" },
	{ "released", "Apple does not list it any more", NULL, NULL },
	[UNASSIGNABLE] = { "waiting", "its instance has no profile that can be assigned", "technician", "the profile is put right" },
};
_Static_assert(sizeof words / sizeof *words == DEVICE_WORDS, "each has a bit");

static const struct device_word *word_of(struct text state)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (text_equal_string(state, words[i].state)) {
			return &words[i];
		}
	}
	return NULL;
}

static unsigned words_with(struct text value, const char *(*member)(const struct device_word *word))
{
	unsigned found = 0;

	for (unsigned i = 0; i < DEVICE_WORDS; i++) {
		const char *const own = member(&words[i]);

		found |= own != NULL && text_equal_string(value, own) ? 1u << i : 0;
	}
	return found;
}

static const char *state_of(const struct device_word *word)
{
	return word->state;
}

static const char *who_of(const struct device_word *word)
{
	return word->who;
}

static const char *usual_cause_of(const struct device_word *word)
{
	return word->cause;
}

unsigned device_words_of_state(struct text state)
{
	return words_with(state, state_of);
}

unsigned device_words_of_who(struct text who)
{
	return words_with(who, who_of);
}

unsigned device_words_of_cause(struct text cause)
{
	return words_with(cause, usual_cause_of);
}

struct text device_word_name(size_t word)
{
	assert(word < DEVICE_WORDS);
	return word == UNASSIGNABLE ? TEXT("unassignable") : text_of(words[word].state);
}

int64_t device_gone_reason(struct text cause)
{
	for (int reason = 1; removal_reason_name((enum removal_reason)reason) != NULL; reason++) {
		if (text_equal_string(cause, removal_reason_name((enum removal_reason)reason))) {
			return reason;
		}
	}
	return 0;
}

static struct text cause_of(const struct device_word *word, const struct device_row *row)
{
	const char *const removal = removal_reason_name(row->gone_reason);

	if (row->gone_at_us != INSTANT_NONE && removal != NULL) {
		return text_of(removal);
	}
	return row->hold_reason.length > 0 ? row->hold_reason : text_of(word->cause);
}

// Apple has its profile, and nobody has told of its enrolment.
static void awaiting_json(struct json_out *json, const struct device_row *row, const struct device_status *status)
{
	const int64_t since_us = row->apple.profile_assign_time_us;

	if ((!text_equal_string(status->state, "assigned") && !text_equal_string(status->state, "pushed")) || since_us == INSTANT_NONE) {
		put_null(json, "awaiting_enrolment");
		return;
	}
	const int64_t age_us = clock_wall_us() - since_us;

	put_object(json, "awaiting_enrolment");
	put_instant(json, "since", since_us);
	put_int(json, "age_s", age_us > 0 ? age_us / SECOND_US : 0);
	put_object_end(json);
}

static void put_word(struct json_out *json, const char *name, const char *word)
{
	put_text(json, name, word != NULL ? text_of(word) : TEXT_NONE);
}

static void status_json(struct json_out *json, const struct device_row *row, const struct device_status *status)
{
	const struct device_word *word = word_of(status->state);

	if (word == words && row->assign_state == ASSIGN_SETTLED) {
		word = &words[UNASSIGNABLE];
	}
	put_object(json, "status");
	put_text(json, "state", status->state);
	put_text(json, "cause", cause_of(word, row));
	put_instant(json, "since", status->since_us);
	put_word(json, "who", word->who);
	put_word(json, "next", word->next);
	put_instant(json, "next_at", row->assign_at_us);
	put_object_end(json);
}

// --- all of it ---

static void decision_members(struct json_out *json, const struct pg_transaction *t, unsigned instances, const struct device_row *row)
{
	put_text(json, "instance", instance_name(t, instances, row->instance_id));
	put_text(json, "previous_instance",
		row->last_instance_id != row->instance_id ? instance_name(t, instances, row->last_instance_id) : TEXT_NONE);
	put_bool(json, "held", row->instance_id == HELD && row->gone_at_us == INSTANT_NONE);
	put_text(json, "hold_reason", row->hold_reason);
	put_instant(json, "held_since", row->held_since_us);
	put_text(json, "rule", row->rule_id); // null: a pin or a guard, or no rules yet
	put_bool(json, "pinned", row->decider == ROUTE_BY_PIN);
	put_int(json, "rules_version", row->rules_version);
}

void device_members(struct json_out *json, const struct pg_transaction *t, unsigned instances, const struct device_row *row,
	const struct device_status *status)
{
	struct buffer apple CLEANUP(buffer_fini) = BUFFER(DEVICE_JSON_MAX);

	device_json_write(&apple, &row->apple);
	put_text(json, "serial_number", row->apple.serial_number);
	status_json(json, row, status);
	awaiting_json(json, row, status);
	labels_json(json, status->labels);
	decision_members(json, t, instances, row);
	put_instant(json, "gone_at", row->gone_at_us);
	put_text(json, "gone_reason", text_of(removal_reason_name(row->gone_reason)));
	put_int_or_null(json, "gone_seq", row->gone_seq);
	put_raw(json, "device", apple.overflow ? TEXT("{}") : buffer_text(&apple));
	assignment_json(json, row);
	put_instant(json, "first_seen_at", row->first_seen_at_us);
	put_instant(json, "changed_at", row->changed_at_us);
}
