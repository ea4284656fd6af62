// SPDX-License-Identifier: Apache-2.0
#include "support/cmocka_all.h"
#include "tenants/ruleset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY(text) instant_parse(TEXT(text "T00:00:00Z"))

enum { MAIN = 1, SCHOOL = 2, OLD = 3, RETIRED = 4 };

static const struct ruleset_instance instances[] = {
	{ MAIN, TEXT("main"), RULESET_INSTANCE_ACTIVE },
	{ SCHOOL, TEXT("school"), RULESET_INSTANCE_ACTIVE },
	{ OLD, TEXT("old"), RULESET_INSTANCE_DRAINING },
	{ RETIRED, TEXT("gone"), RULESET_INSTANCE_RETIRED },
};

static const struct device_record ipad = {
	.serial_number = TEXT("DMPX1234ABCD"), .model = TEXT("IPAD 10.2-INCH (9TH GENERATION)"),
	.description = TEXT("IPAD WI-FI 64GB SPACE GRAY-USA"), .color = TEXT("SPACE GRAY"), .asset_tag = TEXT("LIB-0042"),
	.device_family = TEXT("iPad"), .os = TEXT("iOS"), .device_assigned_by = TEXT("it@school.example"),
	.device_assigned_date_us = INT64_C(1788220800000000), // 2026-09-01T00:00:00Z
};

static const struct device_record bare = { .serial_number = TEXT("C02BARE"), .device_assigned_date_us = INSTANT_NONE };

static struct ruleset *read_rules(const char *document)
{
	return ruleset_read(text_of(document), instances, 4, RULESET_PROPOSED);
}

static void print_findings(const struct ruleset *ruleset)
{
	CLEANUP(buffer_fini) struct buffer out = BUFFER(1 << 20);

	ruleset_findings_write(&out, ruleset);
	print_message("%s\n", out.bytes);
}

static struct ruleset *valid(const char *document)
{
	struct ruleset *ruleset = read_rules(document);

	if (!ruleset_is_valid(ruleset)) {
		print_findings(ruleset);
		fail_msg("refused: %s", document);
	}
	return ruleset;
}

static struct ruleset_target decide(const struct ruleset *ruleset, const struct device_record *record)
{
	const struct ruleset_device device = { .apple = record };

	return ruleset_decide(ruleset, &device);
}

// --- conditions ---

static bool matches(const char *when, const struct ruleset_device *device)
{
	char document[600];
	struct ruleset *ruleset;
	struct ruleset_target target;

	(void)snprintf(document, sizeof document,
		"{\"rules\":[{\"when\":%s,\"then\":{\"instance\":\"school\"}}],\"otherwise\":{\"instance\":\"main\"}}", when);
	ruleset = valid(document);
	target = ruleset_decide(ruleset, device);
	ruleset_free(ruleset);
	assert_true(target.instance_id == MAIN || target.instance_id == SCHOOL);
	return target.instance_id == SCHOOL;
}

static void each_condition_matches_what_a_technician_expects(void **state)
{
	static const struct {
		const char *when;
		bool is_ipad, is_bare;
	} cases[] = {
		{ "{}", true, true },
		{ "{\"serial\":\"dmpx1234abcd\"}", true, false },
		{ "{\"serial\":[\"X\",\"DMPX1234ABCD\"]}", true, false },
		{ "{\"serial\":{\"list\":[\"C02BARE\"]}}", false, true },
		{ "{\"serial\":{\"prefix\":[\"dmp\",\"F9\"]}}", true, false },
		{ "{\"serial\":{\"glob\":\"*BAR?\"}}", false, true },
		{ "{\"serial\":\"C02*\"}", false, true },
		{ "{\"serial\":{\"range\":{\"from\":\"DMPX1234ABC0\",\"to\":\"DMPX1234ABCZ\"}}}", true, false },
		{ "{\"serial\":{\"range\":[{\"from\":\"A\",\"to\":\"Z\"},{\"from\":\"C02AAAA\",\"to\":\"C02ZZZZ\"}]}}", false, true },
		{ "{\"device_family\":\"ipad\"}", true, false },
		{ "{\"device_family\":[\"Mac\",\"iPhone\"]}", false, false },
		{ "{\"os\":\"iOS\"}", true, false },
		{ "{\"model\":\"iPad*9th*\"}", true, false },
		{ "{\"model\":\"*\"}", true, false },
		{ "{\"color\":\"Space Gray\"}", true, false },
		{ "{\"description\":{\"contains\":\"wi-fi 64gb\"}}", true, false },
		{ "{\"description\":\"*-USA\"}", true, false },
		{ "{\"asset_tag\":{\"range\":{\"from\":\"LIB-0001\",\"to\":\"LIB-0099\"}}}", true, false },
		{ "{\"asset_tag\":\"\"}", false, true },
		{ "{\"asset_tag\":\"?*\"}", true, false },
		{ "{\"device_assigned_by\":\"*@school.example\"}", true, false },
		{ "{\"device_assigned_date\":{\"after\":\"2026-09-01\"}}", true, false },
		{ "{\"device_assigned_date\":{\"before\":\"2026-09-01\"}}", false, false },
		{ "{\"device_assigned_date\":{\"before\":\"2026-09-01T00:00:01Z\"}}", true, false },
		{ "{\"device_assigned_date\":{\"after\":\"2026-08-01\",\"before\":\"2026-09-02\"}}", true, false },
		{ "{\"is_replacement_device\":false}", true, true },
		{ "{\"is_replacement_device\":true}", false, false },
		{ "{\"share\":0}", false, false },
		{ "{\"share\":100}", true, true },
		{ "{\"labels\":{\"site\":\"North\"}}", true, false },
		{ "{\"labels\":{\"site\":\"south\"}}", false, false }, // the client's label; the device's own comes first
		{ "{\"labels\":{\"floor\":\"\"}}", true, true },
		{ "{\"labels\":{\"site\":\"n*\"},\"device_family\":\"iPad\"}", true, false },
		{ "{\"labels\":{\"site\":\"n*\"},\"device_family\":\"Mac\"}", false, false },
	};
	static const struct ruleset_label labels[] = { { TEXT("site"), TEXT("north") }, { TEXT("site"), TEXT("south") } };
	const struct ruleset_device an_ipad = { .apple = &ipad, .labels = labels, .label_count = 2 };
	const struct ruleset_device a_bare_one = { .apple = &bare };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (matches(cases[i].when, &an_ipad) != cases[i].is_ipad || matches(cases[i].when, &a_bare_one) != cases[i].is_bare) {
			fail_msg("%s", cases[i].when);
		}
	}
}

