// SPDX-License-Identifier: Apache-2.0
//
// call_work: what a call reads on a pool thread.
#include "api/call_work.h"

#include "loop/loop.h"

#include <assert.h>
#include <stdlib.h>

struct call_work {
	struct offload offload;
	struct call *call;
	bool (*work)(struct call *call);
	bool is_away; // on its thread
	bool is_good;
	bool is_refused;
	struct call_refusal refusal;
};

static enum err on_thread(struct offload *offload)
{
	struct call_work *work = CONTAINER_OF(offload, struct call_work, offload);

	work->is_good = work->work(work->call);
	return OK;
}

static void on_back(struct op *op)
{
	struct call_work *work = CONTAINER_OF(CONTAINER_OF(op, struct offload, op), struct call_work, offload);

	assert(op->rc == OK);
	work->is_away = false;
	work->call->endpoint->step(work->call);
}

void call_work(struct call *call, bool (*work)(struct call *call))
{
	struct call_work *away = allocate(sizeof *away);

	assert(call->away == NULL);
	away->call = call;
	away->work = work;
	away->is_away = true;
	away->offload.work = on_thread;
	op_init(&away->offload.op, on_back);
	call->away = away;
	offload_start(&away->offload, &call->service->loop);
}

struct call_refusal *call_refusal_kept(struct call *call)
{
	if (call->away == NULL || !call->away->is_away) {
		return NULL;
	}
	assert(!call->away->is_refused);
	call->away->is_refused = true;
	return &call->away->refusal;
}

bool call_is_away(const struct call *call)
{
	return call->away != NULL && call->away->is_away;
}

bool call_worked(struct call *call)
{
	struct call_work *away = call->away;
	const bool is_good = away->is_good;

	assert(!away->is_away && is_good != away->is_refused);
	call->away = NULL;
	if (!is_good) {
		call_problem(call, away->refusal.which, "%s", away->refusal.detail);
	}
	free(away);
	return is_good;
}
