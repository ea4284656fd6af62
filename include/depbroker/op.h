// SPDX-License-Identifier: Apache-2.0
//
// op.h - one asynchronous operation, and flows made of them.
//
// Ownership  an op is embedded in its owner; nothing here allocates.
// Thread     loop thread only.
// Laws       1. an op that was started completes exactly once: op_done calls `done`, and nobody touches the op after it
//            2. `done` is never called from inside the call that starts the op; who finishes early defers it (loop_defer)
//            3. deadlines, cancellation and shutdown arrive as an ordinary `rc`
#pragma once

#include "depbroker/err.h"

#include <stddef.h>

struct op {
	enum err rc;
	struct fault fault;
	void (*done)(struct op *op);
};

static inline void op_init(struct op *op, void (*done)(struct op *op))
{
	op->rc = OK;
	op->fault.text[0] = '\0';
	op->done = done;
}

static inline void op_done(struct op *op, enum err rc)
{
	op->rc = rc;
	op->done(op);
}

// AWAIT(STATE, call) names the pause, starts the call, returns, and is the place where the completion goes on.
// Use inside one `switch (flow->state)`, one flow a function; no local variable lives across it.
#define AWAIT(flow, STATE, call)  \
	do {                          \
		(flow)->state = (STATE);  \
		call;                     \
		return;                   \
		case (STATE):;            \
	} while (0)
