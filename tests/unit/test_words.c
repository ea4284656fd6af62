// SPDX-License-Identifier: Apache-2.0
//
// The words that all rooms share: texts, buffers, instants, faults, arenas.
#include "depbroker/arena.h"
#include "depbroker/clock.h"
#include "support/cmocka_all.h"
#include "support/random.h"

#include <stdlib.h>
#include <string.h>

static void a_buffer_never_grows_beyond_its_limit(void **state)
{
	struct buffer buffer CLEANUP(buffer_fini) = BUFFER(10);

	(void)state;
	buffer_add_string(&buffer, "12345678");
	buffer_add_string(&buffer, "abc");
	assert_true(buffer.overflow);
	assert_string_equal(buffer.bytes, "12345678");
	buffer_add_string(&buffer, "x"); // law 1: nothing after an overflow
	assert_int_equal(buffer.length, 8);
}

static void json_strings_are_escaped_and_ill_formed_utf8_is_replaced(void **state)
{
	struct buffer buffer CLEANUP(buffer_fini) = BUFFER(1000);

	(void)state;
	buffer_add_json(&buffer, TEXT("a\"b\\c\n\x01Z\xc3\xbcrich\xff\xed\xa0\x80\xf0\x9f\x98\x80"));
	assert_string_equal(buffer.bytes,
		"\"a\\\"b\\\\c\\n\\u0001Z\xc3\xbcrich\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80\"");
}

static void base64_reads_what_it_writes_for_every_length(void **state)
{
	unsigned char bytes[67];

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++) {
		bytes[i] = (unsigned char)(i * 37 + 11);
	}
	for (size_t length = 0; length <= sizeof bytes; length++) {
		struct buffer encoded CLEANUP(buffer_fini) = BUFFER(200);
		struct buffer decoded CLEANUP(buffer_fini) = BUFFER(200);

		buffer_add_base64(&encoded, bytes, length);
		assert_int_equal(encoded.length, (length + 2) / 3 * 4);
		assert_true(base64_decode(&decoded, buffer_text(&encoded)));
		assert_true(text_equal(buffer_text(&decoded), (struct text){ (char *)bytes, length }));
	}
}

static void base64_refuses_what_is_not_base64(void **state)
{
	static const char *const bad[] = { "A", "AA=A", "A===", "AB", "A-_B", "AAA\n", "=", "AAAAA" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct buffer out CLEANUP(buffer_fini) = BUFFER(100);

		assert_false(base64_decode(&out, text_of(bad[i])));
	}
}

static void instants_survive_a_round_trip_over_all_days(void **state)
{
	char out[INSTANT_TEXT_SIZE];

	(void)state;
	for (int64_t day = 0; day < 60000; day++) {
		const int64_t instant = (day * DAY_S + 86399) * SECOND_US;

		assert_int_equal(instant_parse(text_of(instant_format(out, instant, false))), instant);
	}
	assert_string_equal(instant_format(out, INT64_C(1767225600) * SECOND_US, false), "2026-01-01T00:00:00Z");
	assert_string_equal(instant_format(out, INT64_C(1767225600) * SECOND_US + 5, true), "2026-01-01T00:00:00.000005Z");
}

static void instants_accept_fractions_and_offsets_and_nothing_else(void **state)
{
	static const char *const bad[] = { "", "2026", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z",
		"2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Zx", "2026-01-01T00:00:00+2:00",
		"1969-12-31T00:00:00Z", "0000-00-00T00:00:00Z" };

	(void)state;
	assert_int_equal(instant_parse(TEXT("2015-01-14T21:27:41Z")), INT64_C(1421270861) * SECOND_US);
	assert_int_equal(instant_parse(TEXT("2015-01-14T23:27:41.25+02:00")), INT64_C(1421270861) * SECOND_US + 250000);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_true(instant_parse(text_of(bad[i])) == INSTANT_NONE);
	}
}

static void faults_are_prefixed_on_the_way_up(void **state)
{
	struct fault fault;

	(void)state;
	assert_int_equal(fault_set(&fault, ERR_TIMEOUT, "no answer in %d s", 30), ERR_TIMEOUT);
	assert_int_equal(fault_wrap(&fault, ERR_TIMEOUT, "page %d", 7), ERR_TIMEOUT);
	assert_string_equal(fault.text, "page 7: no answer in 30 s");
}

