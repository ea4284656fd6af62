// SPDX-License-Identifier: Apache-2.0
#include "store/bypass_codes.h"

#include "crypto/seal.h"
#include "store/store_inner.h"

enum { APPLE_WORD_LIMIT = 80 };

unsigned store_bypass_code_insert(struct pg_transaction *t, int64_t tenant_id, const struct bypass_code_row *code)
{
	return PG_ADD(t,
		"insert into depbroker.bypass_codes (tenant_id, code_id, serial_number, made_by) values ($1, $2, $3, $4)",
		PG_V_INT8(tenant_id), PG_V_INT8(code->code_id), PG_V_TEXT(code->serial_number), PG_V_TEXT(code->made_by));
}

unsigned store_bypass_code_list(struct pg_transaction *t, int64_t tenant_id, struct text serial)
{
	return PG_ADD(t,
		"select c.code_id, c.serial_number, c.made_at, c.made_by, c.sent_at, c.apple_word,"
		"  exists (select from depbroker.devices d where d.tenant_id = $1 and d.serial_number = $2 and d.gone_at is not null)"
		" from depbroker.bypass_codes c where c.tenant_id = $1 and c.serial_number = $2 order by c.code_id desc limit $3",
		PG_V_INT8(tenant_id), PG_V_TEXT(serial), PG_V_INT8(STORE_BYPASS_CODES_MAX));
}

void store_bypass_code_read(const struct pg_transaction *t, unsigned statement, size_t row, struct bypass_code_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->code_id = next_number(&at);
	out->serial_number = next_text(&at);
	out->made_at_us = next_instant(&at);
	out->made_by = next_text(&at);
	out->sent_at_us = next_instant(&at);
	out->apple_word = next_text(&at);
	out->is_stale = next_bool(&at);
}

unsigned store_bypass_code_secrets(struct pg_transaction *t, int64_t tenant_id, struct text serial)
{
	return PG_ADD(t,
		"select distinct on (s.object_id) s.object_id, s.version, s.data_key_version, s.nonce, s.ciphertext"
		" from depbroker.secrets s join depbroker.bypass_codes c on c.tenant_id = $1 and c.code_id = s.object_id"
		" where s.tenant_id = $1 and s.kind = $2 and c.serial_number = $3 order by s.object_id, s.version desc",
		PG_V_INT8(tenant_id), PG_V_INT8(SECRET_BYPASS_CODE), PG_V_TEXT(serial));
}

unsigned store_bypass_code_sent(struct pg_transaction *t, int64_t tenant_id, int64_t code_id)
{
	return PG_ADD(t,
		"update depbroker.bypass_codes set sent_at = now(), apple_word = null where tenant_id = $1 and code_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(code_id));
}

unsigned store_bypass_code_answered(struct pg_transaction *t, int64_t tenant_id, int64_t code_id, struct text apple_word)
{
	return PG_ADD(t, "update depbroker.bypass_codes set apple_word = $3 where tenant_id = $1 and code_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(code_id), PG_V_TEXT(store_clipped(apple_word, APPLE_WORD_LIMIT)));
}
