// SPDX-License-Identifier: Apache-2.0
//
// sim_jobs.c - jobs of which Apple is asked something (store/jobs.h): profiles are taken away from devices that are to be held, and devices are
// released. What other jobs do to a device in a run is what a pin does.
#include "sim/sim_transaction.h"

#include "store/jobs.h"

#include <string.h>

enum { JOB_DEVICES = 4 };

static struct jobs { // of a client
	struct job {
		int64_t number; // 0: it is over
		enum job_kind kind;
		bool is_asked[SIM_DEVICES];
		int64_t wanted_instance_id[SIM_DEVICES];
	} job; // one at a time
	int64_t made;
} *jobs;

static struct job *job_of(const struct sim_tenant *tenant)
{
	return &jobs[tenant->id - 1].job;
}

static bool is_unanswered(const struct job *job)
{
	for (size_t i = 0; i < SIM_DEVICES; i++) {
		if (job->is_asked[i]) {
			return true;
		}
	}
	return false;
}

// --- what people do ---

static void ask_about(struct sim_tenant *tenant, struct job *job, size_t device)
{
	job->is_asked[device] = true;
	job->wanted_instance_id[device] = job->kind == JOB_RELEASE && sim_chance(50) ? tenant->devices[device].row.instance_id : 0;
	if (job->kind == JOB_REMOVE_PROFILE) {
		tenant->route.pins[device] = (struct sim_pin){ true, 0 };
		tenant->devices[device].rerouted = true;
	}
}

// While a run may be about to ask Apple for it.
static void on_second_thoughts(void *argument)
{
	struct sim_tenant *tenant = argument;

	sim_trace("thoughts", tenant->id, 0, 0);
	sim_start_over(tenant, false);
}

void sim_jobs_fault(struct sim_tenant *tenant)
{
	struct job *job = job_of(tenant);
	const size_t from = (size_t)sim_between(0, SIM_DEVICES - 1);

	if (job->number != 0) {
		return;
	}
	*job = (struct job){ .number = ++jobs[tenant->id - 1].made, .kind = sim_chance(50) ? JOB_RELEASE : JOB_REMOVE_PROFILE };
	for (size_t i = 0; i < JOB_DEVICES; i++) {
		const size_t device = (from + i) % SIM_DEVICES;

		if (sim_is_present(&tenant->devices[device])) {
			ask_about(tenant, job, device);
		}
	}
	job->number = is_unanswered(job) ? job->number : 0;
	sim_trace("job", tenant->id, job->number, job->kind);
	sim_start_over(tenant, false);
	if (sim_chance(50)) {
		sim_at(sim.now_us + sim_between(0, 3000) * MS_US, NULL, on_second_thoughts, tenant);
	}
}

// --- the statements ---

static void read_asked(struct sim_op *op, const struct sim_tenant *tenant)
{
	const struct job *job = job_of(tenant);
	struct job_asked_row *rows = sim_answer_rows(op, SIM_DEVICES, sizeof *rows);

	op->out_count = 0;
	for (size_t i = 0; i < SIM_DEVICES; i++) {
		if (job->number != 0 && job->is_asked[i]) {
			rows[op->out_count++] = (struct job_asked_row){ .job_id = job->number, .row_number = (int64_t)i + 1, .kind = job->kind,
				.serial_number = tenant->serials[i], .wanted_instance_id = job->wanted_instance_id[i] };
		}
	}
}

static void put_answers(const struct sim_op *op, struct sim_tenant *tenant)
{
	struct job *job = job_of(tenant);
	const struct job_answer *answers = op->in;

	for (size_t i = 0; i < op->in_count; i++) {
		const size_t device = (size_t)answers[i].row_number - 1;

		LAW(op->number == job->number && job->is_asked[device], "client %lld: row %zu of job %lld is answered, and was not asked",
			(long long)tenant->id, device, (long long)op->number);
		LAW(job->kind != JOB_RELEASE || answers[i].result != JOB_DONE ||
			sim_apple_was_gone_after(tenant, tenant->serials[device], tenant->devices[device].row.apple.asset_tag),
			"device %.*s counts as released, and Apple has it", TEXT_ARGS(tenant->serials[device]));
		job->is_asked[device] = false;
		sim_trace("answered", tenant->id * 100 + (int64_t)device, job->kind, answers[i].result);
	}
	if (!is_unanswered(job)) {
		job->number = 0;
	}
}

void sim_jobs_execute(struct sim_op *op, struct sim_tenant *tenant)
{
	if (op->kind == OP_JOB_ANY) {
		op->number = job_of(tenant)->number != 0;
		op->out_count = 1;
	} else if (op->kind == OP_JOB_ASKED) {
		read_asked(op, tenant);
	} else {
		put_answers(op, tenant);
	}
}

unsigned store_job_any_asked(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	return sim_add_simple(t, OP_JOB_ANY);
}

bool store_job_any_asked_read(const struct pg_transaction *t, unsigned statement)
{
	return sim_number_of(t, statement) != 0;
}

unsigned store_job_asked(struct pg_transaction *t, int64_t tenant_id, int limit)
{
	(void)tenant_id;
	LAW(limit >= SIM_DEVICES, "only %d rows of a job are asked for", limit);
	return sim_add_simple(t, OP_JOB_ASKED);
}

void store_job_asked_read(const struct pg_transaction *t, unsigned statement, size_t row, struct job_asked_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

void store_job_answered(struct pg_transaction *t, int64_t tenant_id, int64_t job_id, const struct job_answer *answers, size_t count)
{
	struct sim_op *op = sim_add(t, OP_JOB_ANSWERED);

	(void)tenant_id;
	op->number = job_id;
	op->in = sim_copy(answers, count, sizeof *answers);
	op->in_count = count;
}

// --- laws ---

// When Apple is asked by the client's owner: somebody wanted this, and the device is still where it was wanted for it.
void sim_job_check_call(const struct sim_tenant *tenant, struct text serial, bool releases)
{
	const struct job *job = job_of(tenant);
	const size_t number = sim_device_number(tenant, serial);
	const struct sim_device *device = &tenant->devices[number];
	const int64_t wanted_at = job->wanted_instance_id[number];

	LAW(job->number != 0 && job->is_asked[number] && (job->kind == JOB_RELEASE) == releases, "device %.*s is %s, and nobody has asked for that",
		TEXT_ARGS(serial), releases ? "released" : "robbed of its profile");
	LAW(sim_is_present(device), "Apple is asked about device %.*s, which is gone", TEXT_ARGS(serial));
	LAW(releases ? wanted_at == 0 || wanted_at == device->row.instance_id : device->row.instance_id == 0,
		"device %.*s is %s at instance %lld", TEXT_ARGS(serial), releases ? "released" : "robbed of its profile",
		(long long)device->row.instance_id);
}

const char *sim_jobs_unfinished(const struct sim_tenant *tenant)
{
	return job_of(tenant)->number != 0 ? "a job is not done" : NULL;
}

void sim_jobs_begin(void)
{
	jobs = sim_take((size_t)sim.shape->tenants * sizeof *jobs);
}
