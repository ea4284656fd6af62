// SPDX-License-Identifier: Apache-2.0
//
// GET /event-types: what webhooks tell of, each with a JSON Schema of its body and an example, which is written as a real one would be
#include "api/json_out.h"
#include "api/resources.h"
#include "tenants/event.h"

#include <assert.h>

enum about { ABOUT_DEVICE, ABOUT_REMOVED_DEVICE, ABOUT_HELD_DEVICE, ABOUT_CLIENT, ABOUT_ALERT, ABOUT_NOTHING };

static const struct told_type {
	enum event_type type;
	enum about about;
	const char *when;
} types[] = {
	{ EVENT_DEVICE_ADDED, ABOUT_DEVICE, "The device was routed to this instance" },
	{ EVENT_DEVICE_CHANGED, ABOUT_DEVICE, "Something that Apple reports about it changed" },
	{ EVENT_DEVICE_ASSIGNED, ABOUT_DEVICE, "Apple accepted this instance's enrolment profile for it" },
	{ EVENT_DEVICE_REMOVED, ABOUT_REMOVED_DEVICE, "It left this instance" },
	{ EVENT_DEVICE_REPLACED, ABOUT_DEVICE, "Apple said in whose place this device came" },
	{ EVENT_DEVICE_ENROLLED, ABOUT_DEVICE, "This instance's MDM server told that it has enrolled" },
	{ EVENT_DEVICE_UNENROLLED, ABOUT_DEVICE, "It left the management of this instance's MDM server" },
	{ EVENT_DEVICE_MISROUTED, ABOUT_DEVICE, "Another instance than this one, which is to have it, told of its enrolment" },
	{ EVENT_DEVICE_HELD, ABOUT_HELD_DEVICE, "No instance was chosen for it" },
	{ EVENT_TOKEN_EXPIRING, ABOUT_CLIENT, "The server token ends soon" },
	{ EVENT_TOKEN_EXPIRED, ABOUT_CLIENT, "The server token has ended" },
	{ EVENT_TOKEN_REJECTED, ABOUT_CLIENT, "Apple refuses the server token" },
	{ EVENT_TOKEN_RENEWED, ABOUT_CLIENT, "The client's administrator renewed the server token by a link" },
	{ EVENT_TOKEN_ADMIN_CHANGED, ABOUT_CLIENT, "The server token is of another administrator at Apple" },
	{ EVENT_TOKEN_REFUSED, ABOUT_CLIENT, "A token that was brought is none for this tenant" },
	{ EVENT_TERMS_UNSIGNED, ABOUT_CLIENT, "Apple's terms wait to be accepted" },
	{ EVENT_SYNC_FAILING, ABOUT_CLIENT, "Syncs fail again and again" },
	{ EVENT_TENANT_QUARANTINED, ABOUT_CLIENT, "The tenant was quarantined" },
	{ EVENT_PROFILE_UNUSABLE, ABOUT_CLIENT, "Nothing is assigned: an enrolment profile has an error, or Apple refuses it" },
	{ EVENT_PROFILE_UNDEFINED, ABOUT_CLIENT, "An enrolment profile was defined again and again, and no answer came" },
	{ EVENT_PROFILE_DRIFTED, ABOUT_CLIENT, "Apple has an enrolment profile otherwise than it was meant" },
	{ EVENT_ENDPOINT_DISABLED, ABOUT_CLIENT, "A webhook endpoint is sent nothing any more" },
	{ EVENT_ALERT_RAISED, ABOUT_ALERT, "To endpoints for alerts: something is wrong with a tenant, or became worse" },
	{ EVENT_ALERT_CLEARED, ABOUT_ALERT, "To endpoints for alerts: it is over, or a notice was acknowledged" },
	{ EVENT_PING, ABOUT_NOTHING, "Somebody asked for a test; seq is 0" },
};

// --- schemas ---

#define COMMON_NAMES "\"tenant\",\"seq\",\"incarnation\""
#define COUNTERS "\"seq\":{\"type\":\"integer\",\"minimum\":0},\"incarnation\":{\"type\":\"integer\",\"minimum\":1}"
#define COMMON   "\"tenant\":{\"type\":\"string\"}," COUNTERS
#define DEVICE ",\"serial_number\":{\"type\":\"string\"},\"device\":{\"type\":\"object\",\"description\":\"As Apple names its members\"}"
#define INSTANCE ",\"instance\":{\"type\":\"string\"}"
#define REASON                                                                                                       \
	",\"reason\":{\"type\":\"string\",\"enum\":[\"deleted\",\"replaced\",\"unlisted\",\"inaccessible\",\"rerouted\"]}"
#define DATA(names, properties)                                                                                      \
	"{\"type\":\"object\",\"required\":[" names "],\"properties\":{" properties "},\"additionalProperties\":false}"

