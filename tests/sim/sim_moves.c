// SPDX-License-Identifier: Apache-2.0
//
// sim_moves.c - jobs that move devices to where people say, beyond a limit only when a second one agrees. Two processes of the API carry them out
// as job_runner.c does: what they do next, and what a row means, is decided by the real core (job_step.h, job.h, blast.h); the statements of
// store/jobs.h and store/account.h are written down here. Pins of sim_routes.c are on no account.
#include "sim/sim_transaction.h"

#include "store/routing.h"
#include "tenants/job_step.h"

#include <string.h>

enum {
	ROWS = SIM_DEVICES, SLICE = 3, PROCESSES = 2, KEYS = 3,
	LIMIT = 2, LIMIT_PERCENT = 20, // of ten devices at most it is the same number
	SPENDINGS_MAX = 64,
	LOST_PERCENT = 5,
};

static const struct blast_limits limits = { LIMIT, LIMIT_PERCENT };

struct row {
	size_t device;
	int64_t wanted_instance_id;
	bool is_decided; // carried out, or found to be impossible
	bool moves;      // when it was costed,
	int64_t to;      // to this instance
};

static struct moves { // of a client
	struct move_job {
		int64_t number; // 0: it is over
		enum job_kind kind;
		enum job_state state; // JOB_RESTS: it waits for a second person
		int created_by, approved_by;
		struct row rows[ROWS];
		int64_t row_count, costed, checked, position, checked_against, changes, moved, allowed, present;
		int64_t approval_id; // 0: none
		bool is_listed[SIM_DEVICES]; // of the approval,
		int64_t listed_to[SIM_DEVICES];
	} job; // one at a time
	int64_t made, approvals;
	struct spending {
		int64_t at_us, devices;
	} account[SPENDINGS_MAX];
	size_t spending_count;
} *moves;

struct slice { // as it was read; what is written is decided by it
	struct sim_tenant *tenant;
	struct move_job job;
	struct job_case of;
	struct job_outcome outcomes[SLICE];
	int64_t end; // rows
};

static struct moves *moves_of(const struct sim_tenant *tenant)
{
	return &moves[tenant->id - 1];
}

static int64_t spent(const struct moves *at)
{
	int64_t devices = 0;

	for (size_t i = 0; i < at->spending_count; i++) {
		devices += at->account[i].at_us > sim.now_us - BLAST_WINDOW_S * SECOND_US ? at->account[i].devices : 0;
	}
	return devices;
}

static int64_t present_of(const struct sim_tenant *tenant)
{
	int64_t present = 0;

	for (size_t i = 0; i < SIM_DEVICES; i++) {
		present += sim_is_present(&tenant->devices[i]) ? 1 : 0;
	}
	return present;
}

// --- what a row means: by the core, and here once more ---

static struct ruleset *read_rules(const struct sim_tenant *tenant)
{
	struct ruleset_instance instances[SIM_INSTANCES];

	for (size_t i = 0; i < SIM_INSTANCES; i++) {
		const struct sim_instance *instance = &tenant->instances[i];

		instances[i] = (struct ruleset_instance){ instance->id, text_of(instance->name), instance->retired ? RULESET_INSTANCE_RETIRED
			: instance->draining ? RULESET_INSTANCE_DRAINING : RULESET_INSTANCE_ACTIVE };
	}
	return ruleset_read(sim_rules_document(tenant->route.rules), instances, SIM_INSTANCES, RULESET_IN_FORCE);
}

static struct sim_pin pin_of(const struct move_job *job, const struct row *row)
{
	return job->kind == JOB_UNPIN ? (struct sim_pin){ 0 } : (struct sim_pin){ true, row->wanted_instance_id };
}

static int64_t goes_to(const struct sim_tenant *tenant, const struct move_job *job, const struct row *row)
{
	struct sim_route route = tenant->route;

	route.pins[row->device] = pin_of(job, row);
	return sim_want(tenant, &route, row->device, &tenant->devices[row->device].row.apple);
}

static void check_outcome(const struct sim_tenant *tenant, const struct move_job *job, const struct row *row, const struct job_outcome *outcome)
{
	const struct sim_device *device = &tenant->devices[row->device];
	const int64_t to = goes_to(tenant, job, row);
	const bool fails = row->wanted_instance_id != 0 && to != row->wanted_instance_id;
	const bool is_there = sim_is_present(device);

	if (job->kind == JOB_UNPIN && row->device >= SIM_REPLACES_FROM) {
		return; // where its original was when it came is not known here
	}
	LAW(outcome->result == JOB_UNCHANGED || !is_there || (outcome->result == JOB_FAILED) == fails,
		"device %.*s: a job that %s be done counts as %s", TEXT_ARGS(tenant->serials[row->device]), fails ? "cannot" : "can",
		job_result_name(outcome->result));
	LAW(outcome->result != JOB_DONE || !is_there || (outcome->moves == (to != device->row.instance_id) && outcome->to_instance_id == to),
		"device %.*s at %lld goes to %lld by a job, which is %s to %lld", TEXT_ARGS(tenant->serials[row->device]),
		(long long)device->row.instance_id, (long long)to, outcome->moves ? "a move" : "none", (long long)outcome->to_instance_id);
}

