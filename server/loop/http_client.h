// SPDX-License-Identifier: Apache-2.0
//
// http_client.h - HTTP requests on the event loop (libcurl multi), one client per trust class (Apple, webhooks).
//
// Ownership  the caller embeds struct http_call, fills its input before http_call_start, and keeps it and everything it
//            borrows until op.done; then http_call_fini. Nothing of libcurl is visible here.
// Thread     loop thread only.
// Laws       1. op.done is called exactly once, never from inside http_call_start or http_call_cancel
//            2. fair: calls of one `lane_key` (a tenant) wait in a queue of their own; round robin over the keys, at most
//               `in_flight_per_key` of one key and `in_flight` in all at a time; connections are shared over keys
//            3. the deadline is absolute and counts waiting, and what was put off; sizes are checked while receiving; redirects, cookies, netrc and
//               proxies from the environment are off (HTTPS_PROXY is read once into the configuration by whoever asks for it)
//            4. a guarded client resolves names itself: one refused address refuses the host, and libcurl gets those that were judged. The guard sees
//               each once more before a socket is opened to it, so no DNS answer gets around it
//            5. certificates are always verified: by the client's store, or by the call's own authorities alone; a connection is never shared
//               between calls that trust others
//            6. a request may reach the other side twice, when a kept connection ends under it before any answer, so
//               whatever is sent must bear repetition; a call that must not be repeated says `once`
#pragma once

#include "depbroker/text.h"
#include "loop/loop.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct http_client;

enum http_address_guard {
	HTTP_ADDRESS_ANY,         // Apple, and whatever the operator configured in its place
	HTTP_ADDRESS_PUBLIC_ONLY, // public unicast by https, at port 443 or one above 1023; the ranges of `allowed` also otherwise; never `refused`
};

struct address_range {
	int family; // AF_INET or AF_INET6
	unsigned char bytes[16];
	unsigned prefix_bits;
	unsigned port; // 0: any
};

// "10.0.0.0/8, 127.0.0.1, 10.1.2.3:8443, fd00::/8, [fd00::/8]:443" -> ranges. ERR_BAD_INPUT names the word that is not one. *out is malloc'ed.
MUST_USE enum err address_ranges_parse(struct address_range **out, size_t *count, struct text list, struct fault *fault);
// As it would be spelled there, the shortest way.
void address_range_write(struct buffer *out, const struct address_range *range);
// True when a client with this guard may connect to it. Special-purpose addresses (RFC 6890 and later) are not public;
// IPv4 in IPv6 forms (mapped, 6to4, NAT64, Teredo) are judged as refused.
bool address_is_allowed(enum http_address_guard guard, const struct address_range *allowed, size_t allowed_count,
	const struct sockaddr *address);
// All of the guard: also the port, whether it is plain http, and what is refused.
struct http_client_config;
bool address_may_be_reached(const struct http_client_config *config, const struct sockaddr *address, bool is_plain_http);

struct http_client_config { // all its texts are borrowed for the client's life
	const char *name;       // "apple", for logs
	const char *user_agent; // never empty
	const char *proxy;      // NULL: none; only with HTTP_ADDRESS_ANY, for the proxy connects where it likes
	const char *ca_file;    // NULL: the system's store
	bool http2;             // default HTTP/1.1
	bool allow_plain_http;
	enum http_address_guard guard;
	const struct address_range *allowed; // borrowed, too
	size_t allowed_count;
	const struct address_range *refused; // likewise: whatever else allows them
	size_t refused_count;
	int64_t names_kept_ms;      // how long a guarded client goes by an answer of the resolver, default 300,000
	unsigned in_flight;         // default 32
	unsigned in_flight_per_key; // default 2
	unsigned connections;       // kept, those in use among them, default 32: with fewer than in_flight, some are closed after use
};

MUST_USE enum err http_client_open(struct http_client **out, struct loop *loop, const struct http_client_config *config,
	struct fault *fault);
