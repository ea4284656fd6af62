// SPDX-License-Identifier: Apache-2.0
//
// http_client.c - the life of a call: waiting in its lane, on its way in curl, finished, done.
#include "loop/http_client.h"

#include "depbroker/clock.h"
#include "depbroker/retry_after.h"
#include "loop/http_lanes.h"
#include "loop/http_transfer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IN_FLIGHT         32
#define IN_FLIGHT_PER_KEY 2
#define CONNECTIONS       32
#define NAMES_KEPT_MS     300000

struct http_client {
	struct http_client_config config;
	struct curl_loop curl;
	struct resolver *resolver; // these two of a guarded client; otherwise libcurl asks
	struct http_targets *targets;
	struct http_lanes lanes;
	struct list calls; // of all that have not finished
	struct deferred sender;
	CURL **spare;      // easy handles, reset; as many as may be in flight
	size_t spare_count;
	struct http_client_counters counters;
	unsigned not_done; // calls, curl, and the resolver
	bool is_closing;
	void (*closed)(void *argument);
	void *closed_argument;
};

// struct http_call.inner
struct exchange {
	struct http_transfer transfer;
	struct http_client *client;
	enum { EXCHANGE_IDLE, EXCHANGE_WAITING, EXCHANGE_LOOKING_UP, EXCHANGE_ON_ITS_WAY, EXCHANGE_FINISHED } state;
	struct list link; // in client->calls
	struct http_place place;
	struct resolver_question question; // while it is looking up
	CURL *easy; // NULL until it is handed to curl
	struct delay deadline;
	int64_t started_at_ms;
	enum err rc;
	void (*sending)(struct http_call *call);
	struct deferred going_on;
};

static struct exchange *exchange_of(const struct http_call *call)
{
	return call->inner;
}

static CURL *take_easy(struct http_client *client)
{
	CURL *easy = client->spare_count > 0 ? client->spare[--client->spare_count] : curl_easy_init();

	if (easy == NULL) {
		abort();
	}
	return easy;
}

static void give_back_easy(struct http_client *client, CURL *easy)
{
	curl_easy_reset(easy); // it must remember nothing of this call, but for curl's connections, which are everybody's
	client->spare[client->spare_count++] = easy;
}

static void maybe_closed(struct http_client *client)
{
	if (client->not_done > 0 || !client->is_closing) {
		return;
	}
	void (*closed)(void *argument) = client->closed;
	void *argument = client->closed_argument;

	if (client->targets != NULL) {
		http_targets_free(client->targets);
	}
	free(client->spare);
	free(client);
	closed(argument);
}

static void on_deadline_closed(struct delay *deadline)
{
	struct exchange *exchange = CONTAINER_OF(deadline, struct exchange, deadline);
	struct http_client *client = exchange->client;
	struct http_call *call = exchange->transfer.call;

	if (exchange->rc == OK) {
		client->counters.succeeded++;
	} else {
		client->counters.failed++;
		http_transfer_wipe(&exchange->transfer); // half an answer is none
	}
	call->took_ms = clock_monotonic_ms() - exchange->started_at_ms;
	exchange->state = EXCHANGE_IDLE;
	op_done(&call->op, exchange->rc); // may free the exchange
	client->not_done--;
	maybe_closed(client);
}

static void send_later(struct http_client *client)
{
	if (!client->is_closing && !list_is_linked(&client->sender.link)) {
		loop_defer(client->curl.loop, &client->sender);
	}
}

// Takes the call out of everything. Its deadline is a handle of the loop that closes later: that is when it completes.
static void finish(struct exchange *exchange, enum err rc)
{
	struct http_client *client = exchange->client;

	assert(exchange->state != EXCHANGE_IDLE && exchange->state != EXCHANGE_FINISHED);
	loop_forget(&exchange->going_on);
	resolver_give_up(&exchange->question);
	if (exchange->easy != NULL) {
		curl_loop_remove(&client->curl, exchange->easy);
		give_back_easy(client, exchange->easy);
		exchange->easy = NULL;
	}
	http_lanes_leave(&client->lanes, &exchange->place);
	list_remove(&exchange->link);
	exchange->rc = rc;
	exchange->state = EXCHANGE_FINISHED;
	delay_close(&exchange->deadline, on_deadline_closed);
	send_later(client);
}

