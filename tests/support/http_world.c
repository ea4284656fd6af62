// SPDX-License-Identifier: Apache-2.0
#include "support/http_world.h"
#include "support/cmocka_all.h"
#include "support/files.h"

#include "depbroker/process.h"

#include <stdio.h>
#include <string.h>

void http_world_open(struct http_world *world, struct http_client_config config,
	void (*on_request)(struct raw_peer *peer, struct raw_connection *connection))
{
	struct fault fault;

	*world = (struct http_world){ 0 };
	process_harden(); // as every process that has a client: peers go away amid a write
	loop_init(&world->loop); // the first loop of a process opens descriptors for all of them
	loop_fini(&world->loop);
	world->descriptors = count_open_descriptors();
	loop_init(&world->loop);
	world->peer.on_request = on_request;
	world->peer.owner = world;
	raw_peer_open(&world->peer, &world->loop);
	config.name = "test";
	config.user_agent = "depbroker-test/1";
	if (http_client_open(&world->client, &world->loop, &config, &fault) != OK) {
		fail_msg("%s", fault.text);
	}
}

static void on_closed(void *argument)
{
	struct http_world *world = argument;

	assert_false(world->client_is_closed);
	world->client_is_closed = true;
}

void http_world_close_client(struct http_world *world)
{
	http_client_close(world->client, on_closed, world);
	assert_false(world->client_is_closed);
	HTTP_WAIT_UNTIL(world, world->client_is_closed);
}

void http_world_close(struct http_world *world)
{
	if (!world->client_is_closed) {
		http_world_close_client(world);
	}
	raw_peer_close(&world->peer);
	loop_run(&world->loop);
	loop_fini(&world->loop);
	assert_int_equal(count_open_descriptors(), world->descriptors);
}

static void on_done(struct op *op)
{
	struct http_trial *trial = CONTAINER_OF(op, struct http_trial, call.op);

	assert_false(trial->is_inside);
	trial->completions++;
	if (trial->done != NULL) {
		trial->done(trial);
	}
}

void http_trial_init(struct http_trial *trial, struct http_world *world, const char *path)
{
	*trial = (struct http_trial){ .world = world };
	http_call_init(&trial->call, on_done);
	if (path[0] == '/') {
		(void)snprintf(trial->url, sizeof trial->url, "http://127.0.0.1:%u%s", world->peer.port, path);
	} else {
		(void)snprintf(trial->url, sizeof trial->url, "%s", path);
	}
	trial->call.method = "GET";
	trial->call.url = trial->url;
	trial->call.timeout_ms = 20000;
	trial->call.answer_limit = 1024 * 1024;
}

void http_trial_start(struct http_trial *trial)
{
	trial->is_inside = true;
	http_call_start(&trial->call, trial->world->client);
	trial->is_inside = false;
}

void http_trial_cancel(struct http_trial *trial)
{
	trial->is_inside = true;
	http_call_cancel(&trial->call);
	trial->is_inside = false;
}

void http_trial_wait(struct http_trial *trial)
{
	const unsigned before = trial->completions;

	HTTP_WAIT_UNTIL(trial->world, trial->completions != before);
	assert_int_equal(trial->completions, before + 1);
}

enum err http_trial_run(struct http_trial *trial)
{
	http_trial_start(trial);
	http_trial_wait(trial);
	return trial->call.op.rc;
}

void http_trial_fini(struct http_trial *trial)
{
	http_call_fini(&trial->call);
}

enum err http_outcome(struct http_world *world, const char *url)
{
	struct http_trial trial;
	enum err rc;

	http_trial_init(&trial, world, url);
	rc = http_trial_run(&trial);
	http_trial_fini(&trial);
	return rc;
}
