// SPDX-License-Identifier: Apache-2.0
#include "rig/program.h"
#include "wire/wire.h"

#include "depbroker/log.h"
#include "depbroker/process.h"

#include <stdio.h>

struct application {
	struct rig_program program;
	struct wire wire;
};

static void stop(struct rig_program *program)
{
	struct application *application = program->owner;

	wire_close(&application->wire);
}

static enum err start(struct application *application, const char *parent, struct fault *fault)
{
	struct wire *wire = &application->wire;

	application->program.stop = stop;
	application->program.owner = application;
	TRY(rig_program_start(&application->program, parent, fault));
	list_init(&wire->routes);
	wire->loop = &application->program.loop;
	wire->control.handle = wire_handle;
	wire->control.context = wire;
	return web_server_open(&wire->control, wire->loop, "127.0.0.1:0", fault);
}

int main(int argc, char **argv)
{
	static struct application application;
	const char *parent = NULL;
	const struct rig_option options[] = { { "--parent", "PID", "end when this process ends", &parent } };
	struct fault fault = { 0 };

	rig_options(argc, argv, "A TCP proxy that fails on purpose. Prints one line of JSON when it is ready.", options, 1);
	process_harden();
	log_set_process("wire");
	if (start(&application, parent, &fault) != OK) {
		(void)fprintf(stderr, "wire: %s\n", fault.text);
		return 1;
	}
	(void)printf("{\"control\":\"%s\"}\n", application.wire.control.address);
	(void)fflush(stdout);
	rig_program_run(&application.program);
	wire_fini(&application.wire);
	return 0;
}
