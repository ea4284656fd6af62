// SPDX-License-Identifier: Apache-2.0
#include "store/jobs.h"

#include "store/device_shown.h"
#include "store/store_inner.h"

#include <assert.h>
#include <stdlib.h>

static struct text kind_of(const struct job_row *job)
{
	return text_of(job_kind_name(job->kind));
}

static enum job_kind kind_stored(struct text name)
{
	enum job_kind kind;
	const bool is_known = job_kind_parse(name, &kind);

	assert(is_known); // the schema has no others
	return kind;
}

// --- in ---

void store_job_insert(struct pg_transaction *t, int64_t tenant_id, const struct job_row *job)
{
	(void)PG_ADD(t,
		"insert into depbroker.jobs (tenant_id, job_id, kind, dry_run, reason, start_at, row_count, created_by, labels, retires_id, target_id)"
		" values ($1, $2, $3, $4, $5, $6, $7, $8, string_to_array($9, E'\\n'), nullif($10, 0), nullif($11, 0))",
		PG_V_INT8(tenant_id), PG_V_INT8(job->job_id), PG_V_TEXT(kind_of(job)), PG_V_BOOL(job->dry_run),
		PG_V_TEXT(store_clipped(job->reason, JOB_REASON_MAX)), PG_V_INSTANT(job->start_at_us), PG_V_INT8(job->row_count),
		PG_V_TEXT(job->created_by), PG_V_TEXT(job->has_labels ? store_not_null(job->labels) : TEXT_NONE), PG_V_INT8(job->retires_id), PG_V_INT8(job->target_id));
}

void store_job_rows_insert(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, const struct job_wish *rows, size_t count)
{
	enum { SERIAL, REFUSED, LABELS, COLUMNS };
	struct text *texts = allocate_array(count + 1, COLUMNS * sizeof *texts);
	int64_t *instances = allocate_array(count + 1, sizeof *instances);

	for (size_t i = 0; i < count; i++) {
		texts[SERIAL * count + i] = store_clipped(rows[i].serial_number, 64);
		texts[REFUSED * count + i] = store_nullable(rows[i].refused);
		texts[LABELS * count + i] = rows[i].has_labels ? store_not_null(rows[i].labels) : TEXT_NONE;
		instances[i] = rows[i].instance_id;
	}
	(void)PG_ADD(t,
		"insert into depbroker.job_rows (tenant_id, job_id, row_number, serial_number, instance_id, result, detail, labels)"
		" select $1, $2, n.number, n.serial, nullif(n.instance, 0), case when n.refused is null then 'waiting' else 'refused' end, n.refused,"
		" string_to_array(n.labels, E'\\n')"
		" from unnest($3::text[], $4::bigint[], $5::text[], $6::text[]) with ordinality as n (serial, instance, refused, labels, number)",
		PG_V_INT8(tenant_id), PG_V_INT8(job_id), PG_V_TEXTS(PG_TEXT_ARRAY, texts + SERIAL * count, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, instances, count), PG_V_TEXTS(PG_TEXT_ARRAY, texts + REFUSED * count, count),
		PG_V_TEXTS(PG_TEXT_ARRAY, texts + LABELS * count, count));
	free(instances);
	free(texts);
}

