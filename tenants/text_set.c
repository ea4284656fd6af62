// SPDX-License-Identifier: Apache-2.0
#include "tenants/text_set.h"

#include <assert.h>
#include <string.h>

enum { ANY_RUN = 1, ANY_ONE = 2 }; // in a compiled pattern

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void *take(struct arena *arena, size_t size)
{
	void *memory = arena_take(arena, size);

	assert(memory != NULL);
	return memory;
}

static struct text folded(struct arena *arena, struct text text)
{
	char *copy = take(arena, text.length + 1);

	for (size_t i = 0; i < text.length; i++) {
		copy[i] = fold(text.bytes[i]);
	}
	return (struct text){ copy, text.length };
}

void text_set_init(struct text_set *set, struct arena *arena, size_t listed, size_t patterns, size_t ranges)
{
	*set = (struct text_set){ .slot_count = listed > 0 ? 2 : 0 };
	while (set->slot_count < listed * 2) {
		set->slot_count *= 2;
	}
	set->slots = set->slot_count > 0 ? take(arena, set->slot_count * sizeof *set->slots) : NULL;
	set->patterns = patterns > 0 ? take(arena, patterns * sizeof *set->patterns) : NULL;
	set->ranges = ranges > 0 ? take(arena, ranges * sizeof *set->ranges) : NULL;
}

// FNV-1a, its bits mixed once more: the table takes the low ones.
uint64_t text_set_hash(struct text text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < text.length; i++) {
		hash = (hash ^ (unsigned char)fold(text.bytes[i])) * UINT64_C(0x100000001b3);
	}
	hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
	return hash ^ hash >> 33;
}

static struct text_slot *slot_of(const struct text_set *set, struct text text, uint64_t hash)
{
	size_t at = hash & (set->slot_count - 1);

	while (set->slots[at].text.bytes != NULL &&
		(set->slots[at].hash != hash || !text_equal_ignoring_case(set->slots[at].text, text))) {
		at = (at + 1) & (set->slot_count - 1);
	}
	return &set->slots[at];
}

void text_set_list(struct text_set *set, struct arena *arena, struct text text)
{
	const uint64_t hash = text_set_hash(text);
	struct text_slot *slot = slot_of(set, text, hash);

	if (slot->text.bytes == NULL) {
		assert(set->listed_count * 2 < set->slot_count);
		*slot = (struct text_slot){ hash, folded(arena, text) };
		set->listed_count++;
	}
}

static void split(struct text_pattern *pattern)
{
	const struct text whole = pattern->whole;
	size_t first = 0;
	size_t last = whole.length;

	while (first < whole.length && whole.bytes[first] != ANY_RUN && whole.bytes[first] != ANY_ONE) {
		first++;
	}
	while (last > 0 && whole.bytes[last - 1] != ANY_RUN && whole.bytes[last - 1] != ANY_ONE) {
		last--;
	}
	pattern->head = (struct text){ whole.bytes, first };
	pattern->tail = (struct text){ whole.bytes + last, whole.length - last };
}

void text_set_add_pattern(struct text_set *set, struct arena *arena, enum text_pattern_kind kind, struct text text)
{
	char *const out = take(arena, text.length + 3);
	size_t length = 0;

	if (kind == TEXT_PATTERN_CONTAINS) {
		out[length++] = ANY_RUN;
	}
	for (size_t i = 0; i < text.length; i++) {
		const char c = fold(text.bytes[i]);
		const bool is_glob = kind == TEXT_PATTERN_GLOB;

		out[length++] = is_glob && c == '*' ? ANY_RUN : is_glob && c == '?' ? ANY_ONE : c;
	}
	if (kind != TEXT_PATTERN_GLOB) {
		out[length++] = ANY_RUN;
	}
	set->patterns[set->pattern_count].whole = (struct text){ out, length };
	split(&set->patterns[set->pattern_count++]);
}

// --- members ---

// Where the character after the one at `at` begins.
static size_t next_character(struct text text, size_t at)
{
	do {
		at++;
	} while (at < text.length && ((unsigned char)text.bytes[at] & 0xc0) == 0x80);
	return at;
}

