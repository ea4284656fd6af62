// SPDX-License-Identifier: Apache-2.0
//
// depbroker healthcheck: asks /readyz of the admin listener, for images that have no curl.
#include "command.h"
#include "depbroker/text.h"
#include "loop/http_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 4000, ANSWER_MAX = 65536 };

// Where a listener can be reached from its own machine: "0.0.0.0" and "[::]" mean every address, loopback too.
static char *url_of(const char *listen)
{
	const struct {
		const char *every;
		const char *loopback;
	} wildcards[] = { { "0.0.0.0:", "127.0.0.1:" }, { "[::]:", "[::1]:" } };
	struct buffer url = BUFFER(1024);

	buffer_add_string(&url, "http://");
	for (size_t i = 0; i < sizeof wildcards / sizeof *wildcards; i++) {
		if (text_starts_with(text_of(listen), text_of(wildcards[i].every))) {
			buffer_add_string(&url, wildcards[i].loopback);
			listen += strlen(wildcards[i].every);
			break;
		}
	}
	buffer_add_format(&url, "%s/readyz", listen);
	return buffer_take(&url);
}

struct check {
	struct http_call call;
	bool is_done;
};

static void on_done(struct op *op)
{
	CONTAINER_OF(CONTAINER_OF(op, struct http_call, op), struct check, call)->is_done = true;
}

static int judge(const struct http_call *call)
{
	if (call->op.rc != OK) {
		(void)fprintf(stderr, "depbroker healthcheck: %s: %s\n", call->url, call->op.fault.text);
		return EXIT_FAILED;
	}
	if (call->status != 200) {
		(void)fprintf(stderr, "depbroker healthcheck: %s: %u %.*s\n", call->url, call->status,
			TEXT_ARGS(buffer_text(&call->answer)));
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

static int ask(struct loop *loop, struct http_client *client, const char *url)
{
	struct check check = { 0 };
	int code;

	http_call_init(&check.call, on_done);
	check.call.method = "GET";
	check.call.url = url;
	check.call.timeout_ms = TIMEOUT_MS;
	check.call.answer_limit = ANSWER_MAX;
	http_call_start(&check.call, client);
	while (!check.is_done) {
		(void)uv_run(&loop->uv, UV_RUN_ONCE);
	}
	code = judge(&check.call);
	http_call_fini(&check.call);
	return code;
}

static void on_client_closed(void *argument)
{
	(void)argument;
}

int healthcheck_command(const struct config *config)
{
	const struct http_client_config settings = { .name = "healthcheck", .user_agent = "depbroker/" DEPBROKER_VERSION,
		.allow_plain_http = true, .guard = HTTP_ADDRESS_ANY };
	char *url = url_of(config->admin_listen);
	struct http_client *client;
	struct loop loop;
	struct fault fault;
	int code = EXIT_FAILED;

	loop_init(&loop);
	if (http_client_open(&client, &loop, &settings, &fault) == OK) {
		code = ask(&loop, client, url);
		http_client_close(client, on_client_closed, NULL);
	} else {
		(void)fprintf(stderr, "depbroker healthcheck: %s\n", fault.text);
	}
	loop_run(&loop);
	loop_fini(&loop);
	free(url);
	return code;
}