static void shares_only_grow_and_are_near_their_percentage(void **state)
{
	struct ruleset *ten = valid("{\"rules\":[{\"when\":{\"share\":10},\"then\":{\"instance\":\"school\"}}],\"default\":\"main\"}");
	struct ruleset *half = valid(
		"{\"rules\":[{\"when\":{\"share\":{\"percent\":50.00}},\"then\":{\"instance\":\"school\"}}],\"default\":\"main\"}");
	struct ruleset *other = valid(
		"{\"rules\":[{\"when\":{\"share\":{\"percent\":50,\"salt\":\"b\"}},\"then\":{\"instance\":\"school\"}}],\"default\":\"main\"}");
	int in_ten = 0;
	int in_half = 0;
	int in_both = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		char serial[16];
		(void)snprintf(serial, sizeof serial, "C02%07d", i);
		const struct device_record record = { .serial_number = text_of(serial) };
		const bool is_in_ten = decide(ten, &record).instance_id == SCHOOL;
		const bool is_in_half = decide(half, &record).instance_id == SCHOOL;

		assert_true(!is_in_ten || is_in_half);
		in_ten += is_in_ten;
		in_half += is_in_half;
		in_both += is_in_half && decide(other, &record).instance_id == SCHOOL;
	}
	assert_in_range(in_ten, 900, 1100);
	assert_in_range(in_half, 4800, 5200);
	assert_in_range(in_both, 2300, 2700); // another salt draws anew
	ruleset_free(ten);
	ruleset_free(half);
	ruleset_free(other);
}

// Reckoned apart from this code: nobody's devices may change their waves because of an upgrade.
static void the_share_of_a_serial_number_never_changes(void **state)
{
	CLEANUP(buffer_fini) struct buffer out = BUFFER(4096);
	struct ruleset *ruleset = valid("{\"rules\":[{\"when\":{\"share\":{\"percent\":1,\"salt\":\"wave\"}},"
		"\"then\":{\"instance\":\"school\"}}],\"default\":\"main\"}");

	const struct device_record in_lower_case = { .serial_number = TEXT("dmpx1234abcd") };

	(void)state;
	ruleset_explain(&out, ruleset, &(struct ruleset_device){ .apple = &ipad });
	assert_non_null(strstr(out.bytes, "\"seen\":11.20,"));
	buffer_clear(&out);
	ruleset_explain(&out, ruleset, &(struct ruleset_device){ .apple = &in_lower_case });
	assert_non_null(strstr(out.bytes, "\"seen\":11.20,"));
	ruleset_free(ruleset);
}

// --- which rule decides ---

static const char three_rules[] =
	"{\"rules\":["
	"{\"id\":\"stolen\",\"when\":{\"serial\":\"DMPX1234ABCE\"},\"then\":{\"hold\":\"reported stolen\"}},"
	"{\"name\":\"Library iPads\",\"when\":{\"asset_tag\":\"LIB-*\"},"
	"\"then\":{\"instance\":\"school\",\"profile\":{\"department\":\"Library\"}}},"
	"{\"name\":\"iPads\",\"when\":{\"device_family\":\"iPad\"},\"then\":{\"instance\":\"main\"}}],"
	"\"otherwise\":{\"hold\":\"nobody has decided\"}}";

