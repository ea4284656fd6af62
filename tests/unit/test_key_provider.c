// SPDX-License-Identifier: Apache-2.0
//
// The master keys of a file, as running processes see them: keys come and go, and what cannot be read changes nothing.
#include "crypto/key_provider.h"
#include "crypto/master_keys.h"
#include "depbroker/clock.h"
#include "support/cmocka_all.h"
#include "support/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TENANT = 42, PATIENCE_MS = 10000 };

struct place {
	char *folder;
	char path[200];
	struct key_provider *provider;
};

static void place_open(struct place *place)
{
	place->folder = temporary_directory();
	(void)snprintf(place->path, sizeof place->path, "%s/master.key", place->folder);
	assert_int_equal(key_provider_open_file(&place->provider, place->path, NULL), OK);
}

static void place_close(struct place *place)
{
	key_provider_close(place->provider);
	remove_tree(place->folder);
	free(place->folder);
}

// The file with a new key in front, as keys add does it.
static void add_key(const struct place *place, char name[MASTER_KEY_ID_SIZE + 1])
{
	struct master_keys keys CLEANUP(master_keys_fini);

	assert_int_equal(master_keys_load(&keys, place->path, false, NULL), OK);
	memmove(&keys.keys[1], &keys.keys[0], keys.count * sizeof keys.keys[0]);
	keys.count++;
	master_key_make(&keys.keys[0]);
	master_key_id(name, &keys.keys[0]);
	assert_int_equal(master_keys_replace(&keys, place->path, NULL), OK);
}

static void keep_newest(const struct place *place)
{
	struct master_keys keys CLEANUP(master_keys_fini);

	assert_int_equal(master_keys_load(&keys, place->path, false, NULL), OK);
	keys.count = 1;
	assert_int_equal(master_keys_replace(&keys, place->path, NULL), OK);
}

static enum err wrap(const struct place *place, const char *name, struct buffer *wrapped, const struct data_key *key,
	struct fault *fault)
{
	buffer_clear(wrapped);
	return place->provider->wrap(place->provider, wrapped, text_of(name), key, TENANT, fault);
}

static enum err unwrap(const struct place *place, const char *name, const struct buffer *wrapped, struct data_key *key)
{
	return place->provider->unwrap(place->provider, key, (struct text){ name, strlen(name) }, buffer_text(wrapped), TENANT, 1, NULL);
}

static void a_data_key_opens_by_the_name_of_its_master_key(void **state)
{
	struct buffer wrapped CLEANUP(buffer_fini) = BUFFER(WRAPPED_DATA_KEY_SIZE);
	char name[KEY_NAME_MAX + 1];
	struct data_key opened;
	struct data_key key;
	struct place place;

	(void)state;
	place_open(&place);
	place.provider->newest(place.provider, name);
	assert_int_equal(strlen(name), MASTER_KEY_ID_SIZE);
	data_key_make(&key, 1);
	assert_int_equal(wrap(&place, name, &wrapped, &key, NULL), OK);
	assert_int_equal(unwrap(&place, name, &wrapped, &opened), OK);
	assert_memory_equal(&opened, &key, sizeof key);
	assert_int_equal(unwrap(&place, "", &wrapped, &opened), OK); // it was not noted
	assert_int_equal(unwrap(&place, "0123456789abcdef", &wrapped, &opened), ERR_CRYPTO);
	place_close(&place);
}

static void a_running_process_learns_of_a_new_key_at_once(void **state)
{
	struct buffer wrapped CLEANUP(buffer_fini) = BUFFER(WRAPPED_DATA_KEY_SIZE);
	char first[KEY_NAME_MAX + 1];
	char name[MASTER_KEY_ID_SIZE + 1] = "0123456789abcdef";
	struct fault fault;
	struct data_key opened;
	struct data_key key;
	struct place place;

	(void)state;
	place_open(&place);
	place.provider->newest(place.provider, first);
	data_key_make(&key, 1);
	assert_int_equal(wrap(&place, name, &wrapped, &key, &fault), ERR_CRYPTO);
	assert_non_null(strstr(fault.text, "does not hold the master key 0123456789abcdef"));
	for (int i = 0; i < 3; i++) {
		add_key(&place, name);
		assert_int_equal(wrap(&place, name, &wrapped, &key, NULL), OK);
		assert_int_equal(unwrap(&place, name, &wrapped, &opened), OK);
		assert_int_equal(unwrap(&place, first, &wrapped, &opened), ERR_CRYPTO); // known, and another one
		assert_int_equal(unwrap(&place, "", &wrapped, &opened), OK);
	}
	place_close(&place);
}

