// SPDX-License-Identifier: Apache-2.0
//
// inbox.c - one delivery: planted fault, signature, duplicate, effect.
#include "receiver/receiver.h"

#include "depbroker/clock.h"
#include "depbroker/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void receiver_init(struct receiver *receiver)
{
	*receiver = (struct receiver){ .events = allocate_array(EVENTS_KEPT, sizeof(struct event)) };
	(void)receiver_inbox(receiver, TEXT(""), true);
}

struct inbox *receiver_inbox(struct receiver *receiver, struct text name, bool make)
{
	struct inbox *inbox;

	for (size_t i = 0; i < receiver->inbox_count; i++) {
		if (text_equal_string(name, receiver->inboxes[i]->name)) {
			return receiver->inboxes[i];
		}
	}
	if (!make) {
		return NULL;
	}
	inbox = allocate(sizeof *inbox);
	inbox->name = duplicate(name);
	receiver->inboxes = reallocate(receiver->inboxes, (receiver->inbox_count + 1) * sizeof(struct inbox *));
	receiver->inboxes[receiver->inbox_count++] = inbox;
	return inbox;
}

static void free_inbox(struct inbox *inbox)
{
	for (size_t i = 0; i < inbox->device_count; i++) {
		free(inbox->devices[i]->serial);
		free(inbox->devices[i]->tenant);
		free(inbox->devices[i]->instance);
		free(inbox->devices[i]->json);
		free(inbox->devices[i]);
	}
	for (size_t i = 0; i < inbox->seen.capacity; i++) {
		free(inbox->seen.slots[i].value);
	}
	text_index_fini(&inbox->seen);
	text_index_fini(&inbox->by_serial);
	free(inbox->devices);
	free(inbox->fault.retry_after);
	free(inbox->fault.location);
	free(inbox->fault.refuses);
	free(inbox->name);
	free(inbox->tenant);
	wipe(inbox->secrets, sizeof inbox->secrets);
	free(inbox);
}

void receiver_fini(struct receiver *receiver)
{
	for (size_t i = 0; i < receiver->inbox_count; i++) {
		free_inbox(receiver->inboxes[i]);
	}
	for (size_t i = 0; i < EVENTS_KEPT; i++) {
		free(receiver->events[i].body);
	}
	free(receiver->inboxes);
	free(receiver->events);
}

enum err inbox_set_secrets(struct inbox *inbox, struct text spelling, struct fault *fault)
{
	struct webhook_secret secrets[WEBHOOK_SECRETS_MAX];
	struct text rest = text_trim(spelling);
	size_t count = 0;

	while (rest.length > 0) {
		size_t length = 0;

		while (length < rest.length && strchr(" \t\r\n", rest.bytes[length]) == NULL) {
			length++;
		}
		if (count == WEBHOOK_SECRETS_MAX) {
			return fault_set(fault, ERR_BAD_INPUT, "at most %d secrets at a time", (int)WEBHOOK_SECRETS_MAX);
		}
		TRY(webhook_secret_parse(&secrets[count], (struct text){ rest.bytes, length }, fault));
		count++;
		rest = text_trim((struct text){ rest.bytes + length, rest.length - length });
	}
	if (count == 0) {
		return fault_set(fault, ERR_BAD_INPUT, "the body must be the secret, like whsec_...");
	}
	memcpy(inbox->secrets, secrets, sizeof secrets);
	inbox->secret_count = count;
	wipe(secrets, sizeof secrets);
	return OK;
}

// Each of the three headers exactly once: a repeated one is another one's attempt.
static bool is_authentic(const struct receiver *receiver, const struct inbox *inbox, const struct web_request *request,
	struct fault *fault)
{
	static const char *const names[] = { "webhook-id", "webhook-timestamp", "webhook-signature" };
	const struct webhook_headers headers = {
		web_header(request, names[0]), web_header(request, names[1]), web_header(request, names[2]),
	};

