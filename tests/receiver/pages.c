// SPDX-License-Identifier: Apache-2.0
//
// pages.c - which request is which, and what tests ask for.
#include "receiver/receiver.h"

#include "rig/json.h"

#include <stdlib.h>
#include <string.h>

static void answer_json(struct web_answer *answer, unsigned status)
{
	answer->status = status;
	answer->content_type = "application/json";
}

static void refuse(struct web_answer *answer, unsigned status, const char *why)
{
	answer_json(answer, status);
	buffer_clear(&answer->body);
	buffer_add_string(&answer->body, "{\"error\":");
	buffer_add_json(&answer->body, text_of(why));
	buffer_add_string(&answer->body, "}");
}

static void take_secret(struct receiver *receiver, struct web_request *request, struct web_answer *answer, struct text name)
{
	struct fault fault = { 0 };

	if (inbox_set_secrets(receiver_inbox(receiver, name, true), request->body, &fault) != OK) {
		refuse(answer, 400, fault.text);
		return;
	}
	receiver->is_changed = true;
	answer_json(answer, 200);
	buffer_add_string(&answer->body, "{}");
}

static void take_message(struct receiver *receiver, struct web_request *request, struct web_answer *answer, struct text name)
{
	struct inbox *inbox = receiver_inbox(receiver, name, false);

	if (inbox == NULL) {
		refuse(answer, 404, "no secret was put for this name");
	} else {
		inbox_receive(receiver, inbox, request, answer);
	}
}

static void set_fault(struct planted_fault *fault, yyjson_val *json)
{
	yyjson_val *retry_after = yyjson_obj_get(json, "retry_after");

	free(fault->retry_after);
	free(fault->location);
	free(fault->refuses);
	*fault = (struct planted_fault){
		.times = json_number(json, "times", 1),
		.status = (unsigned)json_number(json, "status", 0),
		.delay_ms = json_number(json, "delay_ms", 0),
		.reset = json_flag(json, "reset"),
		.perform = json_flag(json, "perform"),
		.location = json_duplicate(json, "location"),
		.retry_after = yyjson_is_int(retry_after) ? yyjson_val_write(retry_after, 0, NULL)
												  : json_duplicate(json, "retry_after"),
		.body_bytes = json_number(json, "body_bytes", 0),
		.mixed_permille = json_number(json, "mixed_permille", 0),
		.random = (uint64_t)json_number(json, "seed", 1),
		.refuses = json_duplicate(json, "refuses"),
	};
	fault->times = fault->times == 0 ? -1 : fault->times;
}

static yyjson_doc *read_body(const struct web_request *request)
{
	char *bytes;

	memcpy(&bytes, &request->body.bytes, sizeof bytes); // read only, whatever yyjson's interface says
	return yyjson_read_opts(bytes, request->body.length, 0, NULL, NULL);
}

static bool is_meant(const struct inbox *inbox, struct text name) // without a name: all
{
	return name.bytes == NULL || text_equal_string(name, inbox->name);
}

static void take_fault(struct receiver *receiver, struct web_request *request, struct web_answer *answer, struct text none)
{
	yyjson_doc *doc = read_body(request);
	yyjson_val *root = yyjson_doc_get_root(doc);

	(void)none;
	answer_json(answer, 200);
	buffer_add_string(&answer->body, "{}");
	if (yyjson_is_obj(root)) {
		for (size_t i = 0; i < receiver->inbox_count; i++) {
			if (is_meant(receiver->inboxes[i], json_text(root, "name"))) {
				set_fault(&receiver->inboxes[i]->fault, root);
			}
		}
	} else {
		refuse(answer, 400, "the body must be a JSON object");
	}
	yyjson_doc_free(doc);
}

static void clear_faults(struct receiver *receiver, struct web_request *request, struct web_answer *answer, struct text none)
{
	(void)request;
	(void)none;
	for (size_t i = 0; i < receiver->inbox_count; i++) {
		receiver->inboxes[i]->fault.times = 0;
	}
	answer_json(answer, 200);
	buffer_add_string(&answer->body, "{}");
}

static void set_clock(struct receiver *receiver, struct web_request *request, struct web_answer *answer, struct text none)
{
	yyjson_doc *doc = read_body(request);

	(void)none;
	receiver->skew_s = json_number(yyjson_doc_get_root(doc), "skew_s", 0);
	yyjson_doc_free(doc);
	answer_json(answer, 200);
	buffer_add_string(&answer->body, "{}");
}

static void add_text(struct buffer *out, const char *name, const char *value)
{
	buffer_add_format(out, ",\"%s\":", name);
	buffer_add_json(out, value != NULL ? text_of(value) : TEXT(""));
}

static void add_device(struct buffer *out, const struct inbox *inbox, const struct known_device *device)
{
	buffer_add_string(out, "{\"serial_number\":");
	buffer_add_json(out, text_of(device->serial));
	add_text(out, "inbox", inbox->name);
	add_text(out, "tenant", device->tenant);
	add_text(out, "instance", device->instance);
	buffer_add_format(out, ",\"seq\":%lld,\"incarnation\":%lld,\"present\":%s,\"assigned\":%s,\"device\":%s}",
		(long long)device->seq, (long long)device->incarnation, device->is_present ? "true" : "false",
		device->is_assigned ? "true" : "false", device->json != NULL ? device->json : "null");
}