static void a_key_that_is_gone_from_the_file_is_forgotten_soon(void **state)
{
	const int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
	struct buffer wrapped CLEANUP(buffer_fini) = BUFFER(WRAPPED_DATA_KEY_SIZE);
	char first[KEY_NAME_MAX + 1];
	char name[MASTER_KEY_ID_SIZE + 1];
	struct data_key opened;
	struct data_key key;
	struct place place;

	(void)state;
	place_open(&place);
	place.provider->newest(place.provider, first);
	data_key_make(&key, 1);
	add_key(&place, name);
	assert_int_equal(wrap(&place, first, &wrapped, &key, NULL), OK);
	keep_newest(&place);
	while (unwrap(&place, first, &wrapped, &opened) == OK) {
		assert_true(clock_monotonic_ms() < until_ms);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	assert_int_equal(wrap(&place, name, &wrapped, &key, NULL), OK);
	place_close(&place);
}

static void a_file_that_cannot_be_read_changes_nothing(void **state)
{
	struct buffer wrapped CLEANUP(buffer_fini) = BUFFER(WRAPPED_DATA_KEY_SIZE);
	char name[KEY_NAME_MAX + 1];
	struct data_key key;
	struct place place;

	(void)state;
	place_open(&place);
	place.provider->newest(place.provider, name);
	data_key_make(&key, 1);
	assert_int_equal(chmod(place.path, 0644), 0);
	assert_int_equal(wrap(&place, "0123456789abcdef", &wrapped, &key, NULL), ERR_CRYPTO); // it looks, and is not pleased
	assert_int_equal(wrap(&place, name, &wrapped, &key, NULL), OK);
	assert_int_equal(unlink(place.path), 0);
	assert_int_equal(wrap(&place, "0123456789abcdef", &wrapped, &key, NULL), ERR_CRYPTO);
	assert_int_equal(wrap(&place, name, &wrapped, &key, NULL), OK);
	assert_int_not_equal(access(place.path, F_OK), 0); // a running process makes no new one
	place_close(&place);
}

static size_t files_in(const char *folder)
{
	DIR *directory = opendir(folder);
	size_t count = 0;

	assert_non_null(directory);
	for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
		count += entry->d_name[0] != '.' ? 1 : 0;
	}
	assert_int_equal(closedir(directory), 0);
	return count;
}

static void the_file_is_replaced_whole(void **state)
{
	struct master_keys keys CLEANUP(master_keys_fini);
	char name[MASTER_KEY_ID_SIZE + 1];
	struct stat status;
	struct place place;

	(void)state;
	place_open(&place);
	for (size_t count = 2; count <= MASTER_KEYS_MAX; count++) {
		add_key(&place, name);
		assert_int_equal(master_keys_load(&keys, place.path, false, NULL), OK);
		assert_int_equal(keys.count, count);
		assert_ptr_equal(master_keys_find(&keys, text_of(name)), &keys.keys[0]);
	}
	assert_int_equal(stat(place.path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(files_in(place.folder), 1);
	assert_int_equal(unlink(place.path), 0);
	assert_int_equal(master_keys_replace(&keys, place.path, NULL), ERR_SYSTEM); // it must exist
	assert_int_equal(files_in(place.folder), 0);
	place_close(&place);
}

static void make_file(const struct place *place, const char *name)
{
	char path[PATH_MAX];

	assert_true((size_t)snprintf(path, sizeof path, "%s/%s", place->folder, name) < sizeof path);

	const int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(file >= 0);
	assert_int_equal(close(file), 0);
}

static void what_a_killed_command_left_beside_it_is_removed(void **state)
{
	static const char *const endings[] = { ".0123456789abcdef", ".ffffffffffffffff", ".bak", ".0123456789abcde", ".0123456789ABCDEF" };
	struct place place;
	const char *name;

	(void)state;
	place_open(&place);
	name = strrchr(place.path, '/') + 1;
	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
		char beside[PATH_MAX];

		(void)snprintf(beside, sizeof beside, "%s%s", name, endings[i]);
		make_file(&place, beside);
	}
	make_file(&place, "other.0123456789abcdef");
	assert_int_equal(files_in(place.folder), 7);
	assert_int_equal(master_keys_sweep(place.path, NULL), OK);
	assert_int_equal(files_in(place.folder), 5); // a copy that somebody keeps is nobody's leftover
	assert_int_equal(access(place.path, R_OK), 0);
	place_close(&place);
	assert_int_equal(master_keys_sweep("/nowhere/master.key", NULL), ERR_SYSTEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_data_key_opens_by_the_name_of_its_master_key),
		cmocka_unit_test(a_running_process_learns_of_a_new_key_at_once),
		cmocka_unit_test(a_key_that_is_gone_from_the_file_is_forgotten_soon),
		cmocka_unit_test(a_file_that_cannot_be_read_changes_nothing),
		cmocka_unit_test(the_file_is_replaced_whole),
		cmocka_unit_test(what_a_killed_command_left_beside_it_is_removed),
	};

	return cmocka_run_group_tests_name("key_provider", tests, NULL, NULL);
}