	for (size_t i = 0; i < 3; i++) {
		if (web_header_count(request, names[i]) != 1) {
			(void)fault_set(fault, ERR_REFUSED, "%s must come exactly once", names[i]);
			return false;
		}
	}
	const int64_t now_s = clock_wall_us() / SECOND_US + receiver->skew_s;

	(void)fault_set(fault, ERR_REFUSED, "no secret is known here yet");
	for (size_t i = 0; i < inbox->secret_count; i++) {
		if (webhook_verify(&inbox->secrets[i], &headers, request->body, now_s, fault)) {
			return true;
		}
	}
	return false;
}

static char *hash_text(struct text body)
{
	const struct digest_part part = { body.bytes, body.length };
	struct buffer hex = BUFFER(2 * SHA256_SIZE);
	unsigned char digest[SHA256_SIZE];

	sha256(digest, &part, 1);
	buffer_add_hex(&hex, digest, sizeof digest);
	return buffer_take(&hex);
}

static void keep_event(struct receiver *receiver, const struct inbox *inbox, struct text id, struct text body,
	const char *outcome)
{
	struct event *event = &receiver->events[receiver->event_count % EVENTS_KEPT];

	free(event->body);
	*event = (struct event){
		.number = ++receiver->event_count,
		.inbox = inbox->name,
		.body = duplicate(body),
		.outcome = outcome,
		.at_us = clock_wall_us(),
	};
	(void)snprintf(event->id, sizeof event->id, "%.*s", (int)id.length, id.bytes);
	if (receiver->is_printing) {
		(void)printf("%s%s%s %.*s\n", inbox->name, inbox->name[0] != '\0' ? " " : "", outcome, TEXT_ARGS(body));
		(void)fflush(stdout);
	}
}

// Whether it was seen before; an id that comes back with another body is a broken promise of the sender.
static bool is_duplicate(struct inbox *inbox, struct text id, struct text body)
{
	char *hash = hash_text(body);
	const char *known = text_index_find(&inbox->seen, id);
	char *key;

	if (known != NULL) {
		inbox->counters.duplicates++;
		inbox->counters.conflicts += strcmp(known, hash) != 0;
		free(hash);
		return true;
	}
	key = duplicate(id);
	text_index_put(&inbox->seen, key, hash);
	free(key);
	return false;
}

// `normal` is its body written anew, so that it is the same alone and among others.
static void take_event(struct receiver *receiver, struct inbox *inbox, struct text id, struct text normal, struct text body,
	yyjson_val *event)
{
	if (!is_duplicate(inbox, id, normal)) {
		inbox->counters.accepted++;
		keep_event(receiver, inbox, id, body, inbox_apply(inbox, event));
	}
}

static void take_batch(struct receiver *receiver, struct inbox *inbox, yyjson_val *events)
{
	yyjson_val *event;
	size_t at, count;

	inbox->counters.malformed += yyjson_arr_size(events) == 0;
	yyjson_arr_foreach(events, at, count, event) {
		if (json_text(event, "id").length == 0) {
			inbox->counters.malformed++;
			continue;
		}
		yyjson_mut_doc *alone = yyjson_mut_doc_new(NULL);
		yyjson_mut_val *root = yyjson_val_mut_copy(alone, event);
		char *body;

		(void)yyjson_mut_obj_remove_key(root, "id");
		body = yyjson_mut_val_write(root, 0, NULL);
		take_event(receiver, inbox, json_text(event, "id"), text_of(body), text_of(body), event);
		free(body);
		yyjson_mut_doc_free(alone);
	}
}

static void take_message(struct receiver *receiver, struct inbox *inbox, struct text id, struct text body, yyjson_val *root)
{
	char *normal = root != NULL ? yyjson_val_write(root, 0, NULL) : NULL;

	take_event(receiver, inbox, id, normal != NULL ? text_of(normal) : body, body, root);
	free(normal);
}

static void take_in(struct receiver *receiver, struct inbox *inbox, struct web_request *request,
	struct web_answer *answer)
{
	struct fault fault = { 0 };
	yyjson_doc *doc;
	yyjson_val *root;

