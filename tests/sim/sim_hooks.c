// SPDX-License-Identifier: Apache-2.0
//
// sim_hooks.c - http_client.h as deliveries call it, and the MDM servers that receive: each knows every message id and body that it ever got.
#include "loop/pg.h"
#include "sim/sim.h"

#include "loop/http_client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SEQ_MAX = 1024, TIMEOUT_MS = 15000 };

struct received {
	bool here;
	struct text id, body;
};

static struct receiver { // of a client
	struct received *events; // [seq - 1], of those that were told
	int64_t told;
	int64_t newest[SIM_DEVICES];
} *receivers;

struct sim_http {
	struct http_call *call;
	struct sim_life *life;
	enum err rc;
	unsigned status;
	int retry_after_s;
	char retry_after[16];
};

struct http_client {
	int unused;
};

enum err address_ranges_parse(struct address_range **out, size_t *count, struct text list, struct fault *fault)
{
	(void)list;
	(void)fault;
	*out = NULL;
	*count = 0;
	return OK;
}

void address_range_write(struct buffer *out, const struct address_range *range)
{
	(void)out;
	(void)range;
}

size_t pg_ports(const char *database_url, unsigned ports[PG_PORTS_MAX])
{
	(void)database_url;
	(void)ports;
	return 0;
}

enum err http_client_open(struct http_client **out, struct loop *loop, const struct http_client_config *config, struct fault *fault)
{
	(void)loop;
	(void)config;
	(void)fault;
	*out = NULL;
	return OK;
}

void http_client_close(struct http_client *client, void (*closed)(void *argument), void *argument)
{
	(void)client;
	sim_at(sim.now_us, sim.life, closed, argument);
}

bool sim_hook_has(const struct sim_tenant *tenant, int64_t seq)
{
	const struct receiver *receiver = &receivers[tenant->id - 1];

	return seq <= receiver->told && receiver->events[seq - 1].here;
}

static int64_t number_after(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	LAW(at != NULL, "a message without %s: %s", name, text);
	return strtoll(at + strlen(name), NULL, 10);
}

static const char *header_of(const struct http_call *call, const char *name)
{
	for (size_t i = 0; i < HTTP_CALL_HEADERS_MAX && call->headers[i] != NULL; i++) {
		if (strncmp(call->headers[i], name, strlen(name)) == 0) {
			return call->headers[i] + strlen(name);
		}
	}
	LAW(false, "a message without %s", name);
}

static void check_event(const struct sim_tenant *tenant, int64_t instance_id, int64_t seq, const char *body)
{
	const struct stored_event *event;

	LAW(seq >= 1 && seq <= tenant->stream.event_seq, "client %lld: event %lld is delivered before it is stored", (long long)tenant->id,
		(long long)seq);
	event = &tenant->events[seq - 1];
	LAW(event->instance_id == instance_id, "client %lld: event %lld of instance %lld is delivered to %lld", (long long)tenant->id,
		(long long)seq, (long long)event->instance_id, (long long)instance_id);
	LAW(strstr(body, event->event.serial_number.bytes) != NULL, "client %lld: event %lld is about another device", (long long)tenant->id,
		(long long)seq);
}

// Repetitions are welcome, with the same id and body; what is new comes in order, for each device.
static void receive(const struct http_call *call, struct sim_tenant *tenant, int64_t instance_id)
{
	struct receiver *receiver = &receivers[tenant->id - 1];
	const int64_t seq = number_after(call->body.bytes, "\"seq\":");
	const int64_t device = number_after(call->body.bytes, "\"serial_number\":\"T") >= 0 ?
		strtoll(strstr(strstr(call->body.bytes, "\"serial_number\":\"T"), "D") + 1, NULL, 10) : 0;
	const struct text id = text_of(header_of(call, "webhook-id: "));
	struct received *received;

	assert(seq <= SEQ_MAX);
	check_event(tenant, instance_id, seq, call->body.bytes);
	while (receiver->told < seq) {
		receiver->events[receiver->told++] = (struct received){ .here = false };
	}
	received = &receiver->events[seq - 1];
	sim_trace("hook", tenant->id, instance_id, seq);
	if (received->here) {
		LAW(text_equal(received->id, id) && text_equal(received->body, call->body), "client %lld: event %lld comes with another id or body",
			(long long)tenant->id, (long long)seq);
		return;
	}
	LAW(seq > receiver->newest[device] || tenant->events[receiver->newest[device] - 1].instance_id != instance_id,
		"client %lld: event %lld of device %lld comes after %lld", (long long)tenant->id, (long long)seq, (long long)device,
		(long long)receiver->newest[device]);
	receiver->newest[device] = seq;
	*received = (struct received){ true, sim_keep(id), sim_keep(call->body) };
}

