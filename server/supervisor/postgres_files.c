// SPDX-License-Identifier: Apache-2.0
#include "supervisor/postgres_files.h"

#include "depbroker/text.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PATH_LIMIT  4096
#define SOCKET_NAME "/.s.PGSQL.5432"

enum err postgres_user_find(struct postgres_user *out, struct fault *fault)
{
	static const char *const names[] = { "postgres", "nobody" };

	if (geteuid() != 0) {
		*out = (struct postgres_user){ .uid = geteuid(), .gid = getegid() };
		if (getpwuid(out->uid) == NULL) { // initdb would fail for it
			return fault_set(fault, ERR_SYSTEM, "the user id %d has no name: add it to /etc/passwd, or configure "
				"DEPBROKER_DATABASE_URL instead of the embedded PostgreSQL", (int)out->uid);
		}
		return OK;
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct passwd *user = getpwnam(names[i]);

		if (user != NULL && user->pw_uid != 0) {
			*out = (struct postgres_user){ .name = names[i], .uid = user->pw_uid, .gid = user->pw_gid };
			return OK;
		}
	}
	return fault_set(fault, ERR_SYSTEM, "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor "
		"nobody: run depbroker as an ordinary user");
}

static bool may_enter(const struct stat *status, const struct postgres_user *user)
{
	gid_t groups[256];
	int count = sizeof groups / sizeof *groups;

	if (status->st_uid == user->uid) {
		return (status->st_mode & S_IXUSR) != 0;
	}
	if (getgrouplist(user->name, user->gid, groups, &count) < 0) {
		count = sizeof groups / sizeof *groups;
	}
	for (int i = 0; i < count; i++) {
		if (status->st_gid == groups[i]) {
			return (status->st_mode & S_IXGRP) != 0;
		}
	}
	return (status->st_mode & S_IXOTH) != 0;
}

// As root we see everything, but PostgreSQL does not run as root: each directory on the way must let its user pass.
static enum err check_way(const char *path, const struct postgres_user *user, struct fault *fault)
{
	char part[PATH_MAX];
	const size_t length = strlen(path);

	if (user->name == NULL) {
		return OK;
	}
	for (size_t at = 1; at <= length; at++) {
		struct stat status;

		if (path[at] != '/' && path[at] != '\0') {
			continue;
		}
		(void)snprintf(part, sizeof part, "%.*s", (int)at, path);
		if (stat(part, &status) != 0) {
			return fault_set(fault, ERR_SYSTEM, "%.200s: %m", part);
		}
		if (!may_enter(&status, user)) {
			return fault_set(fault, ERR_SYSTEM, "the user %s, whom the embedded PostgreSQL runs as, cannot enter %.80s: choose "
				"another DEPBROKER_STATE_DIR, such as /var/lib/depbroker, or run: chmod o+x %.80s", user->name, part, part);
		}
	}
	return OK;
}

enum err state_directory_open(char **absolute, const char *path, const struct postgres_user *user, struct fault *fault)
{
	const mode_t mode = user->name != NULL ? 0711 : 0700; // PostgreSQL's user must be able to pass through

	*absolute = NULL;
	if (mkdir(path, mode) == 0) {
		if (chmod(path, mode) != 0) { // whatever the umask was
			return fault_set(fault, ERR_SYSTEM, "the state directory %.120s cannot be set up: %m", path);
		}
	} else if (errno != EEXIST) {
		return fault_set(fault, ERR_SYSTEM, "the state directory %.120s cannot be made: %m; make it, or choose another "
			"DEPBROKER_STATE_DIR", path);
	}
	char *whole = realpath(path, NULL);

	if (whole == NULL) {
		return fault_set(fault, ERR_SYSTEM, "the state directory %.120s cannot be found: %m", path);
	}
	const enum err rc = check_way(whole, user, fault);

	if (rc != OK) {
		free(whole);
		return rc;
	}
	*absolute = whole;
	return OK;
}

