// SPDX-License-Identifier: Apache-2.0
//
// "when": what a device must be for a rule to match.
#include "tenants/ruleset_inner.h"

#include <assert.h>
#include <string.h>

enum { LABELS_MAX = 16, WANTED_MAX = 300 };

const struct rule_field_entry rule_fields[RULE_FIELD_COUNT] = {
#define RULE_FIELD_ENTRY(field, key, kind) [field] = { { key, sizeof key - 1 }, kind },
	RULE_FIELDS(RULE_FIELD_ENTRY)
#undef RULE_FIELD_ENTRY
};

void *ruleset_take(struct ruleset *ruleset, size_t size)
{
	void *memory = arena_take(&ruleset->arena, size);

	assert(memory != NULL);
	return memory;
}

struct text ruleset_keep(struct ruleset *ruleset, struct text text)
{
	char *copy = ruleset_take(ruleset, text.length + 1);

	if (text.length > 0) {
		memcpy(copy, text.bytes, text.length);
	}
	return (struct text){ copy, text.length };
}

struct text ruleset_keep_json(struct ruleset *ruleset, const struct tree_value *value)
{
	CLEANUP(buffer_fini) struct buffer json = BUFFER((size_t)8 * RULESET_DOCUMENT_MAX);

	tree_value_write(&json, value);
	assert(!json.overflow);
	return ruleset_keep(ruleset, buffer_text(&json));
}

// --- texts ---

static bool is_plain(struct text text)
{
	for (size_t i = 0; i < text.length; i++) {
		if ((unsigned char)text.bytes[i] < 0x20 || text.bytes[i] == 0x7f) {
			return false;
		}
	}
	return true;
}

static bool read_any_text(struct ruleset *ruleset, const struct rule_path *at, const struct tree_value *value, struct text *out)
{
	if (value->kind != TREE_STRING) {
		rule_error(ruleset, at, "a text in quotes is expected");
		return false;
	}
	if (value->text.length > RULESET_TEXT_MAX || !is_plain(value->text)) {
		rule_error(ruleset, at, "the text is longer than %d bytes or has control characters", RULESET_TEXT_MAX);
		return false;
	}
	*out = value->text;
	return true;
}

bool rule_read_text(struct ruleset *ruleset, const struct rule_path *at, const struct tree_value *value, struct text *out)
{
	if (!read_any_text(ruleset, at, value, out)) {
		return false;
	}
	if (out->length == 0) {
		rule_error(ruleset, at, "the text is empty");
		return false;
	}
	return true;
}

enum text_form { FORM_PLAIN, FORM_LIST, FORM_PREFIX, FORM_GLOB, FORM_CONTAINS, FORM_RANGE, FORM_COUNT };

static const struct text form_keys[] = { // of FORM_LIST and those after it
	TEXT("list"), TEXT("prefix"), TEXT("glob"), TEXT("contains"), TEXT("range"),
};

struct texts { // a condition on a text while it is read
	struct ruleset *ruleset;
	struct rule_condition *condition;
	enum text_form form;
};

static bool has_wildcard(struct text text)
{
	return text.length > 0 && (memchr(text.bytes, '*', text.length) != NULL || memchr(text.bytes, '?', text.length) != NULL);
}

static bool is_listed(enum text_form form, const struct tree_value *value)
{
	return form == FORM_LIST || ((form == FORM_PLAIN || form == FORM_GLOB) && !has_wildcard(value->text));
}

static bool count_against_limits(const struct texts *in, const struct rule_path *at, const struct tree_value *value)
{
	struct ruleset *ruleset = in->ruleset;

	if (is_listed(in->form, value)) {
		ruleset->text_count++;
	} else {
		ruleset->pattern_count++;
	}
	if (ruleset->text_count == RULESET_TEXTS_MAX + 1) {
		rule_error(ruleset, at, "the rules list more than %d texts", RULESET_TEXTS_MAX);
	}
	if (ruleset->pattern_count == RULESET_PATTERNS_MAX + 1) {
		rule_error(ruleset, at, "the rules have more than %d prefixes, globs and ranges", RULESET_PATTERNS_MAX);
	}
	return ruleset->text_count <= RULESET_TEXTS_MAX && ruleset->pattern_count <= RULESET_PATTERNS_MAX;
}

static bool is_serial_usable(const struct texts *in, const struct rule_path *at, struct text text)
{
	if (in->condition->field != RULE_SERIAL) {
		return true;
	}
	if (text.length == 0 || text.length > 64 || memchr(text.bytes, ' ', text.length) != NULL) {
		rule_error(in->ruleset, at, "a serial number has 1 to 64 characters and no blanks");
		return false;
	}
	return true;
}

