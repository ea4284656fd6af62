// SPDX-License-Identifier: Apache-2.0
#include "store/devices.h"

#include "store/device_shown.h"
#include "store/store_inner.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// The one list of what is stored of a device: parameters, column, its type, how it is kept in struct device_row, and where. Two parameters,
// because most columns have one value in all rows of a page, and unpacking an array costs more than storing what is in it: the first is
// the array, the second the value of all rows, and one of them is empty. The serial number, which is the key, is $2.
#define DEVICE_COLUMNS(X)                                                              \
	X(3, 36, model, text, TEXT, apple.model)                                           \
	X(4, 37, description, text, TEXT, apple.description)                               \
	X(5, 38, color, text, TEXT, apple.color)                                           \
	X(6, 39, asset_tag, text, TEXT, apple.asset_tag)                                   \
	X(7, 40, device_family, text, TEXT, apple.device_family)                           \
	X(8, 41, os, text, TEXT, apple.os)                                                 \
	X(9, 42, profile_status, text, TEXT, apple.profile_status)                         \
	X(10, 43, profile_uuid, text, TEXT, apple.profile_uuid)                            \
	X(11, 44, device_assigned_by, text, TEXT, apple.device_assigned_by)                \
	X(12, 45, profile_assign_time, timestamptz, INSTANT, apple.profile_assign_time_us) \
	X(13, 46, profile_push_time, timestamptz, INSTANT, apple.profile_push_time_us)     \
	X(14, 47, device_assigned_date, timestamptz, INSTANT, apple.device_assigned_date_us)\
	X(15, 48, mdm_migration_deadline, timestamptz, INSTANT, apple.mdm_migration_deadline_us)\
	X(16, 49, extra, text, TEXT, apple.extra)                                          \
	X(17, 50, op_date, timestamptz, INSTANT, apple.op_date_us)                         \
	X(18, 51, fingerprint, bytea, FINGERPRINT, apple.fingerprint)                      \
	X(19, 52, gone_at, timestamptz, INSTANT, gone_at_us)                               \
	X(20, 53, instance_id, bigint, NUMBER_OR_NULL, instance_id)                        \
	X(21, 54, rules_version, bigint, NUMBER, rules_version)                            \
	X(22, 55, assign_state, bigint, STATE, assign_state)                               \
	X(23, 56, assign_at, timestamptz, INSTANT, assign_at_us)                           \
	X(24, 57, assign_attempts, bigint, NUMBER, assign_attempts)                        \
	X(25, 58, assigned_profile_uuid, text, TEXT, assigned_profile_uuid)                \
	X(26, 59, first_seen_at, timestamptz, INSTANT, first_seen_at_us)                   \
	X(27, 60, changed_at, timestamptz, INSTANT, changed_at_us)                         \
	X(28, 61, gone_reason, bigint, REASON, gone_reason)                                \
	X(29, 62, gone_seq, bigint, NUMBER_OR_NULL, gone_seq)                              \
	X(30, 63, last_instance_id, bigint, NUMBER_OR_NULL, last_instance_id)              \
	X(31, 64, decider, bigint, DECIDER, decider)                                       \
	X(32, 65, rule_id, text, TEXT, rule_id)                                            \
	X(33, 66, hold_reason, text, TEXT, hold_reason)                                    \
	X(34, 67, held_since, timestamptz, INSTANT, held_since_us)                         \
	X(35, 68, list_hash, bigint, NUMBER_OR_NULL, apple.list_hash)

enum kept_as { TEXT_MEMBER, INSTANT_MEMBER, NUMBER_MEMBER, NUMBER_OR_NULL_MEMBER, STATE_MEMBER, REASON_MEMBER, DECIDER_MEMBER, FINGERPRINT_MEMBER };

#define AS_NAME(array, all, name, type, kept, member)       ", " #name
#define AS_VALUE(array, all, name, type, kept, member)      ", " VALUE_##kept("coalesce(n." #name ", $" #all "::" #type ")")
#define AS_ARRAY(array, all, name, type, kept, member)      ", unnest($" #array "::" #type "[]) as " #name
#define AS_CHANGE(array, all, name, type, kept, member)     ", " #name " = excluded." #name
#define AS_DEFINITION(array, all, name, type, kept, member) { kept##_MEMBER, offsetof(struct device_row, member) },