// The last "*" passed is the only one to come back to: what stood before it has found the earliest place it can have.
static bool glob_fits(struct text pattern, struct text text)
{
	size_t in_pattern = 0;
	size_t in_text = 0;
	size_t after_run = 0; // 0: no "*" yet
	size_t run_end = 0;

	while (in_text < text.length) {
		const char wanted = in_pattern < pattern.length ? pattern.bytes[in_pattern] : '\0';

		if (wanted == ANY_RUN) {
			after_run = ++in_pattern;
			run_end = in_text;
		} else if (wanted == ANY_ONE) {
			in_pattern++;
			in_text = next_character(text, in_text);
		} else if (in_pattern < pattern.length && wanted == fold(text.bytes[in_text])) {
			in_pattern++;
			in_text++;
		} else if (after_run > 0) {
			run_end = next_character(text, run_end);
			in_text = run_end;
			in_pattern = after_run;
		} else {
			return false;
		}
	}
	while (in_pattern < pattern.length && pattern.bytes[in_pattern] == ANY_RUN) {
		in_pattern++;
	}
	return in_pattern == pattern.length;
}

static int compare(struct text folded_text, struct text text)
{
	for (size_t i = 0; i < text.length; i++) {
		const int difference = (unsigned char)folded_text.bytes[i] - (unsigned char)fold(text.bytes[i]);

		if (difference != 0) {
			return difference;
		}
	}
	return 0;
}

bool text_set_add_range(struct text_set *set, struct arena *arena, struct text from, struct text to)
{
	const struct text_range range = { folded(arena, from), folded(arena, to) };

	assert(from.length == to.length);
	if (compare(range.from, to) > 0) {
		return false;
	}
	set->ranges[set->range_count++] = range;
	return true;
}

static bool range_has(const struct text_range *range, struct text text)
{
	return text.length == range->from.length && compare(range->from, text) <= 0 && compare(range->to, text) >= 0;
}

bool text_set_has(const struct text_set *set, struct text text, uint64_t hash)
{
	if (set->slot_count > 0 && slot_of(set, text, hash)->text.bytes != NULL) {
		return true;
	}
	for (size_t i = 0; i < set->range_count; i++) {
		if (range_has(&set->ranges[i], text)) {
			return true;
		}
	}
	for (size_t i = 0; text.length > 0 && i < set->pattern_count; i++) {
		if (glob_fits(set->patterns[i].whole, text)) {
			return true;
		}
	}
	return false;
}

// --- sets among themselves ---

static bool spend(int64_t *work, size_t amount)
{
	if (*work < (int64_t)amount) {
		*work = 0;
		return false;
	}
	*work -= (int64_t)amount;
	return true;
}

static size_t size_of(const struct text_set *set)
{
	return 1 + set->pattern_count + set->range_count;
}

static bool ends_with(struct text whole, struct text end)
{
	return whole.length >= end.length && memcmp(whole.bytes + whole.length - end.length, end.bytes, end.length) == 0;
}

// A beginning, and "*".
static bool is_head_only(const struct text_pattern *pattern)
{
	return pattern->whole.length == pattern->head.length + 1 && pattern->whole.bytes[pattern->head.length] == ANY_RUN;
}

// One "*" and no other wildcard.
static bool is_one_run(const struct text_pattern *pattern)
{
	return pattern->whole.length == pattern->head.length + 1 + pattern->tail.length &&
		pattern->whole.bytes[pattern->head.length] == ANY_RUN;
}

static bool has_open_ends(const struct text_pattern *pattern)
{
	const struct text whole = pattern->whole;

	return whole.length > 2 && whole.bytes[0] == ANY_RUN && whole.bytes[whole.length - 1] == ANY_RUN;
}

static bool pattern_within(const struct text_pattern *a, const struct text_pattern *b)
{
	if (text_equal(a->whole, b->whole)) {
		return true;
	}
	if (is_one_run(b)) { // a's head and tail do not overlap in any text that fits a, unless it has no wildcard
		return a->head.length < a->whole.length && text_starts_with(a->head, b->head) && ends_with(a->tail, b->tail);
	}
	return has_open_ends(b) && memmem(a->whole.bytes, a->whole.length, b->whole.bytes + 1, b->whole.length - 2) != NULL;
}

