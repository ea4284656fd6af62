// SPDX-License-Identifier: Apache-2.0
#include "store/audit.h"

#include "store/store_inner.h"

#include <assert.h>

unsigned store_audit(struct pg_transaction *t, struct text actor, struct text action, struct text target, struct text detail)
{
	return PG_ADD(t, "select depbroker.audit_append($1, $2, $3, $4)", PG_V_TEXT(actor), PG_V_TEXT(action), PG_V_TEXT(target),
		PG_V_JSONB(detail));
}

void store_webhook_allow_note(struct pg_transaction *t, struct text node_id, struct text ranges)
{
	(void)PG_ADD(t, "select depbroker.note_webhook_allow($1, array_remove(string_to_array($2, E'\\n'), ''))", PG_V_TEXT(node_id),
		PG_V_TEXT(store_not_null(ranges)));
}

unsigned store_audit_list(struct pg_transaction *t, int64_t after_seq, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select seq, at, actor, action, target, detail::text, encode(hash, 'hex') from depbroker.audit where seq > $1 order by seq limit $2",
		PG_V_INT8(after_seq), PG_V_INT8(limit));
}

void store_audit_read(const struct pg_transaction *t, unsigned statement, size_t row, struct audit_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->seq = next_number(&at);
	out->at_us = next_instant(&at);
	out->actor = next_text(&at);
	out->action = next_text(&at);
	out->target = next_text(&at);
	out->detail = next_text(&at);
	out->hash = next_text(&at);
}