void store_job_rows_of_devices(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, const struct device_filter *filter,
	int64_t instance_id)
{
	struct pg_value values[DEVICE_FILTER_VALUES + 3];

	store_device_filter_values(values, tenant_id, filter);
	values[DEVICE_FILTER_VALUES] = PG_V_INT8(job_id);
	values[DEVICE_FILTER_VALUES + 1] = PG_V_INT8(instance_id);
	values[DEVICE_FILTER_VALUES + 2] = PG_V_INT8(JOB_ROWS_MAX);
	(void)pg_add(t,
		"with put as ("
		"  insert into depbroker.job_rows (tenant_id, job_id, row_number, serial_number, instance_id)"
		"  select $1, $19, row_number() over (order by f.serial_number), f.serial_number, nullif($20, 0) from ("
		DEVICE_MEANT DEVICE_FILTERED "limit $21 + 1) as f returning 1)"
		" select depbroker.require_fence((select count(*) from put) <= $21)",
		values, DEVICE_FILTER_VALUES + 3);
	(void)PG_ADD(t,
		"update depbroker.jobs set row_count = (select count(*) from depbroker.job_rows where tenant_id = $1 and job_id = $2)"
		" where tenant_id = $1 and job_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(job_id));
}

// --- out ---

unsigned store_job_unfinished(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select count(*) from depbroker.jobs j where tenant_id = $1 and state in ('costing', 'waiting', 'scheduled', 'running', 'asking')"
		" and not (state = 'waiting' and exists (select from depbroker.approvals a where a.tenant_id = $1 and a.approval_id = j.approval_id"
		"  and a.expires_at <= now()))",
		PG_V_INT8(tenant_id));
}

int64_t store_job_unfinished_read(const struct pg_transaction *t, unsigned statement)
{
	return store_number(t, statement);
}

unsigned store_job_releasing(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	return PG_ADD(t,
		"select distinct r.serial_number from depbroker.jobs j"
		" left join depbroker.approvals a on a.tenant_id = $1 and a.approval_id = j.approval_id"
		" join depbroker.job_rows r on r.tenant_id = $1 and r.job_id = j.job_id and r.result in ('waiting', 'asked')"
		"  and r.serial_number = any ($2::text[])"
		" where j.tenant_id = $1 and j.kind = 'release' and not j.dry_run"
		" and j.state in ('costing', 'waiting', 'scheduled', 'running', 'asking') and (j.state <> 'waiting' or a.expires_at > now())",
		PG_V_INT8(tenant_id), PG_V_TEXTS(PG_TEXT_ARRAY, serials, count));
}

#define JOB_STATE "case when j.state = 'waiting' and a.expires_at <= now() then 'expired' else j.state end"
#define JOB                                                                                                                          \
	"select j.job_id, j.tenant_id, o.slug, j.kind,"                                                                                           \
	" " JOB_STATE ", j.dry_run, j.reason,"                 \
	" array_to_string(j.labels, E'\\n'), j.start_at,"                                                                                    \
	" j.row_count, j.costed, j.position, j.changes, j.moved, j.present, j.allowed, j.approval_id, j.retires_id, j.target_id,"           \
	" j.created_at, j.started_at,"                                                                                                    \
	" j.finished_at, j.created_by, j.checked, coalesce(j.checked_against, -1), j.problem from depbroker.jobs j"               \
	" join depbroker.tenants o on o.tenant_id = j.tenant_id"                                                                          \
	" left join depbroker.approvals a on a.tenant_id = j.tenant_id and a.approval_id = j.approval_id "

unsigned store_job_by_id(struct pg_transaction *t, int64_t tenant_id, int64_t job_id)
{
	return PG_ADD(t, JOB "where j.tenant_id = $1 and j.job_id = $2", PG_V_INT8(tenant_id), PG_V_INT8(job_id));
}

unsigned store_job_list(struct pg_transaction *t, const int64_t *tenant_ids, size_t count, const struct job_filter *filter, int limit)
{
	const struct pg_value all = { .kind = PG_NULL };

	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		JOB "where ($1::bigint[] is null or j.tenant_id = any ($1::bigint[])) and j.job_id < $2"
		" and (cardinality($3::text[]) = 0 or " JOB_STATE " = any ($3)) and ($4::text is null or j.kind = $4) order by j.job_id desc limit $5",
		tenant_ids != NULL ? PG_V_NUMBERS(PG_INT8_ARRAY, tenant_ids, count) : all, PG_V_INT8(filter->before_id),
		PG_V_TEXTS(PG_TEXT_ARRAY, filter->states, filter->state_count), PG_V_TEXT(store_nullable(filter->kind)), PG_V_INT8(limit));
}

