// SPDX-License-Identifier: Apache-2.0
//
// OAuth 1.0 requests carry our time, and Apple refuses them when it is too far from its own.
#include "depbroker/clock.h"
#include "depbroker/retry_after.h"
#include "doctor.h"
#include "loop/http_client.h"

#include <inttypes.h>
#include <stdlib.h>

enum { TIMEOUT_MS = 10000, ANSWER_MAX = 1 << 20, FAR_S = 60 };

static const char check[] = "clock against Apple's";

struct asking {
	struct http_call call;
	bool is_done;
};

static void on_done(struct op *op)
{
	CONTAINER_OF(CONTAINER_OF(op, struct http_call, op), struct asking, call)->is_done = true;
}

static void judge(struct doctor *doctor, const struct http_call *call)
{
	const struct text date = http_call_header(call, "Date");
	const int64_t day_before_us = clock_wall_us() - DAY_S * SECOND_US; // so that the difference has a sign
	const int64_t after_s = date.length > 0 ? retry_after_parse(date, day_before_us) : RETRY_AFTER_NONE;
	const int64_t apart_s = after_s - DAY_S;

	if (call->op.rc != OK) {
		doctor_finding(doctor, check, "let this machine reach it, or run depbroker doctor --offline", "%s: %s", call->url,
			call->op.fault.text);
	} else if (after_s == RETRY_AFTER_NONE) {
		doctor_finding(doctor, check, "look who answers in Apple's place", "%s: the answer has no date", call->url);
	} else if (apart_s < -FAR_S || apart_s > FAR_S) {
		doctor_finding(doctor, check, "set this machine's clock, by NTP", "%" PRId64 " s apart: Apple refuses tokens then", apart_s);
	} else {
		doctor_ok(check, "at most %" PRId64 " s apart", apart_s < 0 ? 1 - apart_s : apart_s + 1);
	}
}

static void ask(struct doctor *doctor, struct loop *loop, struct http_client *client)
{
	struct asking asking = { 0 };

	http_call_init(&asking.call, on_done);
	asking.call.method = "GET";
	asking.call.url = doctor->config->apple_url;
	asking.call.timeout_ms = TIMEOUT_MS;
	asking.call.answer_limit = ANSWER_MAX;
	http_call_start(&asking.call, client);
	while (!asking.is_done) {
		(void)uv_run(&loop->uv, UV_RUN_ONCE);
	}
	judge(doctor, &asking.call);
	http_call_fini(&asking.call);
}

static void on_closed(void *argument)
{
	(void)argument;
}

void doctor_check_apple(struct doctor *doctor)
{
	const struct http_client_config config = { .name = "doctor", .user_agent = "depbroker/" DEPBROKER_VERSION,
		.proxy = doctor->config->https_proxy, .ca_file = doctor->config->apple_ca_file, .allow_plain_http = true,
		.guard = HTTP_ADDRESS_ANY };
	struct http_client *client;
	struct loop loop;
	struct fault fault;

	loop_init(&loop);
	if (http_client_open(&client, &loop, &config, &fault) == OK) {
		ask(doctor, &loop, client);
		http_client_close(client, on_closed, NULL);
	} else {
		doctor_finding(doctor, check, "correct HTTPS_PROXY or DEPBROKER_APPLE_CA_FILE", "%s", fault.text);
	}
	loop_run(&loop);
	loop_fini(&loop);
}