#define VALUE_TEXT(name)           name
#define VALUE_INSTANT(name)        name
#define VALUE_NUMBER(name)         name
#define VALUE_NUMBER_OR_NULL(name) "nullif(" name ", 0)"
#define VALUE_STATE(name)          name
#define VALUE_REASON(name)         "nullif(" name ", 0)"
#define VALUE_DECIDER(name)        name
#define VALUE_FINGERPRINT(name)    name

static const struct device_column {
	enum kept_as kept;
	size_t offset;
} columns[] = {
	{ TEXT_MEMBER, offsetof(struct device_row, apple.serial_number) },
	DEVICE_COLUMNS(AS_DEFINITION)
};

enum { COLUMNS = sizeof columns / sizeof *columns };

// --- in ---

static struct text text_of_member(const struct device_column *column, const void *member)
{
	struct text text;

	if (column->kept == FINGERPRINT_MEMBER) {
		return (struct text){ member, DEVICE_FINGERPRINT_SIZE };
	}
	memcpy(&text, member, sizeof text);
	return store_nullable(text);
}

static int64_t number_of_member(const struct device_column *column, const void *member)
{
	int64_t number;
	enum assign_state state;
	enum removal_reason reason;
	enum route_decider decider;

	if (column->kept == DECIDER_MEMBER) {
		memcpy(&decider, member, sizeof decider);
		return decider;
	}
	if (column->kept == REASON_MEMBER) {
		memcpy(&reason, member, sizeof reason);
		return reason;
	}
	if (column->kept == STATE_MEMBER) {
		memcpy(&state, member, sizeof state);
		return state;
	}
	memcpy(&number, member, sizeof number);
	return number;
}

static enum pg_kind array_kind(const struct device_column *column)
{
	switch (column->kept) {
	case TEXT_MEMBER:
		return PG_TEXT_ARRAY;
	case FINGERPRINT_MEMBER:
		return PG_BYTEA_ARRAY;
	case INSTANT_MEMBER:
		return PG_TIMESTAMPTZ_ARRAY;
	case NUMBER_MEMBER:
	case NUMBER_OR_NULL_MEMBER:
	case STATE_MEMBER:
	case REASON_MEMBER:
	case DECIDER_MEMBER:
		break;
	}
	return PG_INT8_ARRAY;
}

static bool is_text(const struct device_column *column)
{
	return column->kept == TEXT_MEMBER || column->kept == FINGERPRINT_MEMBER;
}

static const void *member_of(const struct device_row *row, const struct device_column *column)
{
	return (const char *)row + column->offset;
}

static bool is_same_text_in_all(const struct device_column *column, const struct device_row *rows, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (!text_equal(text_of_member(column, member_of(&rows[0], column)), text_of_member(column, member_of(&rows[i], column)))) {
			return false;
		}
	}
	return count > 0;
}

static struct text *texts_of(const struct device_column *column, const struct device_row *rows, size_t count)
{
	struct text *texts = allocate_array(count, sizeof *texts);

	for (size_t i = 0; i < count; i++) {
		texts[i] = text_of_member(column, member_of(&rows[i], column));
	}
	return texts;
}

static int64_t *numbers_of(const struct device_column *column, const struct device_row *rows, size_t count)
{
	int64_t *numbers = allocate_array(count, sizeof *numbers);

	for (size_t i = 0; i < count; i++) {
		numbers[i] = number_of_member(column, member_of(&rows[i], column));
	}
	return numbers;
}

// As store_set_numbers. Returns what the values borrow, or NULL.
static void *set_texts(struct pg_value *array, struct pg_value *all, const struct device_column *column, const struct device_row *rows, size_t count)
{
	const bool same = is_same_text_in_all(column, rows, count);
	const struct text value = same ? text_of_member(column, member_of(&rows[0], column)) : TEXT_NONE;
	struct text *texts = same ? NULL : texts_of(column, rows, count);

	*array = PG_V_TEXTS(array_kind(column), texts, same ? 0 : count);
	*all = column->kept == FINGERPRINT_MEMBER ? PG_V_BYTEA(value) : PG_V_TEXT(value);
	return texts;
}

static void *set_numbers(struct pg_value *array, struct pg_value *all, const struct device_column *column, const struct device_row *rows, size_t count)
{
	int64_t *numbers = numbers_of(column, rows, count);

	store_set_numbers(array, all, array_kind(column), numbers, count);
	return numbers;
}

