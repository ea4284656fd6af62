// SPDX-License-Identifier: Apache-2.0
#include "tenants/breaker.h"

#include <string.h>

enum { MEAN_S = 60, IDLE_S = 600, ONE = 1000, GROWS_AFTER_S = 60, GROWS_UNTIL_S = 180 };

void breaker_init(struct breaker *breaker, int64_t now_ms)
{
	*breaker = (struct breaker){ .answered_ms = now_ms, .second_began_ms = now_ms };
}

// --- the usual rate ---

// A second in which nobody asks changes nothing any more.
static bool is_at_rest(const struct breaker *breaker)
{
	return breaker->requests == 0 && breaker->seconds == MEAN_S && breaker->usual_rate < MEAN_S;
}

// Ends the seconds that are over. The first minute's mean is over what there is of it.
static void count_seconds(struct breaker *breaker, int64_t now_ms)
{
	const int64_t elapsed = (now_ms - breaker->second_began_ms) / 1000;

	for (int64_t i = 0; i < elapsed && i < IDLE_S && !is_at_rest(breaker); i++) {
		breaker->seconds += breaker->seconds < MEAN_S ? 1 : 0;
		breaker->usual_rate += (breaker->requests * ONE - breaker->usual_rate) / breaker->seconds;
		breaker->requests = 0;
	}
	breaker->second_began_ms += elapsed * 1000;
}

// --- outcomes ---

static void drop_outcome(struct breaker *breaker, size_t at)
{
	memmove(breaker->outcomes + at, breaker->outcomes + at + 1, (breaker->count - at - 1) * sizeof *breaker->outcomes);
	breaker->count--;
}

static void remember(struct breaker *breaker, int64_t client, bool failed, int64_t now_ms)
{
	while (breaker->count > 0 && now_ms - breaker->outcomes[0].at_ms > BREAKER_OUTCOME_LIFE_MS) {
		drop_outcome(breaker, 0);
	}
	for (size_t i = 0; i < breaker->count; i++) {
		if (breaker->outcomes[i].client == client) {
			drop_outcome(breaker, i);
			break;
		}
	}
	if (breaker->count == BREAKER_CLIENTS) {
		drop_outcome(breaker, 0);
	}
	breaker->outcomes[breaker->count++] = (struct breaker_outcome){ client, now_ms, failed };
	breaker->answered_ms = failed ? breaker->answered_ms : now_ms;
}

static bool nobody_is_answered(const struct breaker *breaker, int64_t now_ms)
{
	size_t run = 0;

	while (run < breaker->count && breaker->outcomes[breaker->count - 1 - run].failed) {
		run++;
	}
	return run >= BREAKER_RUN && now_ms - breaker->answered_ms >= BREAKER_SILENT_MS;
}

static bool most_have_failed(const struct breaker *breaker)
{
	size_t failed = 0;

	for (size_t i = 0; i < breaker->count; i++) {
		failed += breaker->outcomes[i].failed ? 1 : 0;
	}
	return breaker->count >= BREAKER_CLIENTS_MIN && failed * 100 >= breaker->count * BREAKER_OPENS_AT_PERCENT;
}

// --- states ---

static void open_it(struct breaker *breaker, int64_t now_ms)
{
	breaker->state = BREAKER_OPEN;
	breaker->next_probe_ms = now_ms + BREAKER_PROBE_EVERY_MS;
}

static void recover(struct breaker *breaker, int64_t now_ms)
{
	breaker->state = BREAKER_RECOVERING;
	breaker->count = 0;
	breaker->answered_ms = now_ms;
	breaker->recovering_since_ms = now_ms;
	breaker->window_began_ms = now_ms;
	breaker->asked = 0;
	breaker->turned_away = 0;
	breaker->filled_ms = now_ms;
	breaker->tokens = ONE;
}

static void close_it(struct breaker *breaker, int64_t now_ms)
{
	breaker->state = BREAKER_CLOSED;
	breaker->second_began_ms = now_ms;
	breaker->requests = 0;
}

