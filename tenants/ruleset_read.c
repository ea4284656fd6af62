// SPDX-License-Identifier: Apache-2.0
#include "tenants/nearest.h"
#include "tenants/ruleset_inner.h"
#include "tenants/slug.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TREE_BUDGET ((size_t)64 * 1024 * 1024)

static const struct text OTHERWISE = TEXT("otherwise");

// --- then ---

static const struct ruleset_instance *find_instance(const struct ruleset *ruleset, struct text name)
{
	for (size_t i = 0; i < ruleset->instance_count; i++) {
		if (text_equal(ruleset->instances[i].name, name)) {
			return &ruleset->instances[i];
		}
	}
	return NULL;
}

static void refuse_unknown_instance(struct ruleset *ruleset, const struct rule_path *at, struct text name)
{
	struct text *names = allocate_array(ruleset->instance_count + 1, sizeof *names);

	for (size_t i = 0; i < ruleset->instance_count; i++) {
		names[i] = ruleset->instances[i].name;
	}
	const struct text near = nearest_word(name, names, ruleset->instance_count);

	if (near.length > 0) {
		rule_error(ruleset, at, "there is no instance \"%.*s\": is \"%.*s\" meant?", TEXT_ARGS(name), TEXT_ARGS(near));
	} else {
		rule_error(ruleset, at, "there is no instance \"%.*s\"", TEXT_ARGS(name));
	}
	free(names);
}

static void hold_for_lack_of_instance(struct ruleset *ruleset, size_t index, const struct rule_path *at, struct text name)
{
	struct rule *rule = &ruleset->rules[index];

	rule->hold_reason = TEXT("the instance of its rule is retired");
	rule_warn(ruleset, &(struct ruleset_finding){ .kind = RULESET_GONE, .rule = index, .other = RULESET_NO_RULE }, at,
		"the instance \"%.*s\" is retired: the devices of this rule are held", TEXT_ARGS(name));
}

static void read_instance(struct ruleset *ruleset, size_t index, const struct rule_path *at, const struct tree_value *value)
{
	struct rule *rule = &ruleset->rules[index];
	const struct ruleset_instance *instance;
	struct text name;

	if (!rule_read_text(ruleset, at, value, &name)) {
		return;
	}
	instance = find_instance(ruleset, name);
	rule->instance_name = ruleset_keep(ruleset, name);
	if (instance != NULL && instance->state != RULESET_INSTANCE_RETIRED) {
		rule->instance_id = instance->instance_id;
	} else if (ruleset->purpose != RULESET_PROPOSED) {
		hold_for_lack_of_instance(ruleset, index, at, name);
	} else if (instance == NULL) {
		refuse_unknown_instance(ruleset, at, name);
	} else {
		rule_error(ruleset, at, "the instance \"%.*s\" is retired, or for parking", TEXT_ARGS(name));
	}
	if (instance != NULL && instance->state == RULESET_INSTANCE_DRAINING) {
		rule_warn(ruleset, &(struct ruleset_finding){ .kind = RULESET_DRAINING, .rule = index, .other = RULESET_NO_RULE }, at,
			"the instance \"%.*s\" is draining: no device should come to it any more", TEXT_ARGS(name));
	}
}

// What depbroker itself puts into a profile cannot be overridden (profile.h). The other members are checked with the
// profile's layers.
static void read_profile(struct ruleset *ruleset, struct rule *rule, const struct rule_path *at, const struct tree_value *value)
{
	static const struct text fixed[] = { TEXT("url"), TEXT("devices") };

	if (value->kind != TREE_OBJECT) {
		rule_error(ruleset, at, "an object with members of a profile is expected");
		return;
	}
	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
		const struct rule_path here = { .up = at, .name = fixed[i] };

		if (tree_value_find(value, fixed[i]) != NULL) {
			rule_error(ruleset, &here, "a rule cannot change \"%.*s\"", TEXT_ARGS(fixed[i]));
		}
	}
	const struct text profile = ruleset_keep_json(ruleset, value);

	if (profile.length > RULESET_PROFILE_MAX) {
		rule_error(ruleset, at, "the override is longer than %d bytes", RULESET_PROFILE_MAX);
	}
	rule->profile = value->count > 0 ? profile : TEXT_NONE;
}

