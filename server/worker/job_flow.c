// SPDX-License-Identifier: Apache-2.0
#include "worker/job_flow.h"

#include "depbroker/log.h"
#include "worker/routing.h"

#include <assert.h>

enum { TEXTS_BYTES = 1 << 20 };

// --- who is asked about ---

static void read_asked(struct job_flow *job)
{
	struct flow *flow = &job->flow;

	flow_begin_read(flow);
	(void)store_job_asked(&flow->read, flow->tenant->due.tenant_id, APPLE_SERIALS_MAX);
	flow_start_read(flow);
}

static void *room(struct job_flow *job, size_t size)
{
	void *memory = arena_take(&job->texts, (job->asked_count + 1) * size);

	assert(memory != NULL); // TEXTS_BYTES has room for a batch
	return memory;
}

static void take_asked(struct job_flow *job)
{
	arena_reset(&job->texts);
	job->asked_count = pg_row_count(&job->flow.read, 0);
	job->asked = room(job, sizeof *job->asked);
	job->serials = room(job, sizeof *job->serials);
	job->answers = room(job, sizeof *job->answers);
	job->devices = room(job, sizeof(void *));
	job->picked = room(job, sizeof *job->picked);
	job->picked_rows = room(job, sizeof *job->picked_rows);
	job->answer_count = job->picked_count = 0;
	for (size_t i = 0; i < job->asked_count; i++) {
		store_job_asked_read(&job->flow.read, 0, i, &job->asked[i]);
		const char *serial = arena_copy(&job->texts, job->asked[i].serial_number);

		assert(serial != NULL);
		job->serials[i] = job->asked[i].serial_number = (struct text){ serial, job->asked[i].serial_number.length };
	}
}

// What this client was loaded with may be older than this read: then nobody is asked.
static void read_devices(struct job_flow *job)
{
	struct flow *flow = &job->flow;
	const struct stream_fence fence = tenant_fence(flow->tenant);

	flow_begin_read(flow);
	(void)store_device_by_serials(&flow->read, flow->tenant->due.tenant_id, job->serials, job->asked_count);
	store_stream_require(&flow->read, &fence);
	flow_start_read(flow);
}

static const struct device_row *device_of(const struct flow *flow, struct text serial)
{
	for (size_t i = 0; i < flow->row_count; i++) {
		if (text_equal(flow->rows[i].apple.serial_number, serial) && flow->rows[i].gone_at_us == INSTANT_NONE) {
			return &flow->rows[i];
		}
	}
	return NULL;
}

static void answer(struct job_flow *job, size_t at, enum job_result result, struct text detail)
{
	job->answers[job->answer_count++] = (struct job_answer){ job->asked[at].row_number, result, detail };
}

static enum job_kind kind_of(const struct job_flow *job)
{
	return job->asked[0].kind; // rows are of one job
}

// Of a release that was asked for by the MDM server of one instance.
static bool is_elsewhere(const struct job_asked_row *asked, const struct device_row *device)
{
	return asked->wanted_instance_id != INSTANCE_NONE && asked->wanted_instance_id != device->instance_id;
}

// What Apple need not be asked is answered at once.
static void pick(struct job_flow *job)
{
	struct flow *flow = &job->flow;

	flow_take_rows(flow);
	for (size_t i = 0; i < job->asked_count; i++) {
		const struct device_row *device = job->devices[i] = device_of(flow, job->serials[i]);

		if (device == NULL) {
			answer(job, i, JOB_NOT_FOUND, TEXT("it went meanwhile"));
		} else if (kind_of(job) == JOB_RELEASE && is_elsewhere(&job->asked[i], device)) {
			answer(job, i, JOB_FAILED, TEXT("it is elsewhere by now"));
		} else if (kind_of(job) == JOB_REMOVE_PROFILE && device->instance_id != INSTANCE_NONE) {
			answer(job, i, JOB_FAILED, TEXT("it is not held any more"));
		} else if (kind_of(job) == JOB_REMOVE_PROFILE && device->apple.profile_uuid.length == 0) {
			answer(job, i, JOB_DONE, TEXT_NONE);
		} else {
			job->picked[job->picked_count] = job->serials[i];
			job->picked_rows[job->picked_count++] = i;
		}
	}
}

// --- Apple ---

static void ask(struct job_flow *job)
{
	struct flow *flow = &job->flow;

	apple_assignment_fini(&job->assignment);
	(kind_of(job) == JOB_RELEASE ? apple_disown_devices : apple_remove_profile)(&flow->call, &flow->tenant->session, job->picked,
		job->picked_count, &job->assignment);
}

