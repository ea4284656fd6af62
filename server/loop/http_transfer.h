// SPDX-License-Identifier: Apache-2.0
//
// http_transfer.h - one request as curl sees it: the options of its easy handle, and what comes back.
//
// Ownership  embedded in what http_client.c keeps for a call. The easy handle is lent from _prepare until it is reset.
// Laws       1. answers are bounded while they arrive: the body by the call's limit, or by that of what passes by, all heads together by HTTP_HEADS_MAX
//            2. nothing of the request is copied here, and all memory of the answer is wiped before it is freed
#pragma once

#include "loop/curl_loop.h"
#include "loop/http_client.h"
#include "loop/http_target.h"

enum { HTTP_HEADS_MAX = 64 * 1024, HTTP_OWN_HEADERS = 2 };

struct http_transfer {
	struct http_call *call;
	const struct http_client_config *config;
	struct curl_loop *curl;
	uint64_t *refused_addresses; // counted there
	struct http_target *target;  // of a guarded request, judged before it is prepared

	CURL *easy; // while it is under way
	struct curl_slist headers[HTTP_CALL_HEADERS_MAX + HTTP_OWN_HEADERS];
	char reason[CURL_ERROR_SIZE]; // curl's own words
	struct buffer head;           // the lines of the last head that was received
	size_t heads_length;          // of all, with those of interim answers
	bool head_is_complete;
	bool body_has_begun;  // of the answer
	bool passes_by;       // it is not collected
	size_t passed_length; // of it
	bool address_is_refused;
	bool answer_is_too_large;
};

// ERR_BAD_INPUT when a header is none, or cannot be sent as one.
MUST_USE enum err http_transfer_prepare(struct http_transfer *transfer, CURL *easy, struct fault *fault);
// What the end of a transfer means; fills the call's status.
MUST_USE enum err http_transfer_result(struct http_transfer *transfer, CURL *easy, CURLcode result, struct fault *fault);
void http_transfer_wipe(struct http_transfer *transfer); // forgets what was received, also in the call
