// SPDX-License-Identifier: Apache-2.0
//
// What a job does, a slice at a time: costing, asking, carrying out, and what Apple answered.
#include "store/jobs.h"

#include "store/approvals.h"
#include "store/instances.h"
#include "store/store_inner.h"

#include <stdlib.h>

enum { DETAIL_MAX = 400 };

// --- costing ---

unsigned store_job_present(struct pg_transaction *t, int64_t tenant_id)
{
	return PG_ADD(t, "select count(*) from depbroker.devices where tenant_id = $1 and gone_at is null", PG_V_INT8(tenant_id));
}

int64_t store_job_present_read(const struct pg_transaction *t, unsigned statement)
{
	return store_number(t, statement);
}

static int64_t moves_of(const struct job_progress *progress)
{
	int64_t moves = 0;

	for (size_t i = 0; i < progress->count; i++) {
		moves += progress->outcomes[i].moves ? 1 : 0;
	}
	return moves;
}

// What was found out about each row; `keeps_result`: nothing has been done yet.
static void put_outcomes(struct pg_transaction *t, const struct job_progress *progress, bool keeps_result)
{
	enum { FROM, TO, MOVES, COLUMNS };
	const size_t count = progress->count;
	int64_t *numbers = allocate_array(count + 1, COLUMNS * sizeof *numbers);
	struct text *results = allocate_array(count + 1, sizeof *results);

	for (size_t i = 0; i < count; i++) {
		const struct job_outcome *outcome = &progress->outcomes[i];

		numbers[FROM * count + i] = outcome->from_instance_id;
		numbers[TO * count + i] = outcome->to_instance_id;
		numbers[MOVES * count + i] = outcome->moves;
		results[i] = text_of(job_result_name(outcome->result));
	}
	(void)PG_ADD(t,
		"update depbroker.job_rows r set moves = n.moves <> 0, from_instance_id = nullif(n.origin, 0), to_instance_id = nullif(n.target, 0),"
		" result = case when $8 then r.result else n.result end,"
		" detail = case when n.result = 'failed' then $11 end"
		" from unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[]) as n (number, origin, target, moves, result)"
		" where r.tenant_id = $1 and r.job_id = $2 and r.row_number = n.number and r.row_number between $9 and $10", // so that no plan reads all
		PG_V_INT8(progress->job->tenant_id), PG_V_INT8(progress->job->job_id), PG_V_NUMBERS(PG_INT8_ARRAY, progress->row_numbers, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers + FROM * count, count), PG_V_NUMBERS(PG_INT8_ARRAY, numbers + TO * count, count),
		PG_V_NUMBERS(PG_INT8_ARRAY, numbers + MOVES * count, count), PG_V_TEXTS(PG_TEXT_ARRAY, results, count), PG_V_BOOL(keeps_result),
		PG_V_INT8(count > 0 ? progress->row_numbers[0] : 0), PG_V_INT8(count > 0 ? progress->row_numbers[count - 1] : 0),
		PG_V_TEXT(progress->job->kind == JOB_RELEASE ? TEXT("it is elsewhere by now") : TEXT("the instance is retired")));
	free(results);
	free(numbers);
}

void store_job_cost(struct pg_transaction *t, const struct job_progress *progress)
{
	const struct job_row *job = progress->job;

	(void)PG_ADD(t,
		"with costed as ("
		"  update depbroker.jobs set costed = $4, changes = changes + $5"
		"  where tenant_id = $1 and job_id = $2 and state = 'costing' and costed = $3 returning 1)"
		" select depbroker.require_fence(exists (select from costed))",
		PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id), PG_V_INT8(job->costed), PG_V_INT8(progress->position),
		PG_V_INT8(moves_of(progress)));
	put_outcomes(t, progress, true);
}

void store_job_costed(struct pg_transaction *t, const struct job_row *job, struct text state, int64_t present, int64_t allowed)
{
	(void)PG_ADD(t,
		"update depbroker.jobs set state = $3, present = $4, allowed = $5, finished_at = case when $3 = 'previewed' then now() end"
		" where tenant_id = $1 and job_id = $2",
		PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id), PG_V_TEXT(state), PG_V_INT8(present), PG_V_INT8(allowed));
}