enum err state_directory_lock(int *lock, const char *state_dir, struct fault *fault)
{
	char path[PATH_MAX];
	int file;

	(void)snprintf(path, sizeof path, "%s/serve.lock", state_dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0) {
		return fault_set(fault, ERR_SYSTEM, "%.160s cannot be opened: %m; the state directory must be writable", path);
	}
	if (flock(file, LOCK_EX | LOCK_NB) != 0) {
		(void)close(file);
		return fault_set(fault, ERR_SYSTEM, "another depbroker serve uses the state directory %.120s: stop it, or choose another "
			"DEPBROKER_STATE_DIR", state_dir);
	}
	*lock = file;
	return OK;
}

enum err private_directory(const char *path, const struct postgres_user *user, struct fault *fault)
{
	struct stat status;

	if (mkdir(path, 0700) == 0) {
		if (user->name != NULL && lchown(path, user->uid, user->gid) != 0) {
			return fault_set(fault, ERR_SYSTEM, "%.160s cannot be given to the user %s: %m", path, user->name);
		}
	} else if (errno != EEXIST) {
		return fault_set(fault, ERR_SYSTEM, "%.160s cannot be made: %m; the directory above it must be writable", path);
	}
	if (lstat(path, &status) != 0) {
		return fault_set(fault, ERR_SYSTEM, "%.160s cannot be looked at: %m", path);
	}
	if (!S_ISDIR(status.st_mode) || status.st_uid != user->uid) {
		return fault_set(fault, ERR_SYSTEM, "%.160s is not a directory of the user id %d: remove it, or run depbroker as the user "
			"it belongs to", path, (int)user->uid);
	}
	if ((status.st_mode & 077) != 0 && chmod(path, 0700) != 0) {
		return fault_set(fault, ERR_SYSTEM, "%.160s is open to others and cannot be closed: %m", path);
	}
	return OK;
}

// FNV-1a: a short name for a long path, nothing more; private_directory refuses what somebody else put there.
static uint64_t path_number(const char *path)
{
	uint64_t number = UINT64_C(14695981039346656037);

	for (; *path != '\0'; path++) {
		number = (number ^ (unsigned char)*path) * UINT64_C(1099511628211);
	}
	return number;
}

enum err socket_directory(char **out, const char *state_dir, const struct postgres_user *user, struct fault *fault)
{
	struct buffer path = BUFFER(PATH_LIMIT);

	buffer_add_format(&path, "%s/postgres-socket", state_dir);
	// A comma would separate two hosts in the URL.
	if (path.length + sizeof SOCKET_NAME > sizeof((struct sockaddr_un){ 0 }).sun_path || strchr(path.bytes, ',') != NULL) {
		buffer_clear(&path);
		buffer_add_format(&path, "/tmp/depbroker-%016" PRIx64, path_number(state_dir));
	}
	*out = buffer_take(&path);
	const enum err rc = private_directory(*out, user, fault);

	if (rc != OK) {
		free(*out);
		*out = NULL;
	}
	return rc;
}

// The first bytes of a small file; false when there is none.
static bool read_small(char *out, size_t size, const char *directory, const char *name)
{
	char path[PATH_MAX];
	int file;
	ssize_t got;

	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (file < 0) {
		return false;
	}
	got = read(file, out, size - 1);
	(void)close(file);
	out[got > 0 ? got : 0] = '\0';
	return got > 0;
}

static int cluster_version(const char *data_dir)
{
	char text[32];

	return read_small(text, sizeof text, data_dir, "PG_VERSION") ? (int)strtol(text, NULL, 10) : 0;
}

enum err cluster_check(bool *exists, const char *data_dir, const struct postgres_user *user, struct fault *fault)
{
	struct stat status;

