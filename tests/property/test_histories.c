// SPDX-License-Identifier: Apache-2.0
//
// Many histories of the core: see histories.h.
//
//   test_histories        the tests; DEPBROKER_HISTORIES says how many, DEPBROKER_TEST_SEED where they begin
//   test_histories SEED   one history, with everything that happens in it
#include "property/histories.h"
#include "support/cmocka_all.h"
#include "support/seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef HISTORIES
#define HISTORIES 20000
#endif

enum { STEPS_MAX = 70, RESTS_MAX = 60 };

struct world world;

uint64_t random_next(void) // splitmix64
{
	uint64_t x = world.random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t random_below(uint64_t limit)
{
	return random_next() % limit;
}

bool random_chance(unsigned percent)
{
	return random_below(100) < percent;
}

void trace(const char *format, ...)
{
	va_list arguments;

	if (world.verbose) {
		va_start(arguments, format);
		printf("%10lld  ", (long long)(world.now_us / SECOND_US - INT64_C(1764000000)));
		vprintf(format, arguments);
		printf("\n");
		va_end(arguments);
	}
}

void history_broken(const char *law, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "broken: %s\n        ", law);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\nreplay: build/dev/test_histories %llu\n", (unsigned long long)world.seed);
	va_end(arguments);
	fflush(NULL);
	_Exit(1);
}

// --- what people do ---

static void any_config(struct config *config, size_t client)
{
	config->rules = rules_any();
	for (size_t i = 0; i < DEVICES; i++) {
		config->pins[i] = -1;
	}
	rules_compile(config, client);
}

void change_config(size_t client)
{
	struct config *config = &world.clients[client].config;
	struct stored *stored = &world.clients[client].stored;
	const size_t place = 1 + random_below(PLACES), device = random_below(DEVICES);

	config->version++;
	switch (random_below(5)) {
	case 0:
		config->pins[device] = (int)random_below(PLACES + 2) - 1;
		stored->reroutes |= 1U << device;
		trace("client %zu: %s is pinned to %d", client, serials[device], config->pins[device]);
		return;
	case 1:
		config->profile_versions[place] = (unsigned)random_below(VERSIONS);
		trace("client %zu: the profile of place %zu becomes %u", client, place, config->profile_versions[place]);
		break;
	case 2:
		config->retired[place] = !config->retired[place];
		rules_compile(config, client);
		break;
	default:
		config->rules = rules_any();
		rules_compile(config, client);
		break;
	}
	stored->must_plan = true;
}

void meanwhile(void)
{
	if (world.faults && random_chance(8)) {
		if (random_chance(30)) {
			change_config(random_below(CLIENTS));
		} else {
			apple_change();
		}
	}
}

static void live(void)
{
	world.faults = true;
	for (uint64_t left = 4 + random_below(STEPS_MAX); left > 0; left--) {
		switch (random_below(8)) {
		case 0: change_config(random_below(CLIENTS)); break;
		case 1:
		case 2: apple_change(); break;
		case 3: world.now_us += (int64_t)random_below((uint64_t)(random_chance(10) ? 3 * DAY_S : 3600)) * SECOND_US; break;
		default: run_client(random_below(CLIENTS), random_chance(15)); break;
		}
	}
}

// --- rest ---

static bool is_at_apple(size_t client, size_t device)
{
	return world.devices[device].client == (int)client;
}

// Apple has given it what the rules want.
static bool is_as_wanted(size_t client, size_t device, size_t place)
{
	const struct config *config = &world.clients[client].config;
	const struct truth *truth = &world.devices[device];
	const struct profile *profile = truth->profile;
	const bool override = rules_override(config, device, text_of(models[truth->model]));

	return profile != NULL && profile->client == client && profile->instance_id == instance_of(client, place) &&
		memcmp(profile->digest, profile_digest_of(client, place, config->profile_versions[place], override), SHA256_SIZE) == 0;
}

static bool is_named_wait(const struct client *client, const struct device_row *row)
{
	return row->assign_state != ASSIGN_SETTLED && row->assign_at_us != INSTANT_NONE && row->assign_at_us > client->ran_at_us;
}

// True: it is where it belongs, or held with a reason; false: it waits for a time in a named state.
static bool check_device(size_t client, size_t device)
{
	const struct stored *stored = &world.clients[client].stored;
	const struct device_row *row = &stored->rows[device];
	const size_t place = rules_want(&world.clients[client].config, device, text_of(models[world.devices[device].model]));

	if (!is_at_apple(client, device)) {
		LAW(!stored->known[device] || row->gone_at_us != INSTANT_NONE, "client %zu still has %s", client, serials[device]);
		return true;
	}
	LAW(stored->known[device] && row->gone_at_us == INSTANT_NONE, "client %zu has lost %s", client, serials[device]);
	LAW(row->instance_id == instance_of(client, place), "client %zu has %s at place %zu, wanted is %zu", client, serials[device],
		place_of(row->instance_id), place);
	if (place == 0) {
		LAW(row->hold_reason.length > 0, "client %zu holds %s without a reason", client, serials[device]);
		return true;
	}
	if (is_named_wait(&world.clients[client], row)) {
		return false;
	}
	LAW(is_as_wanted(client, device, place), "client %zu: %s is %s and not as wanted at Apple", client, serials[device],
		assign_state_name(row->assign_state));
	LAW(row->assign_state == ASSIGN_SETTLED && text_equal_string(row->apple.profile_uuid, world.devices[device].profile->uuid),
		"client %zu: %s is as wanted, and its row says %s", client, serials[device], assign_state_name(row->assign_state));
	return true;
}