static void on_answer(void *argument)
{
	struct sim_http *at = argument;

	at->call->status = at->status;
	at->call->took_ms = 1;
	if (at->rc != OK) {
		(void)fault_set(&at->call->op.fault, at->rc, "%s", err_text(at->rc));
	}
	sim_trace("hooked", at->rc, at->status, 0);
	op_done(&at->call->op, at->rc);
}

static const struct {
	enum fault_kind kind;
	enum err rc;
	unsigned status;
	bool received;
} troubles[] = {
	{ FAULT_HOOK_LOST, ERR_NETWORK, 0, false },
	{ FAULT_HOOK_ANSWER_LOST, ERR_TIMEOUT, 0, true },
	{ FAULT_HOOK_5XX, OK, 503, false },
	{ FAULT_HOOK_429, OK, 429, false },
	{ FAULT_HOOK_410, OK, 410, false },
};

static void on_request(void *argument)
{
	struct sim_http *at = argument;
	struct text rest;
	int64_t tenant_id, instance_id;
	struct sim_tenant *tenant;
	bool received = true;

	if (at->life->dead) { // what it would have sent is gone with it
		return;
	}
	tenant_id = sim_number(text_of(at->call->url), 'h', &rest);
	instance_id = tenant_id > 0 ? sim_number(rest, '/', NULL) : -1;
	LAW(instance_id > 0, "a message to %s", at->call->url);
	tenant = sim_tenant_of(tenant_id);
	at->status = 200;
	at->retry_after_s = -1;
	for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
		if (sim_meets(tenant, troubles[i].kind)) {
			at->rc = troubles[i].rc;
			at->status = troubles[i].status;
			received = troubles[i].received;
			at->retry_after_s = at->status == 429 ? (int)sim_between(1, 300) : -1;
			break;
		}
	}
	if (received) {
		receive(at->call, tenant, instance_id);
	}
	sim_at(sim.now_us + (at->rc == ERR_TIMEOUT ? TIMEOUT_MS : sim_between(1, 200)) * MS_US, at->life, on_answer, at);
}

void http_call_init(struct http_call *call, void (*done)(struct op *op))
{
	*call = (struct http_call){ 0 };
	op_init(&call->op, done);
}

void http_call_on_sending(struct http_call *call, void (*sending)(struct http_call *call))
{
	sending(call);
}

void http_call_start(struct http_call *call, struct http_client *client)
{
	struct sim_http *at = sim_take(sizeof *at);

	(void)client;
	*at = (struct sim_http){ .call = call, .life = sim.life };
	call->inner = at;
	sim.hooks++;
	sim_at(sim.now_us + sim_between(1, 200) * MS_US, NULL, on_request, at);
}

void http_call_fini(struct http_call *call)
{
	call->inner = NULL;
}

struct text http_call_header(const struct http_call *call, const char *name)
{
	struct sim_http *at = call->inner;

	(void)name;
	if (at->retry_after_s < 0) {
		return TEXT_NONE;
	}
	(void)snprintf(at->retry_after, sizeof at->retry_after, "%d", at->retry_after_s);
	return text_of(at->retry_after);
}

void sim_hooks_begin(void)
{
	receivers = sim_take((size_t)sim.shape->tenants * sizeof *receivers);
	for (int i = 0; i < sim.shape->tenants; i++) {
		receivers[i].events = sim_take_unset(SEQ_MAX * sizeof *receivers[i].events);
	}
}
