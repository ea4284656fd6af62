// SPDX-License-Identifier: Apache-2.0
//
// text_set: what fits, and that every "within" and "apart" is true for all short texts over a small alphabet.
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/text_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET ((size_t)1 << 20)

static bool fits(enum text_pattern_kind kind, const char *pattern, const char *text)
{
	CLEANUP(arena_fini) struct arena arena = ARENA(BUDGET);
	struct text_set set;

	text_set_init(&set, &arena, 0, 1, 0);
	text_set_add_pattern(&set, &arena, kind, text_of(pattern));
	return text_set_has(&set, text_of(text), text_set_hash(text_of(text)));
}

static void patterns_fit_as_a_person_reads_them(void **state)
{
	static const struct {
		enum text_pattern_kind kind;
		const char *pattern, *text;
		bool fits;
	} cases[] = {
		{ TEXT_PATTERN_GLOB, "MacBook*", "MACBOOK AIR", true },
		{ TEXT_PATTERN_GLOB, "MacBook*", "macbook", true },
		{ TEXT_PATTERN_GLOB, "*air*", "MacBook Air 13", true },
		{ TEXT_PATTERN_GLOB, "*air", "MacBook Air 13", false },
		{ TEXT_PATTERN_GLOB, "iPad ?", "iPad 9", true },
		{ TEXT_PATTERN_GLOB, "iPad ?", "iPad 10", false },
		{ TEXT_PATTERN_GLOB, "?", "\xc3\xa9", true },
		{ TEXT_PATTERN_GLOB, "*?b", "\xc3\xa9" "b", true },
		{ TEXT_PATTERN_GLOB, "a*b*c", "a-b-b-c", true },
		{ TEXT_PATTERN_GLOB, "a*b*c", "a-c-b", false },
		{ TEXT_PATTERN_GLOB, "*", "", false },
		{ TEXT_PATTERN_GLOB, "*", "x", true },
		{ TEXT_PATTERN_GLOB, "a[bc]", "ab", false },
		{ TEXT_PATTERN_GLOB, "a[bc]", "A[BC]", true },
		{ TEXT_PATTERN_PREFIX, "a*", "a*b", true },
		{ TEXT_PATTERN_PREFIX, "a*", "aab", false },
		{ TEXT_PATTERN_CONTAINS, "b?", "ab?c", true },
		{ TEXT_PATTERN_CONTAINS, "b?", "abcd", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (fits(cases[i].kind, cases[i].pattern, cases[i].text) != cases[i].fits) {
			fail_msg("%s with %s", cases[i].pattern, cases[i].text);
		}
	}
}

static void a_range_holds_texts_of_its_own_length(void **state)
{
	CLEANUP(arena_fini) struct arena arena = ARENA(BUDGET);
	struct text_set set;

	(void)state;
	text_set_init(&set, &arena, 0, 0, 1);
	assert_false(text_set_add_range(&set, &arena, TEXT("A2"), TEXT("A1")));
	assert_true(text_set_add_range(&set, &arena, TEXT("A100"), TEXT("a199")));
	assert_true(text_set_has(&set, TEXT("A100"), 0));
	assert_true(text_set_has(&set, TEXT("a150"), 0));
	assert_true(text_set_has(&set, TEXT("A199"), 0));
	assert_false(text_set_has(&set, TEXT("A1500"), 0));
	assert_false(text_set_has(&set, TEXT("A15"), 0));
	assert_false(text_set_has(&set, TEXT("A200"), 0));
}

static void many_listed_texts_are_all_found_and_no_others(void **state)
{
	CLEANUP(arena_fini) struct arena arena = ARENA((size_t)16 << 20);
	struct text_set set;
	char serial[16];

	(void)state;
	text_set_init(&set, &arena, 10000, 0, 0);
	for (int i = 0; i < 20000; i += 2) {
		(void)snprintf(serial, sizeof serial, "C02%07d", i);
		text_set_list(&set, &arena, text_of(serial));
		text_set_list(&set, &arena, text_of(serial));
	}
	assert_int_equal(set.listed_count, 10000);
	for (int i = 0; i < 20000; i++) {
		(void)snprintf(serial, sizeof serial, "c02%07d", i);
		assert_int_equal(text_set_has(&set, text_of(serial), text_set_hash(text_of(serial))), i % 2 == 0);
	}
}

// --- sets among themselves ---

enum { LENGTH_MAX = 5 };

static void random_text(char out[LENGTH_MAX + 1], const char *alphabet, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		out[i] = alphabet[random_below(strlen(alphabet))];
	}
	out[length] = '\0';
}