static void show_devices(struct receiver *receiver, struct web_request *request, struct web_answer *answer, struct text none)
{
	const struct text name = web_query(request, "name");
	const char *between = "";

	(void)none;
	answer_json(answer, 200);
	buffer_add_string(&answer->body, "{\"devices\":[");
	for (size_t i = 0; i < receiver->inbox_count; i++) {
		const struct inbox *inbox = receiver->inboxes[i];

		for (size_t j = 0; j < inbox->device_count && is_meant(inbox, name); j++) {
			buffer_add_string(&answer->body, between);
			add_device(&answer->body, inbox, inbox->devices[j]);
			between = ",";
		}
	}
	buffer_add_string(&answer->body, "]}");
}

static const struct counter {
	const char *name;
	size_t offset;
} all_counters[] = {
#define COUNTER(name) { #name, offsetof(struct counters, name) }
	COUNTER(received), COUNTER(refused), COUNTER(accepted), COUNTER(duplicates), COUNTER(conflicts), COUNTER(inversions),
	COUNTER(malformed), COUNTER(foreign), COUNTER(faults),
};

static void add_counters(struct buffer *out, struct inbox *const *inboxes, size_t count)
{
	size_t present = 0;
	size_t assigned = 0;

	for (size_t i = 0; i < sizeof all_counters / sizeof *all_counters; i++) {
		uint64_t sum = 0;

		for (size_t j = 0; j < count; j++) {
			uint64_t one;

			memcpy(&one, (const char *)&inboxes[j]->counters + all_counters[i].offset, sizeof one);
			sum += one;
		}
		buffer_add_format(out, "\"%s\":%llu,", all_counters[i].name, (unsigned long long)sum);
	}
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < inboxes[i]->device_count; j++) {
			present += inboxes[i]->devices[j]->is_present;
			assigned += inboxes[i]->devices[j]->is_assigned;
		}
	}
	buffer_add_format(out, "\"present\":%zu,\"assigned\":%zu", present, assigned);
}

static void show_stats(struct receiver *receiver, struct web_request *request, struct web_answer *answer, struct text none)
{
	struct buffer *out = &answer->body;

	(void)request;
	(void)none;
	answer_json(answer, 200);
	buffer_add_string(out, "{");
	add_counters(out, receiver->inboxes, receiver->inbox_count);
	buffer_add_format(out, ",\"events\":%llu,\"inboxes\":{", (unsigned long long)receiver->event_count);
	for (size_t i = 0; i < receiver->inbox_count; i++) {
		buffer_add_string(out, i > 0 ? "," : "");
		buffer_add_json(out, text_of(receiver->inboxes[i]->name));
		buffer_add_string(out, ":{");
		add_counters(out, &receiver->inboxes[i], 1);
		buffer_add_string(out, "}");
	}
	buffer_add_string(out, "}}");
}

static void show_events(struct receiver *receiver, struct web_request *request, struct web_answer *answer, struct text none)
{
	const uint64_t after = (uint64_t)web_query_number(request, "after", 0);
	const uint64_t oldest = receiver->event_count > EVENTS_KEPT ? receiver->event_count - EVENTS_KEPT : 0;
	const char *between = "";

	(void)none;
	answer_json(answer, 200);
	buffer_add_string(&answer->body, "{\"events\":[");
	for (uint64_t at = after > oldest ? after : oldest; at < receiver->event_count; at++) {
		const struct event *event = &receiver->events[at % EVENTS_KEPT];

		buffer_add_format(&answer->body, "%s{\"number\":%llu,\"at_us\":%lld,\"outcome\":\"%s\",\"id\":", between,
			(unsigned long long)event->number, (long long)event->at_us, event->outcome);
		buffer_add_json(&answer->body, text_of(event->id));
		buffer_add_string(&answer->body, ",\"inbox\":");
		buffer_add_json(&answer->body, text_of(event->inbox));
		buffer_add_string(&answer->body, ",\"body\":");
		buffer_add_json(&answer->body, text_of(event->body));
		buffer_add_string(&answer->body, "}");
		between = ",";
	}
	buffer_add_format(&answer->body, "],\"last\":%llu}", (unsigned long long)receiver->event_count);
}

static const struct page {
	const char *method;
	const char *pattern;
	void (*handle)(struct receiver *receiver, struct web_request *request, struct web_answer *answer, struct text name);
} pages[] = {
	{ "POST", "/webhook", take_message },
	{ "POST", "/webhook/{}", take_message },
	{ "PUT", "/secret", take_secret },
	{ "PUT", "/secret/{}", take_secret },
	{ "PUT", "/faults", take_fault },
	{ "DELETE", "/faults", clear_faults },
	{ "PUT", "/clock", set_clock },
	{ "GET", "/devices", show_devices },
	{ "GET", "/stats", show_stats },
	{ "GET", "/events", show_events },
};

void receiver_handle(struct web_request *request, struct web_answer *answer)
{
	bool is_known_path = false;

	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
		request->parameters[0] = TEXT("");
		if (!web_path_matches(request, pages[i].pattern)) {
			continue;
		}
		is_known_path = true;
		if (text_equal_string(request->method, pages[i].method)) {
			pages[i].handle(request->context, request, answer, request->parameters[0]);
			return;
		}
	}
	refuse(answer, is_known_path ? 405 : 404, "no such thing; tests/receiver/README.md lists what there is");
}
