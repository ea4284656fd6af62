// SPDX-License-Identifier: Apache-2.0
//
// sim_loop.c - time, chance, the event loop and the log of a simulated world.
//
// A timer that only asks whether a client is due is not run while none is, and a heart-beat not while nothing can come between two of
// them: neither would change anything. Their times stay on the grid on which they would have run.
#include "loop/hint.h"
#include "sim/sim.h"

#include "depbroker/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EPOCH_US (INT64_C(1767225600) * SECOND_US)

typedef unsigned __int128 event_key;

struct event {
	struct sim_life *life;
	void (*run)(void *argument);
	void *argument;
};

struct alarm_clock { // of a delay that runs
	struct delay *delay;
	bool off;
};

struct sim sim;

enum { EVENTS_A_MINUTE = 2000 }; // of each client, at most

static struct {
	int64_t minute;
	int64_t minute_events; // in it, up to now
	event_key *heap;
	struct event *events;
	uint32_t *spare; // places of events that nobody waits for any more
	size_t count, spare_count, room;
	uint32_t event_count, order;
	struct delay *fired; // the timer whose call runs
	struct delay *claims[SIM_NODES], *beats[SIM_NODES]; // known by what they start
	struct idle_claim { // a claim timer while nothing is due
		struct delay *delay;
		struct sim_life *life;
		int64_t next_us, step_us;
	} idle[SIM_NODES];
	bool last_claim_empty[SIM_NODES], last_beat_worked[SIM_NODES];
	struct hint_listener *listeners[SIM_NODES];
	struct sim_life *hears[SIM_NODES]; // whose listener it is
	bool first_is_known; // of the idle claims: nothing has happened since that could change it
	struct idle_claim *first;
	int64_t first_us;
} loops;

// --- chance: xoshiro256**, seeded by splitmix64 ---

static uint64_t rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

uint64_t sim_random(void)
{
	uint64_t *s = sim.random;
	const uint64_t result = rotate(s[1] * 5, 7) * 9;
	const uint64_t shifted = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= shifted;
	s[3] = rotate(s[3], 45);
	return result;
}

static void seed_chance(uint64_t seed)
{
	for (size_t i = 0; i < 4; i++) {
		uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		sim.random[i] = z ^ z >> 31;
	}
}

int64_t sim_between(int64_t from, int64_t to)
{
	return from + (int64_t)(sim_random() % (uint64_t)(to - from + 1));
}

bool sim_chance(int percent)
{
	return sim_between(0, 99) < percent;
}

void random_bytes(void *out, size_t length)
{
	unsigned char *at = out;

	for (size_t i = 0; i < length; i += 8) {
		const uint64_t word = sim_random();

		memcpy(at + i, &word, length - i < 8 ? length - i : 8);
	}
}

// --- the trace ---

void sim_trace(const char *what, int64_t a, int64_t b, int64_t c)
{
	const int64_t numbers[] = { sim.now_us, what[0], what[1], a, b, c };

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		sim.hash = rotate(sim.hash ^ (uint64_t)numbers[i], 29) * UINT64_C(0x9e3779b97f4a7c15);
	}
	if (sim.verbose) {
		printf("%12.6f %-14.*s %s %lld %lld %lld\n", (double)(sim.now_us - EPOCH_US) / 1e6,
			TEXT_ARGS(sim.life != NULL ? sim_node_id(sim.life) : TEXT("-")), what, (long long)a, (long long)b, (long long)c);
	}
}

bool log_is_heard(enum log_level level)
{
	(void)level;
	return sim.verbose;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
	printf("%12.6f %-14.*s   %d %s", (double)(sim.now_us - EPOCH_US) / 1e6, TEXT_ARGS(sim_node_id(sim.life)), (int)level, event);
	for (size_t i = 0; i < count; i++) {
		if (fields[i].kind == LOG_FIELD_TEXT) {
			printf(" %s=%.*s", fields[i].name, TEXT_ARGS(fields[i].text));
		} else {
			printf(" %s=%lld", fields[i].name, (long long)fields[i].number);
		}
	}
	printf("\n");
}