// --- over for long ---

// What waits for an approval that has expired is over, too.
#define LONG_OVER(days) \
	"coalesce(j.finished_at, (select a.expires_at from depbroker.approvals a where j.state = 'waiting' and a.tenant_id = j.tenant_id" \
	" and a.approval_id = j.approval_id)) < now() - make_interval(days => " days "::int)"

unsigned store_job_old(struct pg_transaction *t, int64_t days, int limit)
{
	return PG_ADD(t, "select distinct j.tenant_id from depbroker.jobs j where " LONG_OVER("$1") " limit $2", PG_V_INT8(days), PG_V_INT8(limit));
}

int64_t store_job_old_read(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return pg_int8(t, statement, row, 0);
}

#define OLDEST "(select min(j.job_id) from depbroker.jobs j where j.tenant_id = $1 and " LONG_OVER("$2") ")"

unsigned store_job_prune(struct pg_transaction *t, int64_t tenant_id, int64_t days)
{
	(void)PG_ADD(t,
		"delete from depbroker.job_rows r using (select w.job_id, w.row_number from depbroker.job_rows w where w.tenant_id = $1"
		"  and w.job_id = " OLDEST " order by w.row_number limit $3) as n"
		" where r.tenant_id = $1 and r.job_id = n.job_id and r.row_number = n.row_number",
		PG_V_INT8(tenant_id), PG_V_INT8(days), PG_V_INT8(JOB_PRUNE_ROWS));
	(void)PG_ADD(t,
		"delete from depbroker.jobs o where o.tenant_id = $1 and o.job_id = " OLDEST
		" and not exists (select from depbroker.job_rows r where r.tenant_id = $1 and r.job_id = o.job_id)",
		PG_V_INT8(tenant_id), PG_V_INT8(days));
	return PG_ADD(t, "select " OLDEST " is not null", PG_V_INT8(tenant_id), PG_V_INT8(days));
}

bool store_job_prune_read(const struct pg_transaction *t, unsigned statement)
{
	return pg_bool(t, statement, 0, 0);
}

unsigned store_job_due(struct pg_transaction *t, int limit)
{
	return PG_ADD(t,
		JOB "where (j.tenant_id, j.job_id) in ("
		" select d.tenant_id, min(d.job_id) from depbroker.jobs d join depbroker.tenants t on t.tenant_id = d.tenant_id"
		" where t.state <> 'deleting' and (d.state in ('costing', 'running')"
		"  or (d.state = 'scheduled' and coalesce(d.start_at, d.created_at) <= now()))"
		" group by d.tenant_id) order by j.job_id limit $1",
		PG_V_INT8(limit));
}

void store_job_read(const struct pg_transaction *t, unsigned statement, size_t row, struct job_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->job_id = next_number(&at);
	out->tenant_id = next_number(&at);
	out->slug = next_text(&at);
	out->kind = kind_stored(next_text(&at));
	out->state = next_text(&at);
	out->dry_run = next_bool(&at);
	out->reason = next_text(&at);
	out->labels = next_text(&at);
	out->has_labels = out->labels.bytes != NULL;
	out->start_at_us = next_instant(&at);
	out->row_count = next_number(&at);
	out->costed = next_number(&at);
	out->position = next_number(&at);
	out->changes = next_number(&at);
	out->moved = next_number(&at);
	out->present = next_number(&at);
	out->allowed = next_number(&at);
	out->approval_id = next_number(&at);
	out->retires_id = next_number(&at);
	out->target_id = next_number(&at);
	out->created_at_us = next_instant(&at);
	out->started_at_us = next_instant(&at);
	out->finished_at_us = next_instant(&at);
	out->created_by = next_text(&at);
	out->checked = next_number(&at);
	out->checked_against = next_number(&at);
	out->problem = next_text(&at);
}

