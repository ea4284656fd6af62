// SPDX-License-Identifier: Apache-2.0
#include "apple/apple_gate.h"

#include "depbroker/clock.h"
#include "depbroker/log.h"

static const char *const state_names[] = {
	[BREAKER_CLOSED] = "closed", [BREAKER_OPEN] = "open", [BREAKER_HALF_OPEN] = "half_open", [BREAKER_RECOVERING] = "recovering",
};

static void log_change(const struct apple_call *call, enum breaker_state before)
{
	const struct apple_server *server = call->session->server;
	const enum breaker_state now = server->breaker->state;

	if (now != before) {
		log_event(now == BREAKER_OPEN ? LOG_WARNING : LOG_INFO, "apple.breaker", LOG_STRING("state", state_names[now]),
			LOG_STRING("before", state_names[before]), LOG_STRING("apple_url", server->base_url),
			LOG_INT("usual_requests_per_1000_s", server->breaker->usual_rate), LOG_INT("status", call->status));
	}
}

bool apple_gate_admits(struct apple_call *call)
{
	struct breaker *breaker = call->session->server->breaker;
	enum breaker_state before;

	call->admission = (struct breaker_answer){ .admitted = true };
	if (breaker == NULL) {
		return true;
	}
	before = breaker->state;
	call->admission = breaker_ask(breaker, clock_monotonic_ms());
	log_change(call, before);
	if (!call->admission.admitted) {
		call->status = 0;
		call->retry_after_s = call->admission.wait_s;
		call->apple_error[0] = '\0';
		(void)fault_set(&call->op.fault, ERR_HELD_BACK, "%s", breaker->state == BREAKER_RECOVERING
			? "Apple is back after an outage, and asked for one client after the other"
			: "Apple is out of service for all clients: it is tried every 30 seconds");
	}
	return call->admission.admitted;
}

static enum breaker_news news_of(const struct apple_call *call, enum err rc)
{
	if (rc == ERR_CANCELLED) {
		return BREAKER_NO_NEWS;
	}
	if (rc == ERR_TIMEOUT || rc == ERR_NETWORK || call->status >= 500 || call->status == 429) {
		return BREAKER_FAILED;
	}
	return BREAKER_ANSWERED;
}

void apple_gate_observe(struct apple_call *call, enum err rc)
{
	struct breaker *breaker = call->session->server->breaker;
	enum breaker_state before;

	if (breaker != NULL) {
		before = breaker->state;
		breaker_tell(breaker, call->admission, call->session->server->lane_key, news_of(call, rc), clock_monotonic_ms());
		log_change(call, before);
	}
}
