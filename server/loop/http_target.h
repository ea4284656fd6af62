// SPDX-License-Identifier: Apache-2.0
//
// http_target.h - where a guarded request may go: the host of its URL as libcurl reads it, and its addresses once all of them were judged.
//
// Ownership  embedded in what sends the request; http_target_fini after libcurl has let go of it. Pure functions, but for a line of the log.
// Laws       1. libcurl gets the addresses that were judged, and asks no resolver
//            2. one address that may not be reached refuses the host
//            3. a socket is opened to none but these, whatever libcurl has in mind
#pragma once

#include "loop/http_client.h"
#include "loop/resolver.h"

#include <curl/curl.h>

struct http_target {
	char *host; // a name in lower case, or an address
	unsigned port;
	bool is_plain_http;
	struct host_addresses *literal; // what the URL has in place of a name
	struct host_addresses *judged;  // with their ports
	struct buffer resolution;       // for CURLOPT_RESOLVE
	struct curl_slist resolve;
};

// ERR_BAD_INPUT: libcurl cannot read the URL, or will not.
MUST_USE enum err http_target_read(struct http_target *target, const char *url, struct fault *fault);
// OK, or ERR_FORBIDDEN_ADDRESS.
MUST_USE enum err http_target_judge(struct http_target *target, const struct http_client_config *config, const struct host_addresses *addresses,
	struct fault *fault);
// For each socket that is about to be opened: whether its address was judged, and may still be reached.
bool http_target_admits(const struct http_target *target, const struct http_client_config *config, const struct sockaddr *address);
void http_target_set(struct http_target *target, CURL *easy, int64_t timeout_ms);
void http_target_fini(struct http_target *target);