static void read_hold(struct ruleset *ruleset, struct rule *rule, const struct rule_path *at, const struct tree_value *value)
{
	struct text reason;

	if (rule_read_text(ruleset, at, value, &reason)) {
		rule->hold_reason = ruleset_keep(ruleset, reason);
	}
}

static void read_inherit(struct ruleset *ruleset, const struct rule *rule, const struct rule_path *at,
	const struct tree_value *value)
{
	bool asks_for_replacement = false;

	for (size_t i = 0; i < rule->condition_count; i++) {
		asks_for_replacement |= rule->conditions[i].field == RULE_REPLACEMENT && rule->conditions[i].truth;
	}
	if (value->kind != TREE_TRUE) {
		rule_error(ruleset, at, "true is expected");
	}
	if (!asks_for_replacement) {
		rule_error(ruleset, at, "only a replacement device can inherit: \"when\" needs \"is_replacement_device\": true");
	}
}

static void read_action(struct ruleset *ruleset, size_t index, const struct rule_path *at, const struct tree_value *then)
{
	static const struct text keys[] = { TEXT("instance"), TEXT("hold"), TEXT("inherit"), TEXT("profile") };
	static const enum rule_action actions[] = { RULE_SEND, RULE_HOLD, RULE_INHERIT };
	const struct tree_value *values[4];
	struct rule_path paths[4];
	struct rule *rule = &ruleset->rules[index];
	size_t given = 0;

	if (then == NULL || then->kind != TREE_OBJECT) {
		rule_error(ruleset, at, "{\"instance\": NAME} or {\"hold\": REASON} is expected");
		return;
	}
	rule_refuse_unknown(ruleset, at, then, keys, 4);
	for (size_t i = 0; i < 4; i++) {
		paths[i] = (struct rule_path){ .up = at, .name = keys[i] };
		values[i] = tree_value_find(then, keys[i]);
	}
	for (size_t i = 0; i < 3; i++) {
		given += values[i] != NULL ? 1 : 0;
		rule->action = values[i] != NULL ? actions[i] : rule->action;
	}
	if (given != 1) {
		rule_error(ruleset, at, "exactly one of \"instance\", \"hold\" and \"inherit\" is expected");
		return;
	}
	switch (rule->action) {
	case RULE_SEND: read_instance(ruleset, index, &paths[0], values[0]); break;
	case RULE_HOLD: read_hold(ruleset, rule, &paths[1], values[1]); break;
	case RULE_INHERIT: read_inherit(ruleset, rule, &paths[2], values[2]); break;
	}
	if (values[3] != NULL && rule->action == RULE_HOLD) {
		rule_error(ruleset, &paths[3], "a held device gets no profile");
	} else if (values[3] != NULL) {
		read_profile(ruleset, rule, &paths[3], values[3]);
	}
}

// --- rules ---

static void read_id(struct ruleset *ruleset, struct rule *rule, const struct rule_path *at, const struct tree_value *value)
{
	if (value->kind != TREE_STRING || !is_slug(value->text)) {
		rule_error(ruleset, at, "an id has 1 to %d lower case letters, digits and hyphens inside", SLUG_MAX);
	} else if (text_equal(value->text, OTHERWISE)) {
		rule_error(ruleset, at, "\"otherwise\" is the end of the list, no rule's id");
	} else {
		rule->id = ruleset_keep(ruleset, value->text);
	}
}

