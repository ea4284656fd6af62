// SPDX-License-Identifier: Apache-2.0
//
// Random rules against a slow evaluator that knows nothing of sets, hashes and documents; warnings and previews against what
// devices really do.
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/ruleset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RULES = 6, DEVICES = 250, VALUES = 3, VALUE_SIZE = 8 };

enum subject { SERIAL, FAMILY, COLOR, LABEL, DATE, REPLACEMENT, SHARE, SUBJECTS };
enum form { PLAIN, LIST, PREFIX, GLOB, CONTAINS, RANGE, FORMS };

static const char *const keys[SUBJECTS] = { "serial", "device_family", "color", "labels", "device_assigned_date",
	"is_replacement_device", "share" };
static const char *const forms[FORMS] = { "", "list", "prefix", "glob", "contains", "range" };

struct model_condition {
	bool given;
	enum form form;
	size_t count;
	char values[VALUES][VALUE_SIZE];
	bool truth;
	int from, to; // days; of a share: `from` percent
};

struct model_rule {
	struct model_condition conditions[SUBJECTS];
	int target; // 0: hold, 1 to 3: instance, 4: inherit
	bool has_profile;
};

struct model {
	size_t count;
	struct model_rule rules[RULES];
	int otherwise; // 0: hold
};

struct model_device {
	char serial[VALUE_SIZE], family[VALUE_SIZE], color[VALUE_SIZE], label[VALUE_SIZE];
	struct device_record record;
	struct ruleset_label label_pair;
	struct ruleset_device device;
};

static const struct ruleset_instance instances[] = {
	{ 1, TEXT("i1"), RULESET_INSTANCE_ACTIVE }, { 2, TEXT("i2"), RULESET_INSTANCE_ACTIVE },
	{ 3, TEXT("i3"), RULESET_INSTANCE_DRAINING }, { 9, TEXT("i9"), RULESET_INSTANCE_RETIRED },
};

// --- chance ---

static void random_value(char out[VALUE_SIZE], const char *alphabet, size_t least, size_t most)
{
	const size_t length = least + random_below(most - least + 1);

	for (size_t i = 0; i < length; i++) {
		out[i] = alphabet[random_below(strlen(alphabet))];
	}
	out[length] = '\0';
}

static void random_texts(struct model_condition *condition, enum subject subject)
{
	const size_t least = subject == SERIAL ? 1 : 0;

	condition->form = (enum form)random_below(subject == SERIAL ? FORMS : RANGE);
	condition->count = condition->form == RANGE ? 2 : 1 + random_below(VALUES);
	for (size_t i = 0; i < condition->count; i++) {
		const bool has_wildcards = condition->form == GLOB || condition->form == PLAIN;
		const bool may_be_empty = condition->form == PLAIN || condition->form == LIST || condition->form == GLOB;

		random_value(condition->values[i], has_wildcards ? "aAB*?" : "abB", may_be_empty ? least : 1, 3);
	}
	if (condition->form == RANGE) {
		random_value(condition->values[0], "AB", 2, 2);
		random_value(condition->values[1], "AB", 2, 2);
		if (strcmp(condition->values[0], condition->values[1]) > 0) {
			memcpy(condition->values[1], condition->values[0], VALUE_SIZE);
		}
	}
}

static void random_rule(struct model_rule *rule)
{
	*rule = (struct model_rule){ .target = (int)random_below(4), .has_profile = random_chance(20) };
	for (enum subject subject = 0; subject < SUBJECTS; subject++) {
		struct model_condition *condition = &rule->conditions[subject];

		condition->given = random_chance(subject == SERIAL || subject == FAMILY ? 40 : 15);
		condition->truth = random_chance(50);
		condition->from = subject == SHARE ? (int)random_below(5) * 25 : (int)random_below(6);
		condition->to = (int)random_below(7);
		if (subject <= LABEL) {
			random_texts(condition, subject);
		}
	}
	if (rule->conditions[REPLACEMENT].given && rule->conditions[REPLACEMENT].truth && random_chance(50)) {
		rule->target = 4;
	}
	rule->has_profile &= rule->target != 0;
}