enum { VALUES = 1 + COLUMNS + COLUMNS - 1 }; // the client, the arrays, and what is the same in all

static unsigned add_rows(struct pg_transaction *t, const char *sql, int64_t tenant_id, const struct device_row *rows, size_t count)
{
	struct pg_value values[VALUES] = { PG_V_INT8(tenant_id) };
	void *borrowed[COLUMNS] = { texts_of(&columns[0], rows, count) };
	unsigned statement;

	values[1] = PG_V_TEXTS(PG_TEXT_ARRAY, borrowed[0], count);
	for (size_t i = 1; i < COLUMNS; i++) {
		borrowed[i] = (is_text(&columns[i]) ? set_texts : set_numbers)(&values[1 + i], &values[COLUMNS + i], &columns[i], rows, count);
	}
	statement = pg_add(t, sql, values, VALUES);
	for (size_t i = 0; i < COLUMNS; i++) {
		free(borrowed[i]);
	}
	return statement;
}

// Arrays of different lengths are filled up with nulls. In the list of what is selected they are read one row after the other; in a from
// clause each would be copied first.
#define INSERT                                                                                             \
	"insert into depbroker.devices (tenant_id, serial_number" DEVICE_COLUMNS(AS_NAME) ")"                     \
	" select $1, n.serial_number" DEVICE_COLUMNS(AS_VALUE)                                                   \
	" from (select unnest($2::text[]) as serial_number" DEVICE_COLUMNS(AS_ARRAY) ") as n"

unsigned store_device_put(struct pg_transaction *t, int64_t tenant_id, const struct device_row *rows, size_t count)
{
	return add_rows(t,
		INSERT " on conflict (tenant_id, serial_number) do update set tenant_id = excluded.tenant_id" DEVICE_COLUMNS(AS_CHANGE),
		tenant_id, rows, count);
}

unsigned store_device_insert(struct pg_transaction *t, int64_t tenant_id, const struct device_row *rows, size_t count)
{
	return add_rows(t, INSERT, tenant_id, rows, count);
}

void store_device_list_hashes(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, const int64_t *hashes, size_t count)
{
	(void)PG_ADD(t,
		"update depbroker.devices as d set list_hash = n.list_hash"
		" from (select unnest($2::text[]) as serial_number, unnest($3::bigint[]) as list_hash) as n"
		" where d.tenant_id = $1 and d.serial_number = n.serial_number and d.gone_at is null",
		PG_V_INT8(tenant_id), PG_V_TEXTS(PG_TEXT_ARRAY, serials, count), PG_V_NUMBERS(PG_INT8_ARRAY, hashes, count));
}

// --- out ---

#define DEVICE "select serial_number" DEVICE_COLUMNS(AS_NAME) " from depbroker.devices where tenant_id = $1 "

// One look-up by the primary key for each serial number, whatever the planner believes: from "= any" it makes, as long as it knows little
// about the table, a scan of all the client's devices, and a fetch of n devices costs n * n.
unsigned store_device_by_serials(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	return PG_ADD(t,
		"select found.* from unnest($2::text[]) as wanted (serial) cross join lateral"
		" (" DEVICE "and serial_number = wanted.serial offset 0) as found",
		PG_V_INT8(tenant_id), PG_V_TEXTS(PG_TEXT_ARRAY, serials, count));
}

unsigned store_device_fingerprints(struct pg_transaction *t, int64_t tenant_id, struct text after, int limit)
{
	return PG_ADD(t,
		"select serial_number, fingerprint, gone_at is not null, list_hash from depbroker.devices where tenant_id = $1 and serial_number > $2"
		" order by serial_number limit $3",
		PG_V_INT8(tenant_id), PG_V_TEXT(store_not_null(after)), PG_V_INT8(limit));
}

void store_device_mark_read(const struct pg_transaction *t, unsigned statement, size_t row, struct device_mark *out)
{
	struct buffer fingerprint CLEANUP(buffer_fini) = BUFFER(DEVICE_FINGERPRINT_SIZE);

	out->serial_number = pg_text(t, statement, row, 0);
	if (pg_bytes(t, statement, row, 1, &fingerprint) && fingerprint.length == DEVICE_FINGERPRINT_SIZE) {
		memcpy(out->fingerprint, fingerprint.bytes, DEVICE_FINGERPRINT_SIZE);
	}
	out->gone = pg_bool(t, statement, row, 2);
	out->list_hash = (uint64_t)pg_int8(t, statement, row, 3);
}

