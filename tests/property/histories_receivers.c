// SPDX-License-Identifier: Apache-2.0
//
// histories_receivers.c - the log's events on their way to each instance, at least once and in order; and what it makes of them.
#include "property/histories.h"
#include "depbroker/retry_after.h"
#include "tenants/retry.h"
#include "tenants/webhook.h"

#include <string.h>

enum { TRIES_MAX = 12 }; // in one run

static void believe(struct receiver *receiver, const struct logged *event)
{
	const unsigned device = 1U << event->device;

	if (event->type == EVENT_DEVICE_ADDED) {
		LAW((receiver->holds & device) == 0, "%s is added to place %zu, which has it", serials[event->device], place_of(event->instance_id));
		receiver->holds |= device;
	} else {
		LAW((receiver->holds & device) != 0, "place %zu hears %s of %s, which it does not have", place_of(event->instance_id),
			event_type_name(event->type), serials[event->device]);
		receiver->holds &= event->type == EVENT_DEVICE_REMOVED ? ~device : ~0U;
	}
}

static void hear(size_t client, struct receiver *receiver, const struct logged *event)
{
	struct buffer body CLEANUP(buffer_fini) = BUFFER(8192);
	char id[WEBHOOK_ID_SIZE + 1];
	char *heard = receiver->ids[receiver->at];
	const struct event_row row = {
		.seq = (int64_t)receiver->at + 1, .at_us = event->at_us, .type = event->type, .serial_number = text_of(serials[event->device]),
		.instance = TEXT("one"), .device_json = event->json, .reason = event->reason,
	};

	event_body_write(&body, TEXT("acme"), 1, &row);
	webhook_message_id(id, (int64_t)client + 1, 1, row.seq, buffer_text(&body));
	LAW(heard[0] == '\0' || strcmp(heard, id) == 0, "event %zu of client %zu was another one before", receiver->at + 1, client);
	if (heard[0] == '\0') {
		memcpy(heard, id, sizeof id);
		believe(receiver, event);
		world.delivered++;
	}
}

// What the endpoint answers; 0: no answer came.
static int try_once(size_t client, struct receiver *receiver, const struct logged *event)
{
	const unsigned fate = world.faults ? (unsigned)random_below(20) : 19;

	if (fate > 1) {
		hear(client, receiver, event);
	}
	switch (fate) {
	case 0: return 0;   // it was lost
	case 1: return 503;
	case 2: return 0;   // it was heard, and the answer was lost
	case 3: return 429;
	default: return 204;
	}
}

static void deliver_next(size_t client, struct receiver *receiver)
{
	const struct logged *event = &world.clients[client].events[receiver->at];
	const enum retry_outcome outcome = retry_outcome(try_once(client, receiver, event));
	int64_t wait_ms;

	if (outcome == RETRY_DELIVERED) {
		receiver->at++;
		receiver->attempts = 0;
		return;
	}
	receiver->attempts += receiver->attempts < RETRY_ATTEMPTS - 1;
	wait_ms = retry_delay_ms(receiver->attempts, random_next(), outcome == RETRY_SLOW_DOWN ? 30 : RETRY_AFTER_NONE);
	LAW(wait_ms >= (outcome == RETRY_SLOW_DOWN ? 30000 : 4000), "place tried again in %lld ms", (long long)wait_ms);
	receiver->next_try_us = world.now_us + wait_ms * 1000;
}

void deliver(size_t client)
{
	struct client *of = &world.clients[client];

	for (size_t place = 1; place <= PLACES; place++) {
		struct receiver *receiver = &of->receivers[place];

		for (int left = TRIES_MAX; left > 0 && receiver->at < of->stored.event_count && receiver->next_try_us <= world.now_us;) {
			if (of->events[receiver->at].instance_id != instance_of(client, place)) {
				receiver->at++;
			} else {
				deliver_next(client, receiver);
				left--;
			}
		}
	}
}
