// SPDX-License-Identifier: Apache-2.0
//
// job_input.h - what a job is to do and to which devices, as JSON or as a CSV list.
//
// Ownership  texts borrow from the request and from the input's own arena, until job_input_fini.
// Thread     job_input_read on a pool thread (call_work.h): 100,000 rows take half a second.
// Laws       1. a row that cannot be meant is kept, with what is wrong with it; a list that cannot be read is refused as a whole
//            2. each serial number is meant once: the first row counts, later ones are refused
#pragma once

#include "api/device_filter.h"
#include "store/jobs.h"

enum { JOB_BODY_MAX = 16 << 20, JOB_ARENA_BUDGET = 24 << 20 };

struct job_input {
	enum job_kind kind;
	struct text instance; // of rows that name none; empty: none
	struct text hold;     // why rows without an instance are held; bytes NULL: they are not
	struct text reason;
	struct text labels; // of rows that name none, a line each
	bool has_labels;
	int64_t start_at_us;
	int64_t confirm_devices; // -1: not given
	bool has_filter;
	struct text filter_instance; // empty: any
	bool filter_held;
	struct device_question filter; // besides
	struct job_wish *rows;
	struct text *row_instances; // as written; empty: the job's
	size_t *lines;              // of a CSV list; 0: it was none
	size_t count, room;
	struct arena arena;
};

// False: it has been refused, and that has been answered.
MUST_USE bool job_input_read(struct call *call, struct job_input *input);
void job_input_fini(struct job_input *input);

struct job_instance {
	int64_t instance_id;
	struct text name;
	bool is_retired; // or for parking: no place to go to
	bool is_parking;
};
// Each row gets the number of its instance, or why it is refused.
void job_input_resolve(struct job_input *input, const struct job_instance *instances, size_t count);
const struct job_instance *job_instance_named(const struct job_instance *instances, size_t count, struct text name); // NULL: none