// Cancels everything in flight, then calls `closed`.
void http_client_close(struct http_client *client, void (*closed)(void *argument), void *argument);

enum { HTTP_CALL_HEADERS_MAX = 16 };

struct http_call;

enum http_taken { HTTP_TAKEN, HTTP_TAKE_LATER, HTTP_TAKE_NO_MORE };
enum { HTTP_GIVE_LATER = -1, HTTP_GIVE_BROKEN = -2 };

// What passes by in parts instead of being held. Its functions are called from inside of libcurl: of this file they may call nothing but
// http_call_header. After a word of "later" the part is offered, or asked for, again when http_call_go_on says so.
struct http_passing {
	// The body, in place of http_call.body: at most `space` bytes; 0 is its end. NULL: it does not come in parts.
	ptrdiff_t (*give)(struct http_call *call, char *to, size_t space);
	bool (*give_again)(struct http_call *call); // from its first byte on, for a kept connection has ended under it. False: it cannot
	// The answer: asked once, when its head is there, in call->status, too. `length` of its body, -1: not announced. False: it is collected.
	bool (*begins)(struct http_call *call, int64_t length);
	enum http_taken (*take)(struct http_call *call, struct text bytes); // all of them, or none
	size_t take_limit; // bytes; beyond it: ERR_BUDGET
};

struct http_call {
	struct op op; // OK means that an HTTP answer was received, whatever its status.
	              // ERR_TIMEOUT, ERR_NETWORK, ERR_FORBIDDEN_ADDRESS, ERR_BUDGET (answer too large), ERR_BAD_ANSWER, ERR_CANCELLED,
	              // ERR_BAD_INPUT (a URL or header that cannot be sent)

	// Input, borrowed until op.done
	int64_t lane_key;
	const char *method; // "GET", "POST", "PUT", "DELETE" (a body is sent with any of them when it is not empty)
	const char *url;
	const char *headers[HTTP_CALL_HEADERS_MAX]; // "Name: value"; NULL ends the list
	struct text body;
	const struct http_passing *passing; // NULL: nothing passes by
	int64_t body_length;                // of the body that `passing` gives; -1: it is not known before its end
	int64_t timeout_ms;
	size_t answer_limit; // bytes of body; beyond it: ERR_BUDGET
	struct text authorities; // certificates in PEM, trusted in place of the client's store; empty: the store is
	bool once;           // sent on a connection of its own, and never a second time

	// Output, valid from op.done to http_call_fini
	unsigned status;
	struct buffer answer;
	int64_t took_ms;
	bool certificate_is_refused; // the reason of ERR_NETWORK: the server's
	int64_t sent_at_us; // wall clock when the request was handed to curl

	void *inner; // http_client.c's own
};

void http_call_init(struct http_call *call, void (*done)(struct op *op)); // zeroes it and sets op.done
// Called by the client right before the request is handed to curl, after any waiting: a webhook is signed here.
void http_call_on_sending(struct http_call *call, void (*sending)(struct http_call *call));
void http_call_start(struct http_call *call, struct http_client *client);
void http_call_go_on(struct http_call *call);  // later in this round, with what was put off; harmless when it is not under way
void http_call_cancel(struct http_call *call); // completes later with ERR_CANCELLED; harmless when it is not running
void http_call_fini(struct http_call *call);   // wipes the answer: it may hold a session token
struct text http_call_header(const struct http_call *call, const char *name); // of the answer, case-insensitive; the last one wins

// "Retry-After" in both forms (RFC 9110, section 10.2.3) as seconds from now_us; -1 when absent or malformed.
int64_t http_retry_after_s(struct text value, int64_t now_us);

struct http_client_counters {
	uint64_t started, succeeded, failed, refused_addresses;
	unsigned waiting, in_flight;
};
struct http_client_counters http_client_counters(const struct http_client *client);
