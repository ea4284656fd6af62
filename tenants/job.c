// SPDX-License-Identifier: Apache-2.0
#include "tenants/job.h"

#include <assert.h>

static const char *const kind_names[JOB_KINDS] = {
	[JOB_ASSIGN] = "assign",
	[JOB_PIN] = "pin",
	[JOB_UNPIN] = "unpin",
	[JOB_REMOVE_PROFILE] = "remove_profile",
	[JOB_REROUTE] = "reroute",
	[JOB_LABEL] = "label",
	[JOB_RETIRE] = "retire",
	[JOB_RELEASE] = "release",
};

static const char *const result_names[JOB_RESULTS] = {
	[JOB_WAITING] = "waiting",
	[JOB_REFUSED] = "refused",
	[JOB_DONE] = "done",
	[JOB_UNCHANGED] = "unchanged",
	[JOB_NOT_FOUND] = "not_found",
	[JOB_ASKED] = "asked",
	[JOB_FAILED] = "failed",
};

const char *job_kind_name(enum job_kind kind)
{
	assert(kind < JOB_KINDS);
	return kind_names[kind];
}

// The place of a name; `count`: it is none of them.
static size_t place_of(struct text name, const char *const *names, size_t count)
{
	size_t place = 0;

	while (place < count && !text_equal_string(name, names[place])) {
		place++;
	}
	return place;
}

bool job_kind_parse(struct text name, enum job_kind *out)
{
	const size_t place = place_of(name, kind_names, JOB_KINDS);

	*out = (enum job_kind)place;
	return place < JOB_KINDS;
}

bool job_result_parse(struct text name, enum job_result *out)
{
	const size_t place = place_of(name, result_names, JOB_RESULTS);

	*out = (enum job_result)place;
	return place < JOB_RESULTS;
}

const char *job_result_name(enum job_result result)
{
	assert(result < JOB_RESULTS);
	return result_names[result];
}

static struct ruleset_target decide(const struct ruleset *rules, const struct ruleset_device *device)
{
	static const struct ruleset_target held = { .rule = RULESET_NO_RULE };

	return rules != NULL ? ruleset_decide(rules, device) : held;
}

static void redirect(int64_t *instance_id, const struct job_view *view)
{
	if (*instance_id == view->retired_instance_id) {
		*instance_id = view->target_instance_id;
	}
}

// The device as it is after the job, but for what Apple has of it.
static struct ruleset_device changed(const struct job_view *view)
{
	struct ruleset_device device = view->device;

	switch (view->kind) {
	case JOB_ASSIGN:
	case JOB_PIN:
		device.is_pinned = true;
		device.pin_instance_id = view->wanted_instance_id;
		break;
	case JOB_REMOVE_PROFILE:
		device.is_pinned = true;
		device.pin_instance_id = RULESET_INSTANCE_NONE;
		break;
	case JOB_UNPIN:
		device.is_pinned = false;
		break;
	case JOB_RETIRE:
		redirect(&device.pin_instance_id, view);
		redirect(&device.predecessor_instance_id, view);
		redirect(&device.expected_instance_id, view);
		break;
	case JOB_LABEL:
	case JOB_REROUTE:
	case JOB_RELEASE:
	case JOB_KINDS: break;
	}
	if (view->gives_labels) {
		device.labels = view->labels;
		device.label_count = view->label_count;
	}
	return device;
}

static bool is_pinned_alike(const struct ruleset_device *a, const struct ruleset_device *b)
{
	return a->is_pinned == b->is_pinned && (!a->is_pinned || a->pin_instance_id == b->pin_instance_id);
}

static enum job_result result_of(const struct job_view *view, const struct ruleset_device *after)
{
	const bool is_there = view->device.apple != NULL;

	switch (view->kind) {
	case JOB_ASSIGN:
		if (!is_there) {
			return JOB_NOT_FOUND;
		}
		break;
	case JOB_PIN:
	case JOB_UNPIN:
	case JOB_LABEL: break;
	case JOB_REMOVE_PROFILE:
		if (!is_there) {
			return JOB_NOT_FOUND;
		}
		if (view->has_profile) {
			return JOB_ASKED;
		}
		break;
	case JOB_RETIRE:
	case JOB_REROUTE: return is_there ? JOB_DONE : JOB_NOT_FOUND;
	case JOB_RELEASE:
		if (!is_there) {
			return JOB_NOT_FOUND;
		}
		return view->wanted_instance_id == RULESET_INSTANCE_NONE || view->wanted_instance_id == view->stored_instance_id ? JOB_ASKED : JOB_FAILED;
	case JOB_KINDS: break;
	}
	return is_pinned_alike(&view->device, after) && (!view->gives_labels || view->is_labelled) ? JOB_UNCHANGED : JOB_DONE;
}

static void release(struct job_outcome *outcome)
{
	outcome->to_instance_id = RULESET_INSTANCE_NONE;
	outcome->moves = true;
}

static void move(struct job_outcome *outcome, const struct job_view *view, const struct ruleset_device *after)
{
	const struct ruleset_target then = decide(view->kind == JOB_RETIRE ? view->rules_after : view->rules, after);
	const struct ruleset_target now = decide(view->rules, &view->device);

	if (view->rules != NULL && view->wanted_instance_id != RULESET_INSTANCE_NONE && view->wanted_instance_id != then.instance_id) {
		outcome->result = JOB_FAILED;
		return;
	}
	outcome->to_instance_id = then.instance_id;
	outcome->moves = then.instance_id != view->stored_instance_id || !text_equal(now.profile, then.profile);
}

struct job_outcome job_decide(const struct job_view *view)
{
	const struct ruleset_device after = changed(view);
	struct job_outcome outcome = { .result = result_of(view, &after) };

	if (view->device.apple == NULL) {
		return outcome;
	}
	outcome.from_instance_id = outcome.to_instance_id = view->stored_instance_id;
	if (view->kind == JOB_RELEASE && outcome.result == JOB_ASKED) {
		release(&outcome);
	} else if (view->kind != JOB_RELEASE && outcome.result != JOB_UNCHANGED) {
		move(&outcome, view, &after);
	}
	return outcome;
}

bool job_is_as_costed(const struct job_outcome *now, bool moved, int64_t to_instance_id)
{
	return !now->moves || (moved && now->to_instance_id == to_instance_id);
}

bool job_needs_approval(enum job_kind kind, const struct blast_limits *limits, const struct blast_cost *cost)
{
	if (kind == JOB_RELEASE) {
		return cost->changes > cost->approved;
	}
	return blast_decide(limits, cost) == BLAST_NEEDS_APPROVAL;
}

int64_t job_allowance(enum job_kind kind, const struct blast_limits *limits, const struct blast_cost *cost)
{
	const int64_t limit = kind == JOB_RELEASE ? 0 : blast_limit(limits, cost->present);

	return limit > cost->approved ? limit : cost->approved;
}
