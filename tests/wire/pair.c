// SPDX-License-Identifier: Apache-2.0
#include "wire/wire.h"

#include "depbroker/clock.h"
#include "depbroker/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRIP_EVERY_MS = 3, DRIP_BYTES = 48, PATIENCE_MS = 3000 };

struct parcel { // bytes that wait for their time
	struct list link;
	int64_t due_ms;
	size_t sent, length;
	char bytes[];
};

struct message {
	uv_write_t write;
	char bytes[];
};

struct side {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	};
	struct pair *pair;
	struct side *other;
	uv_timer_t timer;
	struct list parcels; // to be said to this side
	bool ends_after;     // and then it is told that there is no more
	bool is_tcp;
	bool is_closing;
	uv_shutdown_t shutdown;
};

struct pair {
	struct list link;
	struct route *route;
	struct side client, server;
	uv_timer_t timer; // ends what hangs
	uv_connect_t connect;
	unsigned open_handles;
	enum wound wound;
	int64_t at_byte; // where it happens
	int64_t passed;
	bool is_hole;
	bool timer_is_closing;
	enum wound commit_wound; // of the COMMIT that was seen last
	bool answers_are_lost;
	struct pg_frontend frontend;
};

struct pair *pair_of(struct list *link)
{
	return CONTAINER_OF(link, struct pair, link);
}

// --- closing ---

static void forget_parcels(struct side *side)
{
	LIST_EACH (at, after, &side->parcels) {
		list_remove(at);
		free(CONTAINER_OF(at, struct parcel, link));
	}
}

static void on_closed(uv_handle_t *handle)
{
	struct pair *pair = handle->data;

	if (--pair->open_handles == 0) {
		list_remove(&pair->link);
		forget_parcels(&pair->client);
		forget_parcels(&pair->server);
		free(pair);
	}
}

static void close_side(struct side *side, bool reset)
{
	struct pair *pair = side->pair;

	if (side->is_closing) {
		return;
	}
	side->is_closing = true;
	uv_close((uv_handle_t *)&side->timer, on_closed);
	if (!reset || !side->is_tcp || uv_tcp_close_reset(&side->tcp, on_closed) != 0) {
		uv_close(&side->handle, on_closed);
	}
	if (side->other->is_closing && !pair->timer_is_closing) {
		pair->timer_is_closing = true;
		uv_close((uv_handle_t *)&pair->timer, on_closed);
	}
}

void pair_reset(struct pair *pair)
{
	close_side(&pair->client, true);
	close_side(&pair->server, true);
}

static void on_patience_ended(uv_timer_t *timer)
{
	pair_reset(timer->data);
}

static void hang(struct pair *pair)
{
	const int64_t hold_ms = 1 + plan_random(&pair->route->plan, pair->route->plan.hold_ms);

	if (!pair->timer_is_closing) {
		(void)uv_timer_start(&pair->timer, on_patience_ended, (uint64_t)hold_ms, 0);
	}
}

// --- saying ---

static void on_written(uv_write_t *write, int status)
{
	(void)status; // the reader of a broken side notices
	free(CONTAINER_OF(write, struct message, write));
}

static void say_now(struct side *to, const char *bytes, size_t length)
{
	struct message *message = allocate(sizeof *message + length);
	uv_buf_t part;

	memcpy(message->bytes, bytes, length);
	part = uv_buf_init(message->bytes, (unsigned)length);
	if (uv_write(&message->write, &to->stream, &part, 1, on_written) != 0) {
		free(message);
	}
}

static void on_told_the_end(uv_shutdown_t *shutdown, int status)
{
	struct side *side = CONTAINER_OF(shutdown, struct side, shutdown);

	(void)status;
	close_side(side, false);
	close_side(side->other, false);
}

static void tell_the_end(struct side *to)
{
	if (!to->is_closing && uv_shutdown(&to->shutdown, &to->stream, on_told_the_end) != 0) {
		on_told_the_end(&to->shutdown, 0);
	}
}

static void on_parcel_time(uv_timer_t *timer);