static void random_model(struct model *model)
{
	*model = (struct model){ .count = random_below(RULES + 1), .otherwise = (int)random_below(4) };
	for (size_t i = 0; i < model->count; i++) {
		random_rule(&model->rules[i]);
	}
}

static void random_device(struct model_device *out)
{
	random_value(out->serial, "AB", 1, 4);
	random_value(out->family, "ab", 0, 3);
	random_value(out->color, "Ab", 0, 3);
	random_value(out->label, "ab", 0, 3);
	out->record = (struct device_record){
		.serial_number = text_of(out->serial), .device_family = text_of(out->family), .color = text_of(out->color),
		.device_assigned_date_us = random_chance(10) ? INSTANT_NONE : (int64_t)random_below(6) * DAY_S * SECOND_US,
	};
	out->label_pair = (struct ruleset_label){ TEXT("l"), text_of(out->label) };
	out->device = (struct ruleset_device){
		.apple = &out->record, .labels = &out->label_pair, .label_count = random_chance(80) ? 1 : 0,
		.predecessor = (enum ruleset_predecessor)random_below(4), .predecessor_instance_id = (int64_t)random_below(4),
		.is_pinned = random_chance(5), .pin_instance_id = (int64_t)random_below(4),
	};
}

// --- the document of a model ---

static void add_value(struct buffer *out, const struct model_condition *condition)
{
	if (condition->form == RANGE) {
		buffer_add_format(out, "{\"range\":{\"from\":\"%s\",\"to\":\"%s\"}}", condition->values[0], condition->values[1]);
		return;
	}
	if (condition->form != PLAIN) {
		buffer_add_format(out, "{\"%s\":", forms[condition->form]);
	}
	for (size_t i = 0; i < condition->count; i++) {
		buffer_add_format(out, "%s\"%s\"", i > 0 ? "," : "[", condition->values[i]);
	}
	buffer_add_string(out, condition->form != PLAIN ? "]}" : "]");
}

static void add_condition(struct buffer *out, enum subject subject, const struct model_condition *condition)
{
	switch (subject) {
	case DATE:
		buffer_add_format(out, "{\"after\":\"1970-01-%02dT00:00:00Z\",\"before\":\"1970-01-%02d\"}", condition->from + 1, condition->to + 1);
		break;
	case REPLACEMENT: buffer_add_string(out, condition->truth ? "true" : "false"); break;
	case SHARE: buffer_add_format(out, "%d", condition->from); break;
	case LABEL:
		buffer_add_string(out, "{\"l\":");
		add_value(out, condition);
		buffer_add_string(out, "}");
		break;
	case SERIAL:
	case FAMILY:
	case COLOR:
	case SUBJECTS: add_value(out, condition); break;
	}
}

static void add_target(struct buffer *out, int target, bool has_profile)
{
	if (target == 0) {
		buffer_add_string(out, "{\"hold\":\"h\"}");
		return;
	}
	buffer_add_string(out, "{");
	if (target == 4) {
		buffer_add_string(out, "\"inherit\":true");
	} else {
		buffer_add_format(out, "\"instance\":\"i%d\"", target);
	}
	buffer_add_string(out, has_profile ? ",\"profile\":{\"a\":1}}" : "}");
}

static void add_rule(struct buffer *out, size_t index, const struct model_rule *rule)
{
	const char *comma = "";

	buffer_add_format(out, "{\"id\":\"r%zu\",\"when\":{", index);
	for (enum subject subject = 0; subject < SUBJECTS; subject++) {
		if (rule->conditions[subject].given) {
			buffer_add_format(out, "%s\"%s\":", comma, keys[subject]);
			add_condition(out, subject, &rule->conditions[subject]);
			comma = ",";
		}
	}
	buffer_add_string(out, "},\"then\":");
	add_target(out, rule->target, rule->has_profile);
	buffer_add_string(out, "}");
}

