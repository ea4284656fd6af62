// SPDX-License-Identifier: Apache-2.0
//
// What the log says about devices: old and new values, and the state as of each moment of random lives, which a model remembers.
#include "support/cmocka_all.h"
#include "support/random.h"
#include "tenants/device.h"
#include "tenants/history.h"
#include "tenants/members.h"
#include "tenants/reconcile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW (INT64_C(1764000000) * SECOND_US)

enum { MAIN = 7, OTHER = 8, STEPS = 40, LOG_MAX = STEPS * RECONCILE_EVENTS_MAX, JSON_MAX = 4096 };

// --- members of objects ---

static void members_are_walked_whatever_stands_in_them(void **state)
{
	static const char object[] = "{\"a\":\"x,y:\\\"}\\\\\",\"b\":[1,{\"c\":[]},\"]\"],\"d\\\"\":{\"a\":1} , \"e\" : true}";
	static const char *const expected[][2] = {
		{ "\"a\"", "\"x,y:\\\"}\\\\\"" }, { "\"b\"", "[1,{\"c\":[]},\"]\"]" }, { "\"d\\\"\"", "{\"a\":1}" }, { "\"e\"", "true" },
	};
	struct member_walk walk;
	struct text name, value;
	size_t count = 0;

	(void)state;
	member_walk_init(&walk, text_of(object));
	for (; member_walk_next(&walk, &name, &value); count++) {
		assert_true(text_equal_string(name, expected[count][0]));
		assert_true(text_equal_string(value, expected[count][1]));
	}
	assert_int_equal(count, 4);
	assert_true(text_equal_string(member_value(text_of(object), TEXT("\"e\"")), "true"));
	assert_int_equal(member_value(text_of(object), TEXT("\"c\"")).length, 0);
	member_walk_init(&walk, TEXT_NONE);
	assert_false(member_walk_next(&walk, &name, &value));
	member_walk_init(&walk, TEXT(" { } "));
	assert_false(member_walk_next(&walk, &name, &value));
}

// --- old and new ---

static struct device_row present(void)
{
	return (struct device_row){
		.apple = { .serial_number = TEXT("S1"), .profile_assign_time_us = INSTANT_NONE, .profile_push_time_us = INSTANT_NONE,
			.device_assigned_date_us = INSTANT_NONE, .mdm_migration_deadline_us = INSTANT_NONE, .op_date_us = INSTANT_NONE },
		.gone_at_us = INSTANT_NONE, .assign_at_us = INSTANT_NONE,
	};
}

static void only_what_differs_is_told_with_old_and_new_value(void **state)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(JSON_MAX);
	struct device_row before = present(), after = present();

	(void)state;
	history_changes_write(&out, &(struct history_side){ &before, TEXT("a") }, &(struct history_side){ &after, TEXT("a") });
	assert_int_equal(out.length, 0);
	before.apple.profile_status = TEXT("empty");
	before.apple.extra = TEXT("{\"eid\":\"1\",\"imei\":[\"1\",\"2\"],\"same\":{\"a\":1}}");
	after.apple.profile_status = TEXT("assigned");
	after.apple.profile_assign_time_us = NOW;
	after.apple.asset_tag = TEXT("\"");
	after.apple.extra = TEXT("{\"imei\":[\"1\",\"3\"],\"new\":true,\"same\":{\"a\":1}}");
	after.gone_at_us = NOW;
	after.gone_reason = REMOVAL_UNLISTED;
	history_changes_write(&out, &(struct history_side){ &before, TEXT("a") }, &(struct history_side){ &after, TEXT_NONE });
	assert_string_equal(out.bytes, "{\"instance\":[\"a\",null],\"gone_reason\":[null,\"unlisted\"],\"asset_tag\":[null,\"\\\"\"],"
		"\"profile_status\":[\"empty\",\"assigned\"],\"profile_assign_time\":[null,\"2025-11-24T16:00:00Z\"],"
		"\"eid\":[\"1\",null],\"imei\":[[\"1\",\"2\"],[\"1\",\"3\"]],\"new\":[null,true]}");
	buffer_clear(&out);
	before = after;
	after.apple.extra = TEXT_NONE;
	history_changes_write(&out, &(struct history_side){ &before, TEXT_NONE }, &(struct history_side){ &after, TEXT_NONE });
	assert_string_equal(out.bytes, "{\"imei\":[[\"1\",\"3\"],null],\"new\":[true,null],\"same\":[{\"a\":1},null]}");
	buffer_clear(&out);
	history_assignment_write(&out, TEXT_NONE, TEXT("U"));
	assert_string_equal(out.bytes, "{\"assigned_profile_uuid\":[null,\"U\"]}");
}

