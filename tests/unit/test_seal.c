// SPDX-License-Identifier: Apache-2.0
//
// Envelope encryption: the printed vector, every flipped bit, every swapped row, and the file of the master key.
#include "crypto/master_keys.h"
#include "depbroker/clock.h"
#include "support/cmocka_all.h"
#include "support/files.h"
#include "support/random.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct seal_binding binding = { SECRET_SERVER_TOKEN, 42, 3, 7, 1 };

static struct data_key test_key(void)
{
	struct data_key key = { .version = 3 };

	for (size_t i = 0; i < sizeof key.bytes; i++) {
		key.bytes[i] = (unsigned char)i;
	}
	return key;
}

static struct text nonce_of(const struct sealed *sealed)
{
	return (struct text){ (const char *)sealed->nonce, sizeof sealed->nonce };
}

static bool opens(const struct data_key *key, const struct seal_binding *with, struct text nonce, struct text ciphertext)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(SEALED_SECRET_MAX);
	const bool good = unseal(&plain, key, with, nonce, ciphertext, NULL) == OK;

	assert_true(good || plain.length == 0); // what does not authenticate leaves nothing behind
	return good;
}

static void the_printed_vector_is_reproduced(void **state)
{
	const struct data_key key = test_key();
	unsigned char associated[SEAL_ASSOCIATED_SIZE];
	unsigned char nonce[AEAD_NONCE_SIZE];
	struct buffer sealed CLEANUP(buffer_fini) = BUFFER(100);
	struct buffer hex CLEANUP(buffer_fini) = BUFFER(200);

	(void)state;
	for (size_t i = 0; i < sizeof nonce; i++) {
		nonce[i] = (unsigned char)(0xa0 + i);
	}
	seal_associated_data(associated, &binding);
	buffer_add_hex(&hex, associated, sizeof associated);
	assert_string_equal(hex.bytes, "646570623101000000000000002a000000030000000000000007" "00000001");
	aead_seal(&sealed, key.bytes, nonce, (struct text){ (char *)associated, 26 }, TEXT("CK_example_access_secret"));
	buffer_clear(&hex);
	buffer_add_hex(&hex, sealed.bytes, sealed.length);
	assert_string_equal(hex.bytes, "a55323483daa6fcf0e00d8b26419a5ad03f32a75f1c52718" "4840081f38c08184539bcd0378c71927");

	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(100);

	assert_true(aead_open(&plain, key.bytes, nonce, (struct text){ (char *)associated, 26 }, buffer_text(&sealed)));
	assert_string_equal(plain.bytes, "CK_example_access_secret");
	buffer_clear(&plain);
	associated[13] = 43;
	assert_false(aead_open(&plain, key.bytes, nonce, (struct text){ (char *)associated, 26 }, buffer_text(&sealed)));
}

static void secrets_of_every_length_come_back(void **state)
{
	static const size_t lengths[] = { 0, 1, 15, 16, 17, 400, 4096, SEALED_SECRET_MAX };
	const struct data_key key = test_key();

	(void)state;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct buffer secret CLEANUP(buffer_fini) = BUFFER(SEALED_SECRET_MAX);
		struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(SEALED_SECRET_MAX);
		struct sealed sealed CLEANUP(sealed_fini);

		while (secret.length < lengths[i]) {
			buffer_add(&secret, &(char){ (char)(secret.length * 7) }, 1);
		}
		seal(&sealed, &key, &binding, buffer_text(&secret));
		assert_int_equal(sealed.ciphertext.length, lengths[i] + AEAD_TAG_SIZE);
		assert_int_equal(unseal(&plain, &key, &binding, nonce_of(&sealed), buffer_text(&sealed.ciphertext), NULL), OK);
		assert_true(text_equal(buffer_text(&plain), buffer_text(&secret)));
	}
}

