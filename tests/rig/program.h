// SPDX-License-Identifier: Apache-2.0
//
// program.h - what every test program does alike: options, a loop that SIGTERM or a parent's death ends, a state file.
#pragma once

#include "depbroker/text.h"
#include "loop/loop.h"
#include "loop/stop_signal.h"

struct rig_option {
	const char *name;  // "--listen"
	const char *value; // how --help names its value; NULL: a switch
	const char *help;
	const char **text; // set to the value, or to "" for a switch
};

// Reads the command line. --help and mistakes end the program.
void rig_options(int argc, char **argv, const char *purpose, const struct rig_option *options, size_t count);
MUST_USE bool rig_number(const char *text, int64_t *out);

struct rig_program {
	struct loop loop;
	struct stop_signals signals;
	uv_poll_t parent;
	bool has_parent;
	bool is_stopping;
	void (*stop)(struct rig_program *program); // called once: close everything, so that the loop ends
	void *owner;
};

// Set `stop` and `owner` before. `parent` is a process id or NULL: when that process ends, so do we.
MUST_USE enum err rig_program_start(struct rig_program *program, const char *parent, struct fault *fault);
void rig_program_run(struct rig_program *program); // until it was stopped

// Replaces the file atomically.
MUST_USE enum err rig_file_write(const char *path, struct text content, struct fault *fault);
// OK with an empty buffer when there is no such file.
MUST_USE enum err rig_file_read(struct buffer *out, const char *path, struct fault *fault);
