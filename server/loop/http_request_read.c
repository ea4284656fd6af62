// SPDX-License-Identifier: Apache-2.0
//
// What a handler may ask about its request.
#include "loop/http_inner.h"

static const struct live_request *live_to_read(const struct http_request *request)
{
	_Static_assert(offsetof(struct live_request, public) == 0, "a request is the start of a live request");
	return (const struct live_request *)(const void *)request;
}

bool http_request_has_body(const struct http_request *request)
{
	return gate_has_body(&live_to_read(request)->head);
}

int64_t http_request_body_length(const struct http_request *request)
{
	const struct gate_head *head = &live_to_read(request)->head;

	return head->is_chunked ? -1 : (int64_t)head->content_length;
}

struct text http_request_header(const struct http_request *request, const char *name)
{
	return gate_field(&live_to_read(request)->head, name);
}

struct text http_request_query(const struct http_request *request, const char *name)
{
	const struct route_query *query = &live_to_read(request)->query;

	for (size_t i = 0; i < query->count; i++) {
		if (text_equal_string(query->names[i], name)) {
			return query->values[i];
		}
	}
	return TEXT_NONE;
}

size_t http_request_query_count(const struct http_request *request)
{
	return live_to_read(request)->query.count;
}

struct text http_request_raw_query(const struct http_request *request)
{
	return live_to_read(request)->head.query;
}

bool http_request_field(const struct http_request *request, size_t index, struct text *name, struct text *value)
{
	const struct gate_head *head = &live_to_read(request)->head;

	if (index >= head->field_count) {
		return false;
	}
	*name = head->fields[index].name;
	*value = head->fields[index].value;
	return true;
}

struct text http_request_query_name(const struct http_request *request, size_t index)
{
	return index < live_to_read(request)->query.count ? live_to_read(request)->query.names[index] : TEXT_NONE;
}