static const struct {
	enum rule_field field;
	struct text words[7];
	const char *hint;
} reported[] = { // what Apple is known to say; anything else is passed on, with a warning
	{ RULE_DEVICE_FAMILY,
		{ TEXT("iPad"), TEXT("iPhone"), TEXT("iPod"), TEXT("Mac"), TEXT("AppleTV"), TEXT("Vision"), TEXT("Watch") },
		"iPad, iPhone, iPod, Mac, AppleTV, Vision, Watch" },
	{ RULE_OS, { TEXT("iOS"), TEXT("iPadOS"), TEXT("OSX"), TEXT("tvOS"), TEXT("visionOS"), TEXT("watchOS") },
		"iOS, iPadOS, OSX (for Macs), tvOS, visionOS, watchOS" },
};

static void warn_of_unusual(const struct texts *in, const struct rule_path *at, struct text text)
{
	for (size_t i = 0; text.length > 0 && i < sizeof reported / sizeof *reported; i++) {
		const size_t count = sizeof reported[i].words / sizeof *reported[i].words;
		bool known = reported[i].field != in->condition->field;

		for (size_t j = 0; !known && j < count; j++) {
			known = text_equal_ignoring_case(reported[i].words[j], text);
		}
		if (!known) {
			rule_warn(in->ruleset,
				&(struct ruleset_finding){ .kind = RULESET_UNUSUAL, .rule = RULESET_NO_RULE, .other = RULESET_NO_RULE }, at,
				"Apple is not known to report \"%.*s\" here, but: %s", TEXT_ARGS(text), reported[i].hint);
		}
	}
}

static void put_text(const struct texts *in, const struct rule_path *at, const struct tree_value *value)
{
	static const enum text_pattern_kind kinds[FORM_COUNT] = {
		[FORM_PREFIX] = TEXT_PATTERN_PREFIX, [FORM_CONTAINS] = TEXT_PATTERN_CONTAINS,
	};
	struct text_set *set = &in->condition->set;
	struct arena *arena = &in->ruleset->arena;
	struct text text;

	if (!read_any_text(in->ruleset, at, value, &text) || !count_against_limits(in, at, value) ||
		!is_serial_usable(in, at, text)) {
		return;
	}
	if (is_listed(in->form, value)) {
		warn_of_unusual(in, at, text);
		text_set_list(set, arena, text);
	} else if (text.length == 0) {
		rule_error(in->ruleset, at, "the text is empty");
	} else {
		text_set_add_pattern(set, arena, kinds[in->form], text);
	}
}

static const struct tree_value *read_end(const struct texts *in, const struct rule_path *at, const struct tree_value *range,
	struct text key)
{
	const struct tree_value *value = tree_value_find(range, key);
	const struct rule_path here = { .up = at, .name = key };
	struct text text;

	if (value == NULL) {
		rule_error(in->ruleset, at, "a range has \"from\" and \"to\"");
		return NULL;
	}
	return rule_read_text(in->ruleset, &here, value, &text) && is_serial_usable(in, &here, text) ? value : NULL;
}

static void put_range(const struct texts *in, const struct rule_path *at, const struct tree_value *range)
{
	static const struct text keys[] = { TEXT("from"), TEXT("to") };

	if (range->kind != TREE_OBJECT) {
		rule_error(in->ruleset, at, "a range is written {\"from\": ..., \"to\": ...}");
		return;
	}
	rule_refuse_unknown(in->ruleset, at, range, keys, 2);
	const struct tree_value *from = read_end(in, at, range, keys[0]);
	const struct tree_value *to = from != NULL ? read_end(in, at, range, keys[1]) : NULL;

	if (to == NULL || !count_against_limits(in, at, range)) {
		return;
	}
	if (from->text.length != to->text.length) {
		rule_error(in->ruleset, at, "both ends of a range are equally long: it holds what is as long as they are");
	} else if (!text_set_add_range(&in->condition->set, &in->ruleset->arena, from->text, to->text)) {
		rule_error(in->ruleset, at, "\"from\" comes after \"to\": nothing is between them");
	}
}

static void put_one(const struct texts *in, const struct rule_path *at, const struct tree_value *value)
{
	if (in->form == FORM_RANGE) {
		put_range(in, at, value);
	} else {
		put_text(in, at, value);
	}
}