static void check_receivers(size_t client)
{
	const struct client *of = &world.clients[client];

	for (size_t place = 1; place <= PLACES; place++) {
		unsigned wanted = 0;

		for (size_t i = 0; i < DEVICES; i++) {
			wanted |= of->stored.known[i] && of->stored.rows[i].instance_id == instance_of(client, place) ? 1U << i : 0;
		}
		LAW(of->receivers[place].at == of->stored.event_count, "client %zu: place %zu has not heard of everything", client, place);
		LAW(of->receivers[place].holds == wanted, "client %zu: place %zu believes that it has %x, and should have %x", client, place,
			of->receivers[place].holds, wanted);
	}
}

static void earlier(int64_t *at_us, int64_t other_us)
{
	if (other_us != INSTANT_NONE && other_us < *at_us) {
		*at_us = other_us;
	}
}

static int64_t next_at_us(void)
{
	int64_t at_us = INT64_MAX;

	for (size_t client = 0; client < CLIENTS; client++) {
		const struct client *of = &world.clients[client];

		for (size_t i = 0; i < DEVICES; i++) {
			if (of->stored.known[i] && of->stored.rows[i].gone_at_us == INSTANT_NONE) {
				earlier(&at_us, of->stored.rows[i].assign_at_us);
			}
		}
		for (size_t place = 1; place <= PLACES; place++) {
			if (of->receivers[place].at < of->stored.event_count) {
				earlier(&at_us, of->receivers[place].next_try_us);
			}
		}
	}
	return at_us;
}

static void run_all(bool full)
{
	for (size_t client = 0; client < CLIENTS; client++) {
		run_client(client, full);
	}
}

// All but those that Apple cannot assign, which wait.
static bool rests(void)
{
	bool all = true;

	for (size_t client = 0; client < CLIENTS; client++) {
		for (size_t i = 0; i < DEVICES; i++) {
			all = (check_device(client, i) || world.devices[i].broken) && all;
		}
		for (size_t place = 1; place <= PLACES; place++) {
			all = all && world.clients[client].receivers[place].at == world.clients[client].stored.event_count;
		}
	}
	return all;
}

static void come_to_rest(void)
{
	world.faults = false;
	apple_rests();
	world.now_us += DAY_S * SECOND_US;
	run_all(false); // reads on what was interrupted
	run_all(false);
	world.repeats = false;
	run_all(true);
	for (int i = 0; !rests(); i++) {
		LAW(i < RESTS_MAX, "it never comes to rest");
		world.now_us = next_at_us() > world.now_us ? next_at_us() : world.now_us + SECOND_US;
		run_all(false);
	}
	for (size_t client = 0; client < CLIENTS; client++) {
		check_receivers(client);
	}
}

static void run_history(uint64_t seed, bool verbose)
{
	memset(&world, 0, sizeof world);
	world.seed = seed;
	world.random = seed;
	world.verbose = verbose;
	world.now_us = INT64_C(1764000000) * SECOND_US;
	world.texts = ARENA(4 * 1024 * 1024);
	world.swallows = random_chance(50);
	world.repeats = random_chance(70);
	for (size_t client = 0; client < CLIENTS; client++) {
		any_config(&world.clients[client].config, client);
	}
	apple_begin();
	live();
	come_to_rest();
	arena_fini(&world.texts);
	for (size_t i = 0; i < world.ruleset_count; i++) {
		ruleset_free(world.rulesets[i]);
	}
}

// --- the tests ---

static void run_seed(uint64_t seed)
{
	run_history(seed, false);
}

static void histories_have_everything_in_them(void **state)
{
	unsigned throttled = 0, moved = 0, assigned = 0, delivered = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 100; seed++) {
		run_history(seed, false);
		throttled += world.throttled;
		moved += world.moved;
		assigned += world.assigned;
		delivered += world.delivered;
	}
	printf("%u throttled, %u moved, %u assigned, %u delivered\n", throttled, moved, assigned, delivered);
	assert_true(throttled > 100 && moved > 100 && assigned > 500 && delivered > 2000);
}

static void every_history_comes_to_rest_and_no_device_gets_the_profile_of_somebody_else(void **state)
{
	const uint64_t count = seeds_number("DEPBROKER_HISTORIES", HISTORIES);

	(void)state;
	assert_true(seeds_run("histories", seeds_number("DEPBROKER_TEST_SEED", 1) * 1000000, count, run_seed));
}

int main(int argument_count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(histories_have_everything_in_them),
		cmocka_unit_test(every_history_comes_to_rest_and_no_device_gets_the_profile_of_somebody_else),
	};

	if (argument_count > 1) {
		run_history(strtoull(arguments[1], NULL, 10), true);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
