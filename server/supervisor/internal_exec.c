// SPDX-License-Identifier: Apache-2.0
#include "supervisor/internal_exec.h"

#include "depbroker/log.h"
#include "loop/child.h"

#include <errno.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, EXIT_CANNOT = 126 };

struct wish {
	const char *user;
	const char *parent;
	const char *death_signal;
	const char *empty;
	const char *input;
	char **program;
};

static const struct wish_option {
	const char *name;
	size_t offset;
} wish_options[] = {
	{ "--user", offsetof(struct wish, user) },
	{ "--parent", offsetof(struct wish, parent) },
	{ "--death-signal", offsetof(struct wish, death_signal) },
	{ "--empty", offsetof(struct wish, empty) },
	{ "--input", offsetof(struct wish, input) },
};

static int cannot(const char *what, const char *which)
{
	log_event(LOG_ERROR, "internal_exec.failed", LOG_STRING("step", what), LOG_STRING("of", which),
		LOG_STRING("reason", strerror(errno)));
	return EXIT_CANNOT;
}

static bool take_option(struct wish *wish, const char *name, const char *value)
{
	for (size_t i = 0; i < sizeof wish_options / sizeof *wish_options; i++) {
		if (strcmp(name, wish_options[i].name) == 0) {
			memcpy((char *)wish + wish_options[i].offset, &value, sizeof value);
			return true;
		}
	}
	return false;
}

static bool read_arguments(struct wish *wish, int argc, char **argv)
{
	int at = 1;

	while (at + 1 < argc && strcmp(argv[at], "--") != 0) {
		if (!take_option(wish, argv[at], argv[at + 1])) {
			return false;
		}
		at += 2;
	}
	if (at + 1 >= argc || strcmp(argv[at], "--") != 0) {
		return false;
	}
	wish->program = argv + at + 1;
	return true;
}

static int signal_of(const char *name)
{
	if (name == NULL || strcmp(name, "SIGTERM") == 0) {
		return SIGTERM;
	}
	if (strcmp(name, "SIGINT") == 0) {
		return SIGINT;
	}
	return strcmp(name, "SIGKILL") == 0 ? SIGKILL : 0;
}

static int change_user(const char *name)
{
	const struct passwd *user;

	errno = 0;
	user = getpwnam(name);
	if (user == NULL) {
		errno = errno != 0 ? errno : ENOENT;
		return cannot("look up the user", name);
	}
	if (user->pw_uid == geteuid()) {
		return 0;
	}
	if (initgroups(name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) {
		return cannot("change to the user", name);
	}
	return 0;
}

static int remove_below(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status;
	(void)kind;
	return walk->level > 0 ? remove(path) : 0;
}

static int give_input(const char *input)
{
	const size_t length = strlen(input);
	const int file = memfd_create("input", MFD_CLOEXEC);

	if (file < 0 || write(file, input, length) != (ssize_t)length || lseek(file, 0, SEEK_SET) != 0 ||
		dup2(file, STDIN_FILENO) != STDIN_FILENO) {
		return cannot("prepare the standard input", "");
	}
	return 0;
}

int internal_exec_main(int argc, char **argv)
{
	struct wish wish = { 0 };
	int result = 0;

	if (!read_arguments(&wish, argc, argv) || signal_of(wish.death_signal) == 0) {
		log_event(LOG_ERROR, "internal_exec.failed", LOG_STRING("reason", "this command is for depbroker itself"));
		return EXIT_USAGE;
	}
	if (wish.user != NULL) {
		result = change_user(wish.user);
	}
	if (result == 0 && wish.parent != NULL) { // after the change of user, which would undo it
		child_tie_to_parent(signal_of(wish.death_signal), (pid_t)strtol(wish.parent, NULL, 10));
	}
	if (result == 0 && wish.empty != NULL && nftw(wish.empty, remove_below, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0) {
		result = cannot("empty the directory", wish.empty);
	}
	if (result == 0 && wish.input != NULL) {
		result = give_input(wish.input);
	}
	if (result != 0) {
		return result;
	}
	(void)umask(077);
	(void)execv(wish.program[0], wish.program);
	return cannot("execute", wish.program[0]);
}
