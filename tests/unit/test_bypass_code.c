// SPDX-License-Identifier: Apache-2.0
//
// Every published vector: raw bytes to what people type and to what Apple is given.
#include "support/cmocka_all.h"
#include "support/vectors.h"
#include "tenants/bypass_code.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *document;

static int read_vectors(void **state)
{
	char *content = shared_read(SOURCE_DIRECTORY, "protocol/vectors/bypass/bypass-codes.json", NULL);

	(void)state;
	document = json_loads(content, 0, NULL);
	free(content);
	return document != NULL ? 0 : 1;
}

static int free_vectors(void **state)
{
	(void)state;
	json_decref(document);
	return 0;
}

static const char *member(const json_t *vector, const char *name)
{
	const char *value = json_string_value(json_object_get(vector, name));

	assert_non_null(value);
	return value;
}

static void take_raw(struct bypass_code *code, const char *hex)
{
	struct buffer raw CLEANUP(buffer_fini) = BUFFER(BYPASS_RAW_SIZE);

	assert_true(hex_decode(&raw, text_of(hex)));
	assert_int_equal(raw.length, sizeof code->raw);
	memcpy(code->raw, raw.bytes, sizeof code->raw);
}

static void every_vector_gives_its_code_and_its_escrow_key(void **state)
{
	const json_t *vectors = json_object_get(document, "vectors");
	size_t index;
	json_t *vector;

	(void)state;
	assert_int_equal(json_array_size(vectors), 11);
	json_array_foreach(vectors, index, vector) {
		struct bypass_code code, again;
		char spelling[BYPASS_SPELLING_SIZE];
		char escrow_key[BYPASS_ESCROW_KEY_SIZE];

		take_raw(&code, member(vector, "raw"));
		bypass_code_derive(&code);
		bypass_code_spell(spelling, &code);
		bypass_code_escrow_key(escrow_key, &code);
		assert_string_equal(spelling, member(vector, "code"));
		assert_string_equal(escrow_key, member(vector, "hash"));
		assert_true(bypass_code_read(&again, text_of(spelling)));
		assert_memory_equal(again.raw, code.raw, sizeof code.raw);
	}
}

static void each_bit_changes_the_code(void **state)
{
	(void)state;
	for (size_t bit = 0; bit < 8 * BYPASS_RAW_SIZE; bit++) {
		struct bypass_code code = { 0 };
		char spelling[BYPASS_SPELLING_SIZE];

		code.raw[bit / 8] = (unsigned char)(0x80 >> bit % 8);
		bypass_code_spell(spelling, &code);
		assert_int_equal(strlen(spelling), 31);
		assert_string_not_equal(spelling, "00000-00000-0000-0000-0000-0000");
	}
}

static void what_is_spelled_otherwise_is_no_code(void **state)
{
	static const char *const wrong[] = {
		"", "00000-00000-0000-0000-0000-000", "00000-00000-0000-0000-0000-00000", "B0000-00000-0000-0000-0000-0000",
		"00000000000-0000-0000-0000-0000", "00000-00000-0000-0000-0000-000Z", "a0000-00000-0000-0000-0000-0000",
	};
	struct bypass_code code;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_false(bypass_code_read(&code, text_of(wrong[i])));
	}
	assert_false(bypass_code_read(&code, (struct text){ "0000\0-00000-0000-0000-0000-0000", 31 }));
	assert_true(bypass_code_read(&code, TEXT("00000-00000-0000-0000-0000-0007")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_vector_gives_its_code_and_its_escrow_key),
		cmocka_unit_test(each_bit_changes_the_code),
		cmocka_unit_test(what_is_spelled_otherwise_is_no_code),
	};

	return cmocka_run_group_tests_name("bypass_code", tests, read_vectors, free_vectors);
}
