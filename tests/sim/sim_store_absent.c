// SPDX-License-Identifier: Apache-2.0
//
// sim_store_absent.c - server/store about what these worlds do not have: lists are empty, and what is there only with such rows is not called.
#include "sim/sim_transaction.h"

#include "store/definitions.h"
#include "store/dep_profiles.h"
#include "store/expected.h"
#include "store/parked.h"
#include "store/templates.h"

#include <string.h>

// --- layers, and what Apple has of a profile: this world has the instances' own members only, and Apple keeps what it was given ---

unsigned store_tenant_profile_select(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return sim_add_simple(t, OP_NOTHING);
}

void store_tenant_profile_read(const struct pg_transaction *t, unsigned statement, size_t row, struct tenant_profile_row *out)
{
	(void)t;
	(void)statement;
	(void)row;
	*out = (struct tenant_profile_row){ .layer = TEXT("{}") };
}

void store_template_done(struct pg_transaction *t, int64_t tenant_id, int64_t version)
{
	(void)tenant_id;
	(void)version;
	(void)sim_add_simple(t, OP_NOTHING);
}

void store_definition_begin(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text content_digest)
{
	(void)tenant_id;
	(void)instance_id;
	(void)content_digest;
	(void)sim_add_simple(t, OP_NOTHING);
}

void store_definition_withdraw(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text content_digest,
	int64_t wait_until_us)
{
	(void)wait_until_us;
	store_definition_begin(t, tenant_id, instance_id, content_digest);
}

void store_definition_taken(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text content_digest)
{
	store_definition_begin(t, tenant_id, instance_id, content_digest);
}

void store_definition_end_waits(struct pg_transaction *t, int64_t tenant_id, int64_t now_us)
{
	(void)tenant_id;
	(void)now_us;
	(void)sim_add_simple(t, OP_NOTHING);
}

void store_definition_lost(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	(void)sim_add_simple(t, OP_NOTHING);
}

unsigned store_definition_list(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return sim_add_simple(t, OP_NOTHING);
}

void store_definition_read(const struct pg_transaction *t, unsigned statement, size_t row, struct definition_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

unsigned store_profile_to_check(struct pg_transaction *t, int64_t tenant_id, int64_t before_us)
{
	(void)tenant_id;
	(void)before_us;
	return sim_add_simple(t, OP_NOTHING);
}

void store_profile_to_check_read(const struct pg_transaction *t, unsigned statement, struct profile_row *out, bool *in_use)
{
	*in_use = false;
	memcpy(out, sim_row_of(t, statement, 0), sizeof *out);
}

unsigned store_profile_next_check(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return sim_add_simple(t, OP_NOTHING);
}

int64_t store_profile_next_check_read(const struct pg_transaction *t, unsigned statement)
{
	(void)t;
	(void)statement;
	return INSTANT_NONE;
}

unsigned store_due_request(struct pg_transaction *t, int64_t tenant_id, enum due_request request)
{
	(void)tenant_id;
	(void)request;
	return sim_add_simple(t, OP_NOTHING);
}

void store_profile_checked(struct pg_transaction *t, int64_t tenant_id, const struct profile_check_result *result)
{
	(void)tenant_id;
	(void)result;
	(void)sim_add_simple(t, OP_NOTHING);
}

// No MDM server of the simulated clients has a virtual DEP server.
void store_dep_profile_lose(struct pg_transaction *t, int64_t tenant_id, struct text profile_uuid)
{
	(void)t;
	(void)tenant_id;
	(void)profile_uuid;
}

// The simulated Apple lists no records that cannot be read.

void store_parked_put(struct pg_transaction *t, int64_t tenant_id, const struct parked_row *rows, size_t count, int64_t rejected)
{
	(void)t;
	(void)rows;
	(void)count;
	LAW(rejected == 0, "client %lld has parked records", (long long)tenant_id);
}

// --- tokens that wait: the simulation has none ---

#define NOBODY_CALLS(declaration, ...)                                          \
	__attribute__((noreturn)) declaration                                         \
	{                                                                             \
		const void *const given[] = { __VA_ARGS__ };                                \
                                                                                \
		sim_law_broken(__func__, "the simulation has no such rows, with %zu", sizeof given);          \
	}
NOBODY_CALLS(unsigned store_pending_retry(struct pg_transaction *t, int64_t tenant_id, const struct pending_token_row *row), t, &tenant_id, row)
NOBODY_CALLS(void store_pending_drop(struct pg_transaction *t, int64_t tenant_id, int64_t token_id), t, &tenant_id, &token_id)
NOBODY_CALLS(unsigned store_token_set_admin(struct pg_transaction *t, int64_t tenant_id, int64_t token_id, struct text admin_id), t, &tenant_id,
	&token_id, &admin_id)
NOBODY_CALLS(void store_token_take(struct pg_transaction *t, int64_t tenant_id, const struct token_row *token), t, &tenant_id, token)
NOBODY_CALLS(void store_tenant_pin(struct pg_transaction *t, const struct tenant_row *identity), t, identity)
NOBODY_CALLS(unsigned store_tenant_status_token(struct pg_transaction *t, int64_t tenant_id, struct text state, int64_t expires_at_us), t,
	&tenant_id, &state, &expires_at_us)

// --- no list of devices is expected ---

NOBODY_CALLS(void store_expected_review(struct pg_transaction *t, int64_t tenant_id, int64_t event_seq), t, &tenant_id, &event_seq)
