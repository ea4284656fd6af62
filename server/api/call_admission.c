// SPDX-License-Identifier: Apache-2.0
//
// Who a request comes from, and whether it may be made: an API key, a renewal link, or nobody.
#include "api/call.h"

#include "api/hook.h"
#include "api/rate_limit.h"
#include "api/recent.h"
#include "api/renewal.h"

#include <assert.h>

enum { BASIC_PAIR_MAX = 1024 };

static const char *const role_names[] = {
	[ROLE_ANYBODY] = "anybody",
	[ROLE_VIEWER] = "viewer",
	[ROLE_TECHNICIAN] = "technician",
	[ROLE_OPERATOR] = "operator",
	[ROLE_ADMIN] = "admin",
};

const char *role_name(enum role role)
{
	return role_names[role];
}

// ROLE_ANYBODY for a word that is none: it may do nothing that needs a key.
static enum role role_of(struct text name)
{
	for (enum role role = ROLE_VIEWER; role <= ROLE_ADMIN; role++) {
		if (text_equal_string(name, role_names[role])) {
			return role;
		}
	}
	return ROLE_ANYBODY;
}

// --- keys ---

static const struct pg_transaction *rows_of(const struct call *call)
{
	return call->recent != NULL ? recent_transaction(call->recent) : &call->admission;
}

static bool key_is_good(struct call *call)
{
	const int64_t now_us = clock_wall_us();

	if (pg_row_count(rows_of(call), 0) != 1) {
		return false;
	}
	store_api_key_read(rows_of(call), 0, 0, &call->key);
	return api_key_matches(&call->presented, call->key.hash) && call->key.revoked_at_us == INSTANT_NONE &&
		call->key.expires_at_us > now_us;
}

static void refuse_key(struct call *call)
{
	call_problem(call, PROBLEM_UNAUTHENTICATED, "%s", "");
}

static bool query_is_known(struct call *call)
{
	for (size_t i = 0; i < http_request_query_count(call->request) && !call->endpoint->any_query; i++) {
		const struct text name = http_request_query_name(call->request, i);
		bool known = false;

		for (size_t at = 0; at < ENDPOINT_QUERY_MAX && call->endpoint->query[at] != NULL; at++) {
			known = known || text_equal_string(name, call->endpoint->query[at]);
		}
		if (!known) {
			call_problem(call, PROBLEM_UNKNOWN_PARAMETER, "%.*s", name.length > 60 ? 60 : (int)name.length, name.bytes);
			return false;
		}
	}
	return true;
}

// Of a tenant that is being deleted nothing is left but the deletion.
static bool may_be_named(const struct call *call)
{
	return !text_equal(call->tenant.state, TEXT("deleting")) || text_equal(call->request->method, TEXT("DELETE"));
}

// Somebody else's tenant is refused by the same words as one that does not exist.
static bool find_tenant(struct call *call)
{
	if (pg_row_count(rows_of(call), 1) == 1) {
		store_tenant_read(rows_of(call), 1, 0, &call->tenant);
		store_tenant_status_read(rows_of(call), 1, 0, &call->tenant_status);
		if (call_may_see(call, call->tenant.tenant_id) && may_be_named(call)) {
			return true;
		}
	}
	call_problem(call, PROBLEM_TENANT_NOT_FOUND, "%.*s", (int)(call->request->parameters[0].length > 80 ? 80 :
		call->request->parameters[0].length), call->request->parameters[0].bytes);
	return false;
}

// False: that has been answered.
static bool is_admitted(struct call *call)
{
	const bool good = key_is_good(call);

	api_key_fini(&call->presented);
	if (!good) {
		refuse_key(call);
		return false;
	}
	call->role = role_of(call->key.role);
	if (call->role < call->endpoint->least) {
		call_problem(call, PROBLEM_FORBIDDEN, "it needs %s, and the key is of a %s", role_name(call->endpoint->least),
			role_name(call->role));
		return false;
	}
	return (!call->endpoint->of_tenant || find_tenant(call)) && query_is_known(call);
}

static void on_admission(struct op *op)
{
	struct pg_transaction *admission = CONTAINER_OF(op, struct pg_transaction, op);
	struct call *call = CONTAINER_OF(admission, struct call, admission);

	if (op->rc != OK) {
		call_problem_of(call, op->rc, &op->fault);
	} else if (is_admitted(call)) {
		http_admit(call->request);
	}
}

static void on_recent(void *argument)
{
	struct call *call = argument;
	const struct op *op = &rows_of(call)->op;

	if (op->rc != OK) {
		call_problem_of(call, op->rc, &op->fault);
	} else if (is_admitted(call)) {
		recent_keep(call->recent, call->tenant.tenant_id);
		http_admit(call->request);
	}
}

// What follows the scheme in the header; empty when it has another scheme.
static struct text credentials(const struct call *call, struct text scheme)
{
	const struct text header = http_request_header(call->request, "Authorization");