static void the_first_rule_that_matches_decides(void **state)
{
	struct ruleset *ruleset = valid(three_rules);
	struct device_record record = ipad;
	struct ruleset_target target = decide(ruleset, &record);

	(void)state;
	assert_int_equal(target.decider, RULESET_BY_RULE);
	assert_int_equal(target.rule, 1);
	assert_true(text_equal_string(target.rule_id, "library-ipads"));
	assert_int_equal(target.instance_id, SCHOOL);
	assert_true(text_equal_string(target.profile, "{\"department\":\"Library\"}"));
	record.asset_tag = TEXT_NONE;
	target = decide(ruleset, &record);
	assert_int_equal(target.rule, 2);
	assert_int_equal(target.instance_id, MAIN);
	record.serial_number = TEXT("DMPX1234ABCE");
	target = decide(ruleset, &record);
	assert_int_equal(target.rule, 0);
	assert_int_equal(target.instance_id, RULESET_INSTANCE_NONE);
	assert_true(text_equal_string(target.hold_reason, "reported stolen"));
	target = decide(ruleset, &bare);
	assert_int_equal(target.decider, RULESET_BY_OTHERWISE);
	assert_int_equal(target.rule, 3);
	assert_true(text_equal_string(target.rule_id, "otherwise"));
	assert_true(text_equal_string(target.hold_reason, "nobody has decided"));
	ruleset_free(ruleset);
}

static void a_pin_comes_before_every_rule(void **state)
{
	struct ruleset *ruleset = valid(three_rules);
	struct ruleset_device device = { .apple = &ipad, .is_pinned = true, .pin_instance_id = MAIN };
	struct ruleset_target target = ruleset_decide(ruleset, &device);

	(void)state;
	assert_int_equal(target.decider, RULESET_BY_PIN);
	assert_int_equal(target.instance_id, MAIN);
	device.pin_instance_id = RETIRED;
	assert_int_equal(ruleset_decide(ruleset, &device).instance_id, RULESET_INSTANCE_NONE);
	device.pin_instance_id = 77;
	assert_int_equal(ruleset_decide(ruleset, &device).instance_id, RULESET_INSTANCE_NONE);
	device.pin_instance_id = RULESET_INSTANCE_NONE;
	device.pin_reason = TEXT("in repair");
	assert_true(text_equal_string(ruleset_decide(ruleset, &device).hold_reason, "in repair"));
	ruleset_free(ruleset);
}

static void a_guard_holds_whatever_the_rules_say_but_not_what_a_person_decided(void **state)
{
	struct ruleset *ruleset = valid("{\"default\":\"main\"}");
	struct ruleset_device device = { .apple = &ipad, .guard_reason = TEXT("somebody else has it") };
	struct ruleset_target target = ruleset_decide(ruleset, &device);
	struct buffer why CLEANUP(buffer_fini) = BUFFER(4096);

	(void)state;
	assert_int_equal(target.decider, RULESET_BY_GUARD);
	assert_int_equal(target.instance_id, RULESET_INSTANCE_NONE);
	assert_true(text_equal(target.hold_reason, device.guard_reason));
	ruleset_explain(&why, ruleset, &device);
	assert_true(text_equal(buffer_text(&why), TEXT("{\"decided_by\":\"guard\",\"instance\":null,\"held\":\"somebody else has it\",\"rules\":[]}")));
	device.is_pinned = true;
	device.pin_instance_id = SCHOOL;
	assert_int_equal(ruleset_decide(ruleset, &device).instance_id, SCHOOL);
	ruleset_free(ruleset);
}

static void what_is_expected_elsewhere_is_held_unless_a_person_decided(void **state)
{
	struct ruleset *ruleset = valid("{\"default\":\"main\"}");
	struct ruleset_device device = { .apple = &ipad, .expected_instance_id = SCHOOL };
	const struct ruleset_target target = ruleset_decide(ruleset, &device);
	struct buffer why CLEANUP(buffer_fini) = BUFFER(4096);

	(void)state;
	assert_int_equal(target.decider, RULESET_BY_EXPECTATION);
	assert_int_equal(target.instance_id, RULESET_INSTANCE_NONE);
	assert_true(text_starts_with(target.hold_reason, TEXT("expected-list mismatch: ")));
	ruleset_explain(&why, ruleset, &device);
	assert_true(text_starts_with(buffer_text(&why), TEXT("{\"decided_by\":\"expected_list\",\"instance\":null,\"held\":\"expected-list mismatch: ")));
	assert_non_null(memmem(why.bytes, why.length, ",\"expected\":\"school\",\"wanted\":\"main\",", 37));
	device.expected_instance_id = MAIN;
	assert_int_equal(ruleset_decide(ruleset, &device).instance_id, MAIN);
	device.expected_instance_id = SCHOOL;
	device.guard_reason = TEXT("somebody else has it");
	assert_int_equal(ruleset_decide(ruleset, &device).decider, RULESET_BY_GUARD);
	device.is_pinned = true;
	device.pin_instance_id = MAIN;
	assert_int_equal(ruleset_decide(ruleset, &device).instance_id, MAIN);
	ruleset_free(ruleset);
}