static struct job_outcome decide_row(const struct sim_tenant *tenant, const struct ruleset *rules, const struct move_job *job, const struct row *row)
{
	const struct sim_device *device = &tenant->devices[row->device];
	const struct routing_fact fact = sim_fact_of(tenant, row->device);
	struct job_view view = {
		.kind = job->kind, .wanted_instance_id = row->wanted_instance_id, .rules = rules,
		.device = store_fact_device(&device->row.apple, &fact), .stored_instance_id = device->row.instance_id,
	};

	if (!sim_is_present(device)) {
		view.device.apple = NULL;
	}
	const struct job_outcome outcome = job_decide(&view);

	check_outcome(tenant, job, row, &outcome);
	return outcome;
}

static void decide_slice(struct slice *slice)
{
	const struct move_job *job = &slice->job;
	struct ruleset *rules = read_rules(slice->tenant);
	const int64_t from = job_rows_done(&slice->of);

	for (slice->end = from; slice->end < job->row_count && slice->end < from + SLICE; slice->end++) {
		const struct row *row = &job->rows[slice->end];
		struct job_outcome *outcome = &slice->outcomes[slice->end - from];

		if (row->is_decided) {
			continue;
		}
		*outcome = decide_row(slice->tenant, rules, job, row);
		slice->of.moves += outcome->moves ? 1 : 0;
		slice->of.strays += job_is_as_costed(outcome, row->moves, row->to) ? 0 : 1;
	}
	ruleset_free(rules);
}

// --- laws ---

static bool is_as_approved(const struct move_job *job, const struct row *row, const struct job_outcome *outcome)
{
	return row->is_decided || !outcome->moves || (job->is_listed[row->device] && job->listed_to[row->device] == outcome->to_instance_id);
}

// Of what was approved nothing is moved that a second person has not seen.
static void check_approved(const struct slice *slice, int64_t from)
{
	const struct move_job *job = &slice->job;

	LAW(job->approved_by != job->created_by, "client %lld: a job was approved by who asked for it", (long long)slice->tenant->id);
	for (int64_t i = from; i < slice->end; i++) {
		LAW(is_as_approved(job, &job->rows[i], &slice->outcomes[i - from]), "device %.*s is to be moved by an approved job, and nobody has seen that",
			TEXT_ARGS(slice->tenant->serials[job->rows[i].device]));
	}
}

// All of it was looked at before anything is done, and nothing was changed since that began.
static void check_begun(const struct slice *slice)
{
	const struct move_job *job = &slice->job;

	LAW(job->position > 0 || (job->checked == job->row_count && job->checked_against == slice->tenant->change_count),
		"client %lld: an approved job begins when %lld of %lld rows were looked at", (long long)slice->tenant->id, (long long)job->checked,
		(long long)job->row_count);
}

// Whatever was moved, and nobody else was asked about, within a day.
static void check_account(const struct sim_tenant *tenant)
{
	LAW(spent(moves_of(tenant)) <= LIMIT, "client %lld: %lld devices were moved, and nobody was asked", (long long)tenant->id,
		(long long)spent(moves_of(tenant)));
}

// --- the statements: each is for the job as it was read, or does nothing ---

static bool is_as_read(const struct slice *slice)
{
	const struct move_job *now = &moves_of(slice->tenant)->job, *read = &slice->job;

	return now->number == read->number && now->state == read->state && now->approval_id == read->approval_id && now->costed == read->costed &&
		now->checked == read->checked && now->position == read->position;
}

static void cost_again(struct move_job *job)
{
	job->state = JOB_COSTING;
	job->costed = job->position;
	job->changes = job->moved;
}

static void on_agreed(void *argument);

static void ask_somebody(struct sim_tenant *tenant)
{
	struct moves *at = moves_of(tenant);
	struct move_job *job = &at->job;

	job->approval_id = ++at->approvals;
	for (size_t i = 0; i < SIM_DEVICES; i++) {
		job->is_listed[i] = false;
	}
	for (int64_t i = 0; i < job->row_count; i++) {
		const struct row *row = &job->rows[i];

		job->is_listed[row->device] = row->moves;
		job->listed_to[row->device] = row->to;
	}
	sim_at(sim.now_us + sim_between(1, sim.quiet ? 2 : 30) * MINUTE_US, NULL, on_agreed, tenant);
}