	if (!is_authentic(receiver, inbox, request, &fault)) {
		inbox->counters.refused++;
		web_answer_text(answer, 401, fault.text);
		return;
	}
	answer->status = 204;
	receiver->is_changed = true;
	doc = inbox_parse(request->body);
	root = yyjson_doc_get_root(doc);
	if (text_equal_string(json_text(root, "type"), "batch")) {
		take_batch(receiver, inbox, yyjson_obj_get(yyjson_obj_get(root, "data"), "events"));
	} else {
		take_message(receiver, inbox, web_header(request, "webhook-id"), request->body, root);
	}
	yyjson_doc_free(doc);
}

static void apply_fault(struct inbox *inbox, struct web_answer *answer)
{
	struct planted_fault *fault = &inbox->fault;

	inbox->counters.faults++;
	fault->times -= fault->times > 0;
	answer->delay_ms = fault->delay_ms;
	answer->reset = fault->reset;
	if (fault->status != 0) {
		web_answer_text(answer, fault->status, "");
	}
	if (fault->retry_after != NULL) {
		web_answer_header(answer, "Retry-After", fault->retry_after);
	}
	if (fault->location != NULL) {
		web_answer_header(answer, "Location", fault->location);
	}
	for (int64_t i = 0; i < fault->body_bytes; i += 64) {
		buffer_add_string(&answer->body, "the answer of a receiver that talks too much, and says nothing!\n");
	}
}

// The ways in which receivers fail, and one in which they only are slow.
static const struct mixed_fault {
	unsigned status; // 0: what it would answer
	const char *retry_after;
	int64_t delay_ms;
	bool reset;
	bool perform;
} mixed_faults[] = {
	{ .status = 500 },
	{ .status = 503, .retry_after = "1" },
	{ .reset = true },
	{ .delay_ms = 200, .perform = true },
	{ .reset = true, .perform = true }, // taken in, but the answer is lost
	{ .status = 502, .perform = true },
};

static uint64_t next_random(uint64_t *random) // splitmix64
{
	uint64_t mixed = *random += 0x9e3779b97f4a7c15;

	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
	return mixed ^ (mixed >> 31);
}

static const struct mixed_fault *choose_mixed_fault(struct planted_fault *fault)
{
	if (next_random(&fault->random) % 1000 >= (uint64_t)fault->mixed_permille) {
		return NULL;
	}
	return &mixed_faults[next_random(&fault->random) % (sizeof mixed_faults / sizeof *mixed_faults)];
}

static void receive_in_the_mix(struct receiver *receiver, struct inbox *inbox, struct web_request *request,
	struct web_answer *answer)
{
	const struct mixed_fault *fault = choose_mixed_fault(&inbox->fault);

	if (fault == NULL || fault->perform) {
		take_in(receiver, inbox, request, answer);
	}
	if (fault == NULL) {
		return;
	}
	inbox->counters.faults++;
	answer->delay_ms = fault->delay_ms;
	answer->reset = fault->reset;
	if (fault->status != 0) {
		web_answer_text(answer, fault->status, "");
	}
	if (fault->retry_after != NULL) {
		web_answer_header(answer, "Retry-After", fault->retry_after);
	}
}

void inbox_receive(struct receiver *receiver, struct inbox *inbox, struct web_request *request, struct web_answer *answer)
{
	const struct planted_fault *fault = &inbox->fault;
	const bool is_faulty = fault->times != 0;

	inbox->counters.received++;
	if (is_faulty && fault->refuses != NULL && text_contains_ignoring_case(request->body, fault->refuses)) {
		inbox->counters.faults++;
		web_answer_text(answer, 422, "this one I do not take");
		return;
	}
	if (is_faulty && fault->mixed_permille > 0) {
		receive_in_the_mix(receiver, inbox, request, answer);
		return;
	}
	if (!is_faulty || fault->perform || (fault->status == 0 && !fault->reset)) {
		take_in(receiver, inbox, request, answer);
	}
	if (is_faulty) {
		apply_fault(inbox, answer);
	}
}
