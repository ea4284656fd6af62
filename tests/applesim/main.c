// SPDX-License-Identifier: Apache-2.0
//
// applesim - Apple's Automated Device Enrollment service, simulated: strict, seeded, and able to fail on purpose.
#include "applesim/apple.h"
#include "applesim/control.h"
#include "applesim/state.h"
#include "depbroker/log.h"
#include "depbroker/process.h"
#include "rig/program.h"
#include "rig/web.h"

#include <stdio.h>
#include <stdlib.h>

#define SAVE_EVERY_MS 500

struct applesim {
	struct rig_program program;
	struct world world;
	struct apple apple;
	struct control control;
	struct web_server apple_server;
	struct web_server control_server;
	uv_timer_t saver;
	const char *state_path; // NULL: nothing is kept
	int64_t save_not_before_ms;
};

static void save(struct applesim *sim)
{
	struct fault fault = { 0 };
	const int64_t began_ms = clock_monotonic_ms();

	if (sim->state_path == NULL || !sim->world.is_changed) {
		return;
	}
	if (state_save(&sim->world, sim->state_path, &fault) != OK) {
		log_event(LOG_ERROR, "applesim.state", LOG_STRING("error", fault.text));
	}
	// Saving takes 5 % of the time at most.
	sim->save_not_before_ms = clock_monotonic_ms() + 20 * (clock_monotonic_ms() - began_ms);
}

static void on_timer(uv_timer_t *timer)
{
	struct applesim *sim = timer->data;

	if (clock_monotonic_ms() >= sim->save_not_before_ms) {
		save(sim);
	}
}

static void stop(struct rig_program *program)
{
	struct applesim *sim = program->owner;

	uv_close((uv_handle_t *)&sim->saver, NULL);
	web_server_close(&sim->apple_server, NULL);
	web_server_close(&sim->control_server, NULL);
	save(sim);
}

static enum err start(struct applesim *sim, const char *listen, const char *control, const char *parent,
	struct fault *fault)
{
	TRY(rig_program_start(&sim->program, parent, fault));
	sim->apple_server.handle = apple_handle;
	sim->apple_server.context = &sim->apple;
	sim->apple_server.date_offset_s = &sim->world.skew_s;
	TRY(web_server_open(&sim->apple_server, &sim->program.loop, listen, fault));
	sim->control_server.handle = control_handle;
	sim->control_server.context = &sim->control;
	TRY(web_server_open(&sim->control_server, &sim->program.loop, control, fault));
	(void)uv_timer_init(&sim->program.loop.uv, &sim->saver);
	sim->saver.data = sim;
	(void)uv_timer_start(&sim->saver, on_timer, SAVE_EVERY_MS, SAVE_EVERY_MS);
	return OK;
}

static uint64_t seed_from(const char *text)
{
	int64_t number;
	uint64_t random;

	if (text == NULL) {
		random_bytes(&random, sizeof random);
		return random;
	}
	if (!rig_number(text, &number)) {
		(void)fprintf(stderr, "applesim: --seed needs a number\n");
		exit(2);
	}
	return (uint64_t)number;
}

static void set_number(const char *text, const char *name, int64_t *out)
{
	if (text != NULL && !rig_number(text, out)) {
		(void)fprintf(stderr, "applesim: %s needs a number\n", name);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct applesim sim;
	const char *listen = "127.0.0.1:0", *control = "127.0.0.1:0", *seed = NULL, *parent = NULL, *public_url = NULL;
	const char *session_life = NULL, *rotate = NULL, *window = NULL;
	const struct rig_option options[] = {
		{ "--listen", "ADDRESS:PORT", "where Apple listens (127.0.0.1:0: any free port)", &listen },
		{ "--control", "ADDRESS:PORT", "where the control listener listens", &control },
		{ "--seed", "NUMBER", "the same seed gives the same tenants, tokens and devices", &seed },
		{ "--state", "FILE", "load it, and keep it up to date", &sim.state_path },
		{ "--public-url", "URL", "what clients reach Apple as, when a proxy is between", &public_url },
		{ "--session-life", "SECONDS", "how long a session lives (1800)", &session_life },
		{ "--rotate-after", "REQUESTS", "a new session token after so many; 0: never (200)", &rotate },
		{ "--clock-window", "SECONDS", "how far OAuth timestamps may be off (300)", &window },
		{ "--parent", "PID", "end when this process ends", &parent },
	};
	struct fault fault = { 0 };

	rig_options(argc, argv, "Simulates Apple's device enrolment service. Prints one line of JSON when it is ready.",
		options, sizeof options / sizeof *options);
	process_harden();
	log_set_process("applesim");
	world_init(&sim.world, seed_from(seed));
	if (sim.state_path != NULL && state_load(&sim.world, sim.state_path, &fault) != OK) {
		(void)fprintf(stderr, "applesim: %s\n", fault.text);
		return 1;
	}
	set_number(session_life, "--session-life", &sim.world.session_life_s);
	set_number(rotate, "--rotate-after", &sim.world.rotate_after);
	set_number(window, "--clock-window", &sim.world.clock_window_s);
	sim.world.public_url = text_of(public_url);
	apple_init(&sim.apple, &sim.world);
	sim.control = (struct control){ .apple = &sim.apple, .world = &sim.world };
	sim.program.stop = stop;
	sim.program.owner = &sim;
	if (start(&sim, listen, control, parent, &fault) != OK) {
		(void)fprintf(stderr, "applesim: %s\n", fault.text);
		return 1;
	}
	(void)printf("{\"apple\":\"%s\",\"control\":\"%s\"}\n", sim.apple_server.address, sim.control_server.address);
	(void)fflush(stdout);
	rig_program_run(&sim.program);
	apple_fini(&sim.apple);
	world_fini(&sim.world);
	return 0;
}