static void read_rule(struct ruleset *ruleset, size_t index, const struct rule_path *at, const struct tree_value *value)
{
	static const struct text keys[] = { TEXT("id"), TEXT("name"), TEXT("when"), TEXT("then") };
	struct rule *rule = &ruleset->rules[index];
	const struct tree_value *values[4];
	struct rule_path paths[4];
	struct text name;

	if (value->kind != TREE_OBJECT) {
		rule_error(ruleset, at, "a rule is an object with \"when\" and \"then\"");
		return;
	}
	rule_refuse_unknown(ruleset, at, value, keys, 4);
	for (size_t i = 0; i < 4; i++) {
		values[i] = tree_value_find(value, keys[i]);
		paths[i] = (struct rule_path){ .up = at, .name = keys[i] };
	}
	if (values[0] != NULL) {
		read_id(ruleset, rule, &paths[0], values[0]);
	}
	if (values[1] != NULL && rule_read_text(ruleset, &paths[1], values[1], &name)) {
		rule->name = ruleset_keep(ruleset, name);
	}
	rule_read_when(ruleset, index, &paths[2], values[2]);
	read_action(ruleset, index, &paths[3], values[3]);
}

static bool id_is_taken(const struct ruleset *ruleset, struct text id, size_t except)
{
	for (size_t i = 0; i < ruleset->rule_count; i++) {
		if (i != except && text_equal(ruleset->rules[i].id, id)) {
			return true;
		}
	}
	return text_equal(id, OTHERWISE);
}

static void make_id(struct ruleset *ruleset, size_t index)
{
	struct rule *rule = &ruleset->rules[index];
	char slug[SLUG_MAX + 1];
	char id[SLUG_MAX + 16];

	slug_of(slug, rule->name);
	(void)snprintf(id, sizeof id, "%s", slug[0] != '\0' ? slug : "rule");
	for (int number = 2; id_is_taken(ruleset, text_of(id), index); number++) {
		(void)snprintf(id, sizeof id, "%.56s-%d", slug[0] != '\0' ? slug : "rule", number);
	}
	rule->id = ruleset_keep(ruleset, text_of(id));
}

// A rule without an id is given one by its name. From then on it keeps it: the document that is stored has it.
static void settle_ids(struct ruleset *ruleset, const struct rule_path *at)
{
	const struct text key = TEXT("id");

	for (size_t i = 0; i < ruleset->rule_count; i++) {
		const struct rule_path rule_at = { .up = at, .index = i };
		const struct rule_path here = { .up = &rule_at, .name = key };

		if (ruleset->rules[i].id.length > 0 && id_is_taken(ruleset, ruleset->rules[i].id, i)) {
			rule_error(ruleset, &here, "the id \"%.*s\" is given twice", TEXT_ARGS(ruleset->rules[i].id));
		}
	}
	for (size_t i = 0; i < ruleset->rule_count; i++) {
		if (ruleset->rules[i].id.length == 0) {
			make_id(ruleset, i);
		}
	}
}

static size_t count_rules(struct ruleset *ruleset, const struct rule_path *at, const struct tree_value *rules)
{
	if (rules == NULL) {
		return 0;
	}
	if (rules->kind != TREE_ARRAY || rules->count > RULESET_RULES_MAX) {
		rule_error(ruleset, at, "a list of at most %d rules is expected", RULESET_RULES_MAX);
		return 0;
	}
	return rules->count;
}

// --- the end of the list ---

static void read_default(struct ruleset *ruleset, const struct rule_path *at, const struct tree_value *value)
{
	struct rule *rule = &ruleset->rules[ruleset->rule_count];

	if (value->kind == TREE_NULL) {
		rule->action = RULE_HOLD;
		rule->hold_reason = TEXT("no rule chose an instance");
	} else {
		rule->action = RULE_SEND;
		read_instance(ruleset, ruleset->rule_count, at, value);
	}
}

static bool says_the_same(const struct rule *rule, const struct tree_value *by_default)
{
	return rule->action == RULE_SEND ? by_default->kind == TREE_STRING && text_equal(by_default->text, rule->instance_name)
		: by_default->kind == TREE_NULL;
}

