// SPDX-License-Identifier: Apache-2.0
//
// receiver - a reference receiver of depbroker's webhooks, which keeps account of what it was told.
#include "depbroker/clock.h"
#include "depbroker/log.h"
#include "depbroker/process.h"
#include "receiver/receiver.h"
#include "rig/program.h"

#include <stdio.h>

#define SAVE_EVERY_MS 500

struct application {
	struct rig_program program;
	struct receiver receiver;
	struct web_server server;
	uv_timer_t saver;
	const char *state_path; // NULL: nothing is kept
	int64_t save_not_before_ms;
};

static void save(struct application *application)
{
	struct fault fault = { 0 };
	const int64_t began_ms = clock_monotonic_ms();

	if (application->state_path == NULL || !application->receiver.is_changed) {
		return;
	}
	if (receiver_save(&application->receiver, application->state_path, &fault) != OK) {
		log_event(LOG_ERROR, "receiver.state", LOG_STRING("error", fault.text));
	}
	// Saving takes 5 % of the time at most.
	application->save_not_before_ms = clock_monotonic_ms() + 20 * (clock_monotonic_ms() - began_ms);
}

static void on_timer(uv_timer_t *timer)
{
	struct application *application = timer->data;

	if (clock_monotonic_ms() >= application->save_not_before_ms) {
		save(application);
	}
}

static void stop(struct rig_program *program)
{
	struct application *application = program->owner;

	uv_close((uv_handle_t *)&application->saver, NULL);
	web_server_close(&application->server, NULL);
	save(application);
}

static enum err start(struct application *application, const char *listen, const char *secret, const char *parent,
	struct fault *fault)
{
	if (application->state_path != NULL) {
		TRY(receiver_load(&application->receiver, application->state_path, fault));
	}
	if (secret != NULL) {
		TRY(inbox_set_secrets(application->receiver.inboxes[0], text_of(secret), fault));
	}
	TRY(rig_program_start(&application->program, parent, fault));
	application->server.handle = receiver_handle;
	application->server.context = &application->receiver;
	TRY(web_server_open(&application->server, &application->program.loop, listen, fault));
	(void)uv_timer_init(&application->program.loop.uv, &application->saver);
	application->saver.data = application;
	(void)uv_timer_start(&application->saver, on_timer, SAVE_EVERY_MS, SAVE_EVERY_MS);
	return OK;
}

int main(int argc, char **argv)
{
	static struct application application;
	const char *listen = "127.0.0.1:0", *secret = NULL, *parent = NULL, *print = NULL;
	const struct rig_option options[] = {
		{ "--listen", "ADDRESS:PORT", "where to listen (127.0.0.1:0: any free port)", &listen },
		{ "--secret", "whsec_...", "of /webhook; PUT /secret sets it, PUT /secret/NAME that of /webhook/NAME", &secret },
		{ "--print-events", NULL, "a line for each accepted event", &print },
		{ "--state", "FILE", "load it, and keep it up to date", &application.state_path },
		{ "--parent", "PID", "end when this process ends", &parent },
	};
	struct fault fault = { 0 };

	rig_options(argc, argv, "Receives webhooks as a receiver should. Prints one line of JSON when it is ready.", options,
		sizeof options / sizeof *options);
	process_harden();
	log_set_process("receiver");
	receiver_init(&application.receiver);
	application.receiver.is_printing = print != NULL;
	application.program.stop = stop;
	application.program.owner = &application;
	if (start(&application, listen, secret, parent, &fault) != OK) {
		(void)fprintf(stderr, "receiver: %s\n", fault.text);
		return 1;
	}
	(void)printf("{\"listen\":\"%s\"}\n", application.server.address);
	(void)fflush(stdout);
	rig_program_run(&application.program);
	receiver_fini(&application.receiver);
	return 0;
}
