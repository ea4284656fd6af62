// SPDX-License-Identifier: Apache-2.0
//
// loop.h - the event loop of a process (libuv), with deferred calls and a thread pool for slow pure functions.
//
// Ownership  callers embed struct deferred, struct delay and struct offload; nothing here allocates for them.
// Thread     loop thread only; offload's `work` runs on a pool thread and sees nothing but its own struct.
// Laws       1. a deferred call runs once, at the end of the current loop round, never inside loop_defer
//            2. an offload completes its op on the loop, exactly once; it cannot be cancelled once started
#pragma once

#include "depbroker/list.h"
#include "depbroker/op.h"

#include <stdint.h>
#include <uv.h>

struct loop {
	uv_loop_t uv;
	struct list deferred;
	uv_check_t after_poll;
	uv_idle_t no_sleep; // keeps a round from sleeping while calls are deferred
};

struct deferred {
	struct list link;
	void (*run)(struct deferred *deferred);
};

void loop_init(struct loop *loop);
void loop_run(struct loop *loop);  // until nothing is left to wait for
void loop_fini(struct loop *loop); // after loop_run has returned; asserts that every handle is closed
void loop_defer(struct loop *loop, struct deferred *deferred);
void loop_forget(struct deferred *deferred); // before it has run; harmless otherwise

// A one-shot timer. delay_close must be called, and the memory stays until `closed` was called.
struct delay {
	uv_timer_t timer;
	void (*fired)(struct delay *delay);
	void (*closed)(struct delay *delay);
};

void delay_init(struct delay *delay, struct loop *loop, void (*fired)(struct delay *delay));
void delay_start(struct delay *delay, int64_t after_ms); // starts again when it is running
void delay_stop(struct delay *delay);
void delay_close(struct delay *delay, void (*closed)(struct delay *delay)); // `closed` may be NULL when memory is static

// A slow pure function of copied input: key generation, CMS decryption. op.rc is what `work` returned.
struct offload {
	struct op op;
	enum err (*work)(struct offload *offload);
	uv_work_t request;
	enum err result;
};

void offload_start(struct offload *offload, struct loop *loop);
