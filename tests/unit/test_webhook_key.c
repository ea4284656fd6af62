// SPDX-License-Identifier: Apache-2.0
//
// Ed25519 keys and signatures v1a, against vectors that other libraries made.
#include "support/cmocka_all.h"
#include "tenants/webhook_key.h"

#include <string.h>

#define BODY                                                                                                          \
	"{\"type\":\"device.added\",\"timestamp\":\"2023-11-14T22:13:20.000000Z\",\"data\":{\"tenant\":"                   \
	"\"ten_0000000000000000000042\",\"seq\":1,\"serial_number\":\"C02TEST0001\"}}"
#define OURS     "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define SPEC_KEY "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="

static const struct {
	const char *key, *public_key, *id, *body, *signature;
	int64_t timestamp_s;
} vectors[] = {
	{ OURS, "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", "msg_0T3nant42Ev0000000000001", BODY,
		"v1a,z+Z3YEoHiKQFx+JMiR6f+Z95KpgjQXBLzyj1u2L5I9bm5gGTdSVDbzhyHOEe43vwa7D9CgGRdR5P90ngp9guCQ==", 1700000000 },
	{ SPEC_KEY, "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", "msg_p5jXN8AQM9LWM0D4loKWxJek", "{\"test\": 2432232314}",
		"v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==", 1614265330 },
};

static void keys_and_signatures_are_those_of_the_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		struct buffer public_key CLEANUP(buffer_fini) = BUFFER(128), signature CLEANUP(buffer_fini) = BUFFER(128);
		struct webhook_key key CLEANUP(webhook_key_fini);

		assert_int_equal(webhook_key_parse(&key, text_of(vectors[i].key), NULL), OK);
		webhook_key_write_public(&public_key, &key);
		assert_true(text_equal_string(buffer_text(&public_key), vectors[i].public_key));
		webhook_key_signatures(&signature, &key, 1, text_of(vectors[i].id), vectors[i].timestamp_s, text_of(vectors[i].body));
		assert_true(text_equal_string(buffer_text(&signature), vectors[i].signature));
	}
}

static void a_key_is_written_with_both_halves_and_read_again(void **state)
{
	struct buffer spelling CLEANUP(buffer_fini) = BUFFER(WEBHOOK_KEY_SPELLING);
	struct webhook_key key, again;

	(void)state;
	assert_int_equal(webhook_key_parse(&key, TEXT(OURS), NULL), OK);
	webhook_key_write(&spelling, &key);
	assert_int_equal(spelling.length, 5 + 88);
	assert_int_equal(webhook_key_parse(&again, buffer_text(&spelling), NULL), OK);
	assert_memory_equal(&key, &again, sizeof key);
	assert_int_equal(webhook_key_parse(&again, (struct text){ spelling.bytes, spelling.length - 2 }, NULL), OK); // without padding
	webhook_key_fini(&key);
	webhook_key_fini(&again);
}

static void what_is_no_key_is_refused(void **state)
{
	static const char *const wrong[] = { "", "whsk_", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
		"whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", "whsk_!",
		// the halves of two pairs
		"whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbcDoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==" };
	struct webhook_key key;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(webhook_key_parse(&key, text_of(wrong[i]), NULL), ERR_BAD_INPUT);
	}
}

static void items_follow_each_other_with_one_blank_and_one_comma(void **state)
{
	struct buffer header CLEANUP(buffer_fini) = BUFFER(512);
	struct webhook_key keys[2];

	(void)state;
	assert_int_equal(webhook_key_parse(&keys[0], TEXT(OURS), NULL), OK);
	assert_int_equal(webhook_key_parse(&keys[1], TEXT(SPEC_KEY), NULL), OK);
	buffer_add_string(&header, "webhook-signature: v1,AAAA");
	webhook_key_signatures(&header, keys, 0, TEXT("msg_a"), 1, TEXT("{}"));
	assert_true(text_equal(buffer_text(&header), TEXT("webhook-signature: v1,AAAA")));
	webhook_key_signatures(&header, keys, 2, TEXT("msg_a"), 1, TEXT("{}"));
	assert_int_equal(header.length, strlen("webhook-signature: v1,AAAA") + 2 * (strlen(" v1a,") + 88));
	assert_memory_equal(header.bytes + 26, " v1a,", 5);
	assert_memory_equal(header.bytes + 26 + 93, " v1a,", 5);
	assert_memory_not_equal(header.bytes + 26 + 5, header.bytes + 26 + 98, 88);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_signatures_are_those_of_the_vectors),
		cmocka_unit_test(a_key_is_written_with_both_halves_and_read_again),
		cmocka_unit_test(what_is_no_key_is_refused),
		cmocka_unit_test(items_follow_each_other_with_one_blank_and_one_comma),
	};

	return cmocka_run_group_tests_name("webhook_key", tests, NULL, NULL);
}