static void every_flipped_bit_of_a_sealed_secret_is_refused(void **state)
{
	const struct data_key key = test_key();
	struct sealed sealed CLEANUP(sealed_fini);

	(void)state;
	seal(&sealed, &key, &binding, TEXT("AS_00112233445566778899aabbccddeeff"));
	assert_true(opens(&key, &binding, nonce_of(&sealed), buffer_text(&sealed.ciphertext)));
	for (size_t bit = 0; bit < 8 * sizeof sealed.nonce; bit++) {
		sealed.nonce[bit / 8] = (unsigned char)(sealed.nonce[bit / 8] ^ 1u << bit % 8);
		assert_false(opens(&key, &binding, nonce_of(&sealed), buffer_text(&sealed.ciphertext)));
		sealed.nonce[bit / 8] = (unsigned char)(sealed.nonce[bit / 8] ^ 1u << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * sealed.ciphertext.length; bit++) {
		char *byte = &sealed.ciphertext.bytes[bit / 8];

		*byte = (char)(*byte ^ 1 << bit % 8);
		assert_false(opens(&key, &binding, nonce_of(&sealed), buffer_text(&sealed.ciphertext)));
		*byte = (char)(*byte ^ 1 << bit % 8);
	}
	for (size_t length = 0; length < sealed.ciphertext.length; length++) { // cut
		assert_false(opens(&key, &binding, nonce_of(&sealed), (struct text){ sealed.ciphertext.bytes, length }));
	}
	assert_false(opens(&key, &binding, (struct text){ (char *)sealed.nonce, 11 }, buffer_text(&sealed.ciphertext)));
	assert_true(opens(&key, &binding, nonce_of(&sealed), buffer_text(&sealed.ciphertext)));
}

static void every_flipped_bit_of_the_binding_and_the_key_is_refused(void **state)
{
	const struct data_key key = test_key();
	struct sealed sealed CLEANUP(sealed_fini);

	(void)state;
	seal(&sealed, &key, &binding, TEXT("secret"));
	for (int bit = 0; bit < 64; bit++) {
		struct seal_binding other = binding;
		struct data_key other_key = key;

		other.tenant_id ^= (int64_t)(UINT64_C(1) << bit);
		assert_false(opens(&key, &other, nonce_of(&sealed), buffer_text(&sealed.ciphertext)));
		other = binding;
		other.object_id ^= (int64_t)(UINT64_C(1) << bit);
		assert_false(opens(&key, &other, nonce_of(&sealed), buffer_text(&sealed.ciphertext)));
		if (bit < 32) {
			other = binding;
			other.secret_version ^= (int)(1u << bit);
			assert_false(opens(&key, &other, nonce_of(&sealed), buffer_text(&sealed.ciphertext)));
			other = binding;
			other.data_key_version ^= (int)(1u << bit);
			assert_false(opens(&key, &other, nonce_of(&sealed), buffer_text(&sealed.ciphertext)));
			other_key.version = other.data_key_version; // the same bytes under another version
			assert_false(opens(&other_key, &other, nonce_of(&sealed), buffer_text(&sealed.ciphertext)));
		}
	}
	for (enum secret_kind kind = SECRET_WEBHOOK; kind <= SECRET_APPLE_SESSION; kind++) {
		struct seal_binding other = binding;

		other.kind = kind;
		assert_false(opens(&key, &other, nonce_of(&sealed), buffer_text(&sealed.ciphertext)));
	}
	for (size_t bit = 0; bit < 8 * sizeof key.bytes; bit++) {
		struct data_key other = key;

		other.bytes[bit / 8] = (unsigned char)(other.bytes[bit / 8] ^ 1u << bit % 8);
		assert_false(opens(&other, &binding, nonce_of(&sealed), buffer_text(&sealed.ciphertext)));
	}
}

static void secrets_and_keys_of_a_thousand_pairs_of_tenants_cannot_be_swapped(void **state)
{
	struct master_key master;

	(void)state;
	random_bytes(&master, sizeof master);
	for (int64_t tenant = 1; tenant <= 2000; tenant += 2) {
		struct buffer wrapped CLEANUP(buffer_fini) = BUFFER(WRAPPED_DATA_KEY_SIZE);
		struct seal_binding mine = { SECRET_SERVER_TOKEN, tenant, 1, 1, 1 };
		struct seal_binding theirs = { SECRET_SERVER_TOKEN, tenant + 1, 1, 1, 1 };
		struct sealed sealed CLEANUP(sealed_fini);
		struct data_key key;
		struct data_key other;

		data_key_make(&key, 1);
		data_key_wrap(&wrapped, &key, &master, tenant);
		seal(&sealed, &key, &mine, TEXT("mine"));
		assert_true(opens(&key, &mine, nonce_of(&sealed), buffer_text(&sealed.ciphertext)));
		assert_false(opens(&key, &theirs, nonce_of(&sealed), buffer_text(&sealed.ciphertext)));
		assert_int_equal(data_key_unwrap(&other, buffer_text(&wrapped), &master, tenant + 1, 1, NULL), ERR_CRYPTO);
		assert_int_equal(data_key_unwrap(&other, buffer_text(&wrapped), &master, tenant, 2, NULL), ERR_CRYPTO);
		assert_int_equal(data_key_unwrap(&other, buffer_text(&wrapped), &master, tenant, 1, NULL), OK);
		assert_memory_equal(other.bytes, key.bytes, sizeof key.bytes);
		assert_int_equal(other.version, 1);
	}
}

// Blobs of ten tenants with ten secrets each: what belongs to one place is put into another, or changed by a bit or two.
enum { TENANTS = 10, OBJECTS = 10, MANIPULATIONS = 10000 };

struct place {
	struct data_key key;
	struct seal_binding binding;
	struct sealed sealed;
};

static void seal_all(struct place places[TENANTS * OBJECTS])
{
	for (int i = 0; i < TENANTS * OBJECTS; i++) {
		struct place *place = &places[i];

		if (i % OBJECTS == 0) {
			data_key_make(&place->key, 1);
		} else {
			place->key = places[i - 1].key;
		}
		place->binding = (struct seal_binding){ SECRET_SERVER_TOKEN + (enum secret_kind)(i % 4), 1 + i / OBJECTS, 1, 1 + i % OBJECTS / 4, 1 };
		seal(&place->sealed, &place->key, &place->binding, TEXT("AS_00112233445566778899aabbccddeeff"));
	}
}

static void flip_a_bit(unsigned char *bytes, size_t size)
{
	const uint64_t bit = random_below(8 * size);

	bytes[bit / 8] = (unsigned char)(bytes[bit / 8] ^ 1u << bit % 8);
}

// What a row's columns may become in the hands of somebody who can write to the database. False: they are as they were.
static bool manipulate(struct place *target, unsigned char *nonce, char *ciphertext, const struct place places[TENANTS * OBJECTS])
{
	const struct place *other = &places[random_below(TENANTS * OBJECTS)];
	const size_t length = target->sealed.ciphertext.length;

	switch (random_below(5)) {
	case 0: memcpy(ciphertext, other->sealed.ciphertext.bytes, length); break;
	case 1: memcpy(nonce, other->sealed.nonce, AEAD_NONCE_SIZE); break;
	case 2: // the whole row
		memcpy(ciphertext, other->sealed.ciphertext.bytes, length);
		memcpy(nonce, other->sealed.nonce, AEAD_NONCE_SIZE);
		break;
	case 3: flip_a_bit((unsigned char *)ciphertext, length); break;
	default: flip_a_bit(nonce, AEAD_NONCE_SIZE); break;
	}
	return memcmp(nonce, target->sealed.nonce, AEAD_NONCE_SIZE) != 0 || memcmp(ciphertext, target->sealed.ciphertext.bytes, length) != 0;
}

static void ten_thousand_swaps_and_flips_are_refused(void **state)
{
	static struct place places[TENANTS * OBJECTS];
	size_t refused = 0;

	(void)state;
	random_case("test_seal", 0);
	seal_all(places);
	while (refused < MANIPULATIONS) {
		struct place *target = &places[random_below(TENANTS * OBJECTS)];
		const size_t length = target->sealed.ciphertext.length;
		unsigned char nonce[AEAD_NONCE_SIZE];
		char ciphertext[100];

		assert_true(length <= sizeof ciphertext);
		memcpy(nonce, target->sealed.nonce, sizeof nonce);
		memcpy(ciphertext, target->sealed.ciphertext.bytes, length);
		if (manipulate(target, nonce, ciphertext, places)) {
			LAW(!opens(&target->key, &target->binding, (struct text){ (char *)nonce, sizeof nonce }, (struct text){ ciphertext, length }));
			refused++;
		}
	}
	for (size_t i = 0; i < TENANTS * OBJECTS; i++) {
		LAW(opens(&places[i].key, &places[i].binding, nonce_of(&places[i].sealed), buffer_text(&places[i].sealed.ciphertext)));
		sealed_fini(&places[i].sealed);
	}
}

static void every_flipped_bit_of_a_wrapped_key_is_refused(void **state)
{
	struct buffer wrapped CLEANUP(buffer_fini) = BUFFER(1000);
	struct master_key master;
	struct data_key key;
	struct data_key other;

	(void)state;
	random_bytes(&master, sizeof master);
	data_key_make(&key, 7);
	data_key_wrap(&wrapped, &key, &master, 42);
	assert_int_equal(wrapped.length, WRAPPED_DATA_KEY_SIZE);
	for (size_t bit = 0; bit < 8 * wrapped.length; bit++) {
		wrapped.bytes[bit / 8] = (char)(wrapped.bytes[bit / 8] ^ 1 << bit % 8);
		assert_int_equal(data_key_unwrap(&other, buffer_text(&wrapped), &master, 42, 7, NULL), ERR_CRYPTO);
		wrapped.bytes[bit / 8] = (char)(wrapped.bytes[bit / 8] ^ 1 << bit % 8);
	}
	assert_int_equal(data_key_unwrap(&other, (struct text){ wrapped.bytes, 59 }, &master, 42, 7, NULL), ERR_CRYPTO);
	assert_int_equal(data_key_unwrap(&other, TEXT_NONE, &master, 42, 7, NULL), ERR_CRYPTO);
	assert_int_equal(data_key_unwrap(&other, buffer_text(&wrapped), &master, 42, 7, NULL), OK);
	master.bytes[0] ^= 1;
	assert_int_equal(data_key_unwrap(&other, buffer_text(&wrapped), &master, 42, 7, NULL), ERR_CRYPTO);
}

static void a_data_key_moves_to_another_master_key(void **state)
{
	struct buffer wrapped CLEANUP(buffer_fini) = BUFFER(1000);
	struct buffer again CLEANUP(buffer_fini) = BUFFER(1000);
	struct master_key old_master;
	struct master_key new_master;
	struct data_key key;
	struct data_key moved;

	(void)state;
	random_bytes(&old_master, sizeof old_master);
	random_bytes(&new_master, sizeof new_master);
	data_key_make(&key, 7);
	data_key_wrap(&wrapped, &key, &old_master, 42);
	data_key_wrap(&again, &key, &new_master, 42);
	assert_int_equal(data_key_unwrap(&moved, buffer_text(&again), &new_master, 42, 7, NULL), OK);
	assert_memory_equal(moved.bytes, key.bytes, sizeof key.bytes);
	assert_int_equal(data_key_unwrap(&moved, buffer_text(&again), &old_master, 42, 7, NULL), ERR_CRYPTO);
}

static void write_file(const char *path, struct text content, mode_t mode)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(content.bytes, 1, content.length, file), content.length);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