void sim_print_replay(void)
{
	fprintf(stderr, "replay: %s %llu%s%s\n", program_invocation_name, (unsigned long long)sim.seed, sim.shape->name != NULL ? " " : "",
		sim.shape->name != NULL ? sim.shape->name : "");
}

void sim_law_broken(const char *law, const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "seed %llu, after %.6f s: broken: %s: ", (unsigned long long)sim.seed, (double)(sim.now_us - EPOCH_US) / 1e6, law);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	sim_print_replay();
	_exit(1);
}

// --- the heap: of numbers, each an event's time, its order among those of the same time, and the place of the event ---

static uint32_t take_place(void)
{
	if (loops.spare_count > 0) {
		return loops.spare[--loops.spare_count];
	}
	if (loops.event_count == loops.room) {
		loops.room = loops.room > 0 ? loops.room * 2 : 1024;
		loops.events = reallocate(loops.events, loops.room * sizeof *loops.events);
		loops.spare = reallocate(loops.spare, loops.room * sizeof *loops.spare);
		loops.heap = reallocate(loops.heap, loops.room * sizeof *loops.heap);
	}
	return loops.event_count++;
}

// There, or above it.
static void put_at(size_t at, event_key key)
{
	while (at > 0 && key < loops.heap[(at - 1) / 2]) {
		loops.heap[at] = loops.heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	loops.heap[at] = key;
}

static void push(int64_t at_us, struct event event)
{
	const uint32_t place = take_place();

	assert(at_us >= 0 && loops.order < UINT32_MAX);
	loops.events[place] = event;
	put_at(loops.count++, (event_key)at_us << 64 | (event_key)loops.order++ << 32 | place);
}

static struct event pop(void)
{
	const uint32_t place = (uint32_t)loops.heap[0];
	const event_key last = loops.heap[--loops.count];
	size_t at = 0;

	for (size_t child = 1; child < loops.count; child = 2 * at + 1) { // what was last belongs far down: the gap goes there first
		child += child + 1 < loops.count && loops.heap[child + 1] < loops.heap[child] ? 1 : 0;
		loops.heap[at] = loops.heap[child];
		at = child;
	}
	put_at(at, last);
	loops.spare[loops.spare_count++] = place;
	return loops.events[place];
}

static int64_t next_event_us(void)
{
	return (int64_t)(loops.heap[0] >> 64);
}

void sim_at(int64_t at_us, struct sim_life *life, void (*run)(void *argument), void *argument)
{
	push(at_us, (struct event){ life, run, argument });
}

// --- the clock and the loop, as the code under test sees them ---

int64_t clock_wall_us(void)
{
	return sim.now_us + sim_node_skew_us(sim.life);
}

int64_t clock_monotonic_ms(void)
{
	return sim.now_us / MS_US;
}

void loop_init(struct loop *loop)
{
	loop->uv.data = sim.life;
	list_init(&loop->deferred);
	sim.life->loop = loop;
}

void loop_fini(struct loop *loop)
{
	assert(list_is_empty(&loop->deferred));
}

void loop_defer(struct loop *loop, struct deferred *deferred)
{
	list_add_last(&loop->deferred, &deferred->link);
}

void loop_forget(struct deferred *deferred)
{
	list_remove(&deferred->link);
}

static struct sim_life *life_of(const struct delay *delay)
{
	return delay->timer.loop->data;
}

static void on_alarm(void *argument)
{
	struct alarm_clock *alarm = argument;
	struct delay *delay = alarm->delay;

	if (!alarm->off) {
		delay->timer.data = NULL;
		loops.fired = delay;
		delay->fired(delay);
		loops.fired = NULL;
	}
	free(alarm);
}

void delay_init(struct delay *delay, struct loop *loop, void (*fired)(struct delay *delay))
{
	*delay = (struct delay){ .fired = fired };
	delay->timer.loop = &loop->uv;
}

void delay_stop(struct delay *delay)
{
	struct alarm_clock *alarm = delay->timer.data;
	const int number = sim_node_number(life_of(delay));

	if (loops.idle[number].delay == delay) {
		loops.idle[number].delay = NULL;
		loops.first_is_known = false;
	}
	if (alarm != NULL) {
		alarm->off = true;
		delay->timer.data = NULL;
	}
}

static void start_alarm(struct delay *delay, int64_t at_us)
{
	struct alarm_clock *alarm = allocate(sizeof *alarm);

	alarm->delay = delay;
	delay->timer.data = alarm;
	sim_at(at_us, life_of(delay), on_alarm, alarm);
}

void delay_start(struct delay *delay, int64_t after_ms)
{
	const int number = sim_node_number(life_of(delay));
	const int64_t step_us = after_ms * MS_US;
	int64_t at_us = sim.now_us + step_us;

	delay_stop(delay);
	if (delay == loops.claims[number] && loops.last_claim_empty[number] && !sim.shape->hints) {
		loops.idle[number] = (struct idle_claim){ delay, life_of(delay), at_us, step_us };
		loops.first_is_known = false;
		return;
	}
	if (delay == loops.beats[number] && loops.last_beat_worked[number] && step_us > 0) {
		const int64_t until_us = sim_beat_skip_us(life_of(delay));

		if (until_us > at_us) {
			at_us += (until_us - at_us) / step_us * step_us;
			sim_keep_alive(sim_node_id(life_of(delay)), at_us + step_us);
		}
	}
	start_alarm(delay, at_us);
}

void delay_close(struct delay *delay, void (*closed)(struct delay *delay))
{
	delay_stop(delay);
	delay->closed = closed;
	if (closed != NULL) {
		sim_at(sim.now_us, life_of(delay), (void (*)(void *))closed, delay);
	}
}

void sim_claimed(bool any)
{
	loops.last_claim_empty[sim_node_number(sim.life)] = !any;
}

void sim_beaten(bool worked)
{
	loops.last_beat_worked[sim_node_number(sim.life)] = worked;
}

// --- running ---

static void run_deferred(struct sim_life *life)
{
	while (!life->dead && life->loop != NULL && !list_is_empty(&life->loop->deferred)) {
		struct deferred *deferred = LIST_FIRST(&life->loop->deferred, struct deferred, link);

		list_remove(&deferred->link);
		deferred->run(deferred);
	}
}

static void run(const struct event *event)
{
	if (event->life == NULL) {
		event->run(event->argument);
		return;
	}
	if (event->life->dead) {
		return;
	}
	if (sim_paused_until_us(event->life) > sim.now_us) {
		sim_at(sim_paused_until_us(event->life), event->life, event->run, event->argument);
		return;
	}
	sim.life = event->life;
	event->run(event->argument);
	run_deferred(event->life);
	if (event->life->closing) {
		sim_node_closed(event->life);
	}
	sim.life = NULL;
}

// The idle claim that would find something first, and when.
static void find_first_claim(void)
{
	struct idle_claim *first = NULL;
	int64_t first_us = INT64_MAX;

	for (size_t i = 0; i < SIM_NODES; i++) {
		struct idle_claim *idle = &loops.idle[i];

		if (idle->delay == NULL || idle->life->dead || idle->next_us >= first_us) {
			continue;
		}
		const int64_t due_us = sim_earliest_due_us(sim_node_id(idle->life), first_us);

		if (due_us >= first_us) {
			continue;
		}
		const int64_t from_us = due_us > sim.now_us ? due_us : sim.now_us;
		const int64_t at_us = idle->next_us >= from_us ? idle->next_us :
			idle->next_us + (from_us - idle->next_us + idle->step_us - 1) / idle->step_us * idle->step_us;

		if (at_us < first_us) {
			first_us = at_us;
			first = idle;
		}
	}
	loops.first_is_known = true;
	loops.first = first;
	loops.first_us = first_us;
}

void sim_due_changed(void)
{
	loops.first_is_known = false;
}

static void look_for_first_claim(void)
{
#ifdef SIM_SANITIZED // whoever changes something says so
	const struct idle_claim *first = loops.first;
	const int64_t first_us = loops.first_us;
	const bool was_known = loops.first_is_known;

	find_first_claim();
	assert(!was_known || (loops.first == first && loops.first_us == first_us));
#else
	if (!loops.first_is_known) {
		find_first_claim();
	}
#endif
}

static void run_claim(struct idle_claim *idle, int64_t at_us)
{
	struct delay *delay = idle->delay;

	loops.first_is_known = false;
	sim.now_us = at_us;
	loops.last_claim_empty[sim_node_number(idle->life)] = false;
	idle->delay = NULL;
	start_alarm(delay, sim.now_us);
}

// Nobody goes round and round.
static void count_event(void)
{
	const int64_t minute = sim.now_us / MINUTE_US;

	sim.events++;
	loops.minute_events = minute == loops.minute ? loops.minute_events + 1 : 1;
	loops.minute = minute;
	LAW(loops.minute_events <= EVENTS_A_MINUTE * sim.shape->tenants, "%lld events in a minute", (long long)loops.minute_events);
}

bool sim_step(int64_t until_us)
{
	const int64_t next_us = loops.count > 0 && next_event_us() < until_us ? next_event_us() : until_us;

	look_for_first_claim();
	if (loops.first != NULL && loops.first_us < next_us) {
		run_claim(loops.first, loops.first_us);
		return true;
	}
	if (next_us == until_us) {
		sim.now_us = until_us;
		return false;
	}

	const struct event event = pop();

	assert(next_us >= sim.now_us);
	sim.now_us = next_us;
	count_event();
	run(&event);
	return true;
}

void sim_claims(void)
{
	loops.claims[sim_node_number(sim.life)] = loops.fired;
}

void sim_beats(void)
{
	loops.beats[sim_node_number(sim.life)] = loops.fired;
}

void sim_begin(const struct sim_shape *shape, uint64_t seed, bool verbose)
{
	sim = (struct sim){ .shape = shape, .seed = seed, .now_us = EPOCH_US, .hash = seed, .runs = true, .verbose = verbose };
	memset(&loops, 0, sizeof loops);
	seed_chance(seed);
}

void sim_end(void)
{
	free(loops.heap);
	free(loops.events);
	free(loops.spare);
	memset(&loops, 0, sizeof loops);
	sim.runs = false;
	sim_memory_reset();
}

// --- hints ---

enum { HINT_TAKES_US = 10 * MS_US }; // at most

struct hint {
	struct hint_listener *listener;
	int64_t number;
};

static void on_hint(void *argument)
{
	const struct hint *hint = argument;

	if (loops.listeners[sim_node_number(sim.life)] == hint->listener) {
		hint->listener->heard(hint->listener, &hint->number, 1);
	}
}

void sim_hint(int64_t tenant_id)
{
	for (size_t i = 0; i < SIM_NODES; i++) {
		struct hint_listener *listener = loops.listeners[i];

		if (listener != NULL && !loops.hears[i]->dead) {
			struct hint *hint = sim_take(sizeof *hint);

			*hint = (struct hint){ listener, tenant_id };
			sim_at(sim.now_us + sim_between(0, HINT_TAKES_US), loops.hears[i], on_hint, hint);
		}
	}
}

void hint_listener_open(struct hint_listener *listener, struct loop *loop, int socket)
{
	const int number = sim_node_number(loop->uv.data);

	(void)socket;
	loops.listeners[number] = listener;
	loops.hears[number] = loop->uv.data;
}

void hint_listener_close(struct hint_listener *listener, void (*closed)(struct hint_listener *listener))
{
	(void)listener;
	(void)closed;
	loops.listeners[sim_node_number(sim.life)] = NULL;
}