static void what_a_guard_holds_does_not_move_in_a_preview(void **state)
{
	struct ruleset *before = valid("{\"default\":\"main\"}");
	struct ruleset *after = valid("{\"default\":\"school\"}");
	const struct ruleset_device device = { .apple = &ipad, .guard_reason = TEXT("somebody else has it") };

	(void)state;
	for (int round = 0; round < 2; round++) {
		struct ruleset_preview *preview = ruleset_preview_new(round == 0 ? before : NULL, after);
		size_t count;

		ruleset_preview_add(preview, &device);
		(void)ruleset_preview_moved(preview, &count);
		assert_int_equal(count, 0);
		ruleset_preview_free(preview);
	}
	ruleset_free(before);
	ruleset_free(after);
}

static void a_replacement_inherits_where_the_old_device_is(void **state)
{
	struct ruleset *ruleset = valid("{\"rules\":[{\"when\":{\"is_replacement_device\":true},\"then\":{\"inherit\":true}}],"
		"\"otherwise\":{\"instance\":\"main\"}}");
	struct ruleset_device device = { .apple = &ipad, .predecessor = RULESET_PREDECESSOR_KNOWN, .predecessor_instance_id = SCHOOL };

	(void)state;
	assert_int_equal(ruleset_decide(ruleset, &device).instance_id, SCHOOL);
	device.predecessor_instance_id = RULESET_INSTANCE_NONE;
	assert_int_equal(ruleset_decide(ruleset, &device).instance_id, RULESET_INSTANCE_NONE);
	device.predecessor_instance_id = RETIRED;
	assert_int_equal(ruleset_decide(ruleset, &device).instance_id, RULESET_INSTANCE_NONE);
	device.predecessor = RULESET_PREDECESSOR_PENDING;
	assert_int_equal(ruleset_decide(ruleset, &device).instance_id, RULESET_INSTANCE_NONE);
	device.predecessor = RULESET_PREDECESSOR_UNKNOWN;
	assert_int_equal(ruleset_decide(ruleset, &device).decider, RULESET_BY_OTHERWISE);
	device.predecessor = RULESET_PREDECESSOR_NONE;
	assert_int_equal(ruleset_decide(ruleset, &device).instance_id, MAIN);
	ruleset_free(ruleset);
}

static void rules_in_force_hold_devices_of_a_retired_instance(void **state)
{
	const char document[] = "{\"otherwise\":{\"instance\":\"gone\"},\"rules\":[{\"id\":\"a\",\"then\":{\"instance\":\"no-more\"},"
		"\"when\":{\"device_family\":\"iPad\"}}]}";
	struct ruleset *proposed = read_rules(document);
	struct ruleset *in_force = ruleset_read(text_of(document), instances, 4, RULESET_IN_FORCE);

	(void)state;
	assert_false(ruleset_is_valid(proposed));
	assert_true(ruleset_is_valid(in_force));
	assert_int_equal(decide(in_force, &ipad).instance_id, RULESET_INSTANCE_NONE);
	assert_int_equal(decide(in_force, &bare).instance_id, RULESET_INSTANCE_NONE);
	assert_true(decide(in_force, &bare).hold_reason.length > 0);
	assert_true(text_equal_string(ruleset_document(in_force), document));
	ruleset_free(proposed);
	ruleset_free(in_force);
}

static void the_answer_says_what_each_rule_saw(void **state)
{
	CLEANUP(buffer_fini) struct buffer out = BUFFER(1 << 16);
	struct ruleset *ruleset = valid(three_rules);

	(void)state;
	ruleset_explain(&out, ruleset, &(struct ruleset_device){ .apple = &ipad });
	assert_string_equal(out.bytes, "{\"decided_by\":\"rule\",\"rule\":\"library-ipads\",\"index\":1,\"instance\":\"school\","
		"\"profile\":{\"department\":\"Library\"},\"rules\":["
		"{\"index\":0,\"id\":\"stolen\",\"matched\":false,\"conditions\":[{\"condition\":\"serial\",\"wanted\":\"DMPX1234ABCE\","
		"\"seen\":\"DMPX1234ABCD\",\"matched\":false}]},"
		"{\"index\":1,\"id\":\"library-ipads\",\"matched\":true,\"conditions\":[{\"condition\":\"asset_tag\",\"wanted\":\"LIB-*\","
		"\"seen\":\"LIB-0042\",\"matched\":true}]}]}");
	ruleset_free(ruleset);
}

// --- documents ---

static void the_rules_of_before_are_still_rules(void **state)
{
	struct ruleset *to_main = valid("{\"default\":\"main\"}");
	struct ruleset *to_nobody = valid("{\"default\":null}");

	(void)state;
	assert_int_equal(decide(to_main, &bare).instance_id, MAIN);
	assert_int_equal(decide(to_nobody, &bare).instance_id, RULESET_INSTANCE_NONE);
	assert_true(text_equal_string(ruleset_document(to_main), "{\"otherwise\":{\"instance\":\"main\"},\"rules\":[]}"));
	assert_true(ruleset_names_instance(to_main, MAIN));
	assert_false(ruleset_names_instance(to_main, SCHOOL));
	ruleset_free(to_main);
	ruleset_free(to_nobody);
}