// The one key of a file that holds one.
static enum err load_one(struct master_key *key, const char *path, bool create_missing, struct fault *fault)
{
	struct master_keys keys CLEANUP(master_keys_fini);

	TRY(master_keys_load(&keys, path, create_missing, fault));
	assert_int_equal(keys.count, 1);
	*key = keys.keys[0];
	return OK;
}

static void a_master_key_is_made_once_and_then_read(void **state)
{
	char *folder = temporary_directory();
	char path[200];
	struct master_key first;
	struct master_key second;
	struct stat status;
	struct fault fault;

	(void)state;
	(void)snprintf(path, sizeof path, "%s/master.key", folder);
	assert_int_equal(load_one(&first, path, false, &fault), ERR_SYSTEM);
	assert_non_null(strstr(fault.text, "No such file"));
	assert_int_equal(load_one(&first, path, true, &fault), OK);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(status.st_nlink, 1); // nothing is left beside it
	assert_int_equal(load_one(&second, path, true, &fault), OK);
	assert_memory_equal(&first, &second, sizeof first);
	remove_tree(folder);
	free(folder);
}

static void processes_that_start_together_get_the_same_master_key(void **state)
{
	enum { PROCESSES = 8 };
	char *folder = temporary_directory();
	char path[200];
	struct master_key key;
	int pipes[2];

	(void)state;
	(void)snprintf(path, sizeof path, "%s/master.key", folder);
	assert_int_equal(pipe(pipes), 0);
	for (int i = 0; i < PROCESSES; i++) {
		if (fork() == 0) {
			const bool good = load_one(&key, path, true, NULL) == OK;

			_exit(good && write(pipes[1], &key, sizeof key) == (ssize_t)sizeof key ? 0 : 1);
		}
	}
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(load_one(&key, path, false, NULL), OK);
	for (int i = 0; i < PROCESSES; i++) {
		struct master_key theirs;

		assert_int_equal(read(pipes[0], &theirs, sizeof theirs), sizeof theirs);
		assert_memory_equal(&theirs, &key, sizeof key);
	}
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	remove_tree(folder);
	free(folder);
}