// When hardly anybody is turned away, no backlog is left that could come at once.
static void end_window(struct breaker *breaker, int64_t now_ms)
{
	if (breaker->turned_away * 100 <= breaker->asked * BREAKER_HARDLY_PERCENT) {
		close_it(breaker, now_ms);
	}
	breaker->window_began_ms = now_ms;
	breaker->asked = 0;
	breaker->turned_away = 0;
}

// In thousandths of requests a second.
static int64_t recovery_rate(const struct breaker *breaker, int64_t now_ms)
{
	const int64_t since_s = (now_ms - breaker->recovering_since_ms) / 1000;
	int64_t rate = breaker->usual_rate > BREAKER_RATE_MIN * ONE ? breaker->usual_rate : BREAKER_RATE_MIN * ONE;

	rate += rate / 3;
	for (int64_t s = GROWS_AFTER_S; s < since_s && s < GROWS_UNTIL_S; s++) {
		rate += rate / 20;
	}
	return rate;
}

static struct breaker_answer ask_recovering(struct breaker *breaker, int64_t now_ms)
{
	const int64_t rate = recovery_rate(breaker, now_ms);
	const int64_t capacity = rate * 3 / 8 > ONE ? rate * 3 / 8 : ONE; // half a second of the usual rate: clients come in small groups

	breaker->tokens += rate * (now_ms - breaker->filled_ms) / 1000;
	breaker->tokens = breaker->tokens < capacity ? breaker->tokens : capacity;
	breaker->filled_ms = now_ms;
	breaker->asked++;
	if (breaker->tokens >= ONE) {
		breaker->tokens -= ONE;
		return (struct breaker_answer){ .admitted = true };
	}
	breaker->turned_away++;
	return (struct breaker_answer){ .wait_s = BREAKER_TURNED_AWAY_S };
}

static struct breaker_answer ask_open(struct breaker *breaker, int64_t now_ms)
{
	if (now_ms < breaker->next_probe_ms) {
		return (struct breaker_answer){ .wait_s = -1 };
	}
	breaker->state = BREAKER_HALF_OPEN;
	breaker->next_probe_ms = now_ms + BREAKER_PROBE_LIFE_MS;
	breaker->probe += breaker->probe == UINT32_MAX ? 2 : 1;
	return (struct breaker_answer){ .admitted = true, .probe = breaker->probe };
}

struct breaker_answer breaker_ask(struct breaker *breaker, int64_t now_ms)
{
	if (breaker->state == BREAKER_RECOVERING && now_ms - breaker->window_began_ms >= BREAKER_WINDOW_MS) {
		end_window(breaker, now_ms);
	}
	switch (breaker->state) {
	case BREAKER_OPEN:
	case BREAKER_HALF_OPEN: return ask_open(breaker, now_ms);
	case BREAKER_RECOVERING: return ask_recovering(breaker, now_ms);
	case BREAKER_CLOSED: break;
	}
	count_seconds(breaker, now_ms);
	breaker->requests++;
	return (struct breaker_answer){ .admitted = true };
}

static void tell_probe(struct breaker *breaker, enum breaker_news news, int64_t now_ms)
{
	if (news == BREAKER_ANSWERED) {
		recover(breaker, now_ms);
	} else {
		open_it(breaker, now_ms);
	}
}

void breaker_tell(struct breaker *breaker, struct breaker_answer admitted, int64_t client, enum breaker_news news, int64_t now_ms)
{
	switch (breaker->state) {
	case BREAKER_OPEN: break; // asked before it opened
	case BREAKER_HALF_OPEN:
		if (admitted.probe != 0 && admitted.probe == breaker->probe) {
			tell_probe(breaker, news, now_ms);
		}
		break;
	case BREAKER_CLOSED:
	case BREAKER_RECOVERING:
		if (news != BREAKER_NO_NEWS) {
			remember(breaker, client, news == BREAKER_FAILED, now_ms);
			if (most_have_failed(breaker) || nobody_is_answered(breaker, now_ms)) {
				open_it(breaker, now_ms);
			}
		}
		break;
	}
}