static void on_finished(struct curl_loop *curl, CURL *easy, CURLcode result)
{
	struct http_transfer *transfer = NULL;
	struct exchange *exchange;

	(void)curl;
	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
	exchange = CONTAINER_OF(transfer, struct exchange, transfer);
	finish(exchange, http_transfer_result(transfer, easy, result, &transfer->call->op.fault));
}

static void on_deadline(struct delay *deadline)
{
	struct exchange *exchange = CONTAINER_OF(deadline, struct exchange, deadline);
	struct http_call *call = exchange->transfer.call;
	const char *what = exchange->state == EXCHANGE_WAITING ? "the request was not sent: its turn did not come"
		: exchange->state == EXCHANGE_LOOKING_UP ? "the request was not sent: the host's name was not resolved" : "no answer";

	finish(exchange, fault_set(&call->op.fault, ERR_TIMEOUT, "%s within %lld ms", what, (long long)call->timeout_ms));
}

static void hand_to_curl(struct exchange *exchange)
{
	struct http_client *client = exchange->client;
	struct http_call *call = exchange->transfer.call;
	enum err rc;

	exchange->state = EXCHANGE_ON_ITS_WAY;
	call->sent_at_us = clock_wall_us();
	if (exchange->sending != NULL) {
		exchange->sending(call);
	}
	if (exchange->state != EXCHANGE_ON_ITS_WAY) { // it was cancelled by the hook
		return;
	}
	CURL *easy = take_easy(client);

	rc = http_transfer_prepare(&exchange->transfer, easy, &call->op.fault);
	if (rc != OK) {
		give_back_easy(client, easy);
		finish(exchange, rc);
		return;
	}
	exchange->easy = easy;
	curl_loop_add(&client->curl, easy);
}

static void judge(struct exchange *exchange, const struct host_addresses *addresses)
{
	struct http_client *client = exchange->client;
	struct http_target *target = exchange->transfer.target;
	const enum err rc = http_target_judge(target, &client->config, addresses, &exchange->transfer.call->op.fault);

	if (rc != OK) {
		client->counters.refused_addresses++;
		finish(exchange, rc);
	} else {
		http_targets_keep(client->targets, target);
		hand_to_curl(exchange);
	}
}

static void on_answered(struct resolver_question *question, const struct host_addresses *addresses)
{
	struct exchange *exchange = CONTAINER_OF(question, struct exchange, question);

	if (addresses == NULL) {
		finish(exchange, fault_set(&exchange->transfer.call->op.fault, ERR_NETWORK, "the host's name could not be resolved"));
	} else {
		judge(exchange, addresses);
	}
}

// A guarded request goes to libcurl when all addresses of its host are known and none is refused; before that it is looking up.
static enum err find_addresses(struct exchange *exchange, struct fault *fault)
{
	struct http_transfer *transfer = &exchange->transfer;

	exchange->state = EXCHANGE_LOOKING_UP;
	transfer->target = http_targets_find(exchange->client->targets, transfer->call->url);
	if (transfer->target != NULL) {
		hand_to_curl(exchange);
		return OK;
	}
	TRY(http_target_read(&transfer->target, transfer->call->url, fault));
	if (transfer->target->literal != NULL) {
		judge(exchange, transfer->target->literal);
		return OK;
	}
	exchange->question.answered = on_answered;
	return resolver_ask(exchange->client->resolver, &exchange->question, transfer->call->lane_key, transfer->target->host, fault);
}

static void send_one(struct exchange *exchange)
{
	enum err rc;

	if (exchange->client->config.guard == HTTP_ADDRESS_ANY) {
		hand_to_curl(exchange);
		return;
	}
	rc = find_addresses(exchange, &exchange->transfer.call->op.fault);
	if (rc != OK) {
		finish(exchange, rc);
	}
}