unsigned store_device_list(struct pg_transaction *t, int64_t tenant_id, struct text after, bool with_gone, int64_t instance_id,
	int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX + 1);
	return PG_ADD(t,
		DEVICE "and serial_number > $2 and ($3 or gone_at is null) and ($4 = -1 or coalesce(instance_id, 0) = $4)"
		" order by serial_number limit $5",
		PG_V_INT8(tenant_id), PG_V_TEXT(store_not_null(after)), PG_V_BOOL(with_gone), PG_V_INT8(instance_id),
		PG_V_INT8(limit));
}

// --- as people are shown them ---

#define COLUMNS_SHOWN "serial_number" DEVICE_COLUMNS(AS_NAME) ", s.state, " DEVICE_SINCE ", " DEVICE_LABELS

// Devices that few filters mean are found by an index, and not by reading all of them. Each source has all that its filter may mean.
#define OF_CLIENT(condition) "(select * from depbroker.devices where tenant_id = $1 and " condition " offset 0)"
#define OF_OTHERS(table, condition)                                                                                              \
	"(select d.* from (select distinct o.serial_number from depbroker." table " o where o.tenant_id = $1 and " condition " offset 0) as o"  \
	" join depbroker.devices d on d.tenant_id = $1 and d.serial_number = o.serial_number)"
#define SHOWN_LIST(from) DEVICE_SHOWN(COLUMNS_SHOWN, from) DEVICE_FILTERED "limit $19"

enum source { ALL, HELD, TO_BE_ASSIGNED, MISROUTED_ONES, LABELLED, SOURCES };

static const char *const shown_lists[SOURCES] = {
	[ALL] = SHOWN_LIST("depbroker.devices"),
	[HELD] = SHOWN_LIST(OF_CLIENT("held_since is not null")),
	[TO_BE_ASSIGNED] = SHOWN_LIST("(" OF_CLIENT("assign_at is not null and assigned_profile_uuid is null") " union all "
		OF_CLIENT("assign_at is not null and assigned_profile_uuid is not null") ")"),
	[MISROUTED_ONES] = SHOWN_LIST(OF_OTHERS("enrolments", "o.is_misrouted")),
	[LABELLED] = SHOWN_LIST(OF_OTHERS("device_labels", "$14 = any (o.labels)")),
};

static bool words_are_of(const struct device_filter *filter, const char *const *known)
{
	size_t found = 0;

	for (size_t i = 0; i < filter->word_count; i++) {
		for (const char *const *word = known; *word != NULL; word++) {
			found += text_equal_string(filter->words[i], *word) ? 1 : 0;
		}
	}
	return filter->word_count > 0 && found == filter->word_count;
}

static enum source source_of(const struct device_filter *filter)
{
	if ((filter->instance_id == 0 && !filter->with_gone) || words_are_of(filter, (const char *const[]){ "held", NULL })) {
		return HELD;
	}
	if (words_are_of(filter, (const char *const[]){ "misrouted", NULL })) {
		return MISROUTED_ONES;
	}
	if (filter->next_before_us != INSTANT_NONE || words_are_of(filter, (const char *const[]){ "assigning", "throttled", "failed", NULL })) {
		return TO_BE_ASSIGNED;
	}
	return filter->label.length > 0 ? LABELLED : ALL;
}

void store_device_filter_values(struct pg_value values[DEVICE_FILTER_VALUES], int64_t tenant_id, const struct device_filter *filter)
{
	const struct text last_of_all = TEXT("\xf4\x8f\xbf\xbf"); // the last character that there is
	const struct pg_value all[DEVICE_FILTER_VALUES] = {
		PG_V_INT8(tenant_id), PG_V_TEXT(store_not_null(filter->after)), PG_V_BOOL(filter->with_gone), PG_V_INT8(filter->instance_id),
		PG_V_TEXTS(PG_TEXT_ARRAY, filter->words, filter->word_count), PG_V_INSTANT(filter->since_until_us),
		PG_V_TEXT(store_not_null(filter->serial_prefix)), PG_V_TEXT(filter->serial_end.length > 0 ? filter->serial_end : last_of_all), PG_V_TEXT(store_nullable(filter->profile_uuid)),
		PG_V_TEXT(store_nullable(filter->profile_status)), PG_V_TEXT(store_nullable(filter->rule)), PG_V_TEXT(store_nullable(filter->family)),
		PG_V_TEXT(store_nullable(filter->model)), PG_V_TEXT(store_nullable(filter->label)), PG_V_TEXT(filter->hold_reason),
		PG_V_INT8(filter->gone_reason), PG_V_INSTANT(filter->assigned_until_us), PG_V_INSTANT(filter->next_before_us),
	};

	memcpy(values, all, sizeof all);
}

