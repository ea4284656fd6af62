// SPDX-License-Identifier: Apache-2.0
//
// Many simulated worlds: three worker processes, six clients, six hours, two hundred faults, and then rest.
//
//   test_sim             the tests; DEPBROKER_SIM_SCHEDULES says how many worlds, DEPBROKER_TEST_SEED where they begin
//   test_sim --worlds FIRST COUNT   worlds and their scenes only
//   test_sim SEED        one world, with everything that happens in it
//   test_sim SEED SCENE  the same, of a world in which one thing happens: see scenes
#include "sim/sim.h"
#include "support/cmocka_all.h"
#include "support/seeds.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#ifndef SIM_SCHEDULES
#define SIM_SCHEDULES 20000
#endif

enum { SAMPLE = 20, SCENE_SAMPLE = 12 };

static const struct sim_shape usual = { .tenants = 6, .guards = true, .interval_s = 900, .faults = 200, .changes = 60, .duration_us = 6 * HOUR_US };

// As the usual ones were before there were guards: seeds that once broke a law did so in these.
static const struct sim_shape unguarded = {
	.name = "unguarded", .tenants = 6, .interval_s = 900, .faults = 200, .changes = 60, .duration_us = 6 * HOUR_US,
};

static const struct sim_shape *const scenes[] = { &sim_shape_outage, &sim_shape_poison, &sim_shape_brake, &sim_shape_backoff, &sim_shape_hints,
	&sim_shape_polls };

#ifdef SIM_SANITIZED // a process that crashes frees nothing
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0:detect_stack_use_after_return=0";
}
#endif

static void run_world(const struct sim_shape *shape, uint64_t seed, bool verbose)
{
	int64_t end_us;

	sim_begin(shape, seed, verbose);
	end_us = sim.now_us + shape->duration_us;
	sim_rows_begin();
	sim_apple_begin();
	sim_hooks_begin();
	sim_plan_begin();
	if (shape->begin != NULL) {
		shape->begin();
	}
	sim_nodes_begin();
	while (sim_step(end_us)) {
	}
	if (shape->check != NULL) {
		shape->check();
	}
	sim_settle();
	sim_end();
}

// --- the tests ---

static void a_seed_gives_the_same_world_twice(void **state)
{
	const uint64_t first = seeds_number("DEPBROKER_TEST_SEED", 1) * 1000000;

	(void)state;
	for (uint64_t seed = first; seed < first + SAMPLE; seed++) {
		uint64_t hash;

		run_world(&usual, seed, false);
		hash = sim.hash;
		run_world(&usual, seed, false);
		assert_true(sim.hash == hash);
		assert_true(sim.met > 0 && sim.transactions > 100 && sim.hooks > 0);
	}
}

static void worlds_that_broke_a_law_once_keep_them_now(void **state)
{
	static const uint64_t seeds[] = {
		40, 53, // an owner that did not know that it was one
		8888016797, // what an assignment that failed had done was written late, and its back-off began then
		317387563005239, // a run that was stopped left events to a node that had claimed the client, and whose take was late
		3001221, // a replacement was held since its original had never been there, and that came later
		1000218, // a run that had been stopped went on without deliveries, and did not come back for them
	};

	(void)state;
	for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
		run_world(&unguarded, seeds[i], false);
	}
	run_world(&sim_shape_hints, 265334076004100, false); // a claim was handed over to a run that had just ended
}

static void an_outage_of_apple_for_all_is_no_storm_and_its_end_is_none_either(void **state)
{
	(void)state;
	run_world(&sim_shape_outage, seeds_number("DEPBROKER_TEST_SEED", 1), false);
}

static void run_scene(const struct sim_shape *scene)
{
	const uint64_t first = seeds_number("DEPBROKER_TEST_SEED", 1);

	for (uint64_t seed = first; seed < first + SCENE_SAMPLE; seed++) {
		run_world(scene, seed, false);
	}
}

static void a_client_that_crashes_its_workers_is_left_alone_after_three_times_and_the_others_go_on(void **state)
{
	(void)state;
	run_scene(&sim_shape_poison);
}

static void a_list_that_would_remove_too_much_removes_what_a_person_allows(void **state)
{
	(void)state;
	run_scene(&sim_shape_brake);
}

static void a_client_that_fails_asks_again_within_its_back_off(void **state)
{
	(void)state;
	run_scene(&sim_shape_backoff);
}

static void a_wish_is_acted_on_soon_however_hints_claims_and_ends_of_runs_meet(void **state)
{
	(void)state;
	run_scene(&sim_shape_hints);
}

static void polls_that_coincide_end_together_whatever_happens_to_some_of_them(void **state)
{
	(void)state;
	run_scene(&sim_shape_polls);
}

static void on_crash(int signal_number)
{
	sim_print_replay();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void run_usual(uint64_t seed)
{
	run_world(&usual, seed, false);
}

static void run_scenes(uint64_t seed)
{
	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
		if (seed % scenes[i]->worlds == 0) {
			run_world(scenes[i], seed, false);
		}
	}
}

static bool run_many(uint64_t first, uint64_t count)
{
	const bool held = seeds_run("worlds", first, count, run_usual);

	return seeds_run("worlds' scenes", first, count, run_scenes) && held;
}

static void worlds_and_their_scenes_keep_every_law_and_come_to_rest(void **state)
{
	(void)state;
	assert_true(run_many(seeds_number("DEPBROKER_TEST_SEED", 1) * 1000000, seeds_number("DEPBROKER_SIM_SCHEDULES", SIM_SCHEDULES)));
}

static const struct sim_shape *shape_of(const char *name)
{
	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
		if (strcmp(scenes[i]->name, name) == 0) {
			return scenes[i];
		}
	}
	return strcmp(name, unguarded.name) == 0 ? &unguarded : &usual;
}

int main(int argument_count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_gives_the_same_world_twice),
		cmocka_unit_test(worlds_that_broke_a_law_once_keep_them_now),
		cmocka_unit_test(an_outage_of_apple_for_all_is_no_storm_and_its_end_is_none_either),
		cmocka_unit_test(a_client_that_crashes_its_workers_is_left_alone_after_three_times_and_the_others_go_on),
		cmocka_unit_test(a_list_that_would_remove_too_much_removes_what_a_person_allows),
		cmocka_unit_test(a_client_that_fails_asks_again_within_its_back_off),
		cmocka_unit_test(a_wish_is_acted_on_soon_however_hints_claims_and_ends_of_runs_meet),
		cmocka_unit_test(polls_that_coincide_end_together_whatever_happens_to_some_of_them),
		cmocka_unit_test(worlds_and_their_scenes_keep_every_law_and_come_to_rest),
	};

	signal(SIGABRT, on_crash);
	signal(SIGSEGV, on_crash);
	if (argument_count == 4 && strcmp(arguments[1], "--worlds") == 0) {
		return run_many(strtoull(arguments[2], NULL, 10), strtoull(arguments[3], NULL, 10)) ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	if (argument_count > 1) {
		run_world(shape_of(argument_count > 2 ? arguments[2] : ""), strtoull(arguments[1], NULL, 10), true);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