// --- random lives: the log against a model that remembers every state ---

struct moment {
	int64_t at_us;
	bool known, present;
	int64_t instance_id;
	enum removal_reason gone_reason;
	struct text device_json;
};

struct life {
	struct device_row row;
	bool known;
	struct reconcile_settings settings;
	struct event_row log[LOG_MAX];
	int64_t instances[LOG_MAX];
	size_t logged;
	struct moment moments[STEPS]; // after each step, whether it wrote or not
	size_t remembered;
	char *texts[4 * STEPS]; // of the log and of the model
	size_t text_count;
	char extras[STEPS][64];
};

static struct text keep(struct life *life, struct buffer *json)
{
	const size_t length = json->length;
	char *bytes = buffer_take(json);

	life->texts[life->text_count++] = bytes;
	return (struct text){ bytes, length };
}

static struct text device_json(struct life *life)
{
	struct buffer json = BUFFER(JSON_MAX);

	device_json_write(&json, &life->row.apple);
	return keep(life, &json);
}

// A value of a snapshot, as it stands; TEXT_NONE: absent.
static bool is_value(struct text device, struct text name, struct text value)
{
	const struct text found = member_value(device, name);

	return found.length == 0 ? text_equal_string(value, "null") : text_equal(found, value);
}

// Every [old,new] is what the snapshots before and after say, and every difference between them is told.
static void check_changes(struct text changes, struct text before, struct text after)
{
	struct member_walk walk;
	struct text name, pair;

	member_walk_init(&walk, changes);
	while (member_walk_next(&walk, &name, &pair)) {
		struct buffer made CLEANUP(buffer_fini) = BUFFER(JSON_MAX);
		const struct text old = member_value(before, name), new = member_value(after, name);

		if (text_equal_string(name, "\"instance\"") || text_equal_string(name, "\"gone_reason\"")) {
			continue;
		}
		buffer_add_format(&made, "[%.*s,%.*s]", TEXT_ARGS(old.length > 0 ? old : TEXT("null")), TEXT_ARGS(new.length > 0 ? new : TEXT("null")));
		LAW(text_equal(buffer_text(&made), pair));
	}
	for (int side = 0; side < 2; side++) {
		member_walk_init(&walk, side == 0 ? before : after);
		while (member_walk_next(&walk, &name, &pair)) {
			LAW(is_value(side == 0 ? after : before, name, pair) || member_value(changes, name).length > 0);
		}
	}
}

static void log_outcome(struct life *life, const struct reconcile_outcome *outcome, struct text before)
{
	const struct text after = device_json(life);
	struct buffer changes = BUFFER(JSON_MAX);
	struct text told = TEXT_NONE;

	if (outcome->stored != NULL) {
		history_changes_write(&changes, &(struct history_side){ outcome->stored, TEXT_NONE },
			&(struct history_side){ &life->row, TEXT_NONE });
		if (changes.length > 0) {
			told = keep(life, &changes);
		}
		check_changes(told, before, after);
	}
	for (size_t i = 0; i < outcome->event_count; i++) {
		LAW(life->logged == 0 || life->log[life->logged - 1].at_us <= life->row.changed_at_us); // law 3
		life->log[life->logged] = (struct event_row){
			.seq = (int64_t)life->logged + 1,
			.at_us = life->row.changed_at_us,
			.type = outcome->events[i].type,
			.reason = outcome->events[i].type != EVENT_DEVICE_REMOVED ? REMOVAL_NONE
				: life->row.gone_at_us != INSTANT_NONE ? life->row.gone_reason : REMOVAL_REROUTED,
			.device_json = after,
			.changes = told,
		};
		life->instances[life->logged++] = outcome->events[i].instance_id;
	}
}

static void take(struct life *life, const struct reconcile_outcome *outcome, const struct device_row *stored)
{
	struct text before;

	if (!outcome->write) {
		return;
	}
	before = life->known ? device_json(life) : TEXT_NONE;
	life->row = outcome->next;
	life->known = true;
	LAW(outcome->stored == stored);
	if (outcome->event_count > 0) {
		log_outcome(life, outcome, before);
	}
}