void store_job_ask(struct pg_transaction *t, const struct job_row *job, int64_t approval_id, int64_t rules_version, int64_t present)
{
	const struct pg_value of_job[] = { PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id), PG_V_INT8(approval_id), PG_V_INT8(rules_version),
		PG_V_INT8(present) };

	(void)pg_add(t,
		"insert into depbroker.approvals (tenant_id, approval_id, kind, target, payload, reason, base_version, changes, present, devices, requested_by)"
		" select $1, $3, 'job', $2::text, json_build_object('job', $2::text, 'kind', j.kind)::text, j.reason, $4, j.changes, $5,"
		" coalesce((select json_agg(json_build_object('serial_number', r.serial_number, 'from', f.name, 'to', o.name, 'old_rule', null,"
		"  'new_rule', null) order by r.row_number) from depbroker.job_rows r"
		"  left join depbroker.instances f on f.tenant_id = $1 and f.instance_id = r.from_instance_id"
		"  left join depbroker.instances o on o.tenant_id = $1 and o.instance_id = r.to_instance_id"
		"  where r.tenant_id = $1 and r.job_id = $2 and r.moves)::text, '[]'), j.created_by"
		" from depbroker.jobs j where j.tenant_id = $1 and j.job_id = $2",
		of_job, sizeof of_job / sizeof *of_job);
	(void)PG_ADD(t, "update depbroker.jobs set approval_id = $3 where tenant_id = $1 and job_id = $2", PG_V_INT8(job->tenant_id),
		PG_V_INT8(job->job_id), PG_V_INT8(approval_id));
}

void store_job_checked(struct pg_transaction *t, const struct job_row *job, int64_t checked, int64_t against)
{
	(void)PG_ADD(t,
		"with checked as ("
		"  update depbroker.jobs set checked = $4, checked_against = $5"
		"  where tenant_id = $1 and job_id = $2 and state = 'running' and position = 0 and checked = $3 returning 1)"
		" select depbroker.require_fence(exists (select from checked))",
		PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id), PG_V_INT8(job->checked), PG_V_INT8(checked), PG_V_INT8(against));
}

void store_job_check_anew(struct pg_transaction *t, const struct job_row *job)
{
	(void)PG_ADD(t, "update depbroker.jobs set checked = 0 where tenant_id = $1 and job_id = $2 and state = 'running' and position = 0",
		PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id));
}

void store_job_void(struct pg_transaction *t, const struct job_row *job, struct text problem)
{
	store_approval_void(t, job->tenant_id, job->approval_id);
	if (job->kind == JOB_RETIRE) {
		store_job_retire_again(t, job);
	} else {
		store_job_cost_again(t, job);
	}
	(void)PG_ADD(t,
		"update depbroker.jobs set approval_id = null, allowed = 0, checked = 0, problem = $3 where tenant_id = $1 and job_id = $2",
		PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id), PG_V_TEXT(store_clipped(problem, DETAIL_MAX)));
}

#define UNLISTED(job_id, instance_id)                                                                                                \
	"from depbroker.devices d where d.tenant_id = $1 and d.instance_id = " instance_id " and d.gone_at is null and not exists"       \
	" (select from depbroker.job_rows r where r.tenant_id = $1 and r.job_id = " job_id " and r.serial_number = d.serial_number)"

unsigned store_job_unlisted(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, int64_t retires_id)
{
	return PG_ADD(t, "select count(*), min(d.serial_number) " UNLISTED("$2", "$3"), PG_V_INT8(tenant_id), PG_V_INT8(job_id), PG_V_INT8(retires_id));
}

int64_t store_job_unlisted_read(const struct pg_transaction *t, unsigned statement, struct text *serial)
{
	*serial = pg_text(t, statement, 0, 1);
	return pg_int8(t, statement, 0, 0);
}

void store_job_begin(struct pg_transaction *t, const struct job_row *job)
{
	(void)PG_ADD(t,
		"with begun as ("
		"  update depbroker.jobs set state = 'running', started_at = coalesce(started_at, now())"
		"  where tenant_id = $1 and job_id = $2 and state = 'scheduled' returning 1)"
		" select depbroker.require_fence(exists (select from begun))",
		PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id));
}

// --- carrying out ---

#define OF_SLICE "r.tenant_id = $1 and r.job_id = $2 and r.row_number > $3 and r.row_number <= $4 and r.result in ('done', 'asked')"

