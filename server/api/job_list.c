// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/jobs and /jobs: the jobs of one tenant, or of all that the key may see, the newest first
#include "api/job_json.h"
#include "api/paging.h"
#include "api/resources.h"

enum { STATES_MAX = 10 };

static const char *const states[] = {
	"costing", "waiting", "scheduled", "running", "asking", "done", "previewed", "rejected", "cancelled", "expired",
};
_Static_assert(sizeof states / sizeof *states == STATES_MAX, "each may be asked for");

struct listing {
	struct paging paging;
	struct job_filter filter;
	struct text states[STATES_MAX];
};

static bool is_state(struct text word)
{
	for (size_t i = 0; i < STATES_MAX; i++) {
		if (text_equal_string(word, states[i])) {
			return true;
		}
	}
	return false;
}

static bool read_states(struct call *call, struct listing *listing)
{
	struct text rest = http_request_query(call->request, "state"), word;

	while (text_next(&rest, ',', &word)) {
		if (!is_state(word) || listing->filter.state_count == STATES_MAX) {
			call_problem(call, PROBLEM_BAD_PARAMETER, "state is one or several, with commas, of costing, waiting, scheduled, running, asking, done,"
				" previewed, rejected, cancelled, expired");
			return false;
		}
		listing->states[listing->filter.state_count++] = word;
	}
	listing->filter.states = listing->states;
	return true;
}

static bool read_kind(struct call *call, struct listing *listing)
{
	enum job_kind kind;

	listing->filter.kind = http_request_query(call->request, "kind");
	if (listing->filter.kind.bytes != NULL && !job_kind_parse(listing->filter.kind, &kind)) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "kind is one of assign, pin, unpin, remove_profile, reroute, label, retire, release");
		return false;
	}
	return true;
}

static bool read_listing(struct call *call)
{
	struct listing *listing = call_own(call, sizeof *listing);

	if (!paging_read(call, &listing->paging, call->endpoint->of_tenant ? "jobs" : "all.jobs") || !read_states(call, listing) || !read_kind(call, listing)) {
		return false;
	}
	listing->filter.before_id = paging_after_number(&listing->paging, INT64_MAX);
	return true;
}

static void ask(struct call *call)
{
	const struct listing *listing = call->own;

	if (call->endpoint->of_tenant) {
		(void)store_job_list(call_transaction(call, store_api(call->tenant.tenant_id)), &call->tenant.tenant_id, 1, &listing->filter,
			listing->paging.limit);
	} else {
		size_t count;
		const int64_t *tenants = call_tenants(call, &count);

		(void)store_job_list(call_transaction(call, store_directory()), tenants, count, &listing->filter, listing->paging.limit);
	}
	call_start(call);
}

static void put(struct json_out *json, const struct pg_transaction *t, size_t at, struct buffer *key)
{
	struct job_row row;

	store_job_read(t, 0, at, &row);
	job_json(json, NULL, &row, NULL);
	paging_number_key(key, row.job_id);
}

void jobs_list(struct call *call)
{
	enum { NEW, LISTING };

	switch (call->state) {
	case NEW:
		if (!read_listing(call)) {
			return;
		}
		AWAIT(call, LISTING, ask(call));
		if (!call_failed(call)) {
			paging_answer(call, &((const struct listing *)call->own)->paging, put);
		}
	}
}
