// SPDX-License-Identifier: Apache-2.0
//
// The file of the master key: read with suspicion, made atomically.
#include "crypto/seal.h"

#include "depbroker/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEX_SIZE = 2 * AEAD_KEY_SIZE, FILE_MAX = HEX_SIZE + 2 }; // CR LF may follow the digits

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

static enum err decode(struct master_key *key, struct text content, const char *path, struct fault *fault)
{
	struct buffer bytes CLEANUP(buffer_fini_wiped) = BUFFER(AEAD_KEY_SIZE);
	const struct text digits = text_trim(content);
	static const struct master_key nothing;

	if (content.length == AEAD_KEY_SIZE) {
		memcpy(key->bytes, content.bytes, AEAD_KEY_SIZE);
	} else if (content.length <= FILE_MAX && digits.length == HEX_SIZE && hex_decode(&bytes, digits)) {
		memcpy(key->bytes, bytes.bytes, AEAD_KEY_SIZE);
	} else {
		return fault_set(fault, ERR_SYSTEM, "the master key file %s holds no key: it must have 64 hexadecimal digits or 32 raw "
			"bytes", path);
	}
	if (memcmp(key, &nothing, sizeof nothing) == 0) {
		return fault_set(fault, ERR_SYSTEM, "the master key in %s is all zeroes: it was never filled", path);
	}
	return OK;
}

static enum err load(struct master_key *key, const char *path, bool *missing, struct fault *fault)
{
	const int file CLEANUP(close_file) = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char content[FILE_MAX + 1]; // one more, to notice that the file is too long
	size_t length;
	enum err rc;

	*missing = file < 0 && errno == ENOENT;
	if (file < 0) {
		return fault_set(fault, ERR_SYSTEM, "cannot open the master key file %s: %s", path, strerror(errno));
	}
	TRY(check_owner(file, path, fault));
	rc = read_all(content, sizeof content, &length, file, path, fault);
	if (rc == OK) {
		rc = decode(key, (struct text){ content, length }, path, fault);
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

static bool write_new_file(const char *path)
{
	const int file CLEANUP(close_file) = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct buffer content CLEANUP(buffer_fini_wiped) = BUFFER(1024);
	struct master_key key;

	if (file < 0) {
		return false;
	}
	random_bytes(key.bytes, sizeof key.bytes);
	buffer_add_hex(&content, key.bytes, sizeof key.bytes);
	buffer_add_string(&content, "\n");
	master_key_fini(&key);
	return fchmod(file, 0600) == 0 && write_all(file, buffer_text(&content));
}

// So that the name of a new file, too, survives a power cut.
static bool sync_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];

	(void)snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path),
		slash == NULL ? "." : path);

	const int file CLEANUP(close_file) = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return file >= 0 && fsync(file) == 0;
}

// Written beside and then linked: the name never shows a half-written key, and whoever is second keeps the first's.
static enum err create(const char *path, struct fault *fault)
{
	char beside[PATH_MAX];
	uint64_t unique;
	bool made;

	random_bytes(&unique, sizeof unique);
	if ((size_t)snprintf(beside, sizeof beside, "%s.%016llx", path, (unsigned long long)unique) >= sizeof beside) {
		return fault_set(fault, ERR_SYSTEM, "the path of the master key file is too long");
	}
	made = write_new_file(beside) && (link(beside, path) == 0 || errno == EEXIST) && sync_folder_of(path);

	const int error = errno;

	(void)unlink(beside);
	if (!made) {
		return fault_set(fault, ERR_SYSTEM, "cannot make the master key file %s: %s", path, strerror(error));
	}
	return OK;
}

enum err master_key_load(struct master_key *key, const char *path, bool create_missing, struct fault *fault)
{
	bool missing;
	const enum err rc = load(key, path, &missing, fault);

	if (!missing || !create_missing) {
		return rc;
	}
	TRY(create(path, fault));
	return load(key, path, &missing, fault);
}