#define LABELLED                                                                                                                     \
	" from depbroker.job_rows r join depbroker.jobs j on j.tenant_id = $1 and j.job_id = $2"                                          \
	" cross join lateral (select " STORE_JOB_LABELS(j, r) " as labels) as w where " OF_SLICE

// A device whose row gives none keeps its own.
static void put_labels(struct pg_transaction *t, const struct pg_value slice[4])
{
	(void)pg_add(t,
		"insert into depbroker.device_labels (tenant_id, serial_number, labels, made_by)"
		" select $1, r.serial_number, w.labels, j.created_by" LABELLED " and cardinality(w.labels) > 0"
		" on conflict (tenant_id, serial_number) do update set labels = excluded.labels, made_by = excluded.made_by, made_at = now()",
		slice, 4);
	(void)pg_add(t,
		"delete from depbroker.device_labels where tenant_id = $1 and serial_number in (select r.serial_number" LABELLED
		" and cardinality(w.labels) = 0)",
		slice, 4);
}

static void put_pins(struct pg_transaction *t, const struct job_progress *progress)
{
	const struct job_row *job = progress->job;
	const struct pg_value slice[] = { PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id), PG_V_INT8(job->position),
		PG_V_INT8(progress->position) };

	switch (job->kind) {
	case JOB_ASSIGN:
	case JOB_PIN:
	case JOB_REMOVE_PROFILE:
		(void)pg_add(t,
			"insert into depbroker.pins (tenant_id, serial_number, instance_id, reason, made_by)"
			" select $1, r.serial_number, r.instance_id, j.reason, j.created_by from depbroker.job_rows r"
			" join depbroker.jobs j on j.tenant_id = $1 and j.job_id = $2 where " OF_SLICE
			" on conflict (tenant_id, serial_number) do update set instance_id = excluded.instance_id, reason = excluded.reason,"
			" made_by = excluded.made_by, made_at = now()",
			slice, 4);
		break;
	case JOB_UNPIN:
		(void)pg_add(t,
			"delete from depbroker.pins where tenant_id = $1 and serial_number in (select r.serial_number from depbroker.job_rows r where "
			OF_SLICE ")",
			slice, 4);
		break;
	case JOB_LABEL:
	case JOB_REROUTE:
	case JOB_RETIRE: // store_job_retire
	case JOB_RELEASE:
	case JOB_KINDS: break;
	}
	if (job->kind == JOB_LABEL || job->kind == JOB_ASSIGN || job->kind == JOB_PIN) {
		put_labels(t, slice);
	}
	if (job->kind != JOB_RELEASE) {
		(void)pg_add(t,
			"insert into depbroker.reroutes (tenant_id, serial_number) select $1, r.serial_number from depbroker.job_rows r where " OF_SLICE
			" on conflict do nothing",
			slice, 4);
	}
}

#define END_WHEN_DONE                                                                                                                \
	"update depbroker.jobs j set state = case when w.waits then 'asking' else 'done' end,"                                            \
	" finished_at = case when not w.waits then now() end"                                                                              \
	" from (select exists (select from depbroker.job_rows where tenant_id = $1 and job_id = $2 and result = 'asked') as waits) as w"   \
	" where j.tenant_id = $1 and j.job_id = $2 and j.position = j.row_count and j.state in ('running', 'asking')"

static void end_when_done(struct pg_transaction *t, int64_t tenant_id, int64_t job_id)
{
	(void)PG_ADD(t, END_WHEN_DONE, PG_V_INT8(tenant_id), PG_V_INT8(job_id));
}

void store_job_carry_out(struct pg_transaction *t, const struct job_progress *progress)
{
	const struct job_row *job = progress->job;

	store_start_over(t, job->tenant_id, false);
	(void)PG_ADD(t,
		"with moved as ("
		"  update depbroker.jobs set position = $4, moved = moved + $5"
		"  where tenant_id = $1 and job_id = $2 and state = 'running' and position = $3 and moved + $5 <= allowed returning 1)"
		" select depbroker.require_fence(exists (select from moved))",
		PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id), PG_V_INT8(job->position), PG_V_INT8(progress->position),
		PG_V_INT8(moves_of(progress)));
	put_outcomes(t, progress, false);
	put_pins(t, progress);
	end_when_done(t, job->tenant_id, job->job_id);
}