static void on_send(struct deferred *deferred)
{
	struct http_client *client = CONTAINER_OF(deferred, struct http_client, sender);
	struct http_place *place;

	while (!client->is_closing && (place = http_lanes_next(&client->lanes)) != NULL) {
		send_one(CONTAINER_OF(place, struct exchange, place));
	}
}

void http_call_init(struct http_call *call, void (*done)(struct op *op))
{
	struct exchange *exchange = allocate(sizeof *exchange);

	*call = (struct http_call){ .inner = exchange };
	op_init(&call->op, done);
	exchange->transfer.call = call;
}

void http_call_on_sending(struct http_call *call, void (*sending)(struct http_call *call))
{
	exchange_of(call)->sending = sending;
}

static bool is_method(const char *method)
{
	static const char methods[][8] = { "GET", "POST", "PUT", "DELETE" };

	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		if (strcmp(method, methods[i]) == 0) {
			return true;
		}
	}
	return false;
}

void http_call_start(struct http_call *call, struct http_client *client)
{
	struct exchange *exchange = exchange_of(call);

	assert(exchange->state == EXCHANGE_IDLE && call->timeout_ms > 0 && is_method(call->method));
	call->op.fault.text[0] = '\0';
	call->certificate_is_refused = false;
	http_transfer_wipe(&exchange->transfer);
	exchange->client = client;
	exchange->transfer.config = &client->config;
	exchange->transfer.curl = &client->curl;
	exchange->transfer.refused_addresses = &client->counters.refused_addresses;
	exchange->started_at_ms = clock_monotonic_ms();
	exchange->state = EXCHANGE_WAITING;
	client->counters.started++;
	client->not_done++;
	list_add_last(&client->calls, &exchange->link);
	http_lanes_wait(&client->lanes, &exchange->place, call->lane_key);
	delay_init(&exchange->deadline, client->curl.loop, on_deadline);
	delay_start(&exchange->deadline, call->timeout_ms);
	if (client->is_closing) {
		finish(exchange, ERR_CANCELLED);
	} else {
		send_later(client);
	}
}

// Outside of curl, which may call for and bring parts from inside of this.
static void on_going_on(struct deferred *going_on)
{
	struct exchange *exchange = CONTAINER_OF(going_on, struct exchange, going_on);
	const CURLcode result = curl_easy_pause(exchange->easy, CURLPAUSE_CONT);

	if (result != CURLE_OK) { // of a part that nobody takes any more: the transfer does not end by itself
		finish(exchange, http_transfer_result(&exchange->transfer, exchange->easy, result, &exchange->transfer.call->op.fault));
	}
}

void http_call_go_on(struct http_call *call)
{
	struct exchange *exchange = exchange_of(call);

	if (exchange != NULL && exchange->state == EXCHANGE_ON_ITS_WAY && exchange->easy != NULL && !list_is_linked(&exchange->going_on.link)) {
		exchange->going_on.run = on_going_on;
		loop_defer(exchange->client->curl.loop, &exchange->going_on);
	}
}

void http_call_cancel(struct http_call *call)
{
	struct exchange *exchange = exchange_of(call);

	if (exchange == NULL || exchange->state == EXCHANGE_IDLE) {
		return;
	}
	if (exchange->state == EXCHANGE_FINISHED) { // whoever cancels does not want to hear of the result
		exchange->rc = ERR_CANCELLED;
	} else {
		finish(exchange, ERR_CANCELLED);
	}
	call->op.fault.text[0] = '\0';
}

void http_call_fini(struct http_call *call)
{
	struct exchange *exchange = exchange_of(call);

	if (exchange == NULL) {
		return;
	}
	assert(exchange->state == EXCHANGE_IDLE);
	http_transfer_wipe(&exchange->transfer);
	free(exchange);
	call->inner = NULL;
}

// Takes one line off the front, without its end.
static struct text take_line(struct text *rest)
{
	const char *end = memchr(rest->bytes, '\n', rest->length);
	struct text line = *rest;

	line.length = end != NULL ? (size_t)(end - rest->bytes) : rest->length;
	*rest = end != NULL ? (struct text){ end + 1, rest->length - line.length - 1 } : TEXT_NONE;
	return line;
}

