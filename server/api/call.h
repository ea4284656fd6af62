// SPDX-License-Identifier: Apache-2.0
//
// call.h - one REST request from admission to answer.
//
//   admit: key and tenant are read in one transaction, the role is checked -> body -> the endpoint's step, as often as it
//   waits -> one answer -> finished: everything is wiped and freed
//
// Ownership  a call lives from admission until its request is finished. Rows of the admission (key, tenant) live as long;
//            rows of call->transaction until the next call_transaction or the end. call->own is the endpoint's, in the
//            request's arena.
// Thread     loop thread only.
// Laws       1. default deny: no endpoint without a role; what a key may not see does not exist for it, byte for byte
//            2. a step ends in exactly one of: something started that calls the step again, or an answer
//            3. what holds secrets is given to call_on_finish right when it is made
#pragma once

#include "api/problems.h"
#include "api/service.h"
#include "depbroker/clock.h"
#include "depbroker/op.h"
#include "store/api_keys.h"
#include "store/renewal_links.h"
#include "store/tenants.h"

#include <jansson.h>

enum role { ROLE_ANYBODY, ROLE_VIEWER, ROLE_TECHNICIAN, ROLE_OPERATOR, ROLE_ADMIN }; // each may do what those before it may
const char *role_name(enum role role);

enum { ENDPOINT_QUERY_MAX = 24, CALL_ANSWER_MAX = 64 << 20, CALL_DETAIL_SIZE = 512 };

struct call;
struct granted;

struct endpoint { // the tag of a route
	enum role least;   // of the key; ROLE_ANYBODY: no key is asked for
	bool of_tenant;    // the first parameter of the path is a tenant's slug
	void (*step)(struct call *call);
	const char *query[ENDPOINT_QUERY_MAX]; // the query parameters it knows
	bool of_hook;      // ROLE_ANYBODY: an MDM server's message, which brings its own proof
	bool of_link;      // ROLE_ANYBODY: the first parameter is a renewal link's secret, which names the tenant
	// For people, or for programs of others: answers every refusal in place of a problem document. NULL: the document
	void (*refuse)(struct call *call, enum api_problem which, const char *detail);
	void (*answer)(struct call *call); // hears of each good answer in place of the client (change.h). NULL: the client
	const char *basic_user; // the key is the password of this user (HTTP Basic); NULL: it is a bearer's
	bool any_query;         // parameters that it does not know are ignored
	// Of a tenant: whether rows of the key and the tenant that are a moment old will do (recent.h). NULL: never
	bool (*takes_recent)(const struct http_request *request);
	const struct token_bringer *bringer; // of a token, other than the REST API's (token_upload.h)
};

struct call {
	struct service *service;
	struct http_request *request;
	const struct endpoint *endpoint;
	struct pg_transaction admission;
	bool has_admission;
	struct recent_rows *recent; // in place of `admission`; NULL: it is that
	struct api_key presented; // wiped after the comparison, but for its id
	struct api_key_row key;
	enum role role;
	struct tenant_row tenant; // of an endpoint of a tenant or of a link; of a hook number and slug only
	struct renewal_link_row link; // of one of a link
	struct tenant_status_row tenant_status;
	struct pg_transaction transaction;
	bool has_transaction;
	struct pg_transaction again; // the tenant as it was read for the last try (call_again)
	bool has_again;
	int tries; // that were made before this one
	struct call_work *away; // what is read on a pool thread (call_work.h); NULL: nothing
	json_t *body;
	struct granted *granted; // the approved change that this call makes (change.h); NULL: none
	int state; // of the endpoint's step; 0 at first
	void *own;
	void (*finish)(struct call *call);
};

// For http_server.h.
void call_admit(struct http_request *request);
void call_handle(struct http_request *request);
void call_finished(struct http_request *request, unsigned status, int64_t took_us);

// For faces with an admission of their own, which end in call_finished all the same.
struct call *call_begin(struct http_request *request, const struct endpoint *endpoint);

// --- for endpoints ---

void *call_own(struct call *call, size_t size); // zeroed; call->own from now on
void call_on_finish(struct call *call, void (*finish)(struct call *call)); // to wipe and free what call->own holds

// A new transaction with the rows of one; the former one's rows are gone.
struct pg_transaction *call_transaction(struct call *call, struct pg_scope scope);
void call_start(struct call *call); // the endpoint's step is called when it is over
// After call_start: true when it failed, and the failure has been answered.
MUST_USE bool call_failed(struct call *call);

// Begins once more, with the tenant as it is now: what was read before has changed under the request. False: it was tried often enough.
MUST_USE bool call_again(struct call *call);

// A line of the audit in the transaction of a change, after everything else in it. `detail` is a JSON object; empty: {}.
void call_audit(struct call *call, struct pg_transaction *transaction, const char *action, struct text target, struct text detail);
// Who acts: the key's id, or link:<number>. In the request's arena.
struct text call_actor(struct call *call);

// If-Match: "17", or * for any; absent: any, which is -1. False: it is something else, and that has been answered.
MUST_USE bool call_if_match(struct call *call, int64_t *version);

bool call_may_see(const struct call *call, int64_t tenant_id);
// NULL: all tenants. Otherwise these only.
const int64_t *call_tenants(const struct call *call, size_t *count);

// A number in the path. False: it is none.
MUST_USE bool call_parameter_id(const struct call *call, size_t parameter, int64_t *out);

// A serial number as Apple writes it (device.h, law 2), in the request's arena. False: it is none.
enum { CALL_SERIAL_MAX = 64 };
MUST_USE bool call_serial(struct call *call, struct text given, struct text *out);

// A flag such as ?dry_run=true. False: it has another value, and that has been answered.
MUST_USE bool call_flag(struct call *call, const char *name, bool *out);

// Workers had better look at the client now. Lost hints are harmless.
void call_hint_workers(const struct service *service, int64_t tenant_id);

// --- answers ---

void call_answer(struct call *call, unsigned status, struct buffer *body); // takes the body; too large a one becomes a problem
void call_answer_as(struct call *call, unsigned status, const char *content_type, struct buffer *body); // likewise; the type may be NULL
void call_answer_empty(struct call *call, unsigned status);
void call_problem(struct call *call, enum api_problem which, const char *format, ...) __attribute__((format(printf, 3, 4)));
void call_problem_with(struct call *call, enum api_problem which, struct text extra, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void call_problem_of(struct call *call, enum err rc, const struct fault *fault); // what a transaction ended with
