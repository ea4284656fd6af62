// SPDX-License-Identifier: Apache-2.0
//
// child.h - child processes on the event loop: spawn, watch, restart with back-off, stop gracefully.
//
// Ownership  the caller embeds struct child, zeroed, and keeps it until `stopped`.
// Thread     loop thread only.
// Laws       1. a child that ends is started again after a back-off (100 ms doubling to 10 s, back to 100 ms after it has
//               lived a minute), unless it is being stopped or `restart` is false
//            2. child_stop sends `stop_signal`, after `stop_timeout_ms` SIGKILL, then calls `stopped`
//            3. no orphan: a child of ours dies with us (child_tie_to_parent, or the internal-exec command for other programs)
//            4. each child has a session of its own: a key press on our terminal reaches us alone, and we stop them in order
//            5. what was started must be stopped, also when it has ended by itself or child_start failed: only then are its
//               handles closed
#pragma once

#include "loop/loop.h"

#include <sys/types.h>

enum { CHILD_SOCKETS_MAX = 256 };

struct child_config {
	const char *name; // for logs: "worker-1"
	const char *program;            // its path; NULL: arguments[0]
	const char *const *arguments;   // argv; NULL ends it; borrowed until stopped
	const char *const *environment; // NULL: ours
	int stop_signal;         // default SIGTERM
	int64_t stop_timeout_ms; // default 20,000
	bool restart;
	const int *sockets; // ours that it gets, as 3 and on; borrowed until stopped
	size_t socket_count; // at most CHILD_SOCKETS_MAX
	bool silent;             // its standard output is nobody's business; standard error is ours in any case
	int64_t sound_after_ms; // one that lived longer is restarted at once, without back-off; 0: never at once
};

struct child {
	struct child_config config;
	uv_process_t process;
	bool process_is_open; // the handle, also for a moment after the process has ended
	int exit_code;        // of the last end
	int exit_signal;
	struct delay timer;
	struct loop *loop;
	pid_t pid; // 0 when it does not run
	enum child_state { CHILD_IDLE, CHILD_RUNNING, CHILD_WAITING_TO_RESTART, CHILD_STOPPING, CHILD_STOPPED } state;
	int64_t started_at_ms;
	int64_t backoff_ms;
	unsigned restarts;
	// Called each time it ends by itself: how, and that it is about to be restarted or not. May be NULL.
	void (*ended)(struct child *child, int exit_code, int signal);
	// Called each time right before it is started, to change arguments or environment. May be NULL.
	void (*starting)(struct child *child);
	void (*stopped)(struct child *child);
	void *owner;
};

MUST_USE enum err child_start(struct child *child, struct loop *loop, const struct child_config *config, struct fault *fault);
// Works in any state. `stopped` is called later, from the loop; only for a child that was never started, or has been stopped
// before, at once. Stopping twice replaces `stopped`.
void child_stop(struct child *child, void (*stopped)(struct child *child));
void child_kill(struct child *child); // SIGKILL now; what follows is as for any other end. Harmless when it does not run
// In the child, first thing: get `death_signal` when the parent dies; ends at once when it already has.
void child_tie_to_parent(int death_signal, pid_t parent);
