// SPDX-License-Identifier: Apache-2.0
#include "store/store.h"

#include "depbroker/clock.h"
#include "store/store_inner.h"

#include <assert.h>
#include <string.h>

struct pg_scope store_directory(void)
{
	return pg_scope_directory("depbroker_directory");
}

struct pg_scope store_api(int64_t tenant_id)
{
	return pg_scope_tenant("depbroker_api", tenant_id);
}

struct pg_scope store_worker(int64_t tenant_id)
{
	return pg_scope_tenant("depbroker_worker", tenant_id);
}

void store_start_over(struct pg_transaction *t, int64_t tenant_id, bool routes)
{
	// Joined, so that the stream's row is the first to be locked.
	(void)PG_ADD(t,
		"with moved as ("
		"  update depbroker.sync_stream set config_version = config_version + 1, profile_needed = profile_needed or $2"
		"  where tenant_id = $1 returning tenant_id)"
		" update depbroker.sync_due as d set wake = d.wake + 1, due_at = least(d.due_at, now()), change_count = d.change_count + 1"
		" from moved where d.tenant_id = $1 and moved.tenant_id = d.tenant_id",
		PG_V_INT8(tenant_id), PG_V_BOOL(routes));
}

void store_commit_lazily(struct pg_transaction *t)
{
	pg_commit_lazily(t);
}

struct text store_nullable(struct text value)
{
	return value.length > 0 ? value : TEXT_NONE;
}

struct text store_not_null(struct text value)
{
	return value.length > 0 ? value : TEXT("");
}

struct text store_clipped(struct text value, size_t limit)
{
	if (value.length <= limit) {
		return store_not_null(value);
	}
	while (limit > 0 && ((unsigned char)value.bytes[limit] & 0xc0) == 0x80) { // the next byte continues a character
		limit--;
	}
	return (struct text){ value.bytes, limit };
}

void store_set_numbers(struct pg_value *array, struct pg_value *all, enum pg_kind array_kind, const int64_t *numbers, size_t count)
{
	const bool is_instant = array_kind == PG_TIMESTAMPTZ_ARRAY;
	size_t same = 0;

	assert(is_instant || array_kind == PG_INT8_ARRAY);
	while (same < count && numbers[same] == numbers[0]) {
		same++;
	}
	const bool all_same = count > 0 && same == count;
	const int64_t value = all_same ? numbers[0] : is_instant ? INSTANT_NONE : 0;

	*array = PG_V_NUMBERS(array_kind, numbers, all_same ? 0 : count);
	*all = is_instant ? PG_V_INSTANT(value) : PG_V_INT8(value);
}

struct text next_text(struct columns *at)
{
	return pg_text(at->transaction, at->statement, at->row, at->next++);
}

int64_t next_number(struct columns *at)
{
	return pg_int8(at->transaction, at->statement, at->row, at->next++);
}

bool next_bool(struct columns *at)
{
	return pg_bool(at->transaction, at->statement, at->row, at->next++);
}

int64_t next_instant(struct columns *at)
{
	return pg_instant(at->transaction, at->statement, at->row, at->next++);
}

int64_t next_instant_or_0(struct columns *at)
{
	const int64_t instant_us = next_instant(at);

	return instant_us == INSTANT_NONE ? 0 : instant_us;
}

void next_bytes(struct columns *at, unsigned char *out, size_t size)
{
	struct buffer bytes CLEANUP(buffer_fini_wiped) = BUFFER(size);
	const bool fits = pg_bytes(at->transaction, at->statement, at->row, at->next++, &bytes);

	assert(fits && bytes.length == size); // the schema checks the size
	memcpy(out, bytes.bytes, size);
}

int64_t store_number(const struct pg_transaction *t, unsigned statement)
{
	return pg_int8(t, statement, 0, 0);
}

bool store_next_item(struct text *rest, char separator, struct text *item)
{
	return rest->length > 0 && text_next(rest, separator, item);
}