static void a_document_has_one_form(void **state)
{
	struct ruleset *ruleset = valid("{ \"version\": 7, \"made_at\": null, \"default\": \"main\", \"otherwise\": { \"instance\":\"main\"},\n"
		" \"rules\": [ { \"then\": {\"profile\": {\"b\":1,\"a\":[ ]}, \"instance\":\"school\"}, \"name\": \"A b\","
		" \"when\": {\"os\":\"iOS\",\"color\":\"\\u0047old\"} }, { \"id\":\"a-b\", \"when\":{\"os\":\"tvOS\"},\"then\":{\"hold\":\"x\"} } ] }");
	struct ruleset *again = valid(ruleset_document(ruleset).bytes);

	(void)state;
	assert_string_equal(ruleset_document(ruleset).bytes, "{\"otherwise\":{\"instance\":\"main\"},\"rules\":["
		"{\"id\":\"a-b-2\",\"name\":\"A b\",\"then\":{\"instance\":\"school\",\"profile\":{\"a\":[],\"b\":1}},"
		"\"when\":{\"color\":\"Gold\",\"os\":\"iOS\"}},"
		"{\"id\":\"a-b\",\"then\":{\"hold\":\"x\"},\"when\":{\"os\":\"tvOS\"}}]}");
	assert_string_equal(ruleset_document(again).bytes, ruleset_document(ruleset).bytes);
	ruleset_free(ruleset);
	ruleset_free(again);
}

#define RULE(when, then) "{\"rules\":[{\"when\":" when ",\"then\":" then "}],\"default\":\"main\"}"
#define WHEN(when)       RULE(when, "{\"instance\":\"main\"}")
#define THEN(then)       RULE("{\"is_replacement_device\":true}", then)