#define HEX_KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define RAW_KEY "\x01" "abcdefghijklmnopqrstuvwxyz01234"

static void a_master_key_file_is_read_with_suspicion(void **state)
{
	static const struct {
		struct text content;
		mode_t mode;
		const char *sentence; // NULL: accepted
	} cases[] = {
		{ { HEX_KEY, 64 }, 0600, NULL },
		{ { HEX_KEY "\n", 65 }, 0400, NULL },
		{ { HEX_KEY "\r\n", 66 }, 0600, NULL },
		{ { RAW_KEY, 32 }, 0600, NULL },
		{ { HEX_KEY "\n", 65 }, 0640, "chmod 600" },
		{ { HEX_KEY "\n", 65 }, 0604, "chmod 600" },
		{ { HEX_KEY "\n", 65 }, 0610, "chmod 600" },
		{ { "", 0 }, 0600, "holds no key" },
		{ { HEX_KEY, 63 }, 0600, "holds no key" },
		{ { HEX_KEY "00", 66 }, 0600, "holds no key" },
		{ { HEX_KEY "\n\n\n", 67 }, 0600, "holds no key" },
		{ { HEX_KEY "\n" HEX_KEY "x\n", 131 }, 0600, "holds no key" },
		{ { HEX_KEY "\n\n" HEX_KEY "\n", 131 }, 0600, "holds no key" },
		{ { "g" HEX_KEY, 64 }, 0600, "holds no key" },
		{ { RAW_KEY "x", 33 }, 0600, "holds no key" },
		{ { RAW_KEY, 31 }, 0600, "holds no key" },
		{ { "0000000000000000000000000000000000000000000000000000000000000000", 64 }, 0600, "all zeroes" },
	};
	char *folder = temporary_directory();
	char path[200];

	(void)state;
	(void)snprintf(path, sizeof path, "%s/master.key", folder);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct master_key key;
		struct fault fault = { "" };

		(void)unlink(path);
		write_file(path, cases[i].content, cases[i].mode);
		assert_int_equal(load_one(&key, path, true, &fault), cases[i].sentence == NULL ? OK : ERR_SYSTEM);
		assert_true(cases[i].sentence == NULL || strstr(fault.text, cases[i].sentence) != NULL);
		assert_null(strstr(fault.text, "0405060708"));
	}
	remove_tree(folder);
	free(folder);
}

