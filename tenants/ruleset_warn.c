// SPDX-License-Identifier: Apache-2.0
//
// Warnings about rules that cannot do anything. Each is proved from the conditions alone: where a proof is not found, or would
// take too long, nothing is said.
#include "tenants/ruleset_inner.h"

#include <assert.h>

enum { WORK_MAX = 5 * 1000 * 1000 }; // comparisons for one document

static bool is_same_subject(const struct rule_condition *a, const struct rule_condition *b)
{
	return a->field == b->field && text_equal(a->label, b->label);
}

static bool always_holds(const struct rule_condition *condition)
{
	return condition->field == RULE_SHARE && condition->share == RULE_SHARE_WHOLE;
}

static bool never_holds(const struct rule_condition *condition)
{
	switch (rule_fields[condition->field].kind) {
	case RULE_KIND_DATE: return condition->after_us >= condition->before_us;
	case RULE_KIND_SHARE: return condition->share == 0;
	case RULE_KIND_TEXT:
	case RULE_KIND_BOOL:
	case RULE_KIND_LABELS: break;
	}
	return false;
}

// Of the same subject: whatever fulfils `a` fulfils `b`.
static bool implies(const struct rule_condition *a, const struct rule_condition *b, int64_t *work)
{
	switch (rule_fields[a->field].kind) {
	case RULE_KIND_DATE: return a->after_us >= b->after_us && a->before_us <= b->before_us;
	case RULE_KIND_BOOL: return a->truth == b->truth;
	case RULE_KIND_SHARE: return text_equal(a->salt, b->salt) && a->share <= b->share;
	case RULE_KIND_TEXT:
	case RULE_KIND_LABELS: break;
	}
	return text_set_within(&a->set, &b->set, work);
}

static bool excludes(const struct rule_condition *a, const struct rule_condition *b, int64_t *work)
{
	switch (rule_fields[a->field].kind) {
	case RULE_KIND_DATE: return a->after_us >= b->before_us || b->after_us >= a->before_us;
	case RULE_KIND_BOOL: return a->truth != b->truth;
	case RULE_KIND_SHARE: return false;
	case RULE_KIND_TEXT:
	case RULE_KIND_LABELS: break;
	}
	return text_set_apart(&a->set, &b->set, work);
}

// Whatever fits the conditions of `a` fits those of `b`.
static bool is_within(const struct rule *a, const struct rule *b, int64_t *work)
{
	for (size_t i = 0; i < b->condition_count; i++) {
		bool implied = always_holds(&b->conditions[i]);

		for (size_t j = 0; !implied && j < a->condition_count; j++) {
			implied = is_same_subject(&a->conditions[j], &b->conditions[i]) && implies(&a->conditions[j], &b->conditions[i], work);
		}
		if (!implied) {
			return false;
		}
	}
	return true;
}

static bool are_apart(const struct rule *a, const struct rule *b, int64_t *work)
{
	for (size_t i = 0; i < a->condition_count; i++) {
		for (size_t j = 0; j < b->condition_count; j++) {
			if (is_same_subject(&a->conditions[i], &b->conditions[j]) && excludes(&a->conditions[i], &b->conditions[j], work)) {
				return true;
			}
		}
	}
	return false;
}

static bool have_the_same_result(const struct rule *a, const struct rule *b)
{
	return a->action == b->action && a->instance_id == b->instance_id &&
		text_equal(a->hold_reason, b->hold_reason) && text_equal(a->profile, b->profile);
}

// The earlier rule that takes every device of rule `index`. One that inherits may leave some.
static size_t find_shadow(const struct ruleset *ruleset, size_t index, int64_t *work)
{
	for (size_t i = 0; i < index; i++) {
		if (ruleset->rules[i].action != RULE_INHERIT && is_within(&ruleset->rules[index], &ruleset->rules[i], work)) {
			return i;
		}
	}
	return RULESET_NO_RULE;
}

// The later rule that would take every device of rule `index` to the same place; those between have none of its devices, or do
// the same with them.
static size_t find_twin(const struct ruleset *ruleset, size_t index, int64_t *work)
{
	const struct rule *rule = &ruleset->rules[index];

	for (size_t i = index + 1; i <= ruleset->rule_count; i++) {
		const struct rule *later = &ruleset->rules[i];
		const bool is_same = have_the_same_result(rule, later);

		if (is_same && is_within(rule, later, work)) {
			return i;
		}
		if (!is_same && !are_apart(rule, later, work)) {
			return RULESET_NO_RULE;
		}
	}
	return RULESET_NO_RULE;
}

static bool contradicts_itself(const struct rule *rule)
{
	for (size_t i = 0; i < rule->condition_count; i++) {
		if (never_holds(&rule->conditions[i])) {
			return true;
		}
	}
	return false;
}

static void warn_about(struct ruleset *ruleset, size_t index, int64_t *work)
{
	const struct rule_path list_at = { .name = TEXT("rules") };
	const struct rule_path at = { .up = &list_at, .index = index };
	struct ruleset_finding finding = { .kind = RULESET_NEVER_MATCHES, .rule = index, .other = RULESET_NO_RULE };

	if (contradicts_itself(&ruleset->rules[index])) {
		rule_warn(ruleset, &finding, &at, "this rule can never match: its date or share leaves no device");
		return;
	}
	finding.other = find_shadow(ruleset, index, work);
	if (finding.other != RULESET_NO_RULE) {
		rule_warn(ruleset, &finding, &at, "this rule can never match: the earlier rule \"%.*s\" takes all of its devices",
			TEXT_ARGS(ruleset->rules[finding.other].id));
		return;
	}
	finding.kind = RULESET_CHANGES_NOTHING;
	finding.other = find_twin(ruleset, index, work);
	if (finding.other != RULESET_NO_RULE) {
		rule_warn(ruleset, &finding, &at, "this rule and \"%.*s\" can never differ: without this one each device goes where it goes now",
			TEXT_ARGS(ruleset->rules[finding.other].id));
	}
}

void ruleset_find_warnings(struct ruleset *ruleset)
{
	int64_t work = WORK_MAX;

	for (size_t i = 0; i < ruleset->rule_count; i++) {
		warn_about(ruleset, i, &work);
	}
}