unsigned store_job_counts(struct pg_transaction *t, int64_t tenant_id, int64_t job_id)
{
	return PG_ADD(t, "select result, count(*) from depbroker.job_rows where tenant_id = $1 and job_id = $2 group by result",
		PG_V_INT8(tenant_id), PG_V_INT8(job_id));
}

void store_job_counts_read(const struct pg_transaction *t, unsigned statement, int64_t counts[JOB_RESULTS])
{
	for (size_t i = 0; i < JOB_RESULTS; i++) {
		counts[i] = 0;
	}
	for (size_t row = 0; row < pg_row_count(t, statement); row++) {
		counts[store_job_result(pg_text(t, statement, row, 0))] = pg_int8(t, statement, row, 1);
	}
}

unsigned store_job_lines(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, int64_t after, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select r.row_number, r.serial_number, i.name,"
		" case when r.result in ('waiting', 'asked') and j.state in ('cancelled', 'rejected') then 'cancelled' else r.result end,"
		" r.detail, r.moves, f.name, o.name from depbroker.job_rows r"
		" join depbroker.jobs j on j.tenant_id = $1 and j.job_id = r.job_id"
		" left join depbroker.instances i on i.tenant_id = $1 and i.instance_id = r.instance_id"
		" left join depbroker.instances f on f.tenant_id = $1 and f.instance_id = r.from_instance_id"
		" left join depbroker.instances o on o.tenant_id = $1 and o.instance_id = r.to_instance_id"
		" where r.tenant_id = $1 and r.job_id = $2 and r.row_number > $3 order by r.row_number limit $4",
		PG_V_INT8(tenant_id), PG_V_INT8(job_id), PG_V_INT8(after), PG_V_INT8(limit));
}

void store_job_line_read(const struct pg_transaction *t, unsigned statement, size_t row, struct job_line *out)
{
	struct columns at = { t, statement, row, 0 };

	out->row_number = next_number(&at);
	out->serial_number = next_text(&at);
	out->instance = next_text(&at);
	out->result = next_text(&at);
	out->detail = next_text(&at);
	out->moves = next_bool(&at);
	out->from = next_text(&at);
	out->to = next_text(&at);
}

// --- people ---

void store_job_approved(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id)
{
	(void)PG_ADD(t,
		"with allowed as ("
		"  update depbroker.jobs j set state = 'scheduled', allowed = a.changes, problem = null from depbroker.approvals a"
		"  where j.tenant_id = $1 and j.approval_id = $2 and j.state = 'waiting' and a.tenant_id = $1 and a.approval_id = $2"
		"   and not exists (select r.serial_number, o.name from depbroker.job_rows r"
		"    left join depbroker.instances o on o.tenant_id = $1 and o.instance_id = r.to_instance_id"
		"    where r.tenant_id = $1 and r.job_id = j.job_id and r.moves"
		"    except select serial_number, \"to\" from json_to_recordset(a.devices::json) as d (serial_number text, \"to\" text)) returning 1)"
		" select depbroker.require_fence(exists (select from allowed))",
		PG_V_INT8(tenant_id), PG_V_INT8(approval_id));
}

void store_job_rejected(struct pg_transaction *t, int64_t tenant_id, int64_t approval_id)
{
	(void)PG_ADD(t,
		"update depbroker.jobs set state = 'rejected', finished_at = now() where tenant_id = $1 and approval_id = $2 and state = 'waiting'",
		PG_V_INT8(tenant_id), PG_V_INT8(approval_id));
}