	if (header.length < scheme.length || !text_equal_ignoring_case((struct text){ header.bytes, scheme.length }, scheme)) {
		return TEXT_NONE;
	}
	return (struct text){ header.bytes + scheme.length, header.length - scheme.length };
}

static bool take_bearer_key(struct call *call)
{
	return api_key_parse(&call->presented, credentials(call, TEXT("Bearer ")));
}

static bool take_basic_key(struct call *call)
{
	struct buffer pair CLEANUP(buffer_fini_wiped) = BUFFER(BASIC_PAIR_MAX);
	const struct text user = text_of(call->endpoint->basic_user);
	const struct text encoded = text_trim(credentials(call, TEXT("Basic ")));

	pair.capacity = BASIC_PAIR_MAX + 1; // all at once: growing would leave copies behind
	pair.bytes = allocate(pair.capacity);
	if (!base64_decode(&pair, encoded) || pair.overflow || pair.length <= user.length || pair.bytes[user.length] != ':' ||
		!text_starts_with(buffer_text(&pair), user)) {
		return false;
	}
	return api_key_parse(&call->presented, (struct text){ pair.bytes + user.length + 1, pair.length - user.length - 1 });
}

static void ask_for_recent(struct call *call)
{
	const struct text key_id = text_of(call->presented.id);
	const struct text slug = call->request->parameters[0];

	call->recent = recent_find(call->service->recent, key_id, slug);
	if (call->recent != NULL) {
		if (is_admitted(call)) {
			http_admit(call->request);
		}
		return;
	}
	call->recent = recent_begin(call->service->recent, key_id, slug, on_recent, call);
	(void)store_api_key_by_id(recent_transaction(call->recent), key_id);
	(void)store_tenant_by_slug(recent_transaction(call->recent), slug);
	recent_start(call->recent, call->service->pool, STORE_TIMEOUT_MS);
}

static void ask_for_key(struct call *call)
{
	if (call->endpoint->basic_user != NULL ? !take_basic_key(call) : !take_bearer_key(call)) {
		refuse_key(call);
		return;
	}
	if (call->endpoint->takes_recent != NULL && call->endpoint->takes_recent(call->request)) {
		ask_for_recent(call);
		return;
	}
	pg_transaction_init(&call->admission, store_directory(), on_admission);
	call->has_admission = true;
	(void)store_api_key_by_id(&call->admission, text_of(call->presented.id));
	if (call->endpoint->of_tenant) {
		(void)store_tenant_by_slug(&call->admission, call->request->parameters[0]);
	}
	pg_start(&call->admission, call->service->pool, STORE_TIMEOUT_MS);
}

// --- links ---

static void on_link(struct op *op)
{
	struct pg_transaction *admission = CONTAINER_OF(op, struct pg_transaction, op);
	struct call *call = CONTAINER_OF(admission, struct call, admission);

	if (op->rc != OK) {
		call_problem_of(call, op->rc, &op->fault);
		return;
	}
	if (pg_row_count(admission, 0) != 1 || pg_row_count(admission, 1) != 1) {
		call_problem(call, PROBLEM_LINK_NOT_FOUND, "%s", "");
		return;
	}
	store_renewal_link_read(admission, 0, 0, &call->link);
	store_tenant_read(admission, 1, 0, &call->tenant);
	store_tenant_status_read(admission, 1, 0, &call->tenant_status);
	http_admit(call->request);
}

static void ask_for_link(struct call *call)
{
	unsigned char hash[SHA256_SIZE];

	if (!renewal_link_hash(hash, call->request->parameters[0])) {
		call_problem(call, PROBLEM_LINK_NOT_FOUND, "%s", "");
		return;
	}
	if (!rate_limit_take(call->service->link_rates, hash, sizeof hash, clock_monotonic_ms())) {
		call_problem(call, PROBLEM_TOO_MANY_REQUESTS, "%s", "");
		return;
	}
	pg_transaction_init(&call->admission, store_directory(), on_link);
	call->has_admission = true;
	(void)store_renewal_link_by_hash(&call->admission, hash);
	(void)store_tenant_by_renewal_link(&call->admission, hash);
	pg_start(&call->admission, call->service->pool, STORE_TIMEOUT_MS);
}

// Guessing is hopeless, and yet nobody may try for long.
static void admit_by_link(struct call *call)
{
	const struct text address = call->request->client_address;

	if (!rate_limit_take(call->service->address_rates, address.bytes, address.length, clock_monotonic_ms())) {
		call_problem(call, PROBLEM_TOO_MANY_REQUESTS, "%s", "");
		return;
	}
	ask_for_link(call);
}

void call_admit(struct http_request *request)
{
	struct call *call = call_begin(request, request->route->tag);

	if (call->endpoint->of_link) {
		if (query_is_known(call)) {
			admit_by_link(call);
		}
		return;
	}
	if (call->endpoint->of_hook) {
		hook_admit(call);
		return;
	}
	if (call->endpoint->least == ROLE_ANYBODY) {
		if (query_is_known(call)) {
			http_admit(request);
		}
		return;
	}
	ask_for_key(call);
}