void store_job_retire(struct pg_transaction *t, const struct job_row *job, int64_t rules_version, struct text document)
{
	const struct pg_value both[] = { PG_V_INT8(job->tenant_id), PG_V_INT8(job->retires_id), PG_V_INT8(job->target_id) };

	store_start_over(t, job->tenant_id, true);
	if (document.length > 0) {
		(void)store_rules_put(t, job->tenant_id, rules_version,
			&(struct rules_row){ .document = document, .reason = job->reason, .made_by = job->created_by });
	}
	(void)PG_ADD(t,
		"with there as (select count(*) as n from depbroker.devices where tenant_id = $1 and instance_id = $3 and gone_at is null),"
		" moved as ("
		"  update depbroker.jobs j set position = row_count, moved = there.n from there"
		"  where j.tenant_id = $1 and j.job_id = $2 and j.state = 'running' and j.position = 0 and there.n <= j.allowed"
		"   and (j.approval_id is null or not exists (select " UNLISTED("$2", "$3") "))"
		"   and exists (select from depbroker.instances i where i.tenant_id = $1 and i.instance_id = $4 and i.state <> 'retired') returning 1)"
		" select depbroker.require_fence(exists (select from moved))",
		PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id), PG_V_INT8(job->retires_id), PG_V_INT8(job->target_id));
	(void)pg_add(t, "update depbroker.pins set instance_id = $3 where tenant_id = $1 and instance_id = $2", both, 3);
	(void)pg_add(t, "update depbroker.expected_devices set instance_id = $3 where tenant_id = $1 and instance_id = $2", both, 3);
	(void)pg_add(t, "update depbroker.instances set state = 'retired', version = version + 1, updated_at = now() where tenant_id = $1 and instance_id = $2", both, 2);
	(void)PG_ADD(t, "update depbroker.job_rows set result = 'done' where tenant_id = $1 and job_id = $2 and result = 'waiting'",
		PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id));
	end_when_done(t, job->tenant_id, job->job_id);
}

void store_job_retire_again(struct pg_transaction *t, const struct job_row *job)
{
	(void)PG_ADD(t,
		"with again as ("
		"  update depbroker.jobs set state = 'costing', costed = 0, changes = 0"
		"  where tenant_id = $1 and job_id = $2 and state = 'running' and position = 0 returning 1)"
		" select depbroker.require_fence(exists (select from again))",
		PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id));
	(void)PG_ADD(t, "delete from depbroker.job_rows where tenant_id = $1 and job_id = $2", PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id));
	struct device_filter there = DEVICE_FILTER_ANY;

	there.instance_id = job->retires_id;
	store_job_rows_of_devices(t, job->tenant_id, job->job_id, &there, job->target_id);
}

void store_job_cost_again(struct pg_transaction *t, const struct job_row *job)
{
	(void)PG_ADD(t,
		"with again as ("
		"  update depbroker.jobs set state = 'costing', costed = position, changes = moved"
		"  where tenant_id = $1 and job_id = $2 and state = 'running' and position = $3 returning 1)"
		" select depbroker.require_fence(exists (select from again))",
		PG_V_INT8(job->tenant_id), PG_V_INT8(job->job_id), PG_V_INT8(job->position));
}

// --- what Apple answered ---

void store_job_answered(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, const struct job_answer *answers, size_t count)
{
	int64_t *numbers = allocate_array(count + 1, sizeof *numbers);
	struct text *texts = allocate_array(count + 1, 2 * sizeof *texts);

	for (size_t i = 0; i < count; i++) {
		numbers[i] = answers[i].row_number;
		texts[i] = text_of(job_result_name(answers[i].result));
		texts[count + i] = answers[i].detail.length > 0 ? store_clipped(answers[i].detail, DETAIL_MAX) : TEXT_NONE;
	}
	(void)PG_ADD(t,
		"update depbroker.job_rows r set result = n.result, detail = n.detail"
		" from unnest($3::bigint[], $4::text[], $5::text[]) as n (number, result, detail)"
		" where r.tenant_id = $1 and r.job_id = $2 and r.row_number = n.number and r.result = 'asked'",
		PG_V_INT8(tenant_id), PG_V_INT8(job_id), PG_V_NUMBERS(PG_INT8_ARRAY, numbers, count), PG_V_TEXTS(PG_TEXT_ARRAY, texts, count),
		PG_V_TEXTS(PG_TEXT_ARRAY, texts + count, count));
	end_when_done(t, tenant_id, job_id);
	free(texts);
	free(numbers);
}
