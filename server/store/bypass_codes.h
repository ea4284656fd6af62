// SPDX-License-Identifier: Apache-2.0
//
// bypass_codes.h - Activation Lock bypass codes of one client's devices; the codes themselves are in secrets.h.
//
// Law  a code is never replaced or deleted while its client exists: nobody can ask which one a device is locked with
#pragma once

#include "store/store.h"

enum { STORE_BYPASS_CODES_MAX = 20 }; // of one device

struct bypass_code_row {
	int64_t code_id;
	struct text serial_number;
	int64_t made_at_us;
	struct text made_by;
	int64_t sent_at_us;     // Apple was asked to lock the device with it; INSTANT_NONE: never
	struct text apple_word; // what it said; empty after sent_at_us: not known
	bool is_stale;          // the device has left the client
};

// Api scope, all of them.
// code_id, serial_number and made_by are taken.
unsigned store_bypass_code_insert(struct pg_transaction *t, int64_t tenant_id, const struct bypass_code_row *code);
unsigned store_bypass_code_list(struct pg_transaction *t, int64_t tenant_id, struct text serial); // newest first
void store_bypass_code_read(const struct pg_transaction *t, unsigned statement, size_t row, struct bypass_code_row *out);
// As store_secret_select gives them.
unsigned store_bypass_code_secrets(struct pg_transaction *t, int64_t tenant_id, struct text serial);
unsigned store_bypass_code_sent(struct pg_transaction *t, int64_t tenant_id, int64_t code_id);
unsigned store_bypass_code_answered(struct pg_transaction *t, int64_t tenant_id, int64_t code_id, struct text apple_word);