static void end_costing(struct sim_tenant *tenant)
{
	static const enum job_state states[] = {
		[JOB_COSTED_PREVIEWED] = JOB_RESTS, [JOB_COSTED_SCHEDULED] = JOB_SCHEDULED, [JOB_COSTED_WAITING] = JOB_RESTS,
	};
	struct move_job *job = &moves_of(tenant)->job;
	const struct blast_cost cost = {
		.spent = spent(moves_of(tenant)), .present = present_of(tenant), .changes = job->changes, .approved = job->allowed,
	};
	const enum job_costed next = job_costed_next(job->kind, false, &limits, &cost, &job->allowed);

	job->present = cost.present;
	job->state = states[next];
	if (next == JOB_COSTED_WAITING) {
		ask_somebody(tenant);
	}
}

static void put_costed(const struct slice *slice)
{
	struct move_job *job = &moves_of(slice->tenant)->job;

	for (int64_t i = job->costed; i < slice->end; i++) {
		const struct job_outcome *outcome = &slice->outcomes[i - job->costed];

		if (!job->rows[i].is_decided) {
			job->rows[i].moves = outcome->moves;
			job->rows[i].to = outcome->to_instance_id;
		}
	}
	job->changes += slice->of.moves;
	job->costed = slice->end;
	if (job->costed == job->row_count) {
		end_costing(slice->tenant);
	}
}

static void pin(struct sim_tenant *tenant, const struct move_job *job, struct row *row, const struct job_outcome *outcome)
{
	row->is_decided = true;
	sim_trace("moves", tenant->id * 100 + (int64_t)row->device, row->wanted_instance_id, outcome->result);
	if (outcome->result == JOB_DONE) {
		tenant->route.pins[row->device] = pin_of(job, row);
		tenant->devices[row->device].rerouted = true;
	}
}

static void spend(struct sim_tenant *tenant, int64_t devices)
{
	struct moves *at = moves_of(tenant);

	LAW(at->spending_count < SPENDINGS_MAX, "client %lld: its account is full", (long long)tenant->id);
	at->account[at->spending_count++] = (struct spending){ sim.now_us, devices };
	check_account(tenant);
}

static void carry_out(const struct slice *slice)
{
	struct sim_tenant *tenant = slice->tenant;
	struct moves *at = moves_of(tenant);
	struct move_job *job = &at->job;

	if (tenant->change_count != slice->of.change_count || job->moved + slice->of.moves > job->allowed) {
		return;
	}
	if (job->approval_id != 0) {
		check_begun(slice);
		check_approved(slice, job->position);
	} else if (slice->of.moves > 0) {
		LAW(spent(at) != slice->of.spent || spent(at) + slice->of.moves <= slice->of.limit,
			"client %lld: a job moves %lld devices for which nothing is left", (long long)tenant->id, (long long)slice->of.moves);
		if (spent(at) + slice->of.moves > slice->of.limit) {
			return;
		}
		spend(tenant, slice->of.moves);
	}
	for (int64_t i = job->position; i < slice->end; i++) {
		if (!job->rows[i].is_decided) {
			pin(tenant, job, &job->rows[i], &slice->outcomes[i - slice->job.position]);
		}
	}
	job->moved += slice->of.moves;
	job->position = slice->end;
	job->number = job->position == job->row_count ? 0 : job->number;
	sim_start_over(tenant, false);
}

static void put(const struct slice *slice)
{
	struct move_job *job = &moves_of(slice->tenant)->job;
	const enum job_step step = job_step_next(&slice->of);

	sim_trace("step", slice->tenant->id, step, slice->end);
	switch (step) {
	case JOB_STEP_COST: put_costed(slice); break;
	case JOB_STEP_BEGIN: job->state = JOB_RUNNING; break;
	case JOB_STEP_CHECK:
		check_approved(slice, job->checked);
		job->checked = slice->end;
		job->checked_against = slice->of.change_count;
		break;
	case JOB_STEP_CHECK_ANEW: job->checked = 0; break;
	case JOB_STEP_VOID:
		cost_again(job);
		job->approval_id = job->allowed = job->checked = 0;
		break;
	case JOB_STEP_CARRY_OUT: carry_out(slice); break;
	case JOB_STEP_COST_AGAIN: cost_again(job); break;
	case JOB_STEP_RETIRE:
	case JOB_STEP_RETIRE_AGAIN: LAW(false, "client %lld: a job that pins devices retires an instance", (long long)slice->tenant->id);
	}
}

// --- the processes of the API ---

static void look(void *argument);

static void look_later(struct sim_tenant *tenant, int64_t wait_us)
{
	sim_at(sim.now_us + wait_us, NULL, look, tenant);
}

