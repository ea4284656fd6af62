// SPDX-License-Identifier: Apache-2.0
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/fair_queue.h"

enum { BIG = 1000, SMALL = 10 };

// The one whose turn it is, which is over at once and cost that much; it does not come back by itself.
static struct fair_turn *serve(struct fair_queue *queue, uint64_t cost)
{
	struct fair_turn *turn = fair_queue_next(queue);

	if (turn != NULL) {
		fair_queue_leave(queue, turn, cost);
	}
	return turn;
}

static void a_newcomer_waits_for_one_page_of_each_other_at_most(void **state)
{
	struct fair_queue queue;
	struct fair_turn big[3], small;

	(void)state;
	fair_queue_init(&queue, 1);
	for (size_t i = 0; i < 3; i++) {
		fair_turn_init(&big[i], FAIR_WEIGHT);
		fair_queue_wait(&queue, &big[i]);
	}
	for (int page = 0; page < 300; page++) {
		fair_queue_wait(&queue, serve(&queue, BIG));
	}
	fair_turn_init(&small, FAIR_WEIGHT);
	fair_queue_wait(&queue, &small);
	for (int page = 0; page < 3; page++) {
		struct fair_turn *served = serve(&queue, BIG);

		if (served == &small) {
			return;
		}
		fair_queue_wait(&queue, served);
	}
	assert_ptr_equal(serve(&queue, SMALL), &small);
}

static void between_two_pages_of_a_small_one_there_is_one_of_a_big_one_at_most(void **state)
{
	struct fair_queue queue;
	struct fair_turn big, small;
	int of_big = 0, of_small = 0;

	(void)state;
	fair_queue_init(&queue, 1);
	fair_turn_init(&big, FAIR_WEIGHT);
	fair_turn_init(&small, FAIR_WEIGHT);
	fair_queue_wait(&queue, &big);
	fair_queue_wait(&queue, &small);
	for (int page = 0; of_small < 20; page++) {
		struct fair_turn *served = fair_queue_next(&queue);

		of_big = served == &big ? of_big + 1 : 0;
		assert_true(of_big <= 1);
		of_small += served == &small ? 1 : 0;
		fair_queue_leave(&queue, served, served == &big ? BIG : SMALL);
		fair_queue_wait(&queue, served);
	}
}

static void weights_divide_what_is_served(void **state)
{
	struct fair_queue queue;
	struct fair_turn turns[2];
	uint64_t served[2] = { 0, 0 };

	(void)state;
	random_case("test_fair_queue", 0);
	fair_queue_init(&queue, 1);
	fair_turn_init(&turns[0], FAIR_WEIGHT);
	fair_turn_init(&turns[1], FAIR_WEIGHT_ASKED_FOR);
	fair_queue_wait(&queue, &turns[0]);
	fair_queue_wait(&queue, &turns[1]);
	for (int page = 0; page < 5000; page++) {
		struct fair_turn *turn = fair_queue_next(&queue);
		const uint64_t cost = 1 + random_below(BIG);

		served[turn == &turns[1]] += cost;
		fair_queue_leave(&queue, turn, cost);
		fair_queue_wait(&queue, turn);
	}
	assert_in_range(served[1] * 100 / served[0], 380, 420);
}

static void who_was_away_has_saved_nothing_up(void **state)
{
	struct fair_queue queue;
	struct fair_turn busy, away;
	int in_a_row = 0;

	(void)state;
	fair_queue_init(&queue, 1);
	fair_turn_init(&busy, FAIR_WEIGHT);
	fair_turn_init(&away, FAIR_WEIGHT);
	fair_queue_wait(&queue, &away);
	assert_ptr_equal(serve(&queue, BIG), &away);
	fair_queue_wait(&queue, &busy);
	for (int page = 0; page < 1000; page++) {
		fair_queue_wait(&queue, serve(&queue, BIG));
	}
	fair_queue_wait(&queue, &away);
	for (int page = 0; page < 20; page++) {
		struct fair_turn *served = serve(&queue, BIG);

		in_a_row = served == &away ? in_a_row + 1 : 0;
		assert_true(in_a_row <= 2);
		fair_queue_wait(&queue, served);
	}
}

static void no_more_have_a_turn_than_may(void **state)
{
	struct fair_queue queue;
	struct fair_turn turns[5];

	(void)state;
	fair_queue_init(&queue, 3);
	for (size_t i = 0; i < 5; i++) {
		fair_turn_init(&turns[i], FAIR_WEIGHT);
		fair_queue_wait(&queue, &turns[i]);
	}
	for (size_t i = 0; i < 3; i++) {
		assert_ptr_equal(fair_queue_next(&queue), &turns[i]);
	}
	assert_null(fair_queue_next(&queue));
	fair_queue_leave(&queue, &turns[3], 0); // it does not want any more
	fair_queue_leave(&queue, &turns[0], SMALL);
	fair_queue_leave(&queue, &turns[0], SMALL); // harmless
	assert_ptr_equal(fair_queue_next(&queue), &turns[4]);
	assert_null(fair_queue_next(&queue));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_newcomer_waits_for_one_page_of_each_other_at_most),
		cmocka_unit_test(between_two_pages_of_a_small_one_there_is_one_of_a_big_one_at_most),
		cmocka_unit_test(weights_divide_what_is_served),
		cmocka_unit_test(who_was_away_has_saved_nothing_up),
		cmocka_unit_test(no_more_have_a_turn_than_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
