// SPDX-License-Identifier: Apache-2.0
//
// The key provider whose master keys are in a file.
#include "crypto/key_provider.h"
#include "crypto/master_keys.h"

#include "depbroker/clock.h"
#include "depbroker/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LOOK_EVERY_MS = 1000 };

// What tells one content of the file from another. All zero: there is no file.
struct stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
};

struct key_file {
	struct key_provider provider;
	char *path;
	struct master_keys keys;
	struct stamp stamp; // taken before the keys were read, so it is never newer than they are
	int64_t looked_ms;
};

static struct key_file *file_of(struct key_provider *provider)
{
	return (struct key_file *)provider; // its first member
}

static bool same_instant(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size && same_instant(&a->modified, &b->modified) &&
		same_instant(&a->changed, &b->changed);
}

static struct stamp stamp_of(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0) {
		return (struct stamp){ 0 };
	}
	return (struct stamp){ status.st_dev, status.st_ino, status.st_size, status.st_mtim, status.st_ctim };
}

// What cannot be read now leaves the keys that we have.
static void look(struct key_file *file)
{
	const struct stamp stamp = stamp_of(file->path);
	struct master_keys keys CLEANUP(master_keys_fini) = { 0 };
	struct fault fault;

	file->looked_ms = clock_monotonic_ms();
	if (same_stamp(&stamp, &file->stamp)) {
		return;
	}
	file->stamp = stamp;
	if (master_keys_load(&keys, file->path, false, &fault) == OK) {
		file->keys = keys;
		log_event(LOG_INFO, "master_keys.read", LOG_INT("keys", (int64_t)keys.count));
	} else {
		log_event(LOG_WARNING, "master_keys.not_read", LOG_STRING("reason", fault.text));
	}
}

static void look_sometimes(struct key_file *file)
{
	if (clock_monotonic_ms() - file->looked_ms >= LOOK_EVERY_MS) {
		look(file);
	}
}

static const struct master_key *find(struct key_file *file, struct text name)
{
	const struct master_key *key;

	look_sometimes(file);
	key = master_keys_find(&file->keys, name);
	if (key == NULL) {
		look(file);
		key = master_keys_find(&file->keys, name);
	}
	return key;
}

static enum err unknown(const struct key_file *file, struct text name, struct fault *fault)
{
	return fault_set(fault, ERR_CRYPTO, "the file %s does not hold the master key %.*s", file->path, TEXT_ARGS(name));
}

static enum err wrap(struct key_provider *provider, struct buffer *wrapped, struct text master_key, const struct data_key *key,
	int64_t tenant_id, struct fault *fault)
{
	const struct master_key *master = find(file_of(provider), master_key);

	if (master == NULL) {
		return unknown(file_of(provider), master_key, fault);
	}
	data_key_wrap(wrapped, key, master, tenant_id);
	return OK;
}

// It was not noted which: that one of them opens it proves that it is the one.
static enum err unwrap_by_any(struct key_file *file, struct data_key *key, struct text wrapped, int64_t tenant_id, int version,
	struct fault *fault)
{
	enum err rc = ERR_CRYPTO;

	look_sometimes(file);
	for (size_t i = 0; i < file->keys.count && rc != OK; i++) {
		rc = data_key_unwrap(key, wrapped, &file->keys.keys[i], tenant_id, version, fault);
	}
	return rc;
}

static enum err unwrap(struct key_provider *provider, struct data_key *key, struct text master_key, struct text wrapped,
	int64_t tenant_id, int version, struct fault *fault)
{
	const struct master_key *master;

	if (master_key.length == 0) {
		return unwrap_by_any(file_of(provider), key, wrapped, tenant_id, version, fault);
	}
	master = find(file_of(provider), master_key);
	return master == NULL ? unknown(file_of(provider), master_key, fault)
		: data_key_unwrap(key, wrapped, master, tenant_id, version, fault);
}

static void newest(struct key_provider *provider, char name[KEY_NAME_MAX + 1])
{
	look_sometimes(file_of(provider));
	master_key_id(name, &file_of(provider)->keys.keys[0]);
}

static void close_file(struct key_provider *provider)
{
	struct key_file *file = file_of(provider);

	master_keys_fini(&file->keys);
	free(file->path);
	free(file);
}

enum err key_provider_open_file(struct key_provider **out, const char *path, struct fault *fault)
{
	struct key_file *file = allocate(sizeof *file);
	enum err rc;

	*file = (struct key_file){
		.provider = { .wrap = wrap, .unwrap = unwrap, .newest = newest, .close = close_file },
		.path = duplicate(text_of(path)),
		.looked_ms = clock_monotonic_ms(),
		.stamp = stamp_of(path),
	};
	rc = master_keys_load(&file->keys, path, true, fault);
	*out = rc == OK ? &file->provider : NULL;
	if (rc != OK) {
		close_file(&file->provider);
	}
	return rc;
}

void key_provider_close(struct key_provider *provider)
{
	if (provider != NULL) {
		provider->close(provider);
	}
}