static void read_end(struct ruleset *ruleset, const struct tree_value *document)
{
	static const struct text keys[] = { TEXT("default"), TEXT("otherwise") };
	const struct rule_path paths[] = { { .name = keys[0] }, { .name = keys[1] } };
	const struct tree_value *by_default = tree_value_find(document, keys[0]);
	const struct tree_value *otherwise = tree_value_find(document, keys[1]);
	struct rule *rule = &ruleset->rules[ruleset->rule_count];

	rule->id = OTHERWISE;
	if (otherwise != NULL) {
		read_action(ruleset, ruleset->rule_count, &paths[1], otherwise);
		if (by_default != NULL && !says_the_same(rule, by_default)) {
			rule_error(ruleset, &paths[0], "\"default\" and \"otherwise\" do not say the same: leave one out");
		}
	} else if (by_default != NULL) {
		read_default(ruleset, &paths[0], by_default);
	} else {
		rule_error(ruleset, NULL, "\"otherwise\" is missing: where a device goes that no rule matches");
	}
}

// --- the one form of the document ---

static void put_member(struct tree_value *object, struct text name, struct tree_value value)
{
	object->members[object->count++] = (struct tree_member){ .name = name, .value = value };
}

static struct tree_value string_of(struct text text)
{
	return (struct tree_value){ .kind = TREE_STRING, .text = text };
}

static void write_action(struct buffer *out, const struct rule *rule)
{
	struct tree_member members[2];
	struct tree_value then = { .kind = TREE_OBJECT, .members = members };

	switch (rule->action) {
	case RULE_SEND: put_member(&then, TEXT("instance"), string_of(rule->instance_name)); break;
	case RULE_HOLD: put_member(&then, TEXT("hold"), string_of(rule->hold_reason)); break;
	case RULE_INHERIT: put_member(&then, TEXT("inherit"), (struct tree_value){ .kind = TREE_TRUE }); break;
	}
	if (rule->profile.length > 0) { // already in its one form: written as a number is, as it is
		put_member(&then, TEXT("profile"), (struct tree_value){ .kind = TREE_NUMBER, .text = rule->profile });
	}
	tree_value_write(out, &then);
}

static void write_rule(struct buffer *out, const struct rule *rule, const struct tree_value *given)
{
	buffer_add_string(out, "{\"id\":");
	buffer_add_json(out, rule->id);
	if (rule->name.length > 0) {
		buffer_add_string(out, ",\"name\":");
		buffer_add_json(out, rule->name);
	}
	buffer_add_string(out, ",\"then\":");
	write_action(out, rule);
	buffer_add_string(out, ",\"when\":");
	tree_value_write(out, tree_value_find(given, TEXT("when")));
	buffer_add_string(out, "}");
}

static void write_document(struct ruleset *ruleset, const struct tree_value *rules)
{
	CLEANUP(buffer_fini) struct buffer out = BUFFER((size_t)8 * RULESET_DOCUMENT_MAX);

	buffer_add_string(&out, "{\"otherwise\":");
	write_action(&out, &ruleset->rules[ruleset->rule_count]);
	buffer_add_string(&out, ",\"rules\":[");
	for (size_t i = 0; i < ruleset->rule_count; i++) {
		buffer_add_string(&out, i > 0 ? "," : "");
		write_rule(&out, &ruleset->rules[i], &rules->members[i].value);
	}
	buffer_add_string(&out, "]}");
	if (out.overflow || out.length > RULESET_DOCUMENT_MAX) {
		rule_error(ruleset, NULL, "the rules are longer than %d bytes", RULESET_DOCUMENT_MAX);
		return;
	}
	ruleset->document = ruleset_keep(ruleset, buffer_text(&out));
}

// --- the whole ---

static void read_document(struct ruleset *ruleset, const struct tree_value *document)
{
	// What GET adds may come back with PUT: it says nothing.
	static const struct text keys[] = {
		TEXT("rules"), TEXT("otherwise"), TEXT("default"), TEXT("version"), TEXT("made_at"), TEXT("made_by"), TEXT("reason"), TEXT("warnings"),
	};
	const struct rule_path at = { .name = keys[0] };
	const struct tree_value *rules = tree_value_find(document, keys[0]);

	if (document->kind != TREE_OBJECT) {
		rule_error(ruleset, NULL, "an object with \"rules\" and \"otherwise\" is expected");
		return;
	}
	rule_refuse_unknown(ruleset, NULL, document, keys, sizeof keys / sizeof *keys);
	ruleset->rule_count = count_rules(ruleset, &at, rules);
	ruleset->rules = ruleset_take(ruleset, (ruleset->rule_count + 1) * sizeof *ruleset->rules);
	for (size_t i = 0; i < ruleset->rule_count; i++) {
		const struct rule_path here = { .up = &at, .index = i };

		read_rule(ruleset, i, &here, &rules->members[i].value);
	}
	settle_ids(ruleset, &at);
	read_end(ruleset, document);
	if (ruleset->purpose == RULESET_DECIDES) {
		return;
	}
	if (ruleset->error_count == 0) {
		write_document(ruleset, rules);
	}
	if (ruleset->error_count == 0) {
		ruleset_find_warnings(ruleset);
	}
}

