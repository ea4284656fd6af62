// SPDX-License-Identifier: Apache-2.0
//
// The file of the master keys: read with suspicion, made and replaced atomically.
#include "crypto/master_keys.h"

#include "depbroker/clock.h"
#include "depbroker/digest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEX_SIZE = 2 * AEAD_KEY_SIZE, LINE_MAX_SIZE = HEX_SIZE + 2, FILE_MAX = MASTER_KEYS_MAX * LINE_MAX_SIZE }; // CR LF may end a line
enum { BESIDE_DIGITS = 16 }; // after the file's name and a dot: a file that is not yet given its name

static void close_file(const int *file)
{
	if (*file >= 0) {
		(void)close(*file);
	}
}

static enum err check_owner(int file, const char *path, struct fault *fault)
{
	struct stat status;

	if (fstat(file, &status) != 0) {
		return fault_set(fault, ERR_SYSTEM, "cannot examine the master key file %s: %s", path, strerror(errno));
	}
	if (!S_ISREG(status.st_mode)) {
		return fault_set(fault, ERR_SYSTEM, "the master key file %s is not a regular file", path);
	}
	if (status.st_uid != geteuid() && status.st_uid != 0) {
		return fault_set(fault, ERR_SYSTEM, "the master key file %s belongs to user %u: it must belong to root or to the "
			"user that runs depbroker (%u)", path, (unsigned)status.st_uid, (unsigned)geteuid());
	}
	if ((status.st_mode & 077) != 0) {
		return fault_set(fault, ERR_SYSTEM, "the master key file %s has mode %04o, so others may read it: chmod 600 %s", path,
			(unsigned)(status.st_mode & 07777), path);
	}
	return OK;
}

static enum err read_all(char *out, size_t size, size_t *length, int file, const char *path, struct fault *fault)
{
	*length = 0;
	while (*length < size) {
		const ssize_t got = read(file, out + *length, size - *length);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return fault_set(fault, ERR_SYSTEM, "cannot read the master key file %s: %s", path, strerror(errno));
		}
		if (got == 0) {
			break;
		}
		*length += (size_t)got;
	}
	return OK;
}

static bool decode_line(struct master_key *key, struct text line)
{
	struct buffer bytes CLEANUP(buffer_fini_wiped) = BUFFER(AEAD_KEY_SIZE);

	if (line.length > 0 && line.bytes[line.length - 1] == '\r') {
		line.length--;
	}
	if (line.length != HEX_SIZE || !hex_decode(&bytes, line)) {
		return false;
	}
	memcpy(key->bytes, bytes.bytes, AEAD_KEY_SIZE);
	return true;
}

static bool decode_lines(struct master_keys *keys, struct text rest)
{
	while (rest.length > 0) {
		const char *end = memchr(rest.bytes, '\n', rest.length);
		const struct text line = { rest.bytes, end == NULL ? rest.length : (size_t)(end - rest.bytes) };
		const size_t used = end == NULL ? line.length : line.length + 1;

		if (keys->count == MASTER_KEYS_MAX || !decode_line(&keys->keys[keys->count], line)) {
			return false;
		}
		keys->count++;
		rest = (struct text){ rest.bytes + used, rest.length - used };
	}
	return keys->count > 0;
}

static enum err decode(struct master_keys *keys, struct text content, const char *path, struct fault *fault)
{
	static const struct master_key nothing;

	if (content.length == AEAD_KEY_SIZE) {
		memcpy(keys->keys[0].bytes, content.bytes, AEAD_KEY_SIZE);
		keys->count = 1;
	} else if (content.length > FILE_MAX || !decode_lines(keys, content)) {
		return fault_set(fault, ERR_SYSTEM, "the master key file %s holds no key: it must have lines of 64 hexadecimal digits, %d at "
			"most, or 32 raw bytes", path, MASTER_KEYS_MAX);
	}
	for (size_t i = 0; i < keys->count; i++) {
		if (memcmp(&keys->keys[i], &nothing, sizeof nothing) == 0) {
			return fault_set(fault, ERR_SYSTEM, "a master key in %s is all zeroes: it was never filled", path);
		}
	}
	return OK;
}

static enum err load(struct master_keys *keys, const char *path, bool *missing, struct fault *fault)
{
	const int file CLEANUP(close_file) = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char content[FILE_MAX + 1]; // one more, to notice that the file is too long
	size_t length;
	enum err rc;

	*keys = (struct master_keys){ 0 };
	*missing = file < 0 && errno == ENOENT;
	if (file < 0) {
		return fault_set(fault, ERR_SYSTEM, "cannot open the master key file %s: %s", path, strerror(errno));
	}
	TRY(check_owner(file, path, fault));
	rc = read_all(content, sizeof content, &length, file, path, fault);
	if (rc == OK) {
		rc = decode(keys, (struct text){ content, length }, path, fault);
	}
	wipe(content, sizeof content);
	return rc;
}

static bool write_all(int file, struct text content)
{
	while (content.length > 0) {
		const ssize_t put = write(file, content.bytes, content.length);

		if (put < 0 && errno == EINTR) {
			continue;
		}
		if (put < 0) {
			return false;
		}
		content.bytes += put;
		content.length -= (size_t)put;
	}
	return fsync(file) == 0;
}