struct text http_call_header(const struct http_call *call, const char *name)
{
	const struct exchange *exchange = exchange_of(call);
	const size_t name_length = strlen(name);
	struct text rest = exchange != NULL ? buffer_text(&exchange->transfer.head) : TEXT_NONE;
	struct text found = TEXT_NONE;

	while (rest.length > 0) {
		const struct text line = take_line(&rest);

		if (line.length > name_length && line.bytes[name_length] == ':' &&
			text_equal_ignoring_case((struct text){ line.bytes, name_length }, (struct text){ name, name_length })) {
			found = text_trim((struct text){ line.bytes + name_length + 1, line.length - name_length - 1 });
		}
	}
	return found;
}

int64_t http_retry_after_s(struct text value, int64_t now_us)
{
	return retry_after_parse(value, now_us);
}

static enum err check_config(const struct http_client_config *config, struct fault *fault)
{
	assert(config->user_agent != NULL && config->user_agent[0] != '\0');
	if (config->ca_file != NULL && access(config->ca_file, R_OK) != 0) {
		return fault_set(fault, ERR_BAD_INPUT, "%s: the certificates in %s cannot be read: %s", config->name,
			config->ca_file, strerror(errno));
	}
	if (config->proxy != NULL && config->guard != HTTP_ADDRESS_ANY) {
		return fault_set(fault, ERR_BAD_INPUT, "%s: behind a proxy addresses cannot be guarded, for the proxy connects",
			config->name);
	}
	return OK;
}

enum err http_client_open(struct http_client **out, struct loop *loop, const struct http_client_config *config,
	struct fault *fault)
{
	struct http_client *client;

	*out = NULL;
	TRY(check_config(config, fault));
	client = allocate(sizeof *client);
	client->config = *config;
	client->config.in_flight = config->in_flight > 0 ? config->in_flight : IN_FLIGHT;
	client->config.in_flight_per_key = config->in_flight_per_key > 0 ? config->in_flight_per_key : IN_FLIGHT_PER_KEY;
	client->config.connections = config->connections > 0 ? config->connections : CONNECTIONS;
	client->config.names_kept_ms = config->names_kept_ms > 0 ? config->names_kept_ms : NAMES_KEPT_MS;
	client->spare = allocate_array(client->config.in_flight, sizeof *client->spare);
	client->sender.run = on_send;
	client->not_done = 1;
	list_init(&client->calls);
	http_lanes_init(&client->lanes, client->config.in_flight, client->config.in_flight_per_key);
	curl_loop_open(&client->curl, loop, on_finished);
	(void)curl_multi_setopt(client->curl.multi, CURLMOPT_MAXCONNECTS, (long)client->config.connections);
	if (client->config.guard != HTTP_ADDRESS_ANY) {
		client->resolver = resolver_open(loop);
		client->targets = http_targets_new(client->config.names_kept_ms);
		client->not_done++;
	}
	*out = client;
	return OK;
}

static void on_resolver_closed(void *argument)
{
	struct http_client *client = argument;

	client->not_done--;
	maybe_closed(client);
}

static void on_curl_closed(struct curl_loop *curl)
{
	struct http_client *client = CONTAINER_OF(curl, struct http_client, curl);

	client->not_done--;
	maybe_closed(client);
}

void http_client_close(struct http_client *client, void (*closed)(void *argument), void *argument)
{
	assert(!client->is_closing);
	client->is_closing = true;
	client->closed = closed;
	client->closed_argument = argument;
	loop_forget(&client->sender);
	LIST_EACH(at, after, &client->calls) {
		finish(CONTAINER_OF(at, struct exchange, link), ERR_CANCELLED);
	}
	while (client->spare_count > 0) {
		curl_easy_cleanup(client->spare[--client->spare_count]);
	}
	if (client->resolver != NULL) {
		resolver_close(client->resolver, on_resolver_closed, client);
	}
	curl_loop_close(&client->curl, on_curl_closed);
}

struct http_client_counters http_client_counters(const struct http_client *client)
{
	struct http_client_counters counters = client->counters;

	counters.waiting = client->lanes.waiting;
	counters.in_flight = client->lanes.on_their_way;
	return counters;
}