static void read_text(struct ruleset *ruleset, struct text text)
{
	CLEANUP(arena_fini) struct arena arena = ARENA(TREE_BUDGET);
	struct tree_value document;
	struct fault fault = { .text = "" };
	char *copy;

	if (text.length > RULESET_DOCUMENT_MAX) {
		rule_error(ruleset, NULL, "the rules are longer than %d bytes", RULESET_DOCUMENT_MAX);
		return;
	}
	copy = arena_copy(&arena, text);
	assert(copy != NULL);
	if (tree_value_read(&document, copy, text.length, &arena, &fault) != OK) {
		rule_error(ruleset, NULL, "%s", fault.text);
		return;
	}
	read_document(ruleset, &document);
}

static void put_errors_first(struct ruleset *ruleset)
{
	struct ruleset_finding *sorted;
	size_t count = 0;

	if (ruleset->finding_count == 0) {
		return;
	}
	sorted = ruleset_take(ruleset, ruleset->finding_count * sizeof *sorted);
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < ruleset->finding_count; i++) {
			if ((ruleset->findings[i].kind == RULESET_ERROR) == (pass == 0)) {
				sorted[count++] = ruleset->findings[i];
			}
		}
	}
	ruleset->findings = sorted;
}

struct ruleset *ruleset_read(struct text document, const struct ruleset_instance *instances, size_t count,
	enum ruleset_purpose purpose)
{
	struct ruleset *ruleset = allocate(sizeof *ruleset);

	ruleset->purpose = purpose;
	ruleset->arena = ARENA(SIZE_MAX / 2); // what is read is limited, and so is what becomes of it
	ruleset->instances = ruleset_take(ruleset, (count + 1) * sizeof *ruleset->instances);
	ruleset->instance_count = count;
	for (size_t i = 0; i < count; i++) {
		ruleset->instances[i] = instances[i];
		ruleset->instances[i].name = ruleset_keep(ruleset, instances[i].name);
	}
	read_text(ruleset, document);
	put_errors_first(ruleset);
	return ruleset;
}

void ruleset_free(struct ruleset *ruleset)
{
	if (ruleset != NULL) {
		arena_fini(&ruleset->arena);
		free(ruleset);
	}
}

bool ruleset_is_valid(const struct ruleset *ruleset)
{
	return ruleset->error_count == 0;
}

struct text ruleset_document(const struct ruleset *ruleset)
{
	assert(ruleset_is_valid(ruleset) && ruleset->purpose != RULESET_DECIDES);
	return ruleset->document;
}

size_t ruleset_count(const struct ruleset *ruleset)
{
	return ruleset->rule_count;
}

struct text ruleset_id(const struct ruleset *ruleset, size_t rule)
{
	assert(rule <= ruleset->rule_count);
	return ruleset->rules[rule].id;
}

struct text ruleset_name(const struct ruleset *ruleset, size_t rule)
{
	assert(rule <= ruleset->rule_count);
	return ruleset->rules[rule].name;
}

bool ruleset_names_instance(const struct ruleset *ruleset, int64_t instance_id)
{
	assert(ruleset_is_valid(ruleset));
	for (size_t i = 0; i <= ruleset->rule_count; i++) {
		if (ruleset->rules[i].action == RULE_SEND && ruleset->rules[i].instance_id == instance_id) {
			return true;
		}
	}
	return false;
}