static void every_mistake_is_told_with_its_place(void **state)
{
	static const struct {
		const char *document, *pointer, *sentence;
	} cases[] = {
		{ "", "", "JSON" },
		{ "[]", "", "an object" },
		{ "{\"rules\":[]}", "", "otherwise" },
		{ "{\"default\":\"main\",\"otherwise\":{\"hold\":\"x\"}}", "/default", "do not say the same" },
		{ "{\"defualt\":\"main\",\"default\":\"main\"}", "/defualt", "is \"default\" meant?" },
		{ "{\"default\":\"maim\"}", "/default", "is \"main\" meant?" },
		{ "{\"default\":\"gone\"}", "/default", "retired" },
		{ "{\"rules\":{},\"default\":null}", "/rules", "a list" },
		{ "{\"rules\":[1],\"default\":null}", "/rules/0", "an object" },
		{ "{\"rules\":[{\"then\":{\"instance\":\"main\"}}],\"default\":null}", "/rules/0/when", "conditions" },
		{ "{\"rules\":[{\"when\":{}}],\"default\":null}", "/rules/0/then", "instance" },
		{ "{\"rules\":[{\"id\":\"A\",\"when\":{},\"then\":{\"hold\":\"x\"}}],\"default\":null}", "/rules/0/id", "lower case" },
		{ "{\"rules\":[{\"id\":\"otherwise\",\"when\":{},\"then\":{\"hold\":\"x\"}}],\"default\":null}", "/rules/0/id", "end" },
		{ "{\"rules\":[{\"id\":\"a\",\"when\":{},\"then\":{\"hold\":\"x\"}},{\"id\":\"a\",\"when\":{},\"then\":{\"hold\":\"x\"}}],"
		  "\"default\":null}", "/rules/0/id", "twice" },
		{ WHEN("{\"serail\":\"A\"}"), "/rules/0/when/serail", "is \"serial\" meant?" },
		{ WHEN("{\"a/b~\":\"A\"}"), "/rules/0/when/a~1b~0", "there is no" },
		{ WHEN("{\"serial\":7}"), "/rules/0/when/serial", "a text" },
		{ WHEN("{\"serial\":[\"A\",7]}"), "/rules/0/when/serial/1", "a text" },
		{ WHEN("{\"serial\":[]}"), "/rules/0/when/serial", "a list has" },
		{ WHEN("{\"serial\":\"C02 1\"}"), "/rules/0/when/serial", "no blanks" },
		{ WHEN("{\"serial\":{\"prefix\":\"\"}}"), "/rules/0/when/serial/prefix", "1 to 64" },
		{ WHEN("{\"model\":{\"prefix\":\"\"}}"), "/rules/0/when/model/prefix", "empty" },
		{ WHEN("{\"model\":\"a\\u0001\"}"), "/rules/0/when/model", "control characters" },
		{ WHEN("{\"serial\":{\"perfix\":\"A\"}}"), "/rules/0/when/serial/perfix", "is \"prefix\" meant?" },
		{ WHEN("{\"serial\":{\"prefix\":\"A\",\"glob\":\"B\"}}"), "/rules/0/when/serial", "exactly one" },
		{ WHEN("{\"serial\":{\"range\":\"A-B\"}}"), "/rules/0/when/serial/range", "from" },
		{ WHEN("{\"serial\":{\"range\":{\"from\":\"A\"}}}"), "/rules/0/when/serial/range", "from" },
		{ WHEN("{\"serial\":{\"range\":{\"from\":\"A\",\"to\":\"AB\"}}}"), "/rules/0/when/serial/range", "equally long" },
		{ WHEN("{\"serial\":{\"range\":[{\"from\":\"B\",\"to\":\"A\"}]}}"), "/rules/0/when/serial/range/0", "nothing is between" },
		{ WHEN("{\"device_assigned_date\":\"2026-09-01\"}"), "/rules/0/when/device_assigned_date", "after" },
		{ WHEN("{\"device_assigned_date\":{\"after\":\"1.9.2026\"}}"), "/rules/0/when/device_assigned_date/after", "a date like" },
		{ WHEN("{\"is_replacement_device\":\"true\"}"), "/rules/0/when/is_replacement_device", "true or false" },
		{ WHEN("{\"share\":100.01}"), "/rules/0/when/share", "percentage" },
		{ WHEN("{\"share\":{\"percent\":1e1}}"), "/rules/0/when/share/percent", "percentage" },
		{ WHEN("{\"share\":{\"percent\":1,\"salt\":\"\"}}"), "/rules/0/when/share/salt", "empty" },
		{ WHEN("{\"labels\":{}}"), "/rules/0/when/labels", "labels" },
		{ WHEN("{\"labels\":{\"site\":1}}"), "/rules/0/when/labels/site", "a text" },
		{ THEN("{}"), "/rules/0/then", "exactly one" },
		{ THEN("{\"instance\":\"main\",\"hold\":\"x\"}"), "/rules/0/then", "exactly one" },
		{ THEN("{\"hold\":\"\"}"), "/rules/0/then/hold", "empty" },
		{ THEN("{\"hold\":\"x\",\"profile\":{}}"), "/rules/0/then/profile", "no profile" },
		{ THEN("{\"instance\":\"main\",\"profile\":[]}"), "/rules/0/then/profile", "an object" },
		{ THEN("{\"instance\":\"main\",\"profile\":{\"url\":\"https://x\"}}"), "/rules/0/then/profile/url", "cannot change" },
		{ THEN("{\"inherit\":false}"), "/rules/0/then/inherit", "true" },
		{ RULE("{}", "{\"inherit\":true}"), "/rules/0/then/inherit", "is_replacement_device" },
		{ "{\"otherwise\":{\"inherit\":true}}", "/otherwise/inherit", "is_replacement_device" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct ruleset *ruleset = read_rules(cases[i].document);
		const struct ruleset_finding *findings;
		size_t count;

		findings = ruleset_findings(ruleset, &count);
		if (count == 0 || findings[0].kind != RULESET_ERROR || !text_equal_string(findings[0].pointer, cases[i].pointer) ||
			strstr(findings[0].sentence.bytes, cases[i].sentence) == NULL) {
			print_findings(ruleset);
			fail_msg("%s", cases[i].document);
		}
		assert_false(ruleset_is_valid(ruleset));
		ruleset_free(ruleset);
	}
}

static void all_mistakes_are_told_at_once(void **state)
{
	struct ruleset *ruleset = read_rules("{\"rules\":[{\"when\":{\"serail\":1,\"os\":2},\"then\":{}}],\"default\":7}");
	size_t count;

	(void)state;
	(void)ruleset_findings(ruleset, &count);
	assert_int_equal(count, 4);
	ruleset_free(ruleset);
}

static void limits_are_errors(void **state)
{
	CLEANUP(buffer_fini) struct buffer document = BUFFER((size_t)2 * RULESET_DOCUMENT_MAX);
	struct ruleset *ruleset;

	(void)state;
	buffer_add_string(&document, "{\"default\":null,\"rules\":[{\"then\":{\"hold\":\"x\"},\"when\":{\"serial\":{\"prefix\":[\"P0\"");
	for (int i = 1; i <= RULESET_PATTERNS_MAX; i++) {
		buffer_add_format(&document, ",\"P%d\"", i);
	}
	buffer_add_string(&document, "]}}}]}");
	ruleset = read_rules(document.bytes);
	assert_false(ruleset_is_valid(ruleset));
	ruleset_free(ruleset);
	buffer_clear(&document);
	buffer_add_string(&document, "{\"default\":null,\"rules\":[");
	for (int i = 0; i <= RULESET_RULES_MAX; i++) {
		buffer_add_format(&document, "%s{\"when\":{\"serial\":\"S%d\"},\"then\":{\"hold\":\"x\"}}", i > 0 ? "," : "", i);
	}
	buffer_add_string(&document, "]}");
	ruleset = read_rules(document.bytes);
	assert_false(ruleset_is_valid(ruleset));
	ruleset_free(ruleset);
	while (document.length <= RULESET_DOCUMENT_MAX) {
		buffer_add_string(&document, "                                                                ");
	}
	ruleset = read_rules(document.bytes);
	assert_false(ruleset_is_valid(ruleset));
	ruleset_free(ruleset);
}

// --- warnings ---

#define TWO(when_a, then_a, when_b, then_b)                                                                          \
	"{\"rules\":[{\"id\":\"a\",\"when\":" when_a ",\"then\":" then_a "},{\"id\":\"b\",\"when\":" when_b ",\"then\":" then_b \
	"}],\"otherwise\":{\"hold\":\"x\"}}"
#define TO_MAIN   "{\"instance\":\"main\"}"
#define TO_SCHOOL "{\"instance\":\"school\"}"

static void rules_that_do_nothing_are_warned_of(void **state)
{
	static const struct {
		const char *document;
		int kind; // of the only warning; -1: none
		size_t rule, other;
	} cases[] = {
		{ TWO("{\"os\":\"iOS\"}", TO_MAIN, "{\"color\":\"Gold\"}", TO_SCHOOL), -1, 0, 0 },
		{ TWO("{\"device_family\":\"iPad\"}", TO_MAIN, "{\"device_family\":\"iPad\",\"color\":\"Gold\"}", TO_SCHOOL),
			RULESET_NEVER_MATCHES, 1, 0 },
		{ TWO("{\"serial\":\"C02*\"}", TO_MAIN, "{\"serial\":[\"C02A\",\"c02b\"]}", TO_SCHOOL), RULESET_NEVER_MATCHES, 1, 0 },
		{ TWO("{\"serial\":\"C02*\"}", TO_MAIN, "{\"serial\":[\"C02A\",\"C03B\"]}", TO_SCHOOL), -1, 0, 0 },
		{ TWO("{}", TO_MAIN, "{\"os\":\"iOS\"}", TO_MAIN), RULESET_NEVER_MATCHES, 1, 0 },
		{ TWO("{\"share\":50}", TO_MAIN, "{\"share\":25}", TO_SCHOOL), RULESET_NEVER_MATCHES, 1, 0 },
		{ TWO("{\"share\":25}", TO_MAIN, "{\"share\":50}", TO_SCHOOL), -1, 0, 0 },
		{ TWO("{\"share\":50}", TO_MAIN, "{\"share\":{\"percent\":25,\"salt\":\"b\"}}", TO_SCHOOL), -1, 0, 0 },
		{ TWO("{\"share\":0}", TO_MAIN, "{\"os\":\"iOS\"}", TO_SCHOOL), RULESET_NEVER_MATCHES, 0, RULESET_NO_RULE },
		{ TWO("{\"device_assigned_date\":{\"after\":\"2026-02-01\",\"before\":\"2026-01-01\"}}", TO_MAIN, "{\"os\":\"iOS\"}", TO_SCHOOL),
			RULESET_NEVER_MATCHES, 0, RULESET_NO_RULE },
		{ TWO("{\"os\":\"iOS\",\"color\":\"Gold\"}", TO_MAIN, "{\"os\":\"iOS\"}", TO_MAIN), RULESET_CHANGES_NOTHING, 0, 1 },
		{ TWO("{\"os\":\"iOS\"}", "{\"hold\":\"x\"}", "{\"os\":\"tvOS\"}", TO_MAIN), RULESET_CHANGES_NOTHING, 0, 2 },
		{ TWO("{\"os\":\"iOS\"}", "{\"hold\":\"x\"}", "{\"color\":\"Gold\"}", TO_MAIN), -1, 0, 0 },
		{ TWO("{\"is_replacement_device\":true}", "{\"inherit\":true}", "{\"is_replacement_device\":true}", TO_MAIN), -1, 0, 0 },
		{ TWO("{\"is_replacement_device\":true,\"os\":\"iOS\"}", "{\"inherit\":true}", "{\"is_replacement_device\":true}",
			"{\"inherit\":true}"), RULESET_CHANGES_NOTHING, 0, 1 },
		{ TWO("{\"device_assigned_date\":{\"after\":\"2026-01-01\"}}", "{\"hold\":\"x\"}",
			"{\"device_assigned_date\":{\"before\":\"2026-01-01\"}}", TO_MAIN), RULESET_CHANGES_NOTHING, 0, 2 },
		{ TWO("{\"labels\":{\"a\":\"x\"}}", TO_MAIN, "{\"labels\":{\"b\":\"x\"}}", TO_SCHOOL), -1, 0, 0 },
		{ TWO("{\"labels\":{\"a\":\"x\"}}", TO_MAIN, "{\"labels\":{\"a\":\"X\",\"b\":\"x\"}}", TO_SCHOOL), RULESET_NEVER_MATCHES, 1, 0 },
		{ TWO("{\"os\":\"iOS\"}", "{\"instance\":\"old\"}", "{\"color\":\"Gold\"}", TO_MAIN), RULESET_DRAINING, 0, RULESET_NO_RULE },
		{ TWO("{\"os\":\"macOS\"}", TO_MAIN, "{\"color\":\"Gold\"}", TO_SCHOOL), RULESET_UNUSUAL, RULESET_NO_RULE, RULESET_NO_RULE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct ruleset *ruleset = valid(cases[i].document);
		size_t count;
		const struct ruleset_finding *findings = ruleset_findings(ruleset, &count);

		if (count != (cases[i].kind < 0 ? 0 : 1) || (count > 0 && ((int)findings[0].kind != cases[i].kind ||
			findings[0].rule != cases[i].rule || findings[0].other != cases[i].other))) {
			print_findings(ruleset);
			fail_msg("%zu: %s", i, cases[i].document);
		}
		ruleset_free(ruleset);
	}
}

// --- a dry run ---

static void a_preview_says_who_moves_where(void **state)
{
	struct ruleset *before = valid("{\"default\":\"main\"}");
	struct ruleset *after = valid("{\"rules\":[{\"when\":{\"device_family\":\"iPad\"},\"then\":{\"instance\":\"school\"}},"
		"{\"when\":{\"device_family\":\"Mac\"},\"then\":{\"hold\":\"x\"}}],\"default\":\"main\"}");
	struct ruleset_preview *preview = ruleset_preview_new(before, after);
	const struct ruleset_moved_device *moved;
	const struct ruleset_move *moves;
	size_t count;

	(void)state;
	ruleset_preview_add(preview, &(struct ruleset_device){ .apple = &ipad });
	ruleset_preview_add(preview, &(struct ruleset_device){ .apple = &bare });
	ruleset_preview_add(preview, &(struct ruleset_device){ .apple = &ipad, .is_pinned = true, .pin_instance_id = MAIN });
	assert_int_equal(ruleset_preview_devices(preview), 3);
	moves = ruleset_preview_moves(preview, &count);
	assert_int_equal(count, 1);
	assert_int_equal(moves[0].from_instance_id, MAIN);
	assert_int_equal(moves[0].to_instance_id, SCHOOL);
	assert_int_equal(moves[0].count, 1);
	moved = ruleset_preview_moved(preview, &count);
	assert_int_equal(count, 1);
	assert_true(text_equal(moved[0].serial, ipad.serial_number));
	assert_int_equal(moved[0].old_rule, 0);
	assert_int_equal(moved[0].new_rule, 0);
	assert_int_equal(ruleset_preview_hits(preview, 0), 1);
	assert_int_equal(ruleset_preview_hits(preview, 1), 0);
	assert_int_equal(ruleset_preview_hits(preview, 2), 1);
	ruleset_preview_free(preview);
	ruleset_free(before);
	ruleset_free(after);
}

static void before_the_first_rules_everything_but_pins_is_held(void **state)
{
	struct ruleset *after = valid("{\"default\":\"main\"}");
	struct ruleset_preview *preview = ruleset_preview_new(NULL, after);
	const struct ruleset_move *moves;
	size_t count;

	(void)state;
	ruleset_preview_add(preview, &(struct ruleset_device){ .apple = &ipad });
	ruleset_preview_add(preview, &(struct ruleset_device){ .apple = &bare, .is_pinned = true, .pin_instance_id = SCHOOL });
	moves = ruleset_preview_moves(preview, &count);
	assert_int_equal(count, 1);
	assert_int_equal(moves[0].from_instance_id, RULESET_INSTANCE_NONE);
	assert_int_equal(moves[0].to_instance_id, MAIN);
	assert_int_equal(moves[0].count, 1);
	ruleset_preview_free(preview);
	ruleset_free(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_condition_matches_what_a_technician_expects),
		cmocka_unit_test(shares_only_grow_and_are_near_their_percentage),
		cmocka_unit_test(the_share_of_a_serial_number_never_changes),
		cmocka_unit_test(the_first_rule_that_matches_decides),
		cmocka_unit_test(a_pin_comes_before_every_rule),
		cmocka_unit_test(a_guard_holds_whatever_the_rules_say_but_not_what_a_person_decided),
		cmocka_unit_test(what_is_expected_elsewhere_is_held_unless_a_person_decided),
		cmocka_unit_test(what_a_guard_holds_does_not_move_in_a_preview),
		cmocka_unit_test(a_replacement_inherits_where_the_old_device_is),
		cmocka_unit_test(rules_in_force_hold_devices_of_a_retired_instance),
		cmocka_unit_test(the_answer_says_what_each_rule_saw),
		cmocka_unit_test(the_rules_of_before_are_still_rules),
		cmocka_unit_test(a_document_has_one_form),
		cmocka_unit_test(every_mistake_is_told_with_its_place),
		cmocka_unit_test(all_mistakes_are_told_at_once),
		cmocka_unit_test(limits_are_errors),
		cmocka_unit_test(rules_that_do_nothing_are_warned_of),
		cmocka_unit_test(a_preview_says_who_moves_where),
		cmocka_unit_test(before_the_first_rules_everything_but_pins_is_held),
	};

	return cmocka_run_group_tests_name("ruleset", tests, NULL, NULL);
}
