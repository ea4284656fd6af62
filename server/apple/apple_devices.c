// SPDX-License-Identifier: Apache-2.0
//
// apple_devices.c - the calls that read devices (dep-api.md, sections 5.2, 5.3 and 5.5).
#include "apple/apple_endpoint.h"

#include "depbroker/digest.h"

#include <assert.h>
#include <string.h>

// Parses what was received, which names the page.
static enum err read_whole(struct apple_call *call,
	enum err (*parse)(struct apple_page *page, char *bytes, size_t length, struct fault *fault))
{
	const struct text answer = buffer_text(&call->http.answer);
	struct apple_page *page = call->output;
	unsigned char digest[APPLE_DIGEST_SIZE];

	sha256(digest, &(struct digest_part){ answer.bytes, answer.length }, 1);
	const enum err rc = parse(page, buffer_take(&call->http.answer), answer.length, &call->op.fault);

	memcpy(page->digest, digest, sizeof digest);
	return rc;
}

static enum err read_page(struct apple_call *call)
{
	return read_whole(call, apple_page_parse);
}

static enum err read_list(struct apple_call *call)
{
	const size_t length = call->http.answer.length;

	return apple_list_parse(call->output, buffer_take(&call->http.answer), length, call->listing, &call->op.fault);
}

static enum err read_details(struct apple_call *call)
{
	return read_whole(call, apple_details_parse);
}

static void ask_for_page(struct apple_call *call, struct apple_session *session, const struct apple_endpoint *endpoint,
	struct text cursor, unsigned limit, enum err (*read)(struct apple_call *call), struct apple_page *out)
{
	assert(limit >= 1 && limit <= APPLE_PAGE_LIMIT_MAX);
	*out = (struct apple_page){ .fetched_until_us = INSTANT_NONE };
	apple_call_prepare(call, session, endpoint, read, out);
	buffer_add_format(&call->body, "{\"limit\":%u", limit);
	if (cursor.length > 0) {
		buffer_add_string(&call->body, ",\"cursor\":");
		buffer_add_json(&call->body, cursor);
	}
	buffer_add_string(&call->body, "}");
	apple_call_go(call, OK);
}

void apple_fetch_devices(struct apple_call *call, struct apple_session *session, struct text cursor, unsigned limit,
	struct apple_listing *listing, struct apple_page *out)
{
	static const struct apple_endpoint endpoint = { "POST", NULL, "/server/devices", APPLE_AT_CURSOR };

	call->listing = listing;
	ask_for_page(call, session, &endpoint, cursor, limit, listing != NULL ? read_list : read_page, out);
}

void apple_sync_devices(struct apple_call *call, struct apple_session *session, struct text cursor, unsigned limit,
	struct apple_page *out)
{
	static const struct apple_endpoint endpoint = { "POST", NULL, "/devices/sync", APPLE_AT_CURSOR };

	ask_for_page(call, session, &endpoint, cursor, limit, read_page, out);
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