// One value, or a list of them.
static void read_texts(const struct texts *in, const struct rule_path *at, const struct tree_value *value)
{
	const bool is_list = value->kind == TREE_ARRAY;
	const size_t count = is_list ? value->count : 1;
	size_t listed = 0;

	if (count == 0 || count > RULESET_TEXTS_MAX) {
		rule_error(in->ruleset, at, "a list has 1 to %d entries", RULESET_TEXTS_MAX);
		return;
	}
	for (size_t i = 0; i < count && in->form != FORM_RANGE; i++) {
		listed += is_listed(in->form, is_list ? &value->members[i].value : value) ? 1 : 0;
	}
	text_set_init(&in->condition->set, &in->ruleset->arena, listed, in->form == FORM_RANGE ? 0 : count - listed,
		in->form == FORM_RANGE ? count : 0);
	for (size_t i = 0; i < count; i++) {
		const struct rule_path here = { .up = at, .index = i };

		put_one(in, is_list ? &here : at, is_list ? &value->members[i].value : value);
	}
}

static void read_text_condition(struct ruleset *ruleset, struct rule_condition *condition, const struct rule_path *at,
	const struct tree_value *value)
{
	struct texts in = { ruleset, condition, FORM_PLAIN };

	if (value->kind != TREE_OBJECT) {
		read_texts(&in, at, value);
		return;
	}
	rule_refuse_unknown(ruleset, at, value, form_keys, sizeof form_keys / sizeof *form_keys);
	if (value->count != 1) {
		rule_error(ruleset, at, "exactly one of \"list\", \"prefix\", \"glob\", \"contains\", \"range\" is expected");
		return;
	}
	for (size_t i = 0; i < sizeof form_keys / sizeof *form_keys; i++) {
		if (text_equal(form_keys[i], value->members[0].name)) {
			const struct rule_path here = { .up = at, .name = form_keys[i] };

			in.form = FORM_LIST + (enum text_form)i;
			read_texts(&in, &here, &value->members[0].value);
		}
	}
}

// --- dates, truth, shares ---

static bool read_instant(struct ruleset *ruleset, const struct rule_path *at, const struct tree_value *value, int64_t *out)
{
	char whole[INSTANT_TEXT_SIZE];
	struct text text;

	if (!rule_read_text(ruleset, at, value, &text)) {
		return false;
	}
	*out = instant_parse(text);
	if (text.length == 10) { // a day begins at midnight, UTC
		memcpy(whole, text.bytes, 10);
		memcpy(whole + 10, "T00:00:00Z", 11);
		*out = instant_parse(text_of(whole));
	}
	if (*out == INSTANT_NONE) {
		rule_error(ruleset, at, "a date like \"2026-09-01\" or \"2026-09-01T08:00:00Z\" is expected");
	}
	return *out != INSTANT_NONE;
}

static void read_date(struct ruleset *ruleset, struct rule_condition *condition, const struct rule_path *at,
	const struct tree_value *value)
{
	static const struct text keys[] = { TEXT("after"), TEXT("before") };
	int64_t *const ends[] = { &condition->after_us, &condition->before_us };

	condition->after_us = INSTANT_NONE;
	condition->before_us = INT64_MAX;
	if (value->kind != TREE_OBJECT || value->count == 0) {
		rule_error(ruleset, at, "{\"after\": DATE}, {\"before\": DATE}, or both, is expected");
		return;
	}
	rule_refuse_unknown(ruleset, at, value, keys, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct tree_value *end = tree_value_find(value, keys[i]);
		const struct rule_path here = { .up = at, .name = keys[i] };

		if (end != NULL) {
			(void)read_instant(ruleset, &here, end, ends[i]);
		}
	}
}

static void read_truth(struct ruleset *ruleset, struct rule_condition *condition, const struct rule_path *at,
	const struct tree_value *value)
{
	if (value->kind != TREE_TRUE && value->kind != TREE_FALSE) {
		rule_error(ruleset, at, "true or false is expected");
	}
	condition->truth = value->kind == TREE_TRUE;
}

// 0 to 100 with at most two digits after the point, as hundredths.
static bool percent_of(struct text text, uint32_t *out)
{
	uint32_t value = 0;
	size_t at = 0;
	size_t decimals = 0;

	while (at < text.length && text.bytes[at] >= '0' && text.bytes[at] <= '9' && at < 4) {
		value = value * 10 + (uint32_t)(text.bytes[at++] - '0');
	}
	if (at < text.length && text.bytes[at] == '.') {
		at++;
		for (; at < text.length && text.bytes[at] >= '0' && text.bytes[at] <= '9' && decimals < 2; decimals++) {
			value = value * 10 + (uint32_t)(text.bytes[at++] - '0');
		}
	}
	for (; decimals < 2; decimals++) {
		value *= 10;
	}
	*out = value;
	return at == text.length && value <= RULE_SHARE_WHOLE;
}