static bool write_new_file(const char *path, const struct master_keys *keys)
{
	const int file CLEANUP(close_file) = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct buffer content CLEANUP(buffer_fini_wiped) = BUFFER(FILE_MAX);

	if (file < 0) {
		return false;
	}
	for (size_t i = 0; i < keys->count; i++) {
		buffer_add_hex(&content, keys->keys[i].bytes, sizeof keys->keys[i].bytes);
		buffer_add_string(&content, "\n");
	}
	return fchmod(file, 0600) == 0 && write_all(file, buffer_text(&content));
}

static int open_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];

	(void)snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path),
		slash == NULL ? "." : path);
	return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// So that the name of a new file, too, survives a power cut.
static bool sync_folder_of(const char *path)
{
	const int file CLEANUP(close_file) = open_folder_of(path);

	return file >= 0 && fsync(file) == 0;
}

// Linked: the name never shows a half-written key, and whoever is second keeps the first's.
static bool put_new(const char *beside, const char *path)
{
	return link(beside, path) == 0 || errno == EEXIST;
}

// Renamed over it, with the owner that the old one had, so that whoever could read it still can.
static bool put_over(const char *beside, const char *path)
{
	struct stat old;

	return stat(path, &old) == 0 && (old.st_uid == geteuid() || chown(beside, old.st_uid, old.st_gid) == 0) && rename(beside, path) == 0;
}

static enum err write_keys(const struct master_keys *keys, const char *path, bool (*put)(const char *beside, const char *path),
	struct fault *fault)
{
	char beside[PATH_MAX];
	uint64_t unique;
	bool written;

	random_bytes(&unique, sizeof unique);
	if ((size_t)snprintf(beside, sizeof beside, "%s.%0*llx", path, BESIDE_DIGITS, (unsigned long long)unique) >= sizeof beside) {
		return fault_set(fault, ERR_SYSTEM, "the path of the master key file is too long");
	}
	written = write_new_file(beside, keys) && put(beside, path) && sync_folder_of(path);

	const int error = errno;

	(void)unlink(beside);
	return written ? OK : fault_set(fault, ERR_SYSTEM, "cannot make the master key file %s: %s", path, strerror(error));
}

enum err master_keys_load(struct master_keys *keys, const char *path, bool create_missing, struct fault *fault)
{
	struct master_keys made CLEANUP(master_keys_fini) = { .count = 1 };
	bool missing;
	const enum err rc = load(keys, path, &missing, fault);

	if (!missing || !create_missing) {
		return rc;
	}
	master_key_make(&made.keys[0]);
	TRY(write_keys(&made, path, put_new, fault));
	return load(keys, path, &missing, fault);
}

enum err master_keys_replace(const struct master_keys *keys, const char *path, struct fault *fault)
{
	return write_keys(keys, path, put_over, fault);
}

static bool is_beside(const char *name, const char *file)
{
	const size_t length = strlen(file);

	return strncmp(name, file, length) == 0 && name[length] == '.' && strlen(name + length + 1) == BESIDE_DIGITS &&
		strspn(name + length + 1, "0123456789abcdef") == BESIDE_DIGITS;
}

enum err master_keys_sweep(const char *path, struct fault *fault)
{
	const char *slash = strrchr(path, '/');
	const char *file = slash == NULL ? path : slash + 1;
	const int folder = open_folder_of(path);
	DIR *entries = folder < 0 ? NULL : fdopendir(folder); // which owns the folder from here on
	int error = entries == NULL ? errno : 0;

	for (const struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
		if (is_beside(entry->d_name, file) && unlinkat(folder, entry->d_name, 0) != 0) {
			error = errno;
		}
	}
	if (entries != NULL) {
		(void)closedir(entries);
	} else if (folder >= 0) {
		(void)close(folder);
	}
	return error == 0 ? OK : fault_set(fault, ERR_SYSTEM, "cannot remove what an interrupted command left beside the master key file %s: %s",
		path, strerror(error));
}

void master_keys_fini(struct master_keys *keys)
{
	wipe(keys, sizeof *keys);
}

void master_key_make(struct master_key *key)
{
	random_bytes(key->bytes, sizeof key->bytes);
}

void master_key_id(char out[MASTER_KEY_ID_SIZE + 1], const struct master_key *key)
{
	struct buffer hex CLEANUP(buffer_fini) = BUFFER(2 * SHA256_SIZE);
	unsigned char hash[SHA256_SIZE];

	sha256(hash, &(struct digest_part){ key->bytes, sizeof key->bytes }, 1);
	buffer_add_hex(&hex, hash, MASTER_KEY_ID_SIZE / 2);
	memcpy(out, hex.bytes, MASTER_KEY_ID_SIZE + 1);
}

const struct master_key *master_keys_find(const struct master_keys *keys, struct text id)
{
	for (size_t i = 0; i < keys->count; i++) {
		char own[MASTER_KEY_ID_SIZE + 1];

		master_key_id(own, &keys->keys[i]);
		if (text_equal_string(id, own)) {
			return &keys->keys[i];
		}
	}
	return NULL;
}