static struct ruleset *compile(const struct model *model, size_t without)
{
	CLEANUP(buffer_fini) struct buffer out = BUFFER(1 << 20);
	const char *comma = "";
	struct ruleset *ruleset;

	buffer_add_string(&out, "{\"rules\":[");
	for (size_t i = 0; i < model->count; i++) {
		if (i != without) {
			buffer_add_string(&out, comma);
			add_rule(&out, i, &model->rules[i]);
			comma = ",";
		}
	}
	buffer_add_string(&out, "],\"otherwise\":");
	add_target(&out, model->otherwise, false);
	buffer_add_string(&out, "}");
	ruleset = ruleset_read(buffer_text(&out), instances, 4, RULESET_PROPOSED);
	if (!ruleset_is_valid(ruleset)) {
		print_error("%s\n", out.bytes);
		buffer_clear(&out);
		ruleset_findings_write(&out, ruleset);
		print_error("%s\n", out.bytes);
	}
	LAW(ruleset_is_valid(ruleset));
	return ruleset;
}

// --- the slow evaluator ---

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool glob(const char *pattern, const char *text)
{
	if (*pattern == '*') {
		return glob(pattern + 1, text) || (*text != '\0' && glob(pattern, text + 1));
	}
	if (*text == '\0' || *pattern == '\0') {
		return *text == *pattern;
	}
	return (*pattern == '?' || lower(*pattern) == lower(*text)) && glob(pattern + 1, text + 1);
}

static bool value_fits(enum form form, const char *value, const char *text)
{
	switch (form) {
	case PLAIN:
	case GLOB: return value[0] == '\0' ? text[0] == '\0' : text[0] != '\0' && glob(value, text);
	case LIST: return strcasecmp(value, text) == 0;
	case PREFIX: return strncasecmp(value, text, strlen(value)) == 0;
	case CONTAINS: return strcasestr(text, value) != NULL;
	case RANGE:
	case FORMS: break;
	}
	return false;
}

static bool text_fits(const struct model_condition *condition, const char *text)
{
	if (condition->form == RANGE) {
		return strlen(text) == 2 && strcasecmp(condition->values[0], text) <= 0 && strcasecmp(text, condition->values[1]) <= 0;
	}
	for (size_t i = 0; i < condition->count; i++) {
		if (value_fits(condition->form, condition->values[i], text)) {
			return true;
		}
	}
	return false;
}

static bool in_share(const char *serial, int percent) // FNV-1a of 0xff and the serial number, murmur3's mixing
{
	uint64_t hash = (UINT64_C(0xcbf29ce484222325) ^ 0xff) * UINT64_C(0x100000001b3);

	for (; *serial != '\0'; serial++) {
		hash = (hash ^ (unsigned char)*serial) * UINT64_C(0x100000001b3);
	}
	hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
	hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	hash ^= hash >> 33;
	return (hash >> 32) * 10000 >> 32 < (uint64_t)percent * 100;
}

static bool condition_fits(const struct model_device *device, enum subject subject, const struct model_condition *condition)
{
	const int64_t date_us = device->record.device_assigned_date_us;
	const int64_t day_us = DAY_S * SECOND_US;

	switch (subject) {
	case SERIAL: return text_fits(condition, device->serial);
	case FAMILY: return text_fits(condition, device->family);
	case COLOR: return text_fits(condition, device->color);
	case LABEL: return text_fits(condition, device->device.label_count > 0 ? device->label : "");
	case DATE: return date_us != INSTANT_NONE && date_us >= condition->from * day_us && date_us < condition->to * day_us;
	case REPLACEMENT: return (device->device.predecessor != RULESET_PREDECESSOR_NONE) == condition->truth;
	case SHARE: return in_share(device->serial, condition->from);
	case SUBJECTS: break;
	}
	return false;
}