static const char *const data_schemas[] = {
	[ABOUT_DEVICE] = DATA(COMMON_NAMES ",\"serial_number\",\"instance\"", COMMON DEVICE INSTANCE),
	[ABOUT_REMOVED_DEVICE] = DATA(COMMON_NAMES ",\"serial_number\",\"instance\"", COMMON DEVICE INSTANCE REASON),
	[ABOUT_HELD_DEVICE] = DATA(COMMON_NAMES ",\"serial_number\"", COMMON DEVICE),
	[ABOUT_CLIENT] = DATA(COMMON_NAMES ",\"detail\"", COMMON ",\"detail\":{\"type\":\"object\",\"required\":[\"text\"],\"properties\":{"
		"\"text\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"}}}"),
	[ABOUT_ALERT] = DATA("\"seq\",\"incarnation\",\"alert\"", COUNTERS ",\"alert\":{\"type\":\"object\","
		"\"required\":[\"id\",\"tenant\",\"kind\",\"detail\",\"since\",\"cleared_at\"],\"properties\":{\"id\":{\"type\":\"string\"},"
		"\"tenant\":{\"type\":[\"string\",\"null\"],\"description\":\"null: it is about an endpoint for alerts\"},"
		"\"kind\":{\"type\":\"string\"},\"detail\":{\"type\":\"string\"},"
		"\"since\":{\"type\":\"string\",\"format\":\"date-time\"},"
		"\"cleared_at\":{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}},\"additionalProperties\":false}"),
	[ABOUT_NOTHING] = DATA("\"seq\",\"incarnation\"", COMMON),
};

static void put_schema(struct json_out *json, const struct told_type *told)
{
	put_object(json, "schema");
	put_string(json, "type", "object");
	put_raw(json, "required", TEXT("[\"type\",\"timestamp\",\"data\"]"));
	put_object(json, "properties");
	put_object(json, "type");
	put_string(json, "type", "string");
	put_list(json, "enum");
	put_string(json, NULL, event_type_name(told->type));
	put_list_end(json);
	put_object_end(json);
	put_raw(json, "timestamp", TEXT("{\"type\":\"string\",\"format\":\"date-time\"}"));
	put_raw(json, "data", text_of(data_schemas[told->about]));
	put_object_end(json);
	put_raw(json, "additionalProperties", TEXT("false"));
	put_object_end(json);
}

// --- examples ---

#define ALERT_EXAMPLE(cleared_at)                                                                                    \
	"{\"id\":\"4711\",\"tenant\":\"acme\",\"kind\":\"token.expired\",\"detail\":\"The server token expired at 2025-11-26T12:00:00Z.\","  \
	"\"since\":\"2025-11-26T12:00:00.000000Z\",\"cleared_at\":" cleared_at "}"

static struct event_row example_of(const struct told_type *told)
{
	struct event_row row = { .seq = told->about == ABOUT_NOTHING ? 0 : 17, .at_us = INT64_C(1764158400123456), .type = told->type };

	if (told->about == ABOUT_CLIENT) {
		row.device_json = told->type == EVENT_TOKEN_EXPIRING ? TEXT("{\"text\":\"The server token expires in 30 days.\",\"days\":30}")
			: TEXT("{\"text\":\"What is wrong, for people.\"}");
	} else if (told->about == ABOUT_ALERT) {
		row.device_json = told->type == EVENT_ALERT_RAISED ? TEXT(ALERT_EXAMPLE("null")) : TEXT(ALERT_EXAMPLE("\"2025-11-26T13:10:00.000000Z\""));
	} else if (told->about != ABOUT_NOTHING) {
		row.serial_number = TEXT("C02XK1ABCD");
		row.instance = told->about == ABOUT_HELD_DEVICE ? TEXT_NONE : TEXT("main");
		row.device_json = TEXT("{\"serial_number\":\"C02XK1ABCD\",\"model\":\"MacBook Air\",\"device_family\":\"Mac\"}");
		row.reason = told->about == ABOUT_REMOVED_DEVICE ? REMOVAL_DELETED : REMOVAL_NONE;
	}
	return row;
}

static void put_example(struct json_out *json, const struct told_type *told)
{
	const struct event_row row = example_of(told);
	struct buffer body CLEANUP(buffer_fini) = BUFFER(4096);

	event_body_write(&body, told->about == ABOUT_ALERT ? TEXT_NONE : TEXT("acme"), 1, &row);
	assert(!body.overflow);
	put_raw(json, "example", buffer_text(&body));
}

void event_types_list(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	put_list(&json, "items");
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		put_object(&json, NULL);
		put_string(&json, "type", event_type_name(types[i].type));
		put_string(&json, "when", types[i].when);
		put_schema(&json, &types[i]);
		put_example(&json, &types[i]);
		put_object_end(&json);
	}
	put_list_end(&json);
	put_object_end(&json);
	call_answer(call, 200, &body);
}
