// SPDX-License-Identifier: Apache-2.0
//
// postgres_files.h - what the embedded PostgreSQL needs of the file system: user, directories, programs, its pid file.
//
// Ownership  texts given out are malloc'ed and the caller's.
// Laws       1. a directory is used only when it belongs to the right user and nobody else can enter it
//            2. every fault says what to do
#pragma once

#include "depbroker/err.h"

#include <sys/types.h>

struct postgres_user {
	const char *name; // NULL: as we are, because we are not root
	uid_t uid;
	gid_t gid;
};

// As root: postgres, or nobody. Otherwise ourselves.
MUST_USE enum err postgres_user_find(struct postgres_user *out, struct fault *fault);

// Makes the state directory when it is not there, checks that the user can get to it, and gives its absolute path.
MUST_USE enum err state_directory_open(char **absolute, const char *path, const struct postgres_user *user, struct fault *fault);
// One supervisor a state directory; closing the descriptor, also by dying, gives it free.
MUST_USE enum err state_directory_lock(int *lock, const char *state_dir, struct fault *fault);

// Mode 0700 and the user's own, made when it is not there.
MUST_USE enum err private_directory(const char *path, const struct postgres_user *user, struct fault *fault);
// $STATE_DIR/postgres-socket, or one in /tmp when a socket's path would be too long there.
MUST_USE enum err socket_directory(char **out, const char *state_dir, const struct postgres_user *user, struct fault *fault);

// *exists: there is a whole cluster, of this user.
MUST_USE enum err cluster_check(bool *exists, const char *data_dir, const struct postgres_user *user, struct fault *fault);
// The programs that fit the cluster, or the newest when there is none yet: "/usr/lib/postgresql/15/bin".
MUST_USE enum err postgres_binaries_find(char **out, const char *data_dir, struct fault *fault);

struct postmaster {
	pid_t pid;  // 0: no pid file
	bool ready; // it accepts connections
};
struct postmaster postmaster_read(const char *data_dir); // as its postmaster.pid says
char *postmaster_socket_directory(const char *data_dir); // NULL: it does not say
bool postmaster_is_alive(const struct postmaster *postmaster, const char *data_dir);