static void wait_for_parcel(struct side *to)
{
	const struct parcel *first = LIST_FIRST(&to->parcels, struct parcel, link);
	const int64_t wait_ms = first->due_ms - clock_monotonic_ms();

	(void)uv_timer_start(&to->timer, on_parcel_time, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

static void on_parcel_time(uv_timer_t *timer)
{
	struct side *to = CONTAINER_OF(timer, struct side, timer);
	const bool drips = to->pair->wound == WOUND_DRIP;

	while (!list_is_empty(&to->parcels)) {
		struct parcel *parcel = LIST_FIRST(&to->parcels, struct parcel, link);
		const size_t left = parcel->length - parcel->sent;
		const size_t now = drips && left > DRIP_BYTES ? DRIP_BYTES : left;

		if (parcel->due_ms > clock_monotonic_ms()) {
			wait_for_parcel(to);
			return;
		}
		say_now(to, parcel->bytes + parcel->sent, now);
		parcel->sent += now;
		if (parcel->sent < parcel->length) {
			parcel->due_ms = clock_monotonic_ms() + DRIP_EVERY_MS;
			continue;
		}
		list_remove(&parcel->link);
		free(parcel);
	}
	if (to->ends_after) {
		tell_the_end(to);
	}
}

static void put_parcel(struct side *to, const char *bytes, size_t length)
{
	struct parcel *parcel = allocate(sizeof *parcel + length);
	struct route *route = to->pair->route;
	const bool waits = to->pair->wound == WOUND_DELAY;

	parcel->due_ms = clock_monotonic_ms() + (waits ? plan_random(&route->plan, route->plan.delay_ms + 1) : 0);
	parcel->sent = 0;
	parcel->length = length;
	memcpy(parcel->bytes, bytes, length);
	list_add_last(&to->parcels, &parcel->link);
	wait_for_parcel(to);
}

static void say(struct side *to, const char *bytes, size_t length)
{
	const enum wound wound = to->pair->wound;

	if (to->is_closing || length == 0) {
		return;
	}
	if (wound == WOUND_DELAY || wound == WOUND_DRIP || !list_is_empty(&to->parcels)) {
		put_parcel(to, bytes, length);
	} else {
		say_now(to, bytes, length);
	}
}

// --- hearing ---

// What of it passes. The byte where the connection is to break may be among them.
static size_t pass(struct pair *pair, size_t length)
{
	const bool breaks = pair->wound == WOUND_RESET || pair->wound == WOUND_HOLE;
	const int64_t left = pair->at_byte - pair->passed;

	pair->passed += (int64_t)length;
	if (!breaks || left > (int64_t)length) {
		return length;
	}
	pair->is_hole = true;
	pair->route->wire->wounds[pair->wound]++;
	if (pair->wound == WOUND_HOLE) {
		hang(pair);
	}
	return left > 0 ? (size_t)left : 0;
}

static void say_wounded(struct side *to, const char *bytes, size_t length)
{
	struct pair *pair = to->pair;

	say(to, bytes, pass(pair, length));
	if (pair->is_hole && pair->wound == WOUND_RESET) {
		pair_reset(pair);
	}
}

static void lose_answers(struct pair *pair)
{
	pair->answers_are_lost = true;
	if (pair->commit_wound == WOUND_SWALLOW) {
		hang(pair);
		return;
	}
	close_side(&pair->client, true); // the server is left alone until it has answered: it would roll back
	(void)uv_timer_start(&pair->timer, on_patience_ended, PATIENCE_MS, 0);
}

// The COMMIT of a transaction that was sent whole ends with its sync.
static void heard_postgres_client(struct pair *pair, const char *bytes, size_t length)
{
	const char *at = bytes, *begin = bytes;
	enum pg_saw saw;

	while ((saw = pg_frontend_read(&pair->frontend, &at, bytes + length)) != PG_SAW_NOTHING) {
		if (saw == PG_SAW_COMMIT) {
			pair->commit_wound = plan_wound(&pair->route->plan, WOUND_SWALLOW, WOUND_CUT_BEFORE);
			pair->route->wire->wounds[pair->commit_wound]++;
		}
		if (pair->commit_wound == WOUND_CUT_BEFORE) {
			say(&pair->server, bytes, (size_t)(begin - bytes));
			pair_reset(pair);
			return;
		}
		if (saw == PG_SAW_SYNC && pair->commit_wound != WOUND_NONE) {
			say_wounded(&pair->server, bytes, length);
			lose_answers(pair);
			return;
		}
		begin = at;
	}
	say_wounded(&pair->server, bytes, length);
}

static bool ends_with_ready(const char *bytes, size_t length)
{
	return length >= 6 && memcmp(bytes + length - 6, "Z\0\0\0\5", 5) == 0;
}

static void heard(struct side *from, const char *bytes, size_t length)
{
	struct pair *pair = from->pair;

	pair->route->asked_bytes += from == &pair->client ? length : 0;
	if (pair->is_hole || pair->route->is_cut) {
		return;
	}
	if (from == &pair->server && pair->answers_are_lost) {
		if (pair->client.is_closing && ends_with_ready(bytes, length)) {
			pair_reset(pair);
		}
		return;
	}
	if (from == &pair->client && pair->route->is_postgres) {
		heard_postgres_client(pair, bytes, length);
	} else {
		say_wounded(from->other, bytes, length);
	}
}

static void heard_the_end(struct side *from)
{
	struct side *to = from->other;

	if (from->pair->is_hole || from->pair->answers_are_lost || to->is_closing) {
		pair_reset(from->pair);
	} else if (list_is_empty(&to->parcels)) {
		tell_the_end(to);
	} else {
		to->ends_after = true;
	}
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	(void)handle;
	*out = uv_buf_init(allocate(suggested), (unsigned)suggested);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct side *side = CONTAINER_OF(stream, struct side, stream);

	if (length > 0) {
		heard(side, buffer->base, (size_t)length);
	} else if (length == UV_EOF) {
		(void)uv_read_stop(stream);
		heard_the_end(side);
	} else if (length < 0) {
		pair_reset(side->pair);
	}
	free(buffer->base);
}

// --- opening ---

static void on_connected(uv_connect_t *connect, int status)
{
	struct pair *pair = CONTAINER_OF(connect, struct pair, connect);

	if (pair->client.is_closing) {
		return;
	}
	if (status != 0 || uv_read_start(&pair->client.stream, on_allocate, on_read) != 0 ||
		uv_read_start(&pair->server.stream, on_allocate, on_read) != 0) {
		pair_reset(pair);
	}
}

static void init_timer(struct pair *pair, uv_timer_t *timer)
{
	(void)uv_timer_init(&pair->route->wire->loop->uv, timer);
	timer->data = pair;
	pair->open_handles++;
}

static void init_side(struct side *side, struct side *other, struct pair *pair, bool is_tcp)
{
	uv_loop_t *loop = &pair->route->wire->loop->uv;

	side->pair = pair;
	side->other = other;
	side->is_tcp = is_tcp;
	list_init(&side->parcels);
	(void)(is_tcp ? uv_tcp_init(loop, &side->tcp) : uv_pipe_init(loop, &side->pipe, 0));
	side->handle.data = pair;
	pair->open_handles++;
	init_timer(pair, &side->timer);
}

void pair_open(struct route *route)
{
	struct pair *pair = allocate(sizeof *pair);
	const bool is_path = route->target_path[0] != '\0';

	*pair = (struct pair){ .route = route };
	init_side(&pair->client, &pair->server, pair, true);
	init_side(&pair->server, &pair->client, pair, !is_path);
	init_timer(pair, &pair->timer);
	list_add_last(&route->pairs, &pair->link);
	route->wire->connections++;
	pair_begin_plan(pair);
	if (uv_accept((uv_stream_t *)&route->listener, &pair->client.stream) != 0) {
		pair_reset(pair);
		return;
	}
	(void)uv_tcp_nodelay(&pair->client.tcp, 1);
	if (is_path) {
		uv_pipe_connect(&pair->connect, &pair->server.pipe, route->target_path, on_connected);
		return;
	}
	(void)uv_tcp_nodelay(&pair->server.tcp, 1);
	if (uv_tcp_connect(&pair->connect, &pair->server.tcp, (const struct sockaddr *)&route->target_address, on_connected) != 0) {
		pair_reset(pair);
	}
}

// --- plans ---

void pair_begin_plan(struct pair *pair)
{
	struct plan *plan = &pair->route->plan;

	if (pair->is_hole || pair->answers_are_lost) {
		return;
	}
	pair->wound = plan_wound(plan, WOUND_DELAY, WOUND_HOLE);
	pair->at_byte = pair->passed + 1 + plan_random(plan, plan->within_bytes);
	if (pair->wound == WOUND_DELAY || pair->wound == WOUND_DRIP) {
		pair->route->wire->wounds[pair->wound]++;
	}
}

void pair_heal(struct pair *pair)
{
	if (pair->is_hole || pair->answers_are_lost) {
		pair_reset(pair);
		return;
	}
	pair->wound = WOUND_NONE;
	pair->commit_wound = WOUND_NONE;
}
