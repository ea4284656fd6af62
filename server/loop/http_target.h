// SPDX-License-Identifier: Apache-2.0
//
// http_target.h - where guarded requests may go: the host of a URL as libcurl reads it, and its addresses once all of them were judged.
//
// Ownership  a target is shared, and does not change once it is judged: each holder lets go of it once, what sends a request after libcurl has.
//            Those of one client only: its configuration is what they were judged by.
// Laws       1. libcurl gets the addresses that were judged, and asks no resolver
//            2. one address that may not be reached refuses the host
//            3. a socket is opened to none but these, whatever libcurl has in mind
//            4. what was judged is good for a while (names_kept_ms), for all URLs that have the same bytes up to their path; a refusal is not kept
#pragma once

#include "depbroker/list.h"
#include "loop/http_client.h"
#include "loop/resolver.h"

#include <curl/curl.h>

enum { HTTP_TARGET_BUCKETS = 1024, HTTP_TARGETS_MAX = 8192 };

struct http_target {
	unsigned holders;
	char *origin; // "https://name:443", as the URL has it
	char *host;   // a name in lower case, or an address
	unsigned port;
	bool is_plain_http;
	struct host_addresses *literal; // what the URL has in place of a name
	struct host_addresses *judged;  // with their ports
	struct buffer resolution;       // for CURLOPT_RESOLVE; empty for a literal
	struct curl_slist resolve;
	struct list in_bucket; // these three of http_targets.c, when it is kept
	struct list by_age;
	int64_t judged_at_ms;
};

// ERR_BAD_INPUT: libcurl cannot read the URL, or will not. The caller holds the target.
MUST_USE enum err http_target_read(struct http_target **out, const char *url, struct fault *fault);
struct text http_target_origin(const char *url);
// OK, or ERR_FORBIDDEN_ADDRESS.
MUST_USE enum err http_target_judge(struct http_target *target, const struct http_client_config *config, const struct host_addresses *addresses,
	struct fault *fault);
void http_target_let_go(struct http_target *target); // NULL is harmless

// Of libcurl: what it is told, and whether it may open a socket to there. `target` is NULL without a guard.
void http_target_set(struct http_target *target, CURL *easy, int64_t timeout_ms);
bool http_target_admits(const struct http_target *target, const struct http_client_config *config, const struct sockaddr *address);

// http_targets.c
struct http_targets; // those that are kept
struct http_targets *http_targets_new(int64_t kept_ms);
struct http_target *http_targets_find(struct http_targets *targets, const char *url); // for the caller to hold; or NULL
void http_targets_keep(struct http_targets *targets, struct http_target *target);     // one that was judged just now
void http_targets_free(struct http_targets *targets);