void store_job_cancel(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, struct text by)
{
	(void)PG_ADD(t,
		"with cancelled as ("
		"  update depbroker.jobs set state = 'cancelled', finished_at = now()"
		"  where tenant_id = $1 and job_id = $2 and state in ('costing', 'waiting', 'scheduled', 'running', 'asking') returning 1)"
		" select depbroker.require_fence(exists (select from cancelled))",
		PG_V_INT8(tenant_id), PG_V_INT8(job_id));
	(void)PG_ADD(t,
		"update depbroker.approvals a set state = 'stale', decided_by = $3, decided_at = now() from depbroker.jobs j"
		" where a.tenant_id = $1 and a.approval_id = j.approval_id and a.state = 'pending' and j.tenant_id = $1 and j.job_id = $2",
		PG_V_INT8(tenant_id), PG_V_INT8(job_id), PG_V_TEXT(by));
}

// --- what jobs leave ---

unsigned store_device_labels_put(struct pg_transaction *t, int64_t tenant_id, const struct device_labels_row *row, struct text serial)
{
	store_start_over(t, tenant_id, false);
	if (row->labels.length > 0) {
		(void)PG_ADD(t,
			"insert into depbroker.device_labels (tenant_id, serial_number, labels, made_by) values ($1, $2, string_to_array($3, E'\\n'), $4)"
			" on conflict (tenant_id, serial_number) do update set labels = excluded.labels, made_by = excluded.made_by, made_at = now()",
			PG_V_INT8(tenant_id), PG_V_TEXT(serial), PG_V_TEXT(row->labels), PG_V_TEXT(row->made_by));
	} else {
		(void)PG_ADD(t, "delete from depbroker.device_labels where tenant_id = $1 and serial_number = $2", PG_V_INT8(tenant_id), PG_V_TEXT(serial));
	}
	store_reroute_insert(t, tenant_id, &serial, 1);
	return store_device_labels(t, tenant_id, serial);
}

unsigned store_device_labels(struct pg_transaction *t, int64_t tenant_id, struct text serial)
{
	return PG_ADD(t,
		"select array_to_string(labels, E'\\n'), made_at, made_by from depbroker.device_labels where tenant_id = $1 and serial_number = $2",
		PG_V_INT8(tenant_id), PG_V_TEXT(serial));
}

void store_device_labels_read(const struct pg_transaction *t, unsigned statement, size_t row, struct device_labels_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->labels = next_text(&at);
	out->made_at_us = next_instant(&at);
	out->made_by = next_text(&at);
}

// --- what Apple is asked for ---

unsigned store_job_any_asked(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t,
		"select exists (select from depbroker.job_rows r where r.tenant_id = $1 and r.result = 'asked' and exists"
		" (select from depbroker.jobs j where j.tenant_id = $1 and j.job_id = r.job_id and j.state in ('running', 'asking')))",
		PG_V_INT8(tenant_id));
}

bool store_job_any_asked_read(const struct pg_transaction *t, unsigned statement)
{
	return pg_bool(t, statement, 0, 0);
}

unsigned store_job_asked(struct pg_transaction *t, int64_t tenant_id, int limit)
{
	assert(limit > 0 && limit <= STORE_LIST_MAX);
	return PG_ADD(t,
		"select r.job_id, r.row_number, j.kind, r.serial_number, r.instance_id from depbroker.job_rows r"
		" join depbroker.jobs j on j.tenant_id = $1 and j.job_id = r.job_id"
		" where r.tenant_id = $1 and r.result = 'asked' and r.job_id = (select min(w.job_id) from depbroker.job_rows w"
		"  join depbroker.jobs o on o.tenant_id = $1 and o.job_id = w.job_id and o.state in ('running', 'asking')"
		"  where w.tenant_id = $1 and w.result = 'asked')"
		" order by r.row_number limit $2",
		PG_V_INT8(tenant_id), PG_V_INT8(limit));
}

void store_job_asked_read(const struct pg_transaction *t, unsigned statement, size_t row, struct job_asked_row *out)
{
	struct columns at = { t, statement, row, 0 };

	out->job_id = next_number(&at);
	out->row_number = next_number(&at);
	out->kind = kind_stored(next_text(&at));
	out->serial_number = next_text(&at);
	out->wanted_instance_id = next_number(&at);
}
