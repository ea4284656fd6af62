// SPDX-License-Identifier: Apache-2.0
//
// apple_account.c - whom a server token is for (dep-api.md, section 5.1).
#include "apple/apple_endpoint.h"
#include "apple/apple_json.h"

#include <stdlib.h>

enum { ADVERTISED_MAX = 1000000 };

#define MEMBER(member) { #member, offsetof(struct apple_account, member) }

static const struct {
	const char *name;
	size_t offset;
} members[] = {
	MEMBER(server_name), MEMBER(server_uuid), MEMBER(admin_id), MEMBER(facilitator_id), MEMBER(org_name),
	MEMBER(org_email), MEMBER(org_phone), MEMBER(org_address), MEMBER(org_id), MEMBER(org_id_hash), MEMBER(org_type),
	MEMBER(org_version),
};

// A number out of "limit":{"maximum":...}; 0 when there is no usable one.
static unsigned read_maximum(yyjson_val *url)
{
	yyjson_val *limit;
	yyjson_val *maximum;

	if (!apple_json_member(&limit, url, "limit") || !yyjson_is_obj(limit) ||
		!apple_json_member(&maximum, limit, "maximum")) {
		return 0;
	}
	const int64_t count = apple_json_count(maximum);

	return count < 0 ? 0 : count > ADVERTISED_MAX ? (unsigned)ADVERTISED_MAX : (unsigned)count;
}

static void read_limits(struct apple_account *account, yyjson_val *urls)
{
	yyjson_arr_iter list = yyjson_arr_iter_with(urls);
	yyjson_val *url;

	while ((url = yyjson_arr_iter_next(&list)) != NULL) {
		yyjson_val *uri;

		if (!apple_json_member(&uri, url, "uri")) {
			continue;
		}
		if (text_equal_string(apple_json_string(uri), "/server/devices")) {
			account->fetch_limit = read_maximum(url);
		} else if (text_equal_string(apple_json_string(uri), "/devices/sync")) {
			account->sync_limit = read_maximum(url);
		}
	}
}

// Identities are compared with what is read here, so an unreadable member is an error and not an absent one.
static enum err read_members(struct apple_account *account, yyjson_val *root, struct fault *fault)
{
	yyjson_val *value;

	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		void *text = (char *)account + members[i].offset;

		if (!apple_json_member(&value, root, members[i].name) || !apple_json_text(text, value, APPLE_TEXT_MAX)) {
			return fault_set(fault, ERR_BAD_ANSWER, "Apple's account has an unusable %s", members[i].name);
		}
	}
	if (apple_json_member(&value, root, "urls")) {
		read_limits(account, value);
	}
	return OK;
}

static enum err read_account(struct apple_call *call)
{
	struct apple_account *account = call->output;
	const size_t length = call->http.answer.length;
	struct apple_json json;
	enum err rc;

	account->memory = buffer_take(&call->http.answer);
	rc = apple_json_open(&json, &account->memory, length, &call->op.fault);
	if (rc == OK) {
		rc = read_members(account, json.root, &call->op.fault);
	}
	apple_json_close(&json);
	return rc;
}

void apple_account(struct apple_call *call, struct apple_session *session, struct apple_account *out)
{
	static const struct apple_endpoint endpoint = { "GET", NULL, "/account", APPLE_AT_OTHER };

	*out = (struct apple_account){ 0 };
	apple_call_prepare(call, session, &endpoint, read_account, out);
	apple_call_go(call, OK);
}

void apple_account_fini(struct apple_account *account)
{
	free(account->memory);
	*account = (struct apple_account){ 0 };
}