static void random_set(struct text_set *set, struct arena *arena)
{
	char from[LENGTH_MAX + 1];
	char to[LENGTH_MAX + 1];

	text_set_init(set, arena, 3, 2, 1);
	for (uint64_t i = random_below(4); i > 0; i--) {
		random_text(from, "ab", random_below(4));
		text_set_list(set, arena, text_of(from));
	}
	for (uint64_t i = random_below(3); i > 0; i--) {
		const enum text_pattern_kind kind = (enum text_pattern_kind)random_below(3);

		random_text(from, kind == TEXT_PATTERN_GLOB ? "ab*?*" : "ab", 1 + random_below(4));
		text_set_add_pattern(set, arena, kind, text_of(from));
	}
	if (random_below(3) == 0) {
		const size_t length = 1 + random_below(3);

		random_text(from, "ab", length);
		random_text(to, "ab", length);
		if (!text_set_add_range(set, arena, text_of(from), text_of(to))) {
			assert_true(strcmp(from, to) > 0);
		}
	}
}

struct tally {
	size_t within, apart;         // said
	size_t truly_within, truly_apart; // for short texts
};

// All texts over {a, b} up to LENGTH_MAX, the empty one among them.
static void check_pair(const struct text_set *a, const struct text_set *b, struct tally *tally)
{
	int64_t work = 1000;
	const bool within = text_set_within(a, b, &work);
	const bool apart = text_set_apart(a, b, &work);
	bool truly_within = true;
	bool truly_apart = true;

	for (size_t length = 0; length <= LENGTH_MAX; length++) {
		for (unsigned bits = 0; bits < 1U << length; bits++) {
			char text[LENGTH_MAX + 1] = "";

			for (size_t i = 0; i < length; i++) {
				text[i] = (bits >> i & 1) != 0 ? 'a' : 'b';
			}
			const uint64_t hash = text_set_hash(text_of(text));
			const struct text whole = { text, length };
			const bool in_a = text_set_has(a, whole, hash);
			const bool in_b = text_set_has(b, whole, hash);

			truly_within &= !in_a || in_b;
			truly_apart &= !in_a || !in_b;
		}
	}
	LAW(!within || truly_within);
	LAW(!apart || truly_apart);
	tally->within += within;
	tally->apart += apart;
	tally->truly_within += truly_within;
	tally->truly_apart += truly_apart;
}

static void what_is_said_of_two_sets_is_true_of_every_text(void **state)
{
	struct tally tally = { 0 };

	(void)state;
	for (size_t i = 0; i < 20000; i++) {
		CLEANUP(arena_fini) struct arena arena = ARENA(BUDGET);
		struct text_set a;
		struct text_set b;

		random_case("test_text_set", i);
		random_set(&a, &arena);
		random_set(&b, &arena);
		check_pair(&a, &b, &tally);
	}
	assert_true(tally.within * 10 > tally.truly_within * 6); // and it is said of most that it is true of
	assert_true(tally.apart * 10 > tally.truly_apart * 6);
}

static void a_pattern_without_wildcards_is_not_cut_in_two(void **state)
{
	CLEANUP(arena_fini) struct arena arena = ARENA(BUDGET);
	struct text_set short_one;
	struct text_set long_one;
	int64_t work = 100;

	(void)state;
	text_set_init(&short_one, &arena, 0, 1, 0);
	text_set_add_pattern(&short_one, &arena, TEXT_PATTERN_GLOB, TEXT("a"));
	text_set_init(&long_one, &arena, 0, 1, 0);
	text_set_add_pattern(&long_one, &arena, TEXT_PATTERN_GLOB, TEXT("a*a"));
	assert_false(text_set_within(&short_one, &long_one, &work));
}

static void without_work_left_nothing_is_said(void **state)
{
	CLEANUP(arena_fini) struct arena arena = ARENA(BUDGET);
	struct text_set set;
	int64_t work = 0;

	(void)state;
	text_set_init(&set, &arena, 1, 0, 0);
	text_set_list(&set, &arena, TEXT("a"));
	assert_false(text_set_within(&set, &set, &work));
	work = 10;
	assert_true(text_set_within(&set, &set, &work));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_fit_as_a_person_reads_them),
		cmocka_unit_test(a_range_holds_texts_of_its_own_length),
		cmocka_unit_test(many_listed_texts_are_all_found_and_no_others),
		cmocka_unit_test(what_is_said_of_two_sets_is_true_of_every_text),
		cmocka_unit_test(a_pattern_without_wildcards_is_not_cut_in_two),
		cmocka_unit_test(without_work_left_nothing_is_said),
	};

	return cmocka_run_group_tests_name("text_set", tests, NULL, NULL);
}
