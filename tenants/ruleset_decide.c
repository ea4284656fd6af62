// SPDX-License-Identifier: Apache-2.0
#include "tenants/ruleset_inner.h"

#include <assert.h>

static const struct {
	enum rule_field field;
	size_t offset; // in struct device_record
} record_texts[] = {
	{ RULE_SERIAL, offsetof(struct device_record, serial_number) },
	{ RULE_DEVICE_FAMILY, offsetof(struct device_record, device_family) },
	{ RULE_OS, offsetof(struct device_record, os) },
	{ RULE_MODEL, offsetof(struct device_record, model) },
	{ RULE_COLOR, offsetof(struct device_record, color) },
	{ RULE_DESCRIPTION, offsetof(struct device_record, description) },
	{ RULE_ASSET_TAG, offsetof(struct device_record, asset_tag) },
	{ RULE_ASSIGNED_BY, offsetof(struct device_record, device_assigned_by) },
};

static_assert(RULE_ASSIGNED_BY == 7, "record_texts is indexed by field");

static struct text line_of(struct text lines)
{
	size_t length = 0;

	while (length < lines.length && lines.bytes[length] != '\n') {
		length++;
	}
	return (struct text){ lines.bytes, length };
}

size_t ruleset_labels_read(struct ruleset_label out[RULESET_LABELS_MAX], struct text lines)
{
	size_t count = 0;

	while (lines.length > 0 && count < RULESET_LABELS_MAX) {
		const struct text line = line_of(lines);
		const size_t taken = line.length < lines.length ? line.length + 1 : line.length;
		size_t name = 0;

		while (name < line.length && line.bytes[name] != '=') {
			name++;
		}
		out[count++] = (struct ruleset_label){
			.name = { line.bytes, name },
			.value = name < line.length ? (struct text){ line.bytes + name + 1, line.length - name - 1 } : TEXT(""),
		};
		lines = (struct text){ lines.bytes + taken, lines.length - taken };
	}
	return count;
}

static struct text label_of(const struct ruleset_device *device, struct text name)
{
	for (size_t i = 0; i < device->label_count; i++) {
		if (text_equal(device->labels[i].name, name)) {
			return device->labels[i].value;
		}
	}
	return TEXT_NONE;
}

struct text rule_seen_text(const struct ruleset_device *device, const struct rule_condition *condition)
{
	if (condition->field == RULE_LABEL) {
		return label_of(device, condition->label);
	}
	assert(condition->field <= RULE_ASSIGNED_BY);
	return *(const struct text *)(const void *)((const char *)device->apple + record_texts[condition->field].offset);
}

// FNV-1a over salt, a byte that neither has, and the serial number in upper case, its bits mixed. Never to be changed: devices
// would change their waves.
uint32_t rule_share_of(struct text salt, struct text serial)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < salt.length; i++) {
		hash = (hash ^ (unsigned char)salt.bytes[i]) * UINT64_C(0x100000001b3);
	}
	hash = (hash ^ 0xff) * UINT64_C(0x100000001b3);
	for (size_t i = 0; i < serial.length; i++) {
		const char c = serial.bytes[i];
		const char upper = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;

		hash = (hash ^ (unsigned char)upper) * UINT64_C(0x100000001b3);
	}
	hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
	hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	hash ^= hash >> 33;
	return (uint32_t)((hash >> 32) * RULE_SHARE_WHOLE >> 32);
}

static bool text_holds(const struct rule_condition *condition, struct rule_view *view)
{
	const struct text text = rule_seen_text(view->device, condition);
	const unsigned bit = 1U << condition->field;

	if (condition->set.slot_count == 0) {
		return text_set_has(&condition->set, text, 0);
	}
	if (condition->field == RULE_LABEL) {
		return text_set_has(&condition->set, text, text_set_hash(text));
	}
	if ((view->hashed & bit) == 0) {
		view->hashes[condition->field] = text_set_hash(text);
		view->hashed |= bit;
	}
	return text_set_has(&condition->set, text, view->hashes[condition->field]);
}

bool rule_condition_holds(const struct rule_condition *condition, struct rule_view *view)
{
	const struct ruleset_device *device = view->device;
	const int64_t assigned_us = device->apple->device_assigned_date_us;

	switch (rule_fields[condition->field].kind) {
	case RULE_KIND_DATE:
		return assigned_us != INSTANT_NONE && condition->after_us <= assigned_us && assigned_us < condition->before_us;
	case RULE_KIND_BOOL: return (device->predecessor != RULESET_PREDECESSOR_NONE) == condition->truth;
	case RULE_KIND_SHARE: return rule_share_of(condition->salt, device->apple->serial_number) < condition->share;
	case RULE_KIND_TEXT:
	case RULE_KIND_LABELS: break;
	}
	return text_holds(condition, view);
}

bool rule_holds(const struct rule *rule, struct rule_view *view)
{
	if (rule->action == RULE_INHERIT && view->device->predecessor == RULESET_PREDECESSOR_UNKNOWN) {
		return false;
	}
	for (size_t i = 0; i < rule->condition_count; i++) {
		if (!rule_condition_holds(&rule->conditions[i], view)) {
			return false;
		}
	}
	return true;
}

