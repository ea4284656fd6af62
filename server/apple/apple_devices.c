// SPDX-License-Identifier: Apache-2.0
//
// apple_devices.c - the calls that read devices (dep-api.md, sections 5.2, 5.3 and 5.5).
#include "apple/apple_endpoint.h"

#include <assert.h>

static enum err read_page(struct apple_call *call)
{
	const size_t length = call->http.answer.length;

	return apple_page_parse(call->output, buffer_take(&call->http.answer), length, &call->op.fault);
}

static enum err read_details(struct apple_call *call)
{
	const size_t length = call->http.answer.length;

	return apple_details_parse(call->output, buffer_take(&call->http.answer), length, &call->op.fault);
}

static void ask_for_page(struct apple_call *call, struct apple_session *session, const struct apple_endpoint *endpoint,
	struct text cursor, unsigned limit, struct apple_page *out)
{
	assert(limit >= 1 && limit <= APPLE_PAGE_LIMIT_MAX);
	*out = (struct apple_page){ .fetched_until_us = INSTANT_NONE };
	apple_call_prepare(call, session, endpoint, read_page, out);
	buffer_add_format(&call->body, "{\"limit\":%u", limit);
	if (cursor.length > 0) {
		buffer_add_string(&call->body, ",\"cursor\":");
		buffer_add_json(&call->body, cursor);
	}
	buffer_add_string(&call->body, "}");
	apple_call_go(call, OK);
}

void apple_fetch_devices(struct apple_call *call, struct apple_session *session, struct text cursor, unsigned limit,
	struct apple_page *out)
{
	static const struct apple_endpoint endpoint = { "POST", NULL, "/server/devices", APPLE_AT_CURSOR };

	ask_for_page(call, session, &endpoint, cursor, limit, out);
}

void apple_sync_devices(struct apple_call *call, struct apple_session *session, struct text cursor, unsigned limit,
	struct apple_page *out)
{
	static const struct apple_endpoint endpoint = { "POST", NULL, "/devices/sync", APPLE_AT_CURSOR };

	ask_for_page(call, session, &endpoint, cursor, limit, out);
}

enum err apple_add_serials(struct apple_call *call, const struct text *serials, size_t count)
{
	if (count < 1 || count > APPLE_SERIALS_MAX) {
		return fault_set(&call->op.fault, ERR_BAD_INPUT, "%zu serial numbers, a call takes 1 to %d", count,
			(int)APPLE_SERIALS_MAX);
	}
	buffer_add_string(&call->body, "\"devices\":[");
	for (size_t i = 0; i < count; i++) {
		buffer_add_string(&call->body, i > 0 ? "," : "");
		buffer_add_json(&call->body, serials[i]);
	}
	buffer_add_string(&call->body, "]");
	return OK;
}

void apple_device_details(struct apple_call *call, struct apple_session *session, const struct text *serials, size_t count,
	struct apple_page *out)
{
	static const struct apple_endpoint endpoint = { "POST", NULL, "/devices", APPLE_AT_OTHER };

	*out = (struct apple_page){ .fetched_until_us = INSTANT_NONE };
	apple_call_prepare(call, session, &endpoint, read_details, out);
	buffer_add_string(&call->body, "{");
	const enum err rc = apple_add_serials(call, serials, count);

	buffer_add_string(&call->body, "}");
	apple_call_go(call, rc);
}
