// SPDX-License-Identifier: Apache-2.0
#include "api/device_filter.h"

#include <assert.h>

enum { VALUE_MAX = 400 };

struct reading {
	struct call *call;
	struct device_question *out;
	struct text (*value)(const void *from, const char *name);
	const void *from;
	enum api_problem problem;
	unsigned words; // that are meant
};

// False: it is refused, and that has been answered. Absent: bytes NULL.
static bool read_value(const struct reading *reading, const char *name, struct text *out)
{
	*out = reading->value(reading->from, name);
	if (out->bytes == NULL) {
		return true;
	}
	reading->out->given++;
	if (out->length == 0 || out->length > VALUE_MAX || !text_is_utf8(*out)) {
		call_problem(reading->call, reading->problem, "%s is a text of 1 to %d bytes", name, VALUE_MAX);
		return false;
	}
	return true;
}

// --- states ---

static bool read_words(struct reading *reading, const char *name, unsigned (*words_of)(struct text word), const char *expected)
{
	struct text rest, item;
	unsigned words = 0;

	if (!read_value(reading, name, &rest)) {
		return false;
	}
	if (rest.bytes == NULL) {
		return true;
	}
	while (text_next(&rest, ',', &item)) {
		const unsigned some = words_of(item);

		if (some == 0) {
			call_problem(reading->call, reading->problem, "%s is one or several, with commas, of %s", name, expected);
			return false;
		}
		words |= some;
	}
	reading->words &= words;
	return true;
}

// A cause is of a state, the reason of a removal, or the words of a rule, a pin or a guard that holds.
static bool read_cause(struct reading *reading)
{
	struct device_filter *filter = &reading->out->filter;
	struct text cause;

	if (!read_value(reading, "cause", &cause)) {
		return false;
	}
	if (cause.bytes == NULL) {
		return true;
	}
	unsigned words = device_words_of_cause(cause);

	if (words != 0) {
		filter->hold_reason = TEXT("");
	} else if ((filter->gone_reason = device_gone_reason(cause)) != 0) {
		words = device_words_of_state(TEXT("released"));
	} else {
		filter->hold_reason = cause;
		words = device_words_of_state(TEXT("held"));
	}
	reading->words &= words;
	return true;
}

static bool read_states(struct reading *reading)
{
	return read_words(reading, "state", device_words_of_state,
			"waiting, assigning, assigned, pushed, enrolled, throttled, failed, held, misrouted, released") &&
		read_words(reading, "who", device_words_of_who, "depbroker, technician, user, apple") && read_cause(reading);
}

// What nothing can be is meant by a word that no device has.
static void put_words(struct reading *reading)
{
	struct device_filter *filter = &reading->out->filter;

	if (reading->words == DEVICE_WORDS_ALL) {
		return;
	}
	filter->words = reading->out->words;
	for (size_t i = 0; i < DEVICE_WORDS; i++) {
		if ((reading->words & 1u << i) != 0) {
			reading->out->words[filter->word_count++] = device_word_name(i);
		}
	}
	if (filter->word_count == 0) {
		reading->out->words[filter->word_count++] = TEXT("none");
	}
	filter->with_gone = (reading->words & device_words_of_state(TEXT("released"))) != 0;
}

// --- times ---

static bool read_instant(const struct reading *reading, const char *name, int64_t *out)
{
	struct text value;

	if (!read_value(reading, name, &value)) {
		return false;
	}
	*out = value.bytes != NULL ? instant_parse(value) : INSTANT_NONE;
	if (value.bytes != NULL && *out == INSTANT_NONE) {
		call_problem(reading->call, reading->problem, "%s is a date and time of RFC 3339", name);
		return false;
	}
	return true;
}

static bool read_times(struct reading *reading)
{
	struct device_filter *filter = &reading->out->filter;

	if (!read_instant(reading, "since_until", &filter->since_until_us) || !read_instant(reading, "next_before", &filter->next_before_us) ||
		!read_instant(reading, "awaiting_enrolment_since", &filter->assigned_until_us)) {
		return false;
	}
	if (filter->assigned_until_us != INSTANT_NONE) {
		reading->words &= device_words_of_state(TEXT("assigned")) | device_words_of_state(TEXT("pushed"));
	}
	return true;
}

// --- texts ---

static bool read_texts(struct reading *reading)
{
	struct device_filter *filter = &reading->out->filter;
	const struct {
		const char *name;
		struct text *out;
	} texts[] = {
		{ "profile", &filter->profile_uuid }, { "profile_status", &filter->profile_status }, { "rule", &filter->rule },
		{ "family", &filter->family }, { "label", &filter->label },
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (!read_value(reading, texts[i].name, texts[i].out)) {
			return false;
		}
	}
	const struct text status = filter->profile_status;

	if (status.bytes != NULL && !text_equal_string(status, "empty") && !text_equal_string(status, "assigned") &&
		!text_equal_string(status, "pushed") && !text_equal_string(status, "removed")) {
		call_problem(reading->call, reading->problem, "profile_status is one of empty, assigned, pushed, removed");
		return false;
	}
	return true;
}

// "MacBook*", as rules have it, for LIKE.
static bool read_model(struct reading *reading)
{
	struct buffer pattern CLEANUP(buffer_fini) = BUFFER(2 * VALUE_MAX);
	struct text glob;

	if (!read_value(reading, "model", &glob)) {
		return false;
	}
	for (size_t i = 0; i < glob.length; i++) {
		const char c = glob.bytes[i];

		if (c == '%' || c == '_' || c == '\\') {
			buffer_add_string(&pattern, "\\");
		}
		buffer_add(&pattern, c == '*' ? "%" : c == '?' ? "_" : &c, 1);
	}
	if (glob.bytes != NULL) {
		reading->out->filter.model = text_of(arena_copy(&reading->call->request->arena, buffer_text(&pattern)));
	}
	return true;
}

// Serial numbers are between a prefix and the same one with its last character raised.
static bool read_prefix(struct reading *reading)
{
	struct device_filter *filter = &reading->out->filter;
	struct text given;

	if (!read_value(reading, "serial_prefix", &given) || given.bytes == NULL) {
		return given.bytes == NULL;
	}
	bool is_good = call_serial(reading->call, given, &filter->serial_prefix);

	for (size_t i = 0; is_good && i < filter->serial_prefix.length; i++) {
		const char c = filter->serial_prefix.bytes[i];

		is_good = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
	}
	if (!is_good) {
		call_problem(reading->call, reading->problem, "serial_prefix is of letters and digits, at most %d", CALL_SERIAL_MAX);
		return false;
	}
	char *end = arena_copy(&reading->call->request->arena, filter->serial_prefix);

	assert(end != NULL); // far below the arena's budget
	end[filter->serial_prefix.length - 1]++;
	filter->serial_end = (struct text){ end, filter->serial_prefix.length };
	return true;
}

bool device_filter_read(struct call *call, struct device_question *out, struct text (*value)(const void *from, const char *name),
	const void *from, enum api_problem problem)
{
	struct reading reading = { .call = call, .out = out, .value = value, .from = from, .problem = problem, .words = DEVICE_WORDS_ALL };

	*out = (struct device_question){ .filter = DEVICE_FILTER_ANY };
	if (!read_states(&reading) || !read_times(&reading) || !read_texts(&reading) || !read_model(&reading) || !read_prefix(&reading)) {
		return false;
	}
	put_words(&reading);
	return true;
}
