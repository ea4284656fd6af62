// SPDX-License-Identifier: Apache-2.0
//
// Pages of devices that were made to do harm, and pages damaged at random.
#include "apple/apple.h"

#include "support/apple_laws.h"
#include "support/cmocka_all.h"
#include "support/vectors.h"

#include <stdlib.h>

#define VECTORS "protocol/vectors/apple-responses/"
#define PAGE    "{\"cursor\":\"c\",\"more_to_follow\":true"
#define DEVICE  PAGE ",\"devices\":[{\"serial_number\":\"A\""

static void add_repeated(struct buffer *out, const char *part, int times)
{
	for (int i = 0; i < times; i++) {
		buffer_add_string(out, part);
	}
}

static void hostile_documents_end_cleanly(void **state)
{
	static const struct {
		const char *open;
		const char *part;
		int times;
		const char *close_part;
		const char *close;
		enum err rc;
	} cases[] = {
		{ "", "[", 100000, "", "", ERR_BAD_ANSWER },
		{ "", "[", 100000, "]", "", ERR_BAD_ANSWER }, // an array, and not an object
		{ PAGE ",\"x\":", "[", 100000, "]", "}", OK },
		{ DEVICE ",\"model\":", "[", 100000, "]", "}]}", OK },
		{ DEVICE ",\"x\":", "[", 100000, "]", "}]}", OK },
		{ DEVICE ",\"x\":", "{\"a\":", 100000, "}", "}]}", ERR_BAD_ANSWER },
		{ DEVICE, ",\"k\":1", 100000, "", "}]}", OK },
		{ PAGE, ",\"\":0", 1 << 19, "", "}", OK },
		{ PAGE ",\"x\":[0", ",0", (2 << 20) - 100, "", "]}", ERR_BUDGET },
		{ PAGE ",\"devices\":[0", ",0", APPLE_PAGE_RECORDS_MAX - 1, "", "]}", OK },
		{ PAGE ",\"devices\":[0", ",0", APPLE_PAGE_RECORDS_MAX, "", "]}", ERR_BUDGET },
		{ PAGE ",\"x\":1", "0", 1 << 20, "", "}", OK },
		{ PAGE ",\"x\":1e", "9", 1 << 20, "", "}", OK },
		{ PAGE ",\"x\":\"", "\\ud800", 1 << 19, "", "\"}", OK },
		{ PAGE "}", " ", APPLE_ANSWER_MAX, "", "", ERR_BUDGET },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buffer json CLEANUP(buffer_fini) = BUFFER(8 << 20);
		struct apple_page page;

		buffer_add_string(&json, cases[i].open);
		add_repeated(&json, cases[i].part, cases[i].times);
		add_repeated(&json, cases[i].close_part, cases[i].close_part[0] != '\0' ? cases[i].times : 0);
		buffer_add_string(&json, cases[i].close);
		const enum err rc = apple_parse_checked(&page, buffer_text(&json));

		if (rc != cases[i].rc) {
			fail_msg("case %zu gives %s", i, err_name(rc));
		}
		apple_page_fini(&page);
	}
}

static void a_record_with_300000_members_costs_only_its_extras(void **state)
{
	struct buffer json CLEANUP(buffer_fini) = BUFFER(8 << 20);
	struct apple_page page;

	(void)state;
	buffer_add_string(&json, DEVICE);
	for (int i = 0; i < 300000; i++) {
		buffer_add_format(&json, ",\"%x\":1", (unsigned)i);
	}
	buffer_add_string(&json, "}]}");
	assert_int_equal(apple_parse_checked(&page, buffer_text(&json)), OK);
	assert_int_equal(page.count, 1);
	assert_int_equal(page.extras_dropped, 1);
	apple_page_fini(&page);
}

static uint64_t next_random(uint64_t *state) // xorshift64*
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

static void damage(struct buffer *json, uint64_t *random)
{
	static const char *const parts[] = {
		"\"", "\\", "\\u0000", "\\ud83d", "{", "}", "[", "]", ",", ":", "null", "true", "-", "1e999", "\"serial_number\":",
		"\"serial_number\":\"b c\",", "\xff", "\xc3", "\xef\xbf\xbd", " ", "\n", "0", "\"op_type\":\"deleted\",", "\"\":1,",
	};
	const size_t at = next_random(random) % (json->length + 1);
	const size_t length = next_random(random) % 12 % (json->length - at + 1);
	const char *part = parts[next_random(random) % (sizeof parts / sizeof *parts)];
	struct buffer damaged = BUFFER(100000);

	buffer_add(&damaged, json->bytes, at);
	switch (next_random(random) % 4) {
	case 0: buffer_add_string(&damaged, part); break;                      // insert
	case 1: buffer_add(&damaged, json->bytes + at, length); break;      // repeat
	case 2: break;                                                          // cut
	default: buffer_add(&damaged, &(char){ (char)next_random(random) }, 1); // overwrite with any byte
	}
	const size_t from = at + (next_random(random) % 2 == 0 ? length : 0);

	buffer_add(&damaged, json->bytes + from, json->length - from);
	buffer_fini(json);
	*json = damaged;
}

static void damaged_pages_never_give_a_record_that_breaks_the_law(void **state)
{
	static const char *const names[] = {
		VECTORS "micromdm/device_response.json", VECTORS "synthetic/sync-duplicates.json",
		VECTORS "micromdm/device_details_response.json",
	};
	const char *chosen = getenv("DEPBROKER_TEST_SEED");
	const uint64_t seed = chosen != NULL ? strtoull(chosen, NULL, 10) : 20261126;
	uint64_t random = seed | 1;
	unsigned read = 0;

	(void)state;
	print_message("DEPBROKER_TEST_SEED=%llu\n", (unsigned long long)seed);
	for (int i = 0; i < 6000; i++) {
		struct buffer json = BUFFER(100000);
		struct apple_page page;
		size_t length;
		char *original = shared_read(SOURCE_DIRECTORY, names[i % 3], &length);

		buffer_add(&json, original, length);
		free(original);
		for (uint64_t times = next_random(&random) % 4 + 1; times > 0; times--) {
			damage(&json, &random);
		}
		length = json.length;
		const enum err rc = i % 3 == 2 ? apple_details_parse(&page, buffer_take(&json), length, NULL)
		                               : apple_page_parse(&page, buffer_take(&json), length, NULL);

		assert_true(rc == OK || rc == ERR_BAD_ANSWER || rc == ERR_BUDGET);
		apple_check_laws(&page);
		read += rc == OK ? 1 : 0;
		apple_page_fini(&page);
	}
	assert_true(read > 600); // damage that only ever ends in a syntax error would prove little
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_documents_end_cleanly),
		cmocka_unit_test(a_record_with_300000_members_costs_only_its_extras),
		cmocka_unit_test(damaged_pages_never_give_a_record_that_breaks_the_law),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
