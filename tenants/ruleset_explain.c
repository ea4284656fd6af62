// SPDX-License-Identifier: Apache-2.0
#include "tenants/ruleset_inner.h"

#include <inttypes.h>

static void write_share(struct buffer *out, uint32_t share)
{
	buffer_add_format(out, "%" PRIu32 ".%02" PRIu32, share / 100, share % 100);
}

static void write_seen(struct buffer *out, const struct rule_condition *condition, const struct ruleset_device *device)
{
	char instant[INSTANT_TEXT_SIZE];

	switch (rule_fields[condition->field].kind) {
	case RULE_KIND_DATE:
		if (device->apple->device_assigned_date_us == INSTANT_NONE) {
			buffer_add_string(out, "null");
		} else {
			buffer_add_json(out, text_of(instant_format(instant, device->apple->device_assigned_date_us, true)));
		}
		break;
	case RULE_KIND_BOOL:
		buffer_add_string(out, device->predecessor != RULESET_PREDECESSOR_NONE ? "true" : "false");
		break;
	case RULE_KIND_SHARE: write_share(out, rule_share_of(condition->salt, device->apple->serial_number)); break;
	case RULE_KIND_TEXT:
	case RULE_KIND_LABELS: buffer_add_json(out, rule_seen_text(device, condition)); break;
	}
}

static void write_condition(struct buffer *out, const struct rule_condition *condition, struct rule_view *view)
{
	buffer_add_string(out, "{\"condition\":");
	buffer_add_json(out, rule_fields[condition->field].key);
	if (condition->field == RULE_LABEL) {
		buffer_add_string(out, ",\"label\":");
		buffer_add_json(out, condition->label);
	}
	buffer_add_string(out, ",\"wanted\":");
	buffer_add_text(out, condition->wanted);
	buffer_add_string(out, ",\"seen\":");
	write_seen(out, condition, view->device);
	buffer_add_format(out, ",\"matched\":%s}", rule_condition_holds(condition, view) ? "true" : "false");
}

// An `inherit` rule asks one thing more than its conditions say.
static void write_predecessor(struct buffer *out, const struct ruleset_device *device, bool is_first)
{
	const bool unknown = device->predecessor == RULESET_PREDECESSOR_UNKNOWN;

	buffer_add_format(out, "%s{\"condition\":\"inherit\",\"wanted\":\"the device that it replaces\",\"seen\":\"%s\",\"matched\":%s}",
		is_first ? "" : ",", unknown ? "no device of this client" : "a device of this client, or not known yet",
		unknown ? "false" : "true");
}

static bool write_rule(struct buffer *out, const struct rule *rule, size_t index, struct rule_view *view)
{
	const bool matched = rule_holds(rule, view);

	buffer_add_format(out, "%s{\"index\":%zu,\"id\":", index > 0 ? "," : "", index);
	buffer_add_json(out, rule->id);
	buffer_add_format(out, ",\"matched\":%s,\"conditions\":[", matched ? "true" : "false");
	for (size_t i = 0; i < rule->condition_count; i++) {
		buffer_add_string(out, i > 0 ? "," : "");
		write_condition(out, &rule->conditions[i], view);
	}
	if (rule->action == RULE_INHERIT && view->device->predecessor != RULESET_PREDECESSOR_NONE) {
		write_predecessor(out, view->device, rule->condition_count == 0);
	}
	buffer_add_string(out, "]}");
	return matched;
}

static struct text instance_name(const struct ruleset *ruleset, int64_t instance_id)
{
	for (size_t i = 0; i < ruleset->instance_count; i++) {
		if (ruleset->instances[i].instance_id == instance_id) {
			return ruleset->instances[i].name;
		}
	}
	return TEXT_NONE;
}

static void write_target(struct buffer *out, const struct ruleset *ruleset, const struct ruleset_target *target)
{
	static const char *const deciders[] = {
		[RULESET_BY_PIN] = "pin", [RULESET_BY_RULE] = "rule", [RULESET_BY_OTHERWISE] = "otherwise",
		[RULESET_BY_GUARD] = "guard", [RULESET_BY_EXPECTATION] = "expected_list",
	};

	buffer_add_format(out, "\"decided_by\":\"%s\"", deciders[target->decider]);
	if (target->decider == RULESET_BY_RULE) {
		buffer_add_string(out, ",\"rule\":");
		buffer_add_json(out, target->rule_id);
		buffer_add_format(out, ",\"index\":%zu", target->rule);
	}
	if (target->instance_id != RULESET_INSTANCE_NONE) {
		buffer_add_string(out, ",\"instance\":");
		buffer_add_json(out, instance_name(ruleset, target->instance_id));
	} else {
		buffer_add_string(out, ",\"instance\":null,\"held\":");
		buffer_add_json(out, target->hold_reason);
	}
	if (target->profile.length > 0) {
		buffer_add_string(out, ",\"profile\":");
		buffer_add_text(out, target->profile);
	}
}

static void write_expectation(struct buffer *out, const struct ruleset *ruleset, const struct ruleset_device *device)
{
	struct ruleset_device by_rules = *device;

	by_rules.expected_instance_id = RULESET_INSTANCE_NONE;
	buffer_add_string(out, ",\"expected\":");
	buffer_add_json(out, instance_name(ruleset, device->expected_instance_id));
	buffer_add_string(out, ",\"wanted\":");
	buffer_add_json(out, instance_name(ruleset, ruleset_decide(ruleset, &by_rules).instance_id));
}

void ruleset_explain(struct buffer *out, const struct ruleset *ruleset, const struct ruleset_device *device)
{
	const struct ruleset_target target = ruleset_decide(ruleset, device);
	struct rule_view view = { .device = device };

	buffer_add_string(out, "{");
	write_target(out, ruleset, &target);
	if (target.decider == RULESET_BY_EXPECTATION) {
		write_expectation(out, ruleset, device);
	}
	buffer_add_string(out, ",\"rules\":[");
	for (size_t i = 0; i < ruleset->rule_count; i++) {
		if (write_rule(out, &ruleset->rules[i], i, &view)) {
			break;
		}
	}
	buffer_add_string(out, "]}");
}