static bool rule_fits(const struct model_device *device, const struct model_rule *rule)
{
	for (enum subject subject = 0; subject < SUBJECTS; subject++) {
		if (rule->conditions[subject].given && !condition_fits(device, subject, &rule->conditions[subject])) {
			return false;
		}
	}
	return rule->target != 4 || device->device.predecessor != RULESET_PREDECESSOR_UNKNOWN;
}

static int64_t instance_of(const struct model_device *device, int target)
{
	if (target == 4) {
		return device->device.predecessor == RULESET_PREDECESSOR_KNOWN ? device->device.predecessor_instance_id : 0;
	}
	return target;
}

static void check_decision(const struct model *model, const struct model_device *device, const struct ruleset_target *target)
{
	size_t index = 0;

	if (device->device.is_pinned) {
		LAW(target->decider == RULESET_BY_PIN && target->instance_id == device->device.pin_instance_id);
		return;
	}
	while (index < model->count && !rule_fits(device, &model->rules[index])) {
		index++;
	}
	LAW(target->rule == index);
	LAW(target->decider == (index == model->count ? RULESET_BY_OTHERWISE : RULESET_BY_RULE));
	LAW(target->instance_id == instance_of(device, index == model->count ? model->otherwise : model->rules[index].target));
	LAW((target->instance_id == 0) == (target->hold_reason.length > 0));
	LAW((target->profile.length > 0) == (index < model->count && model->rules[index].has_profile && target->instance_id != 0));
}

// --- laws ---

static void the_first_match_wins_as_in_the_slow_evaluator(void **state)
{
	(void)state;
	for (size_t i = 0; i < 800; i++) {
		struct model model;
		struct model_device device;
		struct ruleset *ruleset;
		struct ruleset *again;

		random_case("test_ruleset_random", i);
		random_model(&model);
		ruleset = compile(&model, SIZE_MAX);
		again = ruleset_read(ruleset_document(ruleset), instances, 4, RULESET_IN_FORCE);
		LAW(text_equal(ruleset_document(ruleset), ruleset_document(again)));
		for (int j = 0; j < DEVICES; j++) {
			random_device(&device);
			const struct ruleset_target target = ruleset_decide(ruleset, &device.device);
			const struct ruleset_target same = ruleset_decide(again, &device.device);

			check_decision(&model, &device, &target);
			LAW(ruleset_target_equal(&target, &same) && target.rule == same.rule);
		}
		ruleset_free(ruleset);
		ruleset_free(again);
	}
}

static void check_finding(const struct model *model, const struct ruleset *ruleset, const struct ruleset_finding *finding)
{
	struct ruleset *without = finding->rule < model->count ? compile(model, finding->rule) : NULL;

	for (int i = 0; i < DEVICES; i++) {
		struct model_device device;

		random_device(&device);
		const struct ruleset_target target = ruleset_decide(ruleset, &device.device);

		if (finding->kind == RULESET_NEVER_MATCHES) {
			LAW(target.rule != finding->rule);
		}
		if (finding->kind == RULESET_CHANGES_NOTHING || finding->kind == RULESET_NEVER_MATCHES) {
			const struct ruleset_target other = ruleset_decide(without, &device.device);

			LAW(ruleset_target_equal(&target, &other));
		}
	}
	ruleset_free(without);
}

static void warnings_are_never_wrong(void **state)
{
	size_t never_matches = 0;
	size_t changes_nothing = 0;

	(void)state;
	for (size_t i = 0; i < 1500; i++) {
		struct model model;
		struct ruleset *ruleset;
		const struct ruleset_finding *findings;
		size_t count;

		random_case("test_ruleset_random", i);
		random_model(&model);
		ruleset = compile(&model, SIZE_MAX);
		findings = ruleset_findings(ruleset, &count);
		for (size_t j = 0; j < count; j++) {
			never_matches += findings[j].kind == RULESET_NEVER_MATCHES;
			changes_nothing += findings[j].kind == RULESET_CHANGES_NOTHING;
			check_finding(&model, ruleset, &findings[j]);
		}
		ruleset_free(ruleset);
	}
	assert_true(never_matches > 50 && changes_nothing > 10);
}