static void read_share(struct ruleset *ruleset, struct rule_condition *condition, const struct rule_path *at,
	const struct tree_value *value)
{
	static const struct text keys[] = { TEXT("percent"), TEXT("salt") };
	const struct rule_path percent_at = { .up = at, .name = keys[0] };
	const struct rule_path salt_at = { .up = at, .name = keys[1] };
	const bool is_object = value->kind == TREE_OBJECT;
	const struct tree_value *percent = is_object ? tree_value_find(value, keys[0]) : value;
	const struct tree_value *salt = is_object ? tree_value_find(value, keys[1]) : NULL;
	struct text text;

	if (is_object) {
		rule_refuse_unknown(ruleset, at, value, keys, 2);
	}
	if (percent == NULL || percent->kind != TREE_NUMBER || !percent_of(percent->text, &condition->share)) {
		rule_error(ruleset, is_object ? &percent_at : at,
			"a percentage from 0 to 100, with at most two digits after the point, is expected");
	}
	if (salt != NULL && rule_read_text(ruleset, &salt_at, salt, &text)) {
		condition->salt = ruleset_keep(ruleset, text);
	}
}

// --- when ---

static struct text wanted_of(struct ruleset *ruleset, const struct tree_value *value)
{
	CLEANUP(buffer_fini) struct buffer json = BUFFER(WANTED_MAX);
	const bool is_wrapped = value->kind == TREE_OBJECT && value->count == 1;
	const struct tree_value *list = is_wrapped ? &value->members[0].value : value;

	tree_value_write(&json, value);
	if (json.overflow) {
		buffer_fini(&json);
		json = BUFFER(WANTED_MAX);
		buffer_add_format(&json, "{\"list_of\":%zu}", list->kind == TREE_ARRAY ? list->count : 1);
	}
	return ruleset_keep(ruleset, buffer_text(&json));
}

static void read_condition(struct ruleset *ruleset, struct rule *rule, enum rule_field field, const struct rule_path *at,
	const struct tree_value *value)
{
	static void (*const readers[])(struct ruleset *, struct rule_condition *, const struct rule_path *,
		const struct tree_value *) = {
		[RULE_KIND_TEXT] = read_text_condition, [RULE_KIND_DATE] = read_date, [RULE_KIND_BOOL] = read_truth,
		[RULE_KIND_SHARE] = read_share, [RULE_KIND_LABELS] = read_text_condition,
	};
	struct rule_condition *condition = &rule->conditions[rule->condition_count++];

	condition->field = field;
	condition->wanted = wanted_of(ruleset, value);
	if (field == RULE_LABEL) {
		condition->label = ruleset_keep(ruleset, at->name);
	}
	readers[rule_fields[field].kind](ruleset, condition, at, value);
}

static void read_labels(struct ruleset *ruleset, struct rule *rule, const struct rule_path *at, const struct tree_value *labels)
{
	if (labels->kind != TREE_OBJECT || labels->count == 0 || labels->count > LABELS_MAX) {
		rule_error(ruleset, at, "labels are written {\"NAME\": VALUE}, 1 to %d of them", LABELS_MAX);
		return;
	}
	for (size_t i = 0; i < labels->count; i++) {
		const struct rule_path here = { .up = at, .name = labels->members[i].name };
		const struct tree_value name = { .kind = TREE_STRING, .text = labels->members[i].name };
		struct text ignored;

		if (rule_read_text(ruleset, &here, &name, &ignored)) {
			read_condition(ruleset, rule, RULE_LABEL, &here, &labels->members[i].value);
		}
	}
}

void rule_read_when(struct ruleset *ruleset, size_t index, const struct rule_path *at, const struct tree_value *when)
{
	struct rule *rule = &ruleset->rules[index];
	struct text keys[RULE_FIELD_COUNT];

	if (when == NULL || when->kind != TREE_OBJECT) {
		rule_error(ruleset, at, "an object of conditions is expected; {} fits every device");
		return;
	}
	for (size_t i = 0; i < RULE_FIELD_COUNT; i++) {
		keys[i] = rule_fields[i].key;
	}
	rule_refuse_unknown(ruleset, at, when, keys, RULE_FIELD_COUNT);
	const struct tree_value *labels = tree_value_find(when, rule_fields[RULE_LABEL].key);
	const size_t label_count = labels != NULL && labels->count <= LABELS_MAX ? labels->count : 0;

	rule->conditions = ruleset_take(ruleset, (RULE_FIELD_COUNT + label_count) * sizeof *rule->conditions);
	for (enum rule_field field = 0; field < RULE_FIELD_COUNT; field++) {
		const struct tree_value *value = tree_value_find(when, rule_fields[field].key);
		const struct rule_path here = { .up = at, .name = rule_fields[field].key };

		if (value != NULL && field == RULE_LABEL) {
			read_labels(ruleset, rule, &here, value);
		} else if (value != NULL) {
			read_condition(ruleset, rule, field, &here, value);
		}
	}
}