static bool range_within(const struct text_range *a, const struct text_set *b)
{
	for (size_t i = 0; i < b->range_count; i++) {
		if (range_has(&b->ranges[i], a->from) && range_has(&b->ranges[i], a->to)) {
			return true;
		}
	}
	for (size_t i = 0; i < b->pattern_count; i++) { // what lies between two texts with the same beginning has it, too
		const struct text_pattern *pattern = &b->patterns[i];

		if (is_head_only(pattern) && text_starts_with(a->from, pattern->head) && text_starts_with(a->to, pattern->head)) {
			return true;
		}
	}
	return false;
}

bool text_set_within(const struct text_set *a, const struct text_set *b, int64_t *work)
{
	for (size_t i = 0; i < a->pattern_count; i++) {
		bool found = false;

		for (size_t j = 0; !found && j < b->pattern_count; j++) {
			found = spend(work, 1) && pattern_within(&a->patterns[i], &b->patterns[j]);
		}
		if (!found) {
			return false;
		}
	}
	for (size_t i = 0; i < a->range_count; i++) {
		if (!spend(work, size_of(b)) || !range_within(&a->ranges[i], b)) {
			return false;
		}
	}
	for (size_t i = 0; i < a->slot_count; i++) {
		const struct text_slot *slot = &a->slots[i];

		if (slot->text.bytes != NULL && (!spend(work, size_of(b)) || !text_set_has(b, slot->text, slot->hash))) {
			return false;
		}
	}
	return true;
}

static bool listed_are_apart(const struct text_set *a, const struct text_set *b, int64_t *work)
{
	for (size_t i = 0; i < a->slot_count; i++) {
		const struct text_slot *slot = &a->slots[i];

		if (slot->text.bytes != NULL && (!spend(work, size_of(b)) || text_set_has(b, slot->text, slot->hash))) {
			return false;
		}
	}
	return true;
}

static bool heads_differ(struct text a, struct text b)
{
	const size_t length = a.length < b.length ? a.length : b.length;

	return length > 0 && memcmp(a.bytes, b.bytes, length) != 0;
}

static bool range_and_pattern_are_apart(const struct text_range *range, const struct text_pattern *pattern)
{
	const size_t length = pattern->head.length < range->from.length ? pattern->head.length : range->from.length;
	const int above = memcmp(pattern->head.bytes, range->to.bytes, length);
	const int below = memcmp(pattern->head.bytes, range->from.bytes, length);

	return length > 0 && (above > 0 || below < 0);
}

static bool pattern_is_apart(const struct text_pattern *pattern, const struct text_set *set, int64_t *work)
{
	if (!spend(work, size_of(set))) {
		return false;
	}
	for (size_t i = 0; i < set->pattern_count; i++) {
		if (!heads_differ(pattern->head, set->patterns[i].head)) {
			return false;
		}
	}
	for (size_t i = 0; i < set->range_count; i++) {
		if (!range_and_pattern_are_apart(&set->ranges[i], pattern)) {
			return false;
		}
	}
	return true;
}

static bool range_is_apart(const struct text_range *range, const struct text_set *set, int64_t *work)
{
	if (!spend(work, size_of(set))) {
		return false;
	}
	for (size_t i = 0; i < set->pattern_count; i++) {
		if (!range_and_pattern_are_apart(range, &set->patterns[i])) {
			return false;
		}
	}
	for (size_t i = 0; i < set->range_count; i++) {
		const struct text_range *other = &set->ranges[i];

		if (other->from.length == range->from.length && compare(other->from, range->to) <= 0 &&
			compare(range->from, other->to) <= 0) {
			return false;
		}
	}
	return true;
}

bool text_set_apart(const struct text_set *a, const struct text_set *b, int64_t *work)
{
	if (!listed_are_apart(a, b, work) || !listed_are_apart(b, a, work)) {
		return false;
	}
	for (size_t i = 0; i < a->pattern_count; i++) {
		if (!pattern_is_apart(&a->patterns[i], b, work)) {
			return false;
		}
	}
	for (size_t i = 0; i < a->range_count; i++) {
		if (!range_is_apart(&a->ranges[i], b, work)) {
			return false;
		}
	}
	return true;
}