unsigned store_device_shown_list(struct pg_transaction *t, int64_t tenant_id, const struct device_filter *filter, int limit)
{
	struct pg_value values[DEVICE_FILTER_VALUES + 1];

	assert(limit > 0 && limit <= STORE_LIST_MAX);
	store_device_filter_values(values, tenant_id, filter);
	values[DEVICE_FILTER_VALUES] = PG_V_INT8(limit);
	return pg_add(t, shown_lists[source_of(filter)], values, DEVICE_FILTER_VALUES + 1);
}

unsigned store_device_shown(struct pg_transaction *t, int64_t tenant_id, struct text serial)
{
	return PG_ADD(t, DEVICE_SHOWN(COLUMNS_SHOWN, "depbroker.devices") "and serial_number = $2", PG_V_INT8(tenant_id), PG_V_TEXT(serial));
}

void store_device_status_read(const struct pg_transaction *t, unsigned statement, size_t row, struct device_status *out)
{
	struct columns at = { t, statement, row, COLUMNS };

	out->state = next_text(&at);
	out->since_us = next_instant(&at);
	out->labels = next_text(&at);
}

// --- to be assigned ---

// Those that have not got any profile of ours yet come first, whatever waits besides.
unsigned store_device_to_assign(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select * from (" STORE_TO_ASSIGN(DEVICE, "is null") ") as urgent union all select * from (" STORE_TO_ASSIGN(DEVICE, "is not null") ") as bulk limit $3",
		PG_V_INT8(tenant_id), PG_V_INSTANT(now_us), PG_V_INT8(limit));
}

#define ALIKE                                                                                                                    \
	DEVICE "and instance_id = $4 and case decider when 2 then coalesce(rule_id, '') else '' end = any ($5::text[])"                 \
	" and assign_state not in (2, 5) "

unsigned store_device_to_assign_alike(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit, int64_t instance_id,
	const struct text *rule_ids, size_t count)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select * from (" STORE_TO_ASSIGN(ALIKE, "is null") ") as urgent union all select * from (" STORE_TO_ASSIGN(ALIKE, "is not null") ") as bulk limit $3",
		PG_V_INT8(tenant_id), PG_V_INSTANT(now_us), PG_V_INT8(limit), PG_V_INT8(instance_id), PG_V_TEXTS(PG_TEXT_ARRAY, rule_ids, count));
}

unsigned store_device_next_assign(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, DEVICE_NEXT_ASSIGN, PG_V_INT8(tenant_id));
}

int64_t store_device_next_assign_read(const struct pg_transaction *t, unsigned statement)
{
	return pg_instant(t, statement, 0, 0);
}

static void read_member(struct columns *at, const struct device_column *column, void *member)
{
	switch (column->kept) {
	case TEXT_MEMBER:
		*(struct text *)member = next_text(at);
		break;
	case INSTANT_MEMBER:
		*(int64_t *)member = next_instant(at);
		break;
	case NUMBER_MEMBER:
	case NUMBER_OR_NULL_MEMBER:
		*(int64_t *)member = next_number(at);
		break;
	case STATE_MEMBER:
		*(enum assign_state *)member = (enum assign_state)next_number(at);
		break;
	case REASON_MEMBER:
		*(enum removal_reason *)member = (enum removal_reason)next_number(at);
		break;
	case DECIDER_MEMBER:
		*(enum route_decider *)member = (enum route_decider)next_number(at);
		break;
	case FINGERPRINT_MEMBER:
		next_bytes(at, member, DEVICE_FINGERPRINT_SIZE);
		break;
	}
}

void store_device_read(const struct pg_transaction *t, unsigned statement, size_t row, struct device_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->apple.operation = DEVICE_PRESENT;
	out->apple.response_status = TEXT_NONE;
	out->apple.is_replacement = false; // replacements.h knows
	out->apple.released_by_replacement = false;
	for (size_t i = 0; i < COLUMNS; i++) {
		read_member(&at, &columns[i], (char *)out + columns[i].offset);
	}
}
