// SPDX-License-Identifier: Apache-2.0
//
// store_inner.h - what the files of this room share, and nobody else includes.
//
// Law  whoever changes a client's stream row and others of its rows in one transaction locks the stream row first, so that
//      the API and the worker never wait for each other in a circle
#pragma once

#include "depbroker/clock.h"
#include "store/store.h"

enum { FORGOTTEN_AFTER_S = 15 }; // a client that was claimed, and not run to its end, is due again

// Part of an api transaction that changes what a run goes by: the run that is under way fails at its next write, and the
// client is due at once. First of its statements, because of the law above. `routes`: devices are to be looked at, too.
void store_start_over(struct pg_transaction *t, int64_t tenant_id, bool routes);

// An endpoint with its positions, in an api transaction that has called store_start_over.
struct endpoint_row;
void store_endpoint_add(struct pg_transaction *t, int64_t tenant_id, const struct endpoint_row *endpoint);

// Of the event e: the page that it came with, which is the first write after which the log had it.
#define STORE_PAGE_COLUMNS ", page.event_seq, page.kind"
#define STORE_PAGE_OF_EVENT                                                                                                \
	" left join lateral (select l.event_seq, l.kind from depbroker.page_ledger l where l.tenant_id = $1 and l.event_seq >= e.seq" \
	"  order by l.event_seq, l.write_seq limit 1) page on true"

// What store_secret_open reads, of the tables secrets s and data_keys k; other columns may follow.
#define STORE_SECRET_COLUMNS \
	"s.object_id, s.version, s.data_key_version, s.nonce, s.ciphertext, k.wrapped, k.master_key_id, s.kind"
enum { STORE_SECRET_COLUMN_COUNT = 8 };
// The document of the rules r, also of a version from before there were any.
#define RULES_DOCUMENT                                                                               \
	"coalesce(r.document, '{\"default\":' || coalesce((select to_json(i.name)::text"                 \
	" from depbroker.instances i where i.tenant_id = $1 and i.instance_id = r.default_instance_id), 'null') || '}')"

// When a device of the client ($1) is to be assigned next: each part has an index.
#define DEVICE_NEXT_ASSIGN                                                                                                       \
	"select least((select min(assign_at) from depbroker.devices where tenant_id = $1 and assign_at is not null"                  \
	"  and assigned_profile_uuid is null), (select min(assign_at) from depbroker.devices where tenant_id = $1"                   \
	"  and assign_at is not null and assigned_profile_uuid is not null))"

// What the end of a run says of the client in lists. Parameters: phase, reason, error, when it was synced, when it is next, what Apple said of
// the token (empty: nothing), its word, and whether the profile is unusable.
#define STATUS_OF_RUN(phase, reason, error, synced, next, state, word, unusable)                                               \
	"sync_phase = " phase ", sync_reason = " reason ", sync_error = " error ", synced_at = " synced ", sync_next_at = " next   \
	", token_state = coalesce(nullif(" state ", ''), s.token_state)"                                                        \
	", token_since = case when " state " in ('', s.token_state) then s.token_since else now() end"                          \
	", token_checked_at = case when " state " = '' then s.token_checked_at else now() end"                                  \
	", token_word = case when " state " = '' then s.token_word else " word " end, profile_unusable = " unusable ", updated_at = now()"
enum { STATUS_OF_RUN_VALUES = 8 };
struct tenant_status_row;
void store_set_status_of_run(struct pg_value values[STATUS_OF_RUN_VALUES], const struct tenant_status_row *status);

// --- values in ---

struct text store_nullable(struct text value);               // NULL when it is empty
struct text store_not_null(struct text value);               // never NULL
struct text store_clipped(struct text value, size_t limit);  // never NULL; cut between two characters

// A column of numbers as two parameters, the array and the value of all rows, one of which is empty: coalesce(n.column, $all). A column has
// one value in most pages, and unpacking an array costs more than storing what is in it.
void store_set_numbers(struct pg_value *array, struct pg_value *all, enum pg_kind array_kind, const int64_t *numbers, size_t count);

// 0 means "never" in plain structs of the core; the column is NULL then.
static inline int64_t store_instant_or_null(int64_t instant_us)
{
	return instant_us == 0 ? INSTANT_NONE : instant_us;
}

// --- a row's columns, read in the order of its statement's list ---

struct columns {
	const struct pg_transaction *transaction;
	unsigned statement;
	size_t row;
	unsigned next;
};

struct text next_text(struct columns *at);
int64_t next_number(struct columns *at);
bool next_bool(struct columns *at);
int64_t next_instant(struct columns *at);
int64_t next_instant_or_0(struct columns *at);
void next_bytes(struct columns *at, unsigned char *out, size_t size); // of a bytea column that has exactly this size

// The first column of the first row of statements that give one number.
int64_t store_number(const struct pg_transaction *t, unsigned statement);

// Cuts one item off the front of a list whose items are separated by `separator`. False when nothing is left.
MUST_USE bool store_next_item(struct text *rest, char separator, struct text *item);

// Which labels the row gives to its device: none at all (null), or in place of those that it has.
#define STORE_JOB_LABELS(job, row) \
	"case when " #job ".kind = 'label' then coalesce(" #row ".labels, " #job ".labels, '{}') else coalesce(" #row ".labels, " #job ".labels) end"

// The end of an insert into alerts as a: one that is there is raised once more.
#define STORE_ALERT_IS_NEWS                                                                                               \
	" on conflict (tenant_id, kind) do update set detail = excluded.detail, last_seen_at = now(), cleared_at = null, acked_at = null," \
	" acked_by = null, raised = a.raised + 1, since = case when a.cleared_at is null then a.since else now() end"

// `what` of the devices ($1: of the client) that are to be assigned at $2, $3 at most; `ours`: whether they have a profile of ours. Where one
// goes that was pinned, or told otherwise, since it was decided, is not known yet: it waits.
#define STORE_TO_ASSIGN(what, ours)                                                                                       \
	what "and assign_at <= $2 and assigned_profile_uuid " ours                                                         \
	" and not exists (select from depbroker.reroutes r where r.tenant_id = $1 and r.serial_number = devices.serial_number)" \
	" order by assign_at limit $3"