	*exists = false;
	if (lstat(data_dir, &status) != 0) {
		if (errno == ENOENT) {
			return OK;
		}
		return fault_set(fault, ERR_SYSTEM, "%.160s cannot be looked at: %m", data_dir);
	}
	if (status.st_uid != user->uid) {
		return fault_set(fault, ERR_SYSTEM, "the cluster in %.120s belongs to the user id %d, and PostgreSQL would run as %d: run "
			"depbroker as before, or give it over with chown -R", data_dir, (int)status.st_uid, (int)user->uid);
	}
	if (cluster_version(data_dir) == 0) {
		return fault_set(fault, ERR_SYSTEM, "%.120s exists and holds no PostgreSQL cluster: move it away, or restore it", data_dir);
	}
	*exists = true;
	return OK;
}

static int version_of_path(const char *path)
{
	static const char start[] = "/usr/lib/postgresql/";

	return (int)strtol(path + sizeof start - 1, NULL, 10);
}

enum err postgres_binaries_find(char **out, const char *data_dir, struct fault *fault)
{
	const int wanted = cluster_version(data_dir);
	const char *best = NULL;
	int best_version = 0;
	glob_t found;

	*out = NULL;
	if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) != 0) {
		return fault_set(fault, ERR_SYSTEM, "no PostgreSQL is installed below /usr/lib/postgresql: install it (apt-get install "
			"postgresql), or set DEPBROKER_DATABASE_URL");
	}
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const int version = version_of_path(found.gl_pathv[i]);

		if (version > best_version && (wanted == 0 || version == wanted)) {
			best_version = version;
			best = found.gl_pathv[i];
		}
	}
	if (best != NULL) {
		*out = duplicate((struct text){ best, strlen(best) - strlen("/postgres") });
	}
	globfree(&found);
	if (*out == NULL) {
		return fault_set(fault, ERR_SYSTEM, "the cluster in %.120s was made by PostgreSQL %d, which is not installed: install "
			"postgresql-%d, or upgrade the cluster with pg_upgrade", data_dir, wanted, wanted);
	}
	return OK;
}

// The start of a line of it, counted from 1; NULL when there are fewer.
static const char *line_of(const char *text, int number)
{
	for (int at = 1; at < number && text != NULL; at++) {
		text = strchr(text, '\n');
		text = text != NULL ? text + 1 : NULL;
	}
	return text;
}

// Line 1 is its pid, line 5 its socket directory, line 8 its status, all as PostgreSQL documents them.
struct postmaster postmaster_read(const char *data_dir)
{
	struct postmaster postmaster = { 0 };
	char text[2048];

	if (!read_small(text, sizeof text, data_dir, "postmaster.pid")) {
		return postmaster;
	}
	const char *status = line_of(text, 8);

	postmaster.pid = (pid_t)strtol(text, NULL, 10);
	postmaster.ready = status != NULL && strncmp(status, "ready", 5) == 0;
	return postmaster;
}

char *postmaster_socket_directory(const char *data_dir)
{
	char text[2048];
	const char *directory = read_small(text, sizeof text, data_dir, "postmaster.pid") ? line_of(text, 5) : NULL;

	return directory != NULL ? duplicate((struct text){ directory, strcspn(directory, "\n") }) : NULL;
}

bool postmaster_is_alive(const struct postmaster *postmaster, const char *data_dir)
{
	char path[64];
	char name[32];
	char working_directory[PATH_MAX];
	ssize_t length;

	if (postmaster->pid <= 1 || (kill(postmaster->pid, 0) != 0 && errno == ESRCH)) {
		return false;
	}
	// The number may belong to somebody else by now; a postmaster works in its data directory.
	(void)snprintf(path, sizeof path, "/proc/%d/cwd", (int)postmaster->pid);
	length = readlink(path, working_directory, sizeof working_directory);
	if (length > 0) {
		return text_equal_string((struct text){ working_directory, (size_t)length }, data_dir);
	}
	// A container's root may not look; then its name must do.
	(void)snprintf(path, sizeof path, "/proc/%d", (int)postmaster->pid);
	return read_small(name, sizeof name, path, "comm") && strcmp(name, "postgres\n") == 0;
}
