// SPDX-License-Identifier: Apache-2.0
//
// stop_signal.h - SIGTERM and SIGINT as calls on the event loop: the first asks to drain, further ones to hurry.
//
// Ownership  the caller embeds struct stop_signals and keeps it until loop_fini.
// Thread     loop thread only.
// Laws       1. `stop` is called once, for the first signal; `again` for each further one
//            2. it does not keep the loop running; stop_signals_close must come before loop_fini all the same
#pragma once

#include "loop/loop.h"

struct stop_signals {
	void (*stop)(struct stop_signals *signals);
	void (*again)(struct stop_signals *signals); // may be NULL
	void *owner;
	bool received;
	uv_signal_t terminate;
	uv_signal_t interrupt;
};

// Set `stop`, `again` and `owner` before.
void stop_signals_open(struct stop_signals *signals, struct loop *loop);
void stop_signals_close(struct stop_signals *signals);