// The counts and serial numbers of a preview, against deciding each device twice.
static void check_preview(const struct ruleset *before, const struct ruleset *after)
{
	struct ruleset_preview *preview = ruleset_preview_new(before, after);
	const struct ruleset_moved_device *moved;
	const struct ruleset_move *moves;
	size_t hits[RULES + 1] = { 0 };
	size_t move_count;
	size_t count;
	size_t next = 0;
	size_t total = 0;

	for (int i = 0; i < DEVICES; i++) {
		struct model_device device;

		random_device(&device);
		(void)snprintf(device.serial, sizeof device.serial, "AB%03d", i % 1000); // so that each has its own
		device.record.serial_number = text_of(device.serial);
		const struct ruleset_target old = ruleset_decide(before, &device.device);
		const struct ruleset_target new = ruleset_decide(after, &device.device);

		ruleset_preview_add(preview, &device.device);
		if (new.rule != RULESET_NO_RULE) {
			hits[new.rule]++;
		}
		moved = ruleset_preview_moved(preview, &count);
		moves = ruleset_preview_moves(preview, &move_count);
		if (ruleset_target_equal(&old, &new)) {
			LAW(count == next);
			continue;
		}
		LAW(count == ++next && text_equal(moved[count - 1].serial, device.record.serial_number));
		LAW(moved[count - 1].old_rule == old.rule && moved[count - 1].new_rule == new.rule);
		LAW(moves[moved[count - 1].move].from_instance_id == old.instance_id);
		LAW(moves[moved[count - 1].move].to_instance_id == new.instance_id);
	}
	moves = ruleset_preview_moves(preview, &move_count);
	for (size_t i = 0; i < move_count; i++) {
		total += moves[i].count;
	}
	LAW(total == next && ruleset_preview_devices(preview) == DEVICES);
	for (size_t i = 0; i <= ruleset_count(after); i++) {
		LAW(ruleset_preview_hits(preview, i) == hits[i]);
	}
	ruleset_preview_free(preview);
}

static void what_is_previewed_is_what_is_applied(void **state)
{
	(void)state;
	for (size_t i = 0; i < 500; i++) {
		struct model model;
		struct ruleset *before;
		struct ruleset *after;

		random_case("test_ruleset_random", i);
		random_model(&model);
		before = compile(&model, SIZE_MAX);
		if (random_chance(50) && model.count > 0) {
			random_rule(&model.rules[random_below(model.count)]);
		} else {
			random_model(&model);
		}
		after = compile(&model, SIZE_MAX);
		check_preview(before, after);
		ruleset_free(before);
		ruleset_free(after);
	}
}

static void explanations_agree_with_decisions(void **state)
{
	CLEANUP(buffer_fini) struct buffer out = BUFFER(1 << 20);

	(void)state;
	for (size_t i = 0; i < 300; i++) {
		struct model model;
		struct ruleset *ruleset;

		random_case("test_ruleset_random", i);
		random_model(&model);
		ruleset = compile(&model, SIZE_MAX);
		for (int j = 0; j < 20; j++) {
			struct model_device device;
			char rule[64] = "\"decided_by\":\"otherwise\"";

			random_device(&device);
			device.device.is_pinned = false;
			const struct ruleset_target target = ruleset_decide(ruleset, &device.device);

			if (target.decider == RULESET_BY_RULE) {
				(void)snprintf(rule, sizeof rule, "{\"index\":%zu,\"id\":\"r%zu\",\"matched\":true,", target.rule, target.rule);
			}
			buffer_clear(&out);
			ruleset_explain(&out, ruleset, &device.device);
			LAW(strstr(out.bytes, rule) != NULL);
		}
		ruleset_free(ruleset);
	}
}