static void on_read(void *argument)
{
	const struct slice *slice = argument;
	const bool is_lost = !sim.quiet && sim_chance(LOST_PERCENT);

	if (sim.db_away_until_us <= sim.now_us && !is_lost && is_as_read(slice)) {
		put(slice);
	}
	look_later(slice->tenant, sim_between(1, 2000) * MS_US);
}

static void look(void *argument)
{
	struct sim_tenant *tenant = argument;
	const struct moves *at = moves_of(tenant);
	const struct move_job *job = &at->job;

	if (job->number == 0 || job->state == JOB_RESTS) {
		return; // who makes it go on wakes the processes
	}
	struct slice *slice = sim_take(sizeof *slice);

	slice->tenant = tenant;
	slice->job = *job;
	slice->of = (struct job_case){
		.kind = job->kind, .state = job->state, .is_approved = job->approval_id > 0, .row_count = job->row_count, .costed = job->costed,
		.checked = job->checked, .position = job->position, .checked_against = job->checked_against, .change_count = tenant->change_count,
		.moved = job->moved, .allowed = job->allowed, .spent = spent(at), .limit = blast_limit(&limits, job->present),
	};
	decide_slice(slice);
	sim_at(sim.now_us + sim_between(200, 3000), NULL, on_read, slice);
}

static void wake_processes(struct sim_tenant *tenant)
{
	for (int i = 0; i < PROCESSES; i++) {
		look_later(tenant, sim_between(0, 1000) * MS_US);
	}
}

// --- what people do ---

static void pin_one(struct sim_tenant *tenant)
{
	const size_t device = (size_t)sim_between(0, SIM_DEVICES - 1);
	const struct blast_cost cost = { .present = present_of(tenant), .changes = 1, .spent = spent(moves_of(tenant)) };

	if (sim_is_present(&tenant->devices[device]) && blast_decide(&limits, &cost) == BLAST_ALLOWED) {
		spend(tenant, 1);
		tenant->route.pins[device] = (struct sim_pin){ true, sim_between(0, SIM_INSTANCES) };
		tenant->devices[device].rerouted = true;
		sim_start_over(tenant, false);
	}
}

static void on_overtaken(void *argument)
{
	if (sim_chance(30)) {
		pin_one(argument);
	} else {
		sim_rows_fault(sim_chance(50) ? FAULT_RULES : FAULT_RETIRES, argument);
	}
}

// By somebody else's change, while its slices are looked at.
static void may_be_overtaken(struct sim_tenant *tenant)
{
	if (!sim.quiet && sim_chance(40)) {
		sim_at(sim.now_us + sim_between(0, 6000) * MS_US, NULL, on_overtaken, tenant);
	}
}

// Another key than the one that asked. One that does not agree ends the job.
static void on_agreed(void *argument)
{
	struct sim_tenant *tenant = argument;
	struct move_job *job = &moves_of(tenant)->job;

	if (job->number == 0 || job->state != JOB_RESTS) {
		return;
	}
	if (!sim.quiet && sim_chance(15)) {
		job->number = 0;
		return;
	}
	job->approved_by = job->created_by % KEYS + 1;
	job->state = JOB_SCHEDULED;
	job->allowed = job->changes;
	sim_trace("agreed", tenant->id, job->number, job->changes);
	wake_processes(tenant);
	may_be_overtaken(tenant);
}

void sim_moves_fault(struct sim_tenant *tenant)
{
	static const enum job_kind kinds[] = { JOB_ASSIGN, JOB_PIN, JOB_UNPIN };
	struct moves *at = moves_of(tenant);
	struct move_job *job = &at->job;
	const size_t from = (size_t)sim_between(0, SIM_DEVICES - 1);

	if (job->number != 0) {
		return;
	}
	*job = (struct move_job){ .number = ++at->made, .kind = kinds[sim_between(0, 2)], .state = JOB_COSTING,
		.created_by = (int)sim_between(1, KEYS), .row_count = sim_between(2, ROWS), .checked_against = -1 };
	for (int64_t i = 0; i < job->row_count; i++) {
		job->rows[i] = (struct row){ .device = (from + (size_t)i) % SIM_DEVICES,
			.wanted_instance_id = job->kind == JOB_UNPIN ? 0 : sim_between(job->kind == JOB_PIN ? 0 : 1, SIM_INSTANCES) };
	}
	sim_trace("move", tenant->id, job->number, job->row_count);
	wake_processes(tenant);
	may_be_overtaken(tenant);
}

const char *sim_moves_unfinished(const struct sim_tenant *tenant)
{
	return moves_of(tenant)->job.number != 0 ? "a job that moves devices is not over" : NULL;
}

void sim_moves_begin(void)
{
	moves = sim_take((size_t)sim.shape->tenants * sizeof *moves);
}