enum { ODD_MAX = 7, AROUND_MAX = 20 }; // fewer than eight bytes are looked at one by one

static struct text odd_text(char bytes[ODD_MAX])
{
	static const unsigned char odd[] = { 0, 1, 0x1f, ' ', '!', '"', '#', '[', '\\', ']', 'z', 0x7e, 0x7f, 0x80, 0xa9, 0xbf, 0xc3, 0xe2, 0x82, 0xff };
	const size_t length = random_below(ODD_MAX + 1);

	for (size_t i = 0; i < length; i++) {
		bytes[i] = (char)odd[random_below(sizeof odd)];
	}
	return (struct text){ bytes, length };
}

static void what_stands_in_a_longer_text_is_read_as_it_is_alone(void **state)
{
	static const char plain[AROUND_MAX + 1] = "a plain text around.";

	(void)state;
	for (size_t number = 0; number < 50000; number++) {
		struct buffer whole CLEANUP(buffer_fini) = BUFFER(100), alone CLEANUP(buffer_fini) = BUFFER(100);
		struct buffer json CLEANUP(buffer_fini) = BUFFER(200), wanted CLEANUP(buffer_fini) = BUFFER(200);
		char bytes[ODD_MAX];

		random_case("test_words", number);
		const struct text odd = odd_text(bytes);
		const size_t before = random_below(AROUND_MAX + 1), after = random_below(AROUND_MAX + 1);

		buffer_add(&whole, plain, before);
		buffer_add_text(&whole, odd);
		buffer_add(&whole, plain, after);
		LAW(text_is_utf8(buffer_text(&whole)) == text_is_utf8(odd));
		buffer_add_json(&alone, odd);
		buffer_add_string(&wanted, "\"");
		buffer_add(&wanted, plain, before);
		buffer_add(&wanted, alone.bytes + 1, alone.length - 2);
		buffer_add(&wanted, plain, after);
		buffer_add_string(&wanted, "\"");
		buffer_add_json(&json, buffer_text(&whole));
		LAW(text_equal(buffer_text(&json), buffer_text(&wanted)));
	}
}

static void an_arena_refuses_more_than_its_budget(void **state)
{
	struct arena arena = ARENA(1000);

	(void)state;
	assert_non_null(arena_take(&arena, 600));
	assert_null(arena_take(&arena, 600));
	assert_null(arena_take(&arena, SIZE_MAX));
	assert_string_equal(arena_copy(&arena, TEXT("kept")), "kept");
	arena_fini(&arena);
	assert_non_null(arena_take(&arena, 600));
	arena_fini(&arena);
}

static void expect_parts(const char *whole, const char *parts)
{
	struct buffer seen CLEANUP(buffer_fini) = BUFFER(100);
	struct text rest = text_of(whole), part;

	while (text_next(&rest, ',', &part)) {
		buffer_add_format(&seen, "[%.*s]", TEXT_ARGS(part));
	}
	assert_true(text_equal_string(buffer_text(&seen), parts));
	assert_null(part.bytes);
}

static void a_text_is_taken_part_by_part_to_the_empty_one_at_its_end(void **state)
{
	(void)state;
	expect_parts("a,bc,d", "[a][bc][d]");
	expect_parts(",a,,b,", "[][a][][b][]");
	expect_parts("", "[]");
	expect_parts(NULL, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_buffer_never_grows_beyond_its_limit),
		cmocka_unit_test(a_text_is_taken_part_by_part_to_the_empty_one_at_its_end),
		cmocka_unit_test(json_strings_are_escaped_and_ill_formed_utf8_is_replaced),
		cmocka_unit_test(base64_reads_what_it_writes_for_every_length),
		cmocka_unit_test(base64_refuses_what_is_not_base64),
		cmocka_unit_test(instants_survive_a_round_trip_over_all_days),
		cmocka_unit_test(instants_accept_fractions_and_offsets_and_nothing_else),
		cmocka_unit_test(faults_are_prefixed_on_the_way_up),
		cmocka_unit_test(what_stands_in_a_longer_text_is_read_as_it_is_alone),
		cmocka_unit_test(an_arena_refuses_more_than_its_budget),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