static void take_result(struct job_flow *job, size_t at, enum assign_result result)
{
	struct flow *flow = &job->flow;
	const struct reconcile_settings gone = routing_of_gone(flow->tenant);
	struct reconcile_outcome outcome;

	switch (result) {
	case ASSIGN_RESULT_SUCCESS: answer(job, at, JOB_DONE, TEXT_NONE); break;
	case ASSIGN_RESULT_NOT_ACCESSIBLE: answer(job, at, JOB_NOT_FOUND, text_of(assign_result_name(result))); break;
	case ASSIGN_RESULT_FAILED:
	case ASSIGN_RESULT_THROTTLED:
	case ASSIGN_RESULT_MISSING: answer(job, at, JOB_FAILED, text_of(assign_result_name(result))); break;
	}
	if (kind_of(job) == JOB_RELEASE && (result == ASSIGN_RESULT_SUCCESS || result == ASSIGN_RESULT_NOT_ACCESSIBLE)) {
		reconcile_unseen(&outcome, &gone, job->devices[at], REMOVAL_INACCESSIBLE);
		changes_add(&flow->changes, &outcome);
	}
}

// A refusal of the whole is one of each device; of an answer that was lost nothing is known, and nothing is said.
static void take_answer(struct job_flow *job)
{
	const struct flow *flow = &job->flow;

	for (size_t i = 0; i < job->picked_count && flow->call.op.rc == OK; i++) {
		take_result(job, job->picked_rows[i], job->assignment.results[i]);
	}
	for (size_t i = 0; i < job->picked_count && flow->call.op.rc == ERR_REFUSED; i++) {
		answer(job, job->picked_rows[i], JOB_FAILED, text_of(flow->call.apple_error[0] != '\0' ? flow->call.apple_error : "refused"));
	}
	log_event(LOG_INFO, "job.asked", LOG_STRING("tenant", flow->tenant->slug), LOG_INT("job", job->asked[0].job_id),
		LOG_STRING("kind", job_kind_name(kind_of(job))), LOG_INT("devices", (int64_t)job->picked_count), LOG_STRING("outcome", err_name(flow->call.op.rc)));
}

// --- what is written ---

static void build(struct fenced_write *write, struct pg_transaction *t)
{
	const struct job_flow *job = CONTAINER_OF((struct flow *)write->owner, struct job_flow, flow);

	store_job_answered(t, write->tenant->due.tenant_id, job->asked[0].job_id, job->answers, job->answer_count);
	changes_build(&job->flow.changes, t, &job->flow.entry);
}

static void write_answers(struct job_flow *job)
{
	struct flow *flow = &job->flow;

	flow_write_with(flow, build, (struct ledger_entry){
		.kind = kind_of(job) == JOB_RELEASE ? "removal" : "assign", .generation = flow->tenant->stream.sync.generation,
		.records = (int)flow->changes.row_count,
	});
}

// --- the flow ---

static void end(struct job_flow *job, enum err rc)
{
	job->state = JOB_IDLE;
	flow_end(&job->flow, rc);
}

static void step(struct flow *flow)
{
	struct job_flow *job = CONTAINER_OF(flow, struct job_flow, flow);

	switch (job->state) {
	case JOB_IDLE:
		do {
			AWAIT(job, JOB_READING, read_asked(job));
			if (flow->read.op.rc != OK) {
				goto read_failed;
			}
			take_asked(job);
			if (job->asked_count == 0) {
				flow->tenant->has_asked_jobs = false;
				break;
			}
			AWAIT(job, JOB_READING_DEVICES, read_devices(job));
			if (flow->read.op.rc != OK) {
				goto read_failed;
			}
			pick(job);
			if (job->picked_count > 0) {
				AWAIT(job, JOB_ASKING, ask(job));
				if (flow_has_lost_session(flow)) {
					break;
				}
				if (flow->call.op.rc != OK) {
					flow_note_failure(flow, flow->call.op.rc, "job.failed");
				}
				take_answer(job);
			}
			if (job->answer_count > 0) {
				AWAIT(job, JOB_WRITING, write_answers(job));
				if (flow_written(flow) != OK) {
					goto write_failed;
				}
				if (flow->progress != NULL) {
					flow->progress(flow);
				}
			}
		} while ((flow->failure == OK || flow->failure == ERR_REFUSED) && !flow_must_stop(flow));
		end(job, OK);
		return;
	}
read_failed:
	flow->op.fault = flow->read.op.fault;
	end(job, flow->read.op.rc);
	return;
write_failed:
	flow->op.fault = flow->tenant->write->op.fault;
	end(job, flow_written(flow));
}

void job_flow_init(struct job_flow *job, struct tenant *tenant)
{
	*job = (struct job_flow){ .state = JOB_IDLE, .texts = ARENA(TEXTS_BYTES) };
	flow_init(&job->flow, tenant, step);
	job->flow.call.keeps_session = true;
}

void job_flow_fini(struct job_flow *job)
{
	apple_assignment_fini(&job->assignment);
	arena_fini(&job->texts);
	flow_fini(&job->flow);
}
