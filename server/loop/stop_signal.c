// SPDX-License-Identifier: Apache-2.0
#include "loop/stop_signal.h"

#include "depbroker/log.h"

#include <signal.h>
#include <stdlib.h>

static void on_signal(uv_signal_t *handle, int number)
{
	struct stop_signals *signals = handle->data;

	log_event(LOG_INFO, "process.signal", LOG_STRING("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"));
	if (!signals->received) {
		signals->received = true;
		signals->stop(signals);
	} else if (signals->again != NULL) {
		signals->again(signals);
	}
}

static void watch(struct stop_signals *signals, struct loop *loop, uv_signal_t *handle, int number)
{
	if (uv_signal_init(&loop->uv, handle) != 0 || uv_signal_start(handle, on_signal, number) != 0) {
		abort();
	}
	handle->data = signals;
	uv_unref((uv_handle_t *)handle);
}

void stop_signals_open(struct stop_signals *signals, struct loop *loop)
{
	signals->received = false;
	watch(signals, loop, &signals->terminate, SIGTERM);
	watch(signals, loop, &signals->interrupt, SIGINT);
}

void stop_signals_close(struct stop_signals *signals)
{
	uv_close((uv_handle_t *)&signals->terminate, NULL);
	uv_close((uv_handle_t *)&signals->interrupt, NULL);
}
