// SPDX-License-Identifier: Apache-2.0
//
// job.h - what one row of a job means for one device: the same engine that rules are decided with, before and after.
//
// Laws       1. pure
//            2. a device counts as moved when it is elsewhere than it will be, or gets another profile: as for other rules
//            3. only what differs from what is there is written; what is repeated is unchanged
#pragma once

#include "tenants/blast.h"
#include "tenants/ruleset.h"

enum job_kind {
	JOB_ASSIGN,         // pinned to an instance: the device must be there
	JOB_PIN,            // likewise, or held; also a device that is to come
	JOB_UNPIN,          // the rules decide again
	JOB_REMOVE_PROFILE, // held, and Apple is asked to take its profile away
	JOB_REROUTE,        // decided about once more
	JOB_LABEL,          // gets these labels in place of those that it has; also a device that is to come
	JOB_RETIRE,         // goes where everything goes that went to an instance which is retired
	JOB_RELEASE,        // Apple is asked to take it from the organisation, for good
	JOB_KINDS
};
const char *job_kind_name(enum job_kind kind);          // "remove_profile"
MUST_USE bool job_kind_parse(struct text name, enum job_kind *out);

enum job_result {
	JOB_WAITING,   // not looked at yet
	JOB_REFUSED,   // the row cannot be meant
	JOB_DONE,
	JOB_UNCHANGED, // it was so already
	JOB_NOT_FOUND, // the client has no such device
	JOB_ASKED,     // Apple is to be asked
	JOB_FAILED,    // the instance is retired, or it is elsewhere by now, or Apple will not
	JOB_RESULTS
};
const char *job_result_name(enum job_result result); // "not_found"
MUST_USE bool job_result_parse(struct text name, enum job_result *out);

struct job_view { // one row, and what there is
	enum job_kind kind;
	int64_t wanted_instance_id; // of assign and pin; RULESET_INSTANCE_NONE: held. Of release: only while it is there; NONE: wherever it is
	const struct ruleset *rules; // in force; NULL: none yet, everything is held
	struct ruleset_device device; // without `apple` when the client has no such device: its pin counts
	int64_t stored_instance_id;   // where it is; RULESET_INSTANCE_NONE: held
	bool has_profile;             // Apple shows one
	bool gives_labels; // of label, and of assign and pin if it likes; in place of those that it has:
	const struct ruleset_label *labels; // all that the device has then, the client's too
	size_t label_count;
	bool is_labelled; // so already
	const struct ruleset *rules_after; // of retire: `rules` with the other instance,
	int64_t retired_instance_id, target_instance_id; // in place of this one
};

struct job_outcome {
	enum job_result result;
	bool moves;
	int64_t from_instance_id, to_instance_id;
};

struct job_outcome job_decide(const struct job_view *view);

// Whether the row does what was costed, and shown: `moved` and `to_instance_id` of then. That it need not move any more is as good.
bool job_is_as_costed(const struct job_outcome *now, bool moved, int64_t to_instance_id);

// Whether a second person is asked first: above the client's limit, and always about devices that are to leave the organisation.
bool job_needs_approval(enum job_kind kind, const struct blast_limits *limits, const struct blast_cost *cost);
// Devices that a job may move which needs none (any more).
int64_t job_allowance(enum job_kind kind, const struct blast_limits *limits, const struct blast_cost *cost);
