// SPDX-License-Identifier: Apache-2.0
#include "api/nanodep/nanodep.h"

#include <inttypes.h>
#include <stdio.h>

enum { NAMES_WITHOUT_LIMIT = 100, NAMES_MAX = STORE_LIST_MAX, NUMBER_DIGITS_MAX = 9 };

void nanodep_version(struct call *call)
{
	http_answer(call->request, 200, NANODEP_JSON, TEXT("{\"version\":\"depbroker " DEPBROKER_VERSION "\"}"));
}

void nanodep_nothing(struct call *call)
{
	nanodep_plain(call, 404, "404 page not found\n");
}

void nanodep_wrong_method(struct call *call)
{
	nanodep_plain(call, 405, "Method Not Allowed\n");
}

// No tenant's slug is empty, or has a slash in it.
void nanodep_wrong_name_any(struct call *call)
{
	const struct text path = call->request->path;

	if (path.bytes[path.length - 1] == '/') {
		nanodep_plain(call, 400, "Bad Request\n");
	} else {
		nanodep_error(call, 500, "resource not found");
	}
}

void nanodep_wrong_name(struct call *call)
{
	const struct text method = call->request->method;

	if (text_equal(method, TEXT("GET")) || text_equal(method, TEXT("PUT"))) {
		nanodep_wrong_name_any(call);
	} else {
		nanodep_wrong_method(call);
	}
}

// --- GET /v1/dep_names ---

struct listing {
	struct text name;
	int64_t limit;
	int64_t offset;
};

// The one answer that is written with tabs.
static void refuse_listing(struct call *call, unsigned status, const char *sentence)
{
	struct buffer body = BUFFER(NANODEP_ANSWER_MAX);

	buffer_add_string(&body, "{\n\t\"error\": ");
	nanodep_json(&body, text_of(sentence));
	buffer_add_string(&body, "\n}\n");
	nanodep_answer(call, status, &body);
}

static bool read_number(struct call *call, const char *name, int64_t *out)
{
	const struct text value = http_request_query(call->request, name);
	const bool is_negative = value.length > 1 && value.bytes[0] == '-';
	bool good = value.length <= NUMBER_DIGITS_MAX;

	*out = 0;
	for (size_t i = is_negative ? 1 : 0; i < value.length && good; i++) {
		good = value.bytes[i] >= '0' && value.bytes[i] <= '9';
		*out = *out * 10 + (value.bytes[i] - '0');
	}
	if (!good) {
		char sentence[128];

		(void)snprintf(sentence, sizeof sentence, "strconv.Atoi: parsing \"%.40s\": invalid syntax", value.bytes);
		refuse_listing(call, 400, sentence);
		return false;
	}
	*out = is_negative ? -*out : *out;
	return true;
}

static bool begin(struct call *call)
{
	struct listing *listing = call_own(call, sizeof *listing);

	if (!nanodep_is_get(call) || !read_number(call, "limit", &listing->limit) || !read_number(call, "offset", &listing->offset)) {
		return false;
	}
	if (http_request_query(call->request, "cursor").length > 0) {
		refuse_listing(call, 500, "only offset-based pagination supported");
		return false;
	}
	listing->limit = listing->limit < 1 ? NAMES_WITHOUT_LIMIT : listing->limit > NAMES_MAX ? NAMES_MAX : listing->limit;
	listing->offset = listing->offset < 0 ? 0 : listing->offset;
	listing->name = http_request_query(call->request, "dep_name");
	return true;
}

static void ask(struct call *call)
{
	const struct listing *listing = call->own;
	size_t count;
	const int64_t *tenants = call_tenants(call, &count);

	(void)store_tenant_names(call_transaction(call, store_directory()), listing->name.bytes != NULL ? &listing->name : NULL, 1, tenants, count,
		listing->limit, listing->offset);
	call_start(call);
}

static void answer(struct call *call)
{
	struct buffer body = BUFFER(CALL_ANSWER_MAX);
	const size_t count = pg_row_count(&call->transaction, 0);

	buffer_add_string(&body, "{\n\t\"dep_names\": ");
	for (size_t i = 0; i < count; i++) {
		buffer_add_string(&body, i == 0 ? "[\n\t\t" : ",\n\t\t");
		nanodep_json(&body, store_tenant_names_read(&call->transaction, 0, i));
	}
	buffer_add_string(&body, count > 0 ? "\n\t]\n}\n" : "null\n}\n");
	nanodep_answer(call, 200, &body);
}

void nanodep_names(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!begin(call)) {
			return;
		}
		AWAIT(call, LISTING, ask(call));
		if (!call_failed(call)) {
			answer(call);
		}
	}
}
