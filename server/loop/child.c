// SPDX-License-Identifier: Apache-2.0
#include "loop/child.h"

#include "depbroker/clock.h"
#include "depbroker/log.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define BACKOFF_FIRST_MS  100
#define BACKOFF_MOST_MS   10000
#define BACKOFF_FORGET_MS 60000
#define STOP_TIMEOUT_MS   20000

enum { STREAMS = 3 }; // standard input, output and error

static void on_timer_closed(struct delay *timer)
{
	struct child *child = CONTAINER_OF(timer, struct child, timer);

	child->state = CHILD_STOPPED;
	if (child->stopped != NULL) {
		child->stopped(child);
	}
}

static void finish_stop(struct child *child)
{
	delay_close(&child->timer, on_timer_closed);
}

static int64_t next_delay_ms(struct child *child)
{
	const int64_t lived_ms = clock_monotonic_ms() - child->started_at_ms;

	if (lived_ms >= BACKOFF_FORGET_MS) {
		child->backoff_ms = 0;
	}
	if (child->config.sound_after_ms > 0 && lived_ms >= child->config.sound_after_ms) {
		return 0;
	}
	child->backoff_ms = child->backoff_ms == 0 ? BACKOFF_FIRST_MS : child->backoff_ms * 2;
	if (child->backoff_ms > BACKOFF_MOST_MS) {
		child->backoff_ms = BACKOFF_MOST_MS;
	}
	return child->backoff_ms;
}

static void go_on_after_end(struct child *child)
{
	const bool restart = child->config.restart;

	child->state = restart ? CHILD_WAITING_TO_RESTART : CHILD_IDLE;
	if (restart) {
		delay_start(&child->timer, next_delay_ms(child));
	}
	if (child->ended != NULL) {
		child->ended(child, child->exit_code, child->exit_signal); // may stop it; then it is not ours to touch
	}
}

static void on_process_closed(uv_handle_t *handle)
{
	struct child *child = CONTAINER_OF(handle, struct child, process);

	child->process_is_open = false;
	if (child->state == CHILD_STOPPING) {
		finish_stop(child);
	} else if (child->pid == 0 && child->state == CHILD_RUNNING) {
		go_on_after_end(child);
	}
}

static void on_process_exit(uv_process_t *process, int64_t exit_code, int exit_signal)
{
	struct child *child = CONTAINER_OF(process, struct child, process);

	child->pid = 0;
	child->exit_code = (int)exit_code;
	child->exit_signal = exit_signal;
	delay_stop(&child->timer);
	uv_close((uv_handle_t *)process, on_process_closed);
}

// libuv opens the handle even when it cannot start the process, so a failure closes it, too.
static int spawn(struct child *child)
{
	uv_stdio_container_t stdio[STREAMS + CHILD_SOCKETS_MAX] = {
		{ .flags = UV_IGNORE },
		{ .flags = child->config.silent ? UV_IGNORE : UV_INHERIT_FD, .data.fd = STDOUT_FILENO },
		{ .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },
	};
	uv_process_options_t options = {
		.exit_cb = on_process_exit,
		.flags = UV_PROCESS_DETACHED, // a session of its own
		.stdio_count = STREAMS + (int)child->config.socket_count,
		.stdio = stdio,
	};
	int result;

	assert(child->config.socket_count <= CHILD_SOCKETS_MAX);
	for (size_t i = 0; i < child->config.socket_count; i++) {
		stdio[STREAMS + i] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = child->config.sockets[i] };
	}
	if (child->starting != NULL) {
		child->starting(child);
	}
	// libuv's interface is not const, but it changes neither list.
	options.file = child->config.program != NULL ? child->config.program : child->config.arguments[0];
	memcpy(&options.args, &child->config.arguments, sizeof options.args);
	memcpy(&options.env, &child->config.environment, sizeof options.env);
	child->started_at_ms = clock_monotonic_ms();
	result = uv_spawn(&child->loop->uv, &child->process, &options);
	child->process_is_open = true;
	if (result != 0) {
		child->pid = 0;
		child->exit_code = 127;
		child->exit_signal = 0;
		uv_close((uv_handle_t *)&child->process, on_process_closed);
		return result;
	}
	child->pid = child->process.pid;
	child->state = CHILD_RUNNING;
	log_event(LOG_DEBUG, "child.started", LOG_STRING("child", child->config.name), LOG_INT("pid", child->pid));
	return 0;
}

static void on_timer(struct delay *timer)
{
	struct child *child = CONTAINER_OF(timer, struct child, timer);

	if (child->state == CHILD_STOPPING) {
		log_event(LOG_WARNING, "child.killed", LOG_STRING("child", child->config.name), LOG_INT("pid", child->pid),
			LOG_STRING("reason", "it did not stop in time"));
		child_kill(child);
		return;
	}
	child->restarts++;
	child->state = CHILD_RUNNING; // also when it cannot be started: that is an end like any other
	const int result = spawn(child);

	if (result != 0) {
		log_event(LOG_ERROR, "child.cannot_start", LOG_STRING("child", child->config.name),
			LOG_STRING("reason", uv_strerror(result)));
	}
}

enum err child_start(struct child *child, struct loop *loop, const struct child_config *config, struct fault *fault)
{
	child->config = *config;
	child->loop = loop;
	child->backoff_ms = 0;
	child->restarts = 0;
	if (child->config.stop_signal == 0) {
		child->config.stop_signal = SIGTERM;
	}
	if (child->config.stop_timeout_ms == 0) {
		child->config.stop_timeout_ms = STOP_TIMEOUT_MS;
	}
	delay_init(&child->timer, loop, on_timer);
	child->state = CHILD_IDLE;
	const int result = spawn(child);

	if (result != 0) {
		return fault_set(fault, ERR_SYSTEM, "%s cannot be started: %s: %s", config->name,
			config->program != NULL ? config->program : config->arguments[0], uv_strerror(result));
	}
	return OK;
}

void child_stop(struct child *child, void (*stopped)(struct child *child))
{
	child->stopped = stopped;
	if (child->loop == NULL || child->state == CHILD_STOPPED) {
		child->state = CHILD_STOPPED;
		if (stopped != NULL) {
			stopped(child);
		}
		return;
	}
	if (child->state == CHILD_STOPPING) {
		return;
	}
	child->state = CHILD_STOPPING;
	delay_stop(&child->timer);
	if (!child->process_is_open) {
		finish_stop(child);
	} else if (child->pid != 0) {
		(void)uv_process_kill(&child->process, child->config.stop_signal);
		delay_start(&child->timer, child->config.stop_timeout_ms);
	}
}

void child_kill(struct child *child)
{
	if (child->pid != 0) {
		(void)uv_process_kill(&child->process, SIGKILL);
	}
}

void child_tie_to_parent(int death_signal, pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0) {
		abort();
	}
	if (getppid() != parent) { // it died before we asked to be told
		_exit(1);
	}
}
