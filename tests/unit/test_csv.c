// SPDX-License-Identifier: Apache-2.0
#include "api/expected.h"
#include "support/cmocka_all.h"
#include "tenants/csv.h"

#include <string.h>

// Fields joined by |, rows ended by /; or the fault after a question mark.
static void flatten(char out[512], struct text list)
{
	struct buffer flat CLEANUP(buffer_fini) = BUFFER(511);
	struct arena arena CLEANUP(arena_fini) = ARENA(1 << 20);
	struct fault fault = { 0 };
	struct csv csv;
	struct csv_row row = { 0 };
	enum err rc = csv_begin(&csv, list, &fault);

	while (rc == OK && (rc = csv_next(&csv, &row, &arena, &fault)) == OK && row.count > 0) {
		buffer_add_format(&flat, "%zu:", row.line);
		for (size_t i = 0; i < row.count; i++) {
			buffer_add_format(&flat, "%s%.*s", i > 0 ? "|" : "", TEXT_ARGS(row.fields[i]));
		}
		buffer_add_string(&flat, "/");
	}
	buffer_add_format(&flat, "%s%s", rc != OK ? "?" : "", fault.text);
	memcpy(out, flat.bytes != NULL ? flat.bytes : "", flat.length + 1);
}

static void rows_are_read_as_spreadsheets_write_them(void **state)
{
	static const struct {
		const char *list, *flat;
	} cases[] = {
		{ "", "" },
		{ "a", "1:a/" },
		{ "a,b\r\nc,d\r\n", "1:a|b/2:c|d/" },
		{ "\xef\xbb\xbf" "a\nb", "1:a/2:b/" },
		{ "a,,\n", "1:a||/" },
		{ "\n\r\n , \na\n", "4:a/" },
		{ "\"a,b\",\"c\"\"d\"\"\",\"\"\n", "1:a,b|c\"d\"|/" },
		{ "\"one\ntwo\",x\ny\n", "1:one\ntwo|x/3:y/" },
		{ "a\rb\n", "1:a\rb/" },
		{ "\"a\"b\n", "?line 1: something follows the closing quote of a field" },
		{ "x\n\"a", "1:x/?line 2: a quote is never closed" },
		{ "a\"b\n", "?line 1: a quote inside of a field that does not begin with one" },
		{ "\xff", "?the list is not UTF-8 text" },
	};
	char flat[512];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		flatten(flat, text_of(cases[i].list));
		assert_string_equal(flat, cases[i].flat);
	}
}

static void a_row_has_so_many_fields_and_a_field_so_many_bytes(void **state)
{
	struct buffer list CLEANUP(buffer_fini) = BUFFER(16384);
	char flat[512];

	(void)state;
	for (int i = 0; i < CSV_FIELDS_MAX; i++) {
		buffer_add_string(&list, ",");
	}
	buffer_add_string(&list, "x");
	flatten(flat, buffer_text(&list));
	assert_string_equal(flat, "?line 1 has more than 64 fields");
	buffer_clear(&list);
	for (int i = 0; i <= CSV_FIELD_BYTES_MAX; i++) {
		buffer_add_string(&list, "x");
	}
	flatten(flat, buffer_text(&list));
	assert_string_equal(flat, "?line 1: a field has more than 4096 bytes");
}

static enum err read_list(struct expected_csv *csv, const char *list, struct arena *arena, struct fault *fault)
{
	return expected_csv_read(csv, text_of(list), arena, fault);
}

static void columns_are_found_by_name_in_any_order(void **state)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(1 << 20);
	struct expected_csv csv CLEANUP(expected_csv_fini);
	struct fault fault;

	(void)state;
	assert_int_equal(read_list(&csv, " Note ,whatever,EXPECTED BY,Serial Number\n\"for \"\"me\"\"\",1,2026-11-24, C02B \n,,,C02A\n", &arena, &fault), OK);
	assert_int_equal(csv.count, 2);
	assert_true(text_equal(csv.rows[0].serial_number, TEXT("C02A"))); // sorted
	assert_int_equal(csv.rows[0].due_on.length, 0);
	assert_true(text_equal(csv.rows[1].serial_number, TEXT("C02B")));
	assert_true(text_equal(csv.rows[1].due_on, TEXT("2026-11-24")));
	assert_true(text_equal(csv.rows[1].note, TEXT("for \"me\"")));
}

static void a_list_that_is_wrong_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *list, *fault;
	} cases[] = {
		{ "", "the header has no column serial_number" },
		{ "serial,serial_no\n", "the header has the column serial_number twice" },
		{ "serial\nC02A\nc02b\n", "line 3: a serial number is of capital letters and digits" },
		{ "serial,due\nC02A,24.11.2026\n", "line 2: a date is written as 2026-11-24" },
		{ "serial,due\nC02A,2026-02-30\n", "line 2: a date is written as 2026-11-24" },
		{ "serial\nC02A\nC02B\nC02A\n", "the serial number C02A is there twice" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena arena CLEANUP(arena_fini) = ARENA(1 << 20);
		struct expected_csv csv CLEANUP(expected_csv_fini);
		struct fault fault;

		assert_int_equal(read_list(&csv, cases[i].list, &arena, &fault), ERR_BAD_INPUT);
		assert_string_equal(fault.text, cases[i].fault);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_read_as_spreadsheets_write_them),
		cmocka_unit_test(a_row_has_so_many_fields_and_a_field_so_many_bytes),
		cmocka_unit_test(columns_are_found_by_name_in_any_order),
		cmocka_unit_test(a_list_that_is_wrong_is_refused_with_its_line),
	};

	return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
