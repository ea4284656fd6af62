// SPDX-License-Identifier: Apache-2.0
//
// dep.h - virtual DEP servers: Apple's protocol on DEPBROKER_DEP_LISTEN, for the MDM servers of instances (dep-api.md).
//
//   admit: endpoint, User-Agent, protocol version, whose session or signature -> body -> Content-Type, JSON -> the endpoint's step
//
// Ownership  a struct dep_call is call->own of its call: what the endpoint needs besides is in it.
// Laws       1. an error is Apple's status and a bare word; nothing but 200 has a JSON body
//            2. what is answered about devices comes from PostgreSQL, and only of devices whose row names the instance of the session
//            3. nothing of a body is read before the session or the signature is proven
#pragma once

#include "api/call.h"
#include "api/dep/dep_secret.h"
#include "store/dep_servers.h"

enum {
	DEP_BODY_MAX = 1024 * 1024,
	DEP_PAGE_MAX = 1000, // devices in an answer
	DEP_SERIALS_MAX = 5000,
	DEP_CLOCK_WINDOW_S = 300,
};

struct dep_endpoint {
	struct endpoint base;
	const char *method;
	const char *path;
	bool has_body;
	int since; // protocol version
};

struct dep_call {
	struct call *call;
	const struct dep_endpoint *endpoint;
	int version; // of the protocol
	struct dep_place place;
	struct text session;
	const struct oauth_claim *claim; // of GET /session
	struct dep_server_row server;    // in the admission's rows, as is the tenant's
	struct dep_secret secret;
	bool has_secret;
	void *state; // the endpoint's own; its `release` is called when the call is over
	void (*release)(struct dep_call *dep);
};

static inline struct dep_call *dep_of(struct call *call)
{
	return call->own;
}

extern const struct http_route dep_routes[];
extern const size_t dep_route_count;
extern const struct dep_endpoint dep_endpoints[];
extern const size_t dep_endpoint_count;

// For http_server.h, besides call_finished.
void dep_admit(struct http_request *request);

// --- for endpoints ---

void *dep_state(struct dep_call *dep, size_t size, void (*release)(struct dep_call *dep)); // zeroed; `release` may be NULL
void dep_answer_word(struct call *call, unsigned status, const char *word);
void dep_answer_json(struct call *call, struct buffer *body); // takes it
// A member of the body. TEXT_NONE: absent, or something else than a text.
struct text dep_member(const struct call *call, const char *name);

// A line of the audit before a change at Apple: dep:<instance> has asked for the endpoint.
void dep_audit(struct call *call, struct pg_transaction *transaction, struct text target);

struct dep_serials { // of the request, each once, in the request's arena
	struct text *items;
	size_t count;
};
// The member "devices". False: it has none, or something else, and that has been answered.
MUST_USE bool dep_take_serials(struct call *call, struct dep_serials *out);

// The steps.
void dep_sign_on(struct call *call);  // dep_sign_on.c
void dep_account(struct call *call);  // dep_account.c
void dep_fetch(struct call *call);    // dep_listing.c
void dep_sync(struct call *call);
void dep_details(struct call *call);  // dep_details.c
void dep_define(struct call *call);   // dep_define.c
void dep_profile(struct call *call);  // dep_profile.c
void dep_assign(struct call *call);   // dep_assign.c
void dep_remove(struct call *call);   // dep_remove.c
void dep_disown(struct call *call);   // dep_disown.c
void dep_replacement(struct call *call); // dep_replacement.c
void dep_lock(struct call *call);        // dep_lock.c
void dep_beta_tokens(struct call *call); // dep_pass.c
void dep_discovery(struct call *call);

// dep_sign_on.c: whose signature it claims to be. False: malformed or nobody's, and that has been answered.
MUST_USE bool dep_claim_take(struct call *call);