// --- speed ---

static struct ruleset *fifty_rules(int moved)
{
	CLEANUP(buffer_fini) struct buffer out = BUFFER(RULESET_DOCUMENT_MAX);
	struct ruleset *ruleset;

	buffer_add_string(&out, "{\"otherwise\":{\"instance\":\"i1\"},\"rules\":[");
	for (int i = 0; i < 50; i++) {
		buffer_add_string(&out, i > 0 ? ",{\"when\":{" : "{\"when\":{");
		if (i % 5 == 0) {
			buffer_add_string(&out, "\"serial\":[\"X\"");
			for (int j = 0; j < 2000; j++) {
				buffer_add_format(&out, ",\"C02%07d\"", i * 2000 + j);
			}
			buffer_add_string(&out, "]");
		} else if (i % 5 == 1) {
			buffer_add_format(&out, "\"description\":\"*%d GB*gold\"", i);
		} else if (i % 5 == 2) {
			buffer_add_format(&out, "\"serial\":{\"prefix\":\"D%02d\"},\"os\":\"iOS\"", i);
		} else if (i % 5 == 3) {
			buffer_add_format(&out, "\"model\":\"MacBook*%d\",\"share\":50", i);
		} else {
			buffer_add_format(&out, "\"asset_tag\":{\"range\":{\"from\":\"A%02d0\",\"to\":\"A%02d9\"}}", i, i);
		}
		buffer_add_format(&out, "},\"then\":{\"instance\":\"i%d\"}}", 1 + (i + moved) % 2);
	}
	buffer_add_string(&out, "]}");
	ruleset = ruleset_read(buffer_text(&out), instances, 4, RULESET_PROPOSED);
	assert_true(ruleset_is_valid(ruleset));
	return ruleset;
}

static double cpu_seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

// CPU time: other programs on the machine do not count. With sanitizers everything takes several times as long.
static void a_preview_of_a_hundred_thousand_devices_takes_less_than_a_second(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	const double limit_s = 12;
#else
	const double limit_s = 1;
#endif
	const double start = cpu_seconds();
	struct ruleset *before = fifty_rules(0);
	struct ruleset *after = fifty_rules(1);
	const double compiled = cpu_seconds();
	struct ruleset_preview *preview = ruleset_preview_new(before, after);

	(void)state;
	for (int i = 0; i < 100000; i++) {
		char serial[16];
		char tag[16];

		(void)snprintf(serial, sizeof serial, "%s%07d", i % 3 > 0 ? "C02" : "D12", i * 2);
		(void)snprintf(tag, sizeof tag, "A%03d", i % 1000);
		const struct device_record record = {
			.serial_number = text_of(serial), .model = TEXT("MACBOOK AIR 13"), .asset_tag = text_of(tag), .os = TEXT("OSX"),
			.description = TEXT("MBA 13.3 8 GB 256 GB SPACE GRAY"), .device_family = TEXT("Mac"),
		};

		ruleset_preview_add(preview, &(struct ruleset_device){ .apple = &record });
	}
	const double done = cpu_seconds();

	print_message("compiled in %.3f s, previewed in %.3f s of CPU\n", compiled - start, done - compiled);
	assert_true(done - start < limit_s);
	ruleset_preview_free(preview);
	ruleset_free(before);
	ruleset_free(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_match_wins_as_in_the_slow_evaluator),
		cmocka_unit_test(warnings_are_never_wrong),
		cmocka_unit_test(what_is_previewed_is_what_is_applied),
		cmocka_unit_test(explanations_agree_with_decisions),
		cmocka_unit_test(a_preview_of_a_hundred_thousand_devices_takes_less_than_a_second),
	};

	return cmocka_run_group_tests_name("ruleset_random", tests, NULL, NULL);
}