static void random_record(struct life *life, size_t step, struct device_record *record)
{
	const char *const statuses[] = { "empty", "assigned", "pushed", "removed" };

	*record = present().apple;
	record->profile_status = text_of(statuses[random_below(4)]);
	record->asset_tag = random_chance(30) ? TEXT("tag") : TEXT_NONE;
	record->released_by_replacement = random_chance(20);
	record->op_date_us = random_chance(60) ? NOW + (int64_t)random_below(50) * SECOND_US : INSTANT_NONE;
	(void)snprintf(life->extras[step], sizeof life->extras[step], "{\"eid\":\"%d\",\"imei\":[%d]}", (int)random_below(2), (int)random_below(2));
	record->extra = random_chance(70) ? text_of(life->extras[step]) : TEXT_NONE;
	device_fingerprint(record);
}

static void remember(struct life *life)
{
	const bool there = life->known && life->logged > 0; // one that was gone when it was heard of first was never there

	life->moments[life->remembered++] = (struct moment){
		.at_us = there && life->row.changed_at_us > life->settings.now_us ? life->row.changed_at_us : life->settings.now_us,
		.known = there,
		.present = there && life->row.gone_at_us == INSTANT_NONE,
		.instance_id = life->row.instance_id,
		.gone_reason = life->row.gone_reason,
		.device_json = there ? device_json(life) : TEXT_NONE,
	};
}

static void live(struct life *life, size_t step)
{
	const struct device_row stored_row = life->row;
	const struct device_row *stored = life->known ? &stored_row : NULL;
	struct reconcile_outcome outcome = { .write = false };
	struct device_record record;

	life->settings.now_us += (int64_t)random_below(4) * SECOND_US - SECOND_US; // another machine's clock may be behind
	switch (life->known ? random_below(4) : 0) {
	case 0:
	case 1:
		random_record(life, step, &record);
		reconcile_record(&outcome, &life->settings, stored, &record, random_chance(30));
		break;
	case 2: reconcile_unseen(&outcome, &life->settings, stored, random_chance(50) ? REMOVAL_UNLISTED : REMOVAL_INACCESSIBLE); break;
	default:
		life->settings.wish.instance_id = (int64_t[]){ INSTANCE_NONE, MAIN, OTHER }[random_below(3)];
		reconcile_again(&outcome, &life->settings, stored);
		break;
	}
	take(life, &outcome, stored);
	remember(life);
}

// As the store reads it: the newest event until then that tells a state.
static const struct event_row *newest_until(const struct life *life, int64_t at_us)
{
	for (size_t i = life->logged; i > 0; i--) {
		if (life->log[i - 1].at_us <= at_us && history_tells_state(life->log[i - 1].type)) {
			return &life->log[i - 1];
		}
	}
	return NULL;
}

// What the model had last at that time: several steps may share it.
static const struct moment *last_moment_until(const struct life *life, int64_t at_us)
{
	const struct moment *found = NULL;

	for (size_t i = 0; i < life->remembered; i++) {
		found = life->moments[i].at_us <= at_us ? &life->moments[i] : found;
	}
	return found;
}

static void check_as_of(const struct life *life, int64_t at_us)
{
	const struct moment *moment = last_moment_until(life, at_us);
	const struct event_row *event = newest_until(life, at_us);

	LAW((event != NULL) == (moment != NULL && moment->known));
	if (event == NULL) {
		return;
	}
	const struct history_state then = history_state_after(event, life->instances[event - life->log]);

	LAW(then.present == moment->present);
	LAW(then.instance_id == moment->instance_id);
	LAW(then.gone_reason == moment->gone_reason);
	LAW(text_equal(then.device_json, moment->device_json));
}

static void the_log_gives_the_state_at_every_moment_that_there_was(void **state)
{
	struct life *life = allocate(sizeof *life);

	(void)state;
	for (size_t number = 0; number < 5000; number++) {
		*life = (struct life){ .settings = { .wish = { .instance_id = MAIN }, .rules_version = 1, .now_us = NOW } };
		random_case("test_history", number);
		for (size_t step = 0; step < STEPS; step++) {
			live(life, step);
		}
		for (size_t i = 0; i < life->logged; i++) {
			check_as_of(life, life->log[i].at_us);
			check_as_of(life, life->log[i].at_us - 1);
		}
		check_as_of(life, INT64_MAX);
		for (size_t i = 0; i < life->text_count; i++) {
			free(life->texts[i]);
		}
	}
	free(life);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_walked_whatever_stands_in_them),
		cmocka_unit_test(only_what_differs_is_told_with_old_and_new_value),
		cmocka_unit_test(the_log_gives_the_state_at_every_moment_that_there_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
