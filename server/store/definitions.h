// SPDX-License-Identifier: Apache-2.0
//
// definitions.h - what keeps profiles at Apple few and right: how often the same content was defined, and what Apple has of it.
#pragma once

#include "store/instances.h"

enum { DEFINITIONS_FORGOTTEN_S = 7 * 86400 }; // after so long a time without one, counting begins anew

struct definition_row {
	int64_t instance_id;
	struct text content_digest; // SHA-256, hexadecimal
	int64_t attempts;
	int64_t last_at_us;
	int64_t refusals;      // in a row
	int64_t wait_until_us; // of them; INSTANT_NONE: it does not wait for them
};

// Worker scope, all in fenced writes. content_digest: 32 bytes.
void store_definition_begin(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text content_digest); // before Apple is asked
// Apple did not take it now, and is asked again at wait_until_us; or it was not asked at all: INSTANT_NONE.
void store_definition_withdraw(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text content_digest,
	int64_t wait_until_us);
void store_definition_taken(struct pg_transaction *t, int64_t tenant_id, int64_t instance_id, struct text content_digest);
void store_definition_end_waits(struct pg_transaction *t, int64_t tenant_id, int64_t now_us); // of what Apple did not take; its devices are due
void store_definition_lost(struct pg_transaction *t, int64_t tenant_id); // no answer came; counted for people
unsigned store_definition_list(struct pg_transaction *t, int64_t tenant_id); // of the last DEFINITIONS_FORGOTTEN_S, the newest first
void store_definition_read(const struct pg_transaction *t, unsigned statement, size_t row, struct definition_row *out);

// The profile that Apple was not asked about for the longest time, if it was before `before_us`: none or one row. `in_use`: a present
// device has it.
unsigned store_profile_to_check(struct pg_transaction *t, int64_t tenant_id, int64_t before_us);
void store_profile_to_check_read(const struct pg_transaction *t, unsigned statement, struct profile_row *out, bool *in_use);
// When the one of them was looked at that waits for the longest time: one row; INSTANT_NONE: there is none.
unsigned store_profile_next_check(struct pg_transaction *t, int64_t tenant_id);
int64_t store_profile_next_check_read(const struct pg_transaction *t, unsigned statement);

struct profile_check_result {
	struct text profile_uuid;
	int64_t drift_count;
	struct text drift; // JSON; empty: no difference
	bool mend;         // to be defined again
};
void store_profile_checked(struct pg_transaction *t, int64_t tenant_id, const struct profile_check_result *result);