// --- targets ---

static void hold(struct ruleset_target *target, struct text reason)
{
	target->instance_id = RULESET_INSTANCE_NONE;
	target->hold_reason = reason;
	target->profile = TEXT_NONE;
}

// Law 3, for ids that do not come from the document.
static void send(const struct ruleset *ruleset, struct ruleset_target *target, int64_t instance_id, struct text refusal)
{
	for (size_t i = 0; i < ruleset->instance_count; i++) {
		const struct ruleset_instance *instance = &ruleset->instances[i];

		if (instance->instance_id == instance_id && instance->state != RULESET_INSTANCE_RETIRED) {
			target->instance_id = instance_id;
			return;
		}
	}
	hold(target, refusal);
}

static void inherit(const struct ruleset *ruleset, struct ruleset_target *target, const struct ruleset_device *device)
{
	if (device->predecessor == RULESET_PREDECESSOR_PENDING) {
		hold(target, TEXT("which device it replaces is not known yet"));
	} else if (device->predecessor_instance_id == RULESET_INSTANCE_NONE) {
		hold(target, TEXT("the device that it replaces is held"));
	} else {
		send(ruleset, target, device->predecessor_instance_id, TEXT("the instance of the device that it replaces is retired"));
	}
}

static struct ruleset_target target_of_pin(const struct ruleset *ruleset, const struct ruleset_device *device)
{
	struct ruleset_target target = { .decider = RULESET_BY_PIN, .rule = RULESET_NO_RULE };

	if (device->pin_instance_id == RULESET_INSTANCE_NONE) {
		hold(&target, device->pin_reason.length > 0 ? device->pin_reason : TEXT("held by hand"));
	} else {
		send(ruleset, &target, device->pin_instance_id, TEXT("the instance that it is pinned to is retired"));
	}
	return target;
}

static struct ruleset_target target_of_guard(const struct ruleset_device *device)
{
	struct ruleset_target target = { .decider = RULESET_BY_GUARD, .rule = RULESET_NO_RULE };

	hold(&target, device->guard_reason);
	return target;
}

static struct ruleset_target target_of_rule(const struct ruleset *ruleset, size_t index, const struct ruleset_device *device)
{
	const struct rule *rule = &ruleset->rules[index];
	struct ruleset_target target = {
		.decider = index == ruleset->rule_count ? RULESET_BY_OTHERWISE : RULESET_BY_RULE,
		.rule = index,
		.rule_id = rule->id,
		.profile = rule->profile,
	};

	switch (rule->action) {
	case RULE_SEND:
		target.instance_id = rule->instance_id;
		if (rule->instance_id == RULESET_INSTANCE_NONE) {
			hold(&target, rule->hold_reason);
		}
		break;
	case RULE_HOLD: hold(&target, rule->hold_reason); break;
	case RULE_INHERIT: inherit(ruleset, &target, device); break;
	}
	return target;
}

// Somebody has bought it for another place than the rules have for it: a person decides.
static struct ruleset_target unless_expected_elsewhere(struct ruleset_target target, const struct ruleset_device *device)
{
	const bool is_expected = device->expected_instance_id == RULESET_INSTANCE_NONE || target.instance_id == RULESET_INSTANCE_NONE ||
		device->expected_instance_id == target.instance_id;
	struct ruleset_target held = { .decider = RULESET_BY_EXPECTATION, .rule = RULESET_NO_RULE };

	hold(&held, TEXT("expected-list mismatch: the rules want another instance than the list of expected devices"));
	return is_expected ? target : held;
}

struct ruleset_target ruleset_decide(const struct ruleset *ruleset, const struct ruleset_device *device)
{
	struct rule_view view = { .device = device };
	size_t index = 0;

	assert(ruleset_is_valid(ruleset));
	if (device->is_pinned) {
		return target_of_pin(ruleset, device);
	}
	if (device->guard_reason.length > 0) {
		return target_of_guard(device);
	}
	while (index < ruleset->rule_count && !rule_holds(&ruleset->rules[index], &view)) {
		index++;
	}
	return unless_expected_elsewhere(target_of_rule(ruleset, index, device), device);
}

int64_t ruleset_instance_of(const struct ruleset *ruleset, size_t rule)
{
	assert(rule <= ruleset->rule_count);
	return ruleset->rules[rule].action == RULE_SEND ? ruleset->rules[rule].instance_id : RULESET_INSTANCE_NONE;
}

struct text ruleset_profile(const struct ruleset *ruleset, struct text id)
{
	for (size_t i = 0; ruleset != NULL && i <= ruleset->rule_count; i++) {
		if (text_equal(ruleset->rules[i].id, id)) {
			return ruleset->rules[i].profile;
		}
	}
	return TEXT_NONE;
}

bool ruleset_target_equal(const struct ruleset_target *a, const struct ruleset_target *b)
{
	return a->instance_id == b->instance_id && text_equal(a->hold_reason, b->hold_reason) && text_equal(a->profile, b->profile);
}
