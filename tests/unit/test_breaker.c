// SPDX-License-Identifier: Apache-2.0
//
// The breaker for Apple as a whole: its laws one by one, then thousands of clients through outages on a virtual clock, with the real
// decisions about waiting (sync.h).
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/breaker.h"
#include "tenants/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- one by one ---

static struct breaker_answer asks(struct breaker *breaker, int64_t client, enum breaker_news news, int64_t now_ms)
{
	const struct breaker_answer answer = breaker_ask(breaker, now_ms);

	if (answer.admitted) {
		breaker_tell(breaker, answer, client, news, now_ms);
	}
	return answer;
}

static struct breaker opened(int64_t at_ms)
{
	struct breaker breaker;

	breaker_init(&breaker, 0);
	for (int64_t client = 1; client <= BREAKER_CLIENTS_MIN; client++) {
		assert_true(asks(&breaker, client, BREAKER_FAILED, at_ms).admitted);
	}
	assert_int_equal(breaker.state, BREAKER_OPEN);
	return breaker;
}

static void one_client_that_fails_a_thousand_times_closes_nothing(void **state)
{
	struct breaker breaker;

	(void)state;
	breaker_init(&breaker, 0);
	for (int64_t i = 0; i < 1000; i++) {
		assert_true(asks(&breaker, 7, BREAKER_FAILED, i * 100).admitted);
	}
	assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void bad_clients_among_many_good_ones_close_nothing(void **state)
{
	struct breaker breaker;

	(void)state;
	breaker_init(&breaker, 0);
	for (int64_t i = 0; i < 5000; i++) { // 20 bad ones, as often at Apple as 40 good ones
		const bool bad = i % 3 == 0;

		assert_true(asks(&breaker, bad ? i % 20 : 100 + i % 40, bad ? BREAKER_FAILED : BREAKER_ANSWERED, i * 10).admitted);
	}
	assert_int_equal(breaker.state, BREAKER_CLOSED);
}

// Sixty clients that were well when they were asked last are another process's by now, or due in minutes only.
static void what_was_well_before_keeps_no_door_open(void **state)
{
	struct breaker breaker;

	(void)state;
	breaker_init(&breaker, 0);
	for (int64_t client = 1; client <= 60; client++) {
		(void)asks(&breaker, client, BREAKER_ANSWERED, client);
	}
	for (int64_t i = 1; i < BREAKER_RUN; i++) {
		assert_true(asks(&breaker, 100 + i, BREAKER_FAILED, 1000 + i * 200).admitted);
	}
	assert_int_equal(breaker.state, BREAKER_CLOSED);
	(void)asks(&breaker, 100, BREAKER_FAILED, 1000 + BREAKER_RUN * 200);
	assert_int_equal(breaker.state, BREAKER_OPEN);
}

static void a_run_of_bad_luck_in_less_than_two_seconds_closes_nothing(void **state)
{
	struct breaker breaker;
	int64_t ms = 0;

	(void)state;
	breaker_init(&breaker, 0);
	for (int round = 0; round < 100; round++) { // a third is bad, and all of them come one after the other
		for (int64_t client = 0; client < 60; client++) {
			assert_true(asks(&breaker, client, client >= 40 ? BREAKER_FAILED : BREAKER_ANSWERED, ms += 90).admitted);
		}
	}
	assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void when_everybody_fails_it_opens_and_turns_everybody_away(void **state)
{
	struct breaker breaker = opened(1000);

	(void)state;
	for (int64_t ms = 1000; ms < 1000 + BREAKER_PROBE_EVERY_MS; ms += 100) {
		const struct breaker_answer answer = breaker_ask(&breaker, ms);

		assert_false(answer.admitted);
		assert_int_equal(answer.wait_s, -1);
	}
}

static void one_probe_leaves_at_a_time(void **state)
{
	struct breaker breaker = opened(0);
	const int64_t at = BREAKER_PROBE_EVERY_MS;
	struct breaker_answer probe;

	(void)state;
	probe = breaker_ask(&breaker, at);
	assert_true(probe.admitted);
	for (int64_t ms = at; ms < at + BREAKER_PROBE_LIFE_MS; ms += 1000) {
		assert_false(breaker_ask(&breaker, ms).admitted);
	}
	breaker_tell(&breaker, probe, 1, BREAKER_FAILED, at + 60000);
	assert_int_equal(breaker.state, BREAKER_OPEN);
	assert_false(breaker_ask(&breaker, at + 60000 + BREAKER_PROBE_EVERY_MS - 1).admitted);
	assert_true(breaker_ask(&breaker, at + 60000 + BREAKER_PROBE_EVERY_MS).admitted);
}

static void a_probe_that_is_never_told_of_is_replaced(void **state)
{
	struct breaker breaker = opened(0);
	struct breaker_answer lost, next;

	(void)state;
	lost = breaker_ask(&breaker, BREAKER_PROBE_EVERY_MS);
	next = breaker_ask(&breaker, BREAKER_PROBE_EVERY_MS + BREAKER_PROBE_LIFE_MS);
	assert_true(next.admitted);
	breaker_tell(&breaker, lost, 1, BREAKER_ANSWERED, BREAKER_PROBE_EVERY_MS + BREAKER_PROBE_LIFE_MS);
	assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
	breaker_tell(&breaker, next, 2, BREAKER_ANSWERED, BREAKER_PROBE_EVERY_MS + BREAKER_PROBE_LIFE_MS);
	assert_int_equal(breaker.state, BREAKER_RECOVERING);
}

static void an_answer_to_what_was_asked_before_opens_no_door(void **state)
{
	struct breaker breaker;
	struct breaker_answer early;

	(void)state;
	breaker_init(&breaker, 0);
	early = breaker_ask(&breaker, 0);
	breaker = opened(0);
	breaker_tell(&breaker, early, 99, BREAKER_ANSWERED, 10);
	assert_int_equal(breaker.state, BREAKER_OPEN);
	(void)breaker_ask(&breaker, BREAKER_PROBE_EVERY_MS);
	breaker_tell(&breaker, early, 99, BREAKER_ANSWERED, BREAKER_PROBE_EVERY_MS);
	assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
}

static void requests_that_were_called_off_say_nothing(void **state)
{
	struct breaker breaker;

	(void)state;
	breaker_init(&breaker, 0);
	for (int64_t client = 1; client <= 100; client++) {
		(void)asks(&breaker, client, BREAKER_NO_NEWS, client);
	}
	assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void after_the_probe_a_flood_is_let_out_at_a_bounded_rate_and_then_freely(void **state)
{
	struct breaker breaker = opened(0);
	int64_t ms = BREAKER_PROBE_EVERY_MS;

	(void)state;
	assert_true(asks(&breaker, 1, BREAKER_ANSWERED, ms).admitted);
	for (int second = 0; second < 30; second++) {
		int let_out = 0;

		for (int i = 0; i < 1000; i++) {
			let_out += asks(&breaker, i, BREAKER_ANSWERED, ms++).admitted ? 1 : 0;
		}
		assert_in_range(let_out, BREAKER_RATE_MIN, BREAKER_RATE_MIN * 11 / 6 + 1);
	}
	for (int second = 0; second < 2 * BREAKER_WINDOW_MS / 1000; second++) {
		assert_true(asks(&breaker, 1, BREAKER_ANSWERED, ms += 1000).admitted);
	}
	assert_int_equal(breaker.state, BREAKER_CLOSED);
}

// --- thousands of clients ---

enum { CLIENTS = 4000, PROCESSES = 3, INTERVAL_S = 40, TICK_MS = 50, RATE = CLIENTS / INTERVAL_S };
enum { OUTAGE_S = 600, BEFORE_S = 300, AFTER_S = 400, SECONDS = BEFORE_S + OUTAGE_S + AFTER_S };

struct client {
	struct sync_state state;
	int64_t due_ms;
	int64_t answer_at_ms; // 0: nothing is out
	int64_t answered_ms;  // when Apple said something last
	struct breaker_answer admission;
	struct sync_run run;
	bool bad;
};

struct scene {
	struct client clients[CLIENTS];
	struct breaker breakers[PROCESSES];
	int offered[SECONDS];
};

static struct sync_occasion occasion(int64_t now_ms)
{
	return (struct sync_occasion){ INT64_C(1700000000000000) + now_ms * 1000, random_next() };
}

static void wait_as_decided(struct client *client, struct sync_decision decision)
{
	assert_int_equal(decision.action, SYNC_WAIT);
	client->state = client->run.state;
	client->due_ms = (decision.wait_until_us - INT64_C(1700000000000000)) / 1000;
	client->answer_at_ms = 0;
}

static void begin_scene(struct scene *scene, size_t number)
{
	*scene = (struct scene){ 0 };
	random_case("test_breaker", number);
	for (int p = 0; p < PROCESSES; p++) {
		breaker_init(&scene->breakers[p], 0);
	}
	for (int i = 0; i < CLIENTS; i++) {
		scene->clients[i].state = (struct sync_state){ .phase = SYNC_PHASE_CHANGES, .generation = 1, .has_cursor = true,
			.cursor_at_us = INT64_C(1700000000000000), .fetch_completed_at_us = INT64_C(1700000000000000) };
		scene->clients[i].due_ms = (int64_t)random_below(INTERVAL_S * 1000);
	}
}

static void client_asks(struct scene *scene, int at, int64_t now_ms)
{
	struct client *client = &scene->clients[at];
	const struct sync_settings settings = { .tenant_id = at + 1, .interval_s = INTERVAL_S, .full_interval_s = INT64_C(36500) * DAY_S };

	assert_int_equal(sync_begin(&client->run, &client->state, &settings, false, occasion(now_ms)).action, SYNC_SYNC_PAGE);
	client->admission = breaker_ask(&scene->breakers[at % PROCESSES], now_ms);
	if (client->admission.admitted) {
		scene->offered[now_ms / 1000]++;
		client->answer_at_ms = now_ms + 20 + (int64_t)random_below(400);
	} else {
		wait_as_decided(client, sync_failed(&client->run, ERR_HELD_BACK, client->admission.wait_s, occasion(now_ms)));
	}
}

static void client_hears(struct scene *scene, int at, bool fails, int64_t now_ms)
{
	struct client *client = &scene->clients[at];
	const struct sync_page page = { .cursor_changed = true };

	breaker_tell(&scene->breakers[at % PROCESSES], client->admission, at, fails ? BREAKER_FAILED : BREAKER_ANSWERED, now_ms);
	if (fails) {
		wait_as_decided(client, sync_failed(&client->run, ERR_UNAVAILABLE, -1, occasion(now_ms)));
	} else {
		client->answered_ms = now_ms;
		wait_as_decided(client, sync_page_applied(&client->run, page, occasion(now_ms)));
	}
}

static void play(struct scene *scene, int64_t outage_from_ms, int64_t outage_to_ms)
{
	for (int64_t now_ms = 0; now_ms < SECONDS * INT64_C(1000); now_ms += TICK_MS) {
		for (int i = 0; i < CLIENTS; i++) {
			struct client *client = &scene->clients[i];

			if (client->answer_at_ms != 0 && client->answer_at_ms <= now_ms) {
				client_hears(scene, i, client->bad || (now_ms >= outage_from_ms && now_ms < outage_to_ms), now_ms);
			} else if (client->answer_at_ms == 0 && client->due_ms <= now_ms) {
				client_asks(scene, i, now_ms);
			}
		}
	}
}

static int sum(const int *numbers, int from, int to)
{
	int total = 0;

	for (int i = from; i < to; i++) {
		total += numbers[i];
	}
	return total;
}

static void an_outage_for_all_is_no_storm_and_its_end_is_none_either(void **state)
{
	struct scene *scene = allocate(sizeof *scene);
	const int outage_end = BEFORE_S + OUTAGE_S;
	int worst = 0;

	(void)state;
	begin_scene(scene, 0);
	play(scene, BEFORE_S * INT64_C(1000), outage_end * INT64_C(1000));
	const int usual = sum(scene->offered, 60, BEFORE_S) / (BEFORE_S - 60);

	assert_in_range(usual, RATE * 9 / 10, RATE * 11 / 10);
	for (int s = outage_end; s < SECONDS; s++) {
		worst = scene->offered[s] > worst ? scene->offered[s] : worst;
	}
	printf("usual %d/s; in the outage %d in %d s; afterwards at most %d in a second\n", usual,
		sum(scene->offered, BEFORE_S, outage_end), OUTAGE_S, worst);
	LAW(sum(scene->offered, BEFORE_S, outage_end) * 10 <= usual * OUTAGE_S);
	for (int s = BEFORE_S + 10; s < outage_end; s++) { // from a few seconds on, probes and nothing else
		LAW(scene->offered[s] <= PROCESSES);
		LAW(s + 30 >= outage_end || sum(scene->offered, s, s + 30) <= PROCESSES);
	}
	LAW(worst <= 2 * usual);
	for (int i = 0; i < CLIENTS; i++) { // everybody is served again, and soon: nobody is left behind
		LAW(scene->clients[i].answered_ms > (SECONDS - 2 * INTERVAL_S) * INT64_C(1000));
	}
	free(scene);
}

static void one_in_a_hundred_that_always_fails_delays_nobody(void **state)
{
	struct scene *scene = allocate(sizeof *scene);

	(void)state;
	begin_scene(scene, 1);
	for (int i = 0; i < CLIENTS; i += 100) {
		scene->clients[i].bad = true;
	}
	play(scene, 0, 0);
	for (int p = 0; p < PROCESSES; p++) {
		assert_int_equal(scene->breakers[p].state, BREAKER_CLOSED);
		assert_int_equal(scene->breakers[p].probe, 0);
	}
	free(scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_client_that_fails_a_thousand_times_closes_nothing),
		cmocka_unit_test(bad_clients_among_many_good_ones_close_nothing),
		cmocka_unit_test(what_was_well_before_keeps_no_door_open),
		cmocka_unit_test(a_run_of_bad_luck_in_less_than_two_seconds_closes_nothing),
		cmocka_unit_test(when_everybody_fails_it_opens_and_turns_everybody_away),
		cmocka_unit_test(one_probe_leaves_at_a_time),
		cmocka_unit_test(a_probe_that_is_never_told_of_is_replaced),
		cmocka_unit_test(an_answer_to_what_was_asked_before_opens_no_door),
		cmocka_unit_test(requests_that_were_called_off_say_nothing),
		cmocka_unit_test(after_the_probe_a_flood_is_let_out_at_a_bounded_rate_and_then_freely),
		cmocka_unit_test(an_outage_for_all_is_no_storm_and_its_end_is_none_either),
		cmocka_unit_test(one_in_a_hundred_that_always_fails_delays_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
