// SPDX-License-Identifier: Apache-2.0
#include "loop/loop.h"

#include "depbroker/text.h"

#include <assert.h>
#include <stdlib.h>

static void must(int result)
{
	if (result != 0) { // only exhaustion of memory or descriptors gets here: start over under the supervisor
		abort();
	}
}

static void run_deferred(struct loop *loop)
{
	struct list now;

	if (list_is_empty(&loop->deferred)) {
		must(uv_idle_stop(&loop->no_sleep)); // all that was deferred may have been forgotten
		return;
	}
	// Only those of this round: a call that defers again waits for the next one, so that nothing starves.
	now = loop->deferred;
	now.next->previous = &now;
	now.previous->next = &now;
	list_init(&loop->deferred);
	while (!list_is_empty(&now)) {
		struct deferred *deferred = LIST_FIRST(&now, struct deferred, link);

		list_remove(&deferred->link);
		deferred->run(deferred);
	}
	if (list_is_empty(&loop->deferred)) {
		must(uv_idle_stop(&loop->no_sleep));
	}
}

static void on_after_poll(uv_check_t *check)
{
	run_deferred(CONTAINER_OF(check, struct loop, after_poll));
}

static void on_no_sleep(uv_idle_t *idle)
{
	(void)idle;
}

void loop_init(struct loop *loop)
{
	must(uv_loop_init(&loop->uv));
	list_init(&loop->deferred);
	must(uv_check_init(&loop->uv, &loop->after_poll));
	must(uv_check_start(&loop->after_poll, on_after_poll));
	uv_unref((uv_handle_t *)&loop->after_poll);
	must(uv_idle_init(&loop->uv, &loop->no_sleep));
}

void loop_run(struct loop *loop)
{
	(void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_fini(struct loop *loop)
{
	int result;

	uv_close((uv_handle_t *)&loop->after_poll, NULL);
	uv_close((uv_handle_t *)&loop->no_sleep, NULL);
	(void)uv_run(&loop->uv, UV_RUN_DEFAULT);
	result = uv_loop_close(&loop->uv);
	assert(result == 0);
	(void)result;
}

void loop_defer(struct loop *loop, struct deferred *deferred)
{
	list_add_last(&loop->deferred, &deferred->link);
	must(uv_idle_start(&loop->no_sleep, on_no_sleep));
}

void loop_forget(struct deferred *deferred)
{
	list_remove(&deferred->link);
}

static void on_timer(uv_timer_t *timer)
{
	struct delay *delay = CONTAINER_OF(timer, struct delay, timer);

	delay->fired(delay);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct delay *delay = CONTAINER_OF(handle, struct delay, timer);

	if (delay->closed != NULL) {
		delay->closed(delay);
	}
}

void delay_init(struct delay *delay, struct loop *loop, void (*fired)(struct delay *delay))
{
	must(uv_timer_init(&loop->uv, &delay->timer));
	delay->fired = fired;
	delay->closed = NULL;
}

void delay_start(struct delay *delay, int64_t after_ms)
{
	uv_update_time(delay->timer.loop); // a long callback before us must not shorten the delay
	must(uv_timer_start(&delay->timer, on_timer, after_ms > 0 ? (uint64_t)after_ms : 0, 0));
}

void delay_stop(struct delay *delay)
{
	must(uv_timer_stop(&delay->timer));
}

void delay_close(struct delay *delay, void (*closed)(struct delay *delay))
{
	delay->closed = closed;
	uv_close((uv_handle_t *)&delay->timer, on_timer_closed);
}

static void on_work(uv_work_t *request)
{
	struct offload *offload = CONTAINER_OF(request, struct offload, request);

	offload->result = offload->work(offload);
	wipe_stack(); // keys are made and token files are opened here, and the thread lives on
}

static void on_work_done(uv_work_t *request, int status)
{
	struct offload *offload = CONTAINER_OF(request, struct offload, request);

	op_done(&offload->op, status == UV_ECANCELED ? ERR_CANCELLED : offload->result);
}

void offload_start(struct offload *offload, struct loop *loop)
{
	must(uv_queue_work(&loop->uv, &offload->request, on_work, on_work_done));
}