static void a_folder_or_a_file_of_somebody_else_is_no_master_key(void **state)
{
	char *folder = temporary_directory();
	char path[200];
	struct master_key key;
	struct fault fault;

	(void)state;
	assert_int_equal(load_one(&key, folder, true, &fault), ERR_SYSTEM);
	assert_non_null(strstr(fault.text, "not a regular file"));
	(void)snprintf(path, sizeof path, "%s/none/master.key", folder);
	assert_int_equal(load_one(&key, path, true, &fault), ERR_SYSTEM);
	assert_non_null(strstr(fault.text, "cannot make"));
	if (geteuid() == 0) { // only root can give a file away
		(void)snprintf(path, sizeof path, "%s/master.key", folder);
		write_file(path, TEXT(HEX_KEY), 0600);
		assert_int_equal(chown(path, 65534, 65534), 0);
		assert_int_equal(load_one(&key, path, true, &fault), ERR_SYSTEM);
		assert_non_null(strstr(fault.text, "belongs to user 65534"));
	}
	remove_tree(folder);
	free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_printed_vector_is_reproduced),
		cmocka_unit_test(secrets_of_every_length_come_back),
		cmocka_unit_test(every_flipped_bit_of_a_sealed_secret_is_refused),
		cmocka_unit_test(every_flipped_bit_of_the_binding_and_the_key_is_refused),
		cmocka_unit_test(secrets_and_keys_of_a_thousand_pairs_of_tenants_cannot_be_swapped),
		cmocka_unit_test(ten_thousand_swaps_and_flips_are_refused),
		cmocka_unit_test(every_flipped_bit_of_a_wrapped_key_is_refused),
		cmocka_unit_test(a_data_key_moves_to_another_master_key),
		cmocka_unit_test(a_master_key_is_made_once_and_then_read),
		cmocka_unit_test(processes_that_start_together_get_the_same_master_key),
		cmocka_unit_test(a_master_key_file_is_read_with_suspicion),
		cmocka_unit_test(a_folder_or_a_file_of_somebody_else_is_no_master_key),
	};

	return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
