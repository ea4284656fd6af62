// SPDX-License-Identifier: Apache-2.0
//
// histories_run.c - one run for one client, as a worker does it: load, plan, sync, assign, each step a transaction; which may be lost, with
// the process or by the fence.
#include "property/histories.h"
#include "tenants/device.h"
#include "tenants/page.h"
#include "tenants/reconcile.h"

#include <assert.h>
#include <string.h>

enum { ROUNDS_MAX = 6 };

struct run {
	size_t client;
	struct config config; // as loaded
	struct stored working;
	bool ended; // its process died, or the fence has stopped it
	struct sync_run machine;
	struct sync_decision decision;
	struct seen seen;
};

static struct sync_occasion occasion(void)
{
	return (struct sync_occasion){ world.now_us, random_next() };
}

// False: the run has ended; what it would have written may be written or not.
static bool commit(struct run *run)
{
	struct client *client = &world.clients[run->client];

	meanwhile();
	if (run->ended || client->config.version != run->config.version || (world.faults && random_chance(4))) {
		trace("client %zu: a transaction is %s", run->client, client->config.version != run->config.version ? "fenced" : "lost");
		run->ended = true;
		return false;
	}
	client->stored = run->working;
	run->ended = world.faults && random_chance(3);
	return !run->ended;
}

// --- decisions ---

static struct text defined_uuid(const struct run *run, size_t place, bool override)
{
	const struct stored *working = &run->working;
	const unsigned char *digest = profile_digest_of(run->client, place, run->config.profile_versions[place], override);

	for (size_t i = 0; i < working->defined_count; i++) {
		const struct profile *profile = working->defined[i].profile;

		if (!working->defined[i].forgotten && place_of(profile->instance_id) == place && memcmp(profile->digest, digest, SHA256_SIZE) == 0) {
			return text_of(profile->uuid);
		}
	}
	return ASSIGN_PROFILE_UNDEFINED;
}

static struct reconcile_settings settings_of(const struct run *run, struct route_wish wish, bool override)
{
	return (struct reconcile_settings){
		.wish = wish,
		.rules_version = run->config.version,
		.wanted_profile_uuid = wish.instance_id == INSTANCE_NONE ? TEXT_NONE : defined_uuid(run, place_of(wish.instance_id), override),
		.now_us = world.now_us,
	};
}

// The core's decision, which a second opinion shares.
static struct reconcile_settings decide(const struct run *run, const struct device_record *record)
{
	const size_t at = device_of(record->serial_number);
	const struct config *config = &run->config;
	const struct ruleset_device device = {
		.apple = record,
		.is_pinned = config->pins[at] >= 0,
		.pin_instance_id = config->pins[at] > 0 ? instance_of(run->client, (size_t)config->pins[at]) : RULESET_INSTANCE_NONE,
		.pin_reason = config->pins[at] == 0 ? TEXT("held by hand") : TEXT_NONE,
	};
	const struct ruleset_target target = ruleset_decide(config->ruleset, &device);
	const struct route_wish wish = {
		.instance_id = target.instance_id,
		.decider = target.decider == RULESET_BY_PIN ? ROUTE_BY_PIN : ROUTE_BY_RULE,
		.rule_id = target.rule_id,
		.hold_reason = target.hold_reason,
	};

	LAW(target.instance_id == instance_of(run->client, rules_want(config, at, record->model)), "client %zu: rules send %s to place %zu",
		run->client, serials[at], place_of(target.instance_id));
	return settings_of(run, wish, target.profile.length > 0);
}

static bool overrides(const struct run *run, const struct device_row *row)
{
	return row->decider == ROUTE_BY_RULE && ruleset_profile(run->config.ruleset, row->rule_id).length > 0;
}

static struct reconcile_settings as_decided(const struct run *run, const struct device_row *row)
{
	const struct route_wish wish = {
		.instance_id = row->instance_id, .decider = row->decider, .rule_id = row->rule_id, .hold_reason = row->hold_reason,
	};

	return settings_of(run, wish, overrides(run, row));
}

static struct reconcile_settings of_gone(const struct run *run)
{
	return settings_of(run, (struct route_wish){ .instance_id = INSTANCE_NONE }, false);
}

static void log_event_of(struct run *run, const struct device_row *row, const struct route_event *event)
{
	struct buffer json CLEANUP(buffer_fini) = BUFFER(4096);
	struct client *client = &world.clients[run->client];
	struct text kept;

	assert(run->working.event_count < EVENTS_MAX);
	device_json_write(&json, &row->apple);
	kept = (struct text){ arena_copy(&world.texts, buffer_text(&json)), json.length };
	client->events[run->working.event_count++] = (struct logged){
		.type = event->type, .device = device_of(row->apple.serial_number), .instance_id = event->instance_id, .at_us = row->changed_at_us,
		.reason = event->type != EVENT_DEVICE_REMOVED ? REMOVAL_NONE : row->gone_at_us != INSTANT_NONE ? row->gone_reason : REMOVAL_REROUTED,
		.json = kept,
	};
}

static void apply(struct run *run, const struct reconcile_outcome *outcome)
{
	if (outcome->write) {
		const size_t at = device_of(outcome->next.apple.serial_number);
		struct device_row *row = &run->working.rows[at];

		LAW(!run->working.known[at] || outcome->next.changed_at_us >= row->changed_at_us, "%s goes back in time", serials[at]);
		*row = outcome->next;
		run->working.known[at] = true;
		for (size_t i = 0; i < outcome->event_count; i++) {
			log_event_of(run, row, &outcome->events[i]);
		}
	}
}

static bool is_present(const struct run *run, size_t device)
{
	return run->working.known[device] && run->working.rows[device].gone_at_us == INSTANT_NONE;
}

// --- plan ---

// What Apple's last record shows is not what the device has by now.
static void check_planned(const struct run *run, size_t device, struct text wanted)
{
	const struct profile *accepted = run->working.accepted[device];

	LAW(accepted == NULL || wanted.length == 0 || run->working.rows[device].assign_state != ASSIGN_SETTLED ||
		text_equal_string(wanted, accepted->uuid), "client %zu: %s is settled, and has another profile", run->client, serials[device]);
}

static void plan(struct run *run)
{
	struct reconcile_outcome outcome;

	if (!run->working.must_plan && run->working.reroutes == 0) {
		return;
	}
	for (size_t i = 0; i < DEVICES; i++) {
		const struct device_row *row = &run->working.rows[i];

		if (is_present(run, i) && (run->working.must_plan || run->working.reroutes >> i & 1)) {
			const struct reconcile_settings settings = decide(run, &row->apple);
			const struct device_row before = *row;

			reconcile_again(&outcome, &settings, &before);
			apply(run, &outcome);
			check_planned(run, i, settings.wanted_profile_uuid);
		}
	}
	run->working.must_plan = false;
	run->working.reroutes = 0;
	(void)commit(run);
}

// --- sync ---

static void apply_page(struct run *run, const struct page *page)
{
	struct page_plan plan CLEANUP(page_plan_fini);
	struct reconcile_outcome outcome;

	page_plan_make(&plan, page->records, page->count);
	for (size_t i = 0; i < plan.count; i++) {
		const struct device_record *record = &page->records[plan.items[i].record];
		const size_t at = device_of(record->serial_number);
		const struct device_row before = run->working.rows[at];
		const struct reconcile_settings settings = plan.items[i].gone ? of_gone(run) : decide(run, record);

		reconcile_record(&outcome, &settings, run->working.known[at] ? &before : NULL, record, plan.items[i].gone);
		apply(run, &outcome);
		run->working.accepted[at] = NULL;
		if (run->machine.state.phase == SYNC_PHASE_FETCH && !plan.items[i].gone) {
			LAW(seen_add(&run->seen, record->serial_number) == OK, "too many devices to remember");
		}
	}
}

static void take_page(struct run *run, const struct page *page, bool is_stuck)
{
	const struct sync_page taken = { .cursor_changed = !is_stuck, .more_to_follow = page->more || is_stuck };

	apply_page(run, page);
	run->working.cursor = is_stuck ? run->working.cursor : page->cursor;
	run->decision = sync_page_applied(&run->machine, taken, occasion());
	run->working.sync = run->machine.state;
	(void)commit(run);
}

static enum err any_failure(void)
{
	static const enum err failures[] = { ERR_CURSOR_LOST, ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_THROTTLED, ERR_TERMS };

	return world.faults && random_chance(10) ? failures[random_below(sizeof failures / sizeof *failures)] : OK;
}

static void ask_for_page(struct run *run)
{
	const bool lists = run->decision.action == SYNC_FETCH_PAGE;
	const struct cursor sent = run->machine.state.has_cursor ? run->working.cursor : (struct cursor){ 0 };
	const enum err failure = lists && sent.given && sent.offset >= DEVICES ? ERR_CURSOR_END : any_failure();
	struct page page = { .count = 0 };

	meanwhile();
	if (failure != OK) {
		run->decision = sync_failed(&run->machine, failure, failure == ERR_THROTTLED ? (int64_t)random_below(600) : -1, occasion());
	} else {
		(lists ? apple_list : apple_changes)(run->client, &sent, &page);
		take_page(run, &page, sent.given && world.faults && random_chance(3));
	}
}

static void complete_generation(struct run *run)
{
	const struct reconcile_settings settings = of_gone(run);
	struct reconcile_outcome outcome;

	for (size_t i = 0; i < DEVICES; i++) {
		if (is_present(run, i) && !seen_has(&run->seen, text_of(serials[i]))) {
			const struct device_row before = run->working.rows[i];

			LAW(world.devices[i].client != (int)run->client ||
				world.clients[run->client].absent_until_us[i] >= run->machine.state.fetch_started_at_us,
				"client %zu: %s is removed, and Apple had it all the time", run->client, serials[i]);
			reconcile_unseen(&outcome, &settings, &before, REMOVAL_UNLISTED);
			apply(run, &outcome);
		}
	}
	run->decision = sync_generation_completed(&run->machine, occasion());
	run->working.sync = run->machine.state;
	(void)commit(run);
}

static void sync_step(struct run *run)
{
	if (run->decision.drop_cursor) {
		seen_clear(&run->seen);
		run->working.cursor.given = false;
	}
	if (run->decision.action == SYNC_COMPLETE_GENERATION) {
		complete_generation(run);
	} else {
		ask_for_page(run);
	}
}

static void sync(struct run *run, bool full)
{
	static const unsigned char key[SEEN_KEY_SIZE] = { 7 };
	const struct sync_settings settings = { .tenant_id = (int64_t)run->client + 1 };

	seen_init(&run->seen, key, 4096);
	run->decision = sync_begin(&run->machine, &run->working.sync, &settings, full, occasion());
	while (!run->ended && run->decision.action != SYNC_WAIT) {
		sync_step(run);
	}
	seen_fini(&run->seen);
	if (!run->ended) {
		run->working.sync = run->machine.state;
		run->working.sync_next_at_us = run->decision.wait_until_us;
		run->working.reason = run->decision.reason;
		(void)commit(run);
	}
}

// --- assign ---

static bool is_due(const struct run *run, size_t device)
{
	const struct device_row *row = &run->working.rows[device];

	return run->working.known[device] && row->assign_at_us != INSTANT_NONE && row->assign_at_us <= world.now_us;
}

static enum assign_need need_of(const struct run *run, size_t device)
{
	const struct reconcile_settings settings = as_decided(run, &run->working.rows[device]);
	const struct assign_view view = reconcile_assign_view(&settings, &run->working.rows[device]);

	return assign_need(&view, settings.now_us);
}

static bool settle_others(struct run *run, unsigned due)
{
	struct reconcile_outcome outcome;
	bool any = false;

	for (size_t i = 0; i < DEVICES; i++) {
		const enum assign_need need = due >> i & 1 ? need_of(run, i) : ASSIGN_NEED_CALL;

		if (need == ASSIGN_NEED_NOTHING || need == ASSIGN_NEED_TIME) {
			const struct device_row before = run->working.rows[i];
			const struct reconcile_settings settings = as_decided(run, &before);

			reconcile_again(&outcome, &settings, &before);
			apply(run, &outcome);
			any = true;
		}
	}
	return !any || commit(run);
}

static bool define(struct run *run, size_t place, bool override)
{
	const unsigned char *digest = profile_digest_of(run->client, place, run->config.profile_versions[place], override);
	const struct profile *profile = apple_define(run->client, instance_of(run->client, place), digest);

	if (world.faults && random_chance(10)) { // the answer is lost: Apple has one that nobody uses
		return false;
	}
	assert(run->working.defined_count < sizeof run->working.defined / sizeof *run->working.defined);
	run->working.defined[run->working.defined_count++].profile = profile;
	return commit(run);
}

static void forget(struct run *run, struct text uuid)
{
	for (size_t i = 0; i < run->working.defined_count; i++) {
		struct defined *defined = &run->working.defined[i];

		defined->forgotten = defined->forgotten || text_equal_string(uuid, defined->profile->uuid);
	}
	run->working.must_plan = true;
	(void)commit(run);
}

static void note_told(struct run *run, size_t device, enum assign_result result, int64_t retry_after_s)
{
	if (result == ASSIGN_RESULT_THROTTLED || result == ASSIGN_RESULT_FAILED) {
		const int64_t wait_s = result == ASSIGN_RESULT_THROTTLED && retry_after_s >= 0 ? retry_after_s : DAY_S;

		run->working.told_until_us[device] = world.now_us + wait_s * SECOND_US;
	}
}

static void take_results(struct run *run, unsigned batch, struct text uuid, const enum assign_result results[DEVICES], int64_t retry_after_s)
{
	struct reconcile_outcome outcome;

	for (size_t i = 0; i < DEVICES; i++) {
		if (batch >> i & 1) {
			const struct device_row before = run->working.rows[i];
			const struct reconcile_settings settings = as_decided(run, &before);

			reconcile_assigned(&outcome, &settings, &before, uuid, results[i], retry_after_s, random_next());
			apply(run, &outcome);
			run->working.accepted[i] = results[i] == ASSIGN_RESULT_SUCCESS ? apple_profile(uuid) : run->working.accepted[i];
			note_told(run, i, results[i], retry_after_s);
		}
	}
	(void)commit(run);
}

// What the batch asks for is what the rules want that were loaded, and nobody has to wait.
static void check_batch(const struct run *run, unsigned batch, struct text uuid)
{
	const struct profile *profile = apple_profile(uuid);

	LAW(profile != NULL, "client %zu assigns a profile that nobody has defined", run->client);
	for (size_t i = 0; i < DEVICES; i++) {
		const struct text model = run->working.rows[i].apple.model;
		const size_t wanted = rules_want(&run->config, i, model);

		if (batch >> i & 1) {
			LAW(wanted != 0 && profile->instance_id == instance_of(run->client, wanted), "client %zu: %s is assigned to place %zu, wanted is %zu",
				run->client, serials[i], place_of(profile->instance_id), wanted);
			LAW(memcmp(profile->digest, profile_digest_of(run->client, wanted, run->config.profile_versions[wanted],
				rules_override(&run->config, i, model)), SHA256_SIZE) == 0, "client %zu: %s is assigned a profile of old", run->client, serials[i]);
			LAW(run->working.told_until_us[i] <= world.now_us, "client %zu: %s is asked for before its cool-down ends", run->client, serials[i]);
		}
	}
}

static void call(struct run *run, unsigned batch, struct text uuid)
{
	enum assign_result results[DEVICES] = { 0 };
	int64_t retry_after_s = -1;
	enum err rc;

	check_batch(run, batch, uuid);
	rc = apple_assign(run->client, uuid, batch, results, &retry_after_s);
	if (rc == ERR_PROFILE_GONE) {
		forget(run, uuid);
	} else if (rc == ERR_TIMEOUT) { // whether it was done is read back
		for (size_t i = 0; i < DEVICES; i++) {
			results[i] = ASSIGN_RESULT_MISSING;
		}
		take_results(run, batch, uuid, results, -1);
	} else if (rc == OK) {
		take_results(run, batch, uuid, results, retry_after_s);
	} else {
		run->ended = true; // until the next run
	}
}

// Those of `left` that want the same profile as the first.
static unsigned pick(const struct run *run, unsigned left, size_t first)
{
	const struct device_row *rows = run->working.rows;
	unsigned batch = 0;

	for (size_t i = first; i < DEVICES; i++) {
		if (left >> i & 1 && rows[i].instance_id == rows[first].instance_id && overrides(run, &rows[i]) == overrides(run, &rows[first])) {
			batch |= 1U << i;
		}
	}
	return batch;
}

static unsigned needing(const struct run *run, unsigned due, enum assign_need need)
{
	unsigned devices = 0;

	for (size_t i = 0; i < DEVICES; i++) {
		devices |= due >> i & 1 && need_of(run, i) == need ? 1U << i : 0;
	}
	return devices;
}

static bool may_go_on(const struct run *run)
{
	return !run->ended && !run->working.must_plan && run->working.reroutes == 0;
}

static void call_all(struct run *run, unsigned due)
{
	unsigned left = needing(run, due, ASSIGN_NEED_CALL);

	for (size_t i = 0; i < DEVICES && may_go_on(run); i++) {
		if (left >> i & 1) {
			const size_t place = place_of(run->working.rows[i].instance_id);
			const bool override = overrides(run, &run->working.rows[i]);
			const unsigned batch = pick(run, left, i);

			left &= ~batch;
			if (!text_equal(defined_uuid(run, place, override), ASSIGN_PROFILE_UNDEFINED) || define(run, place, override)) {
				call(run, batch, defined_uuid(run, place, override));
			}
		}
	}
}

static void read_back(struct run *run, unsigned due)
{
	const unsigned devices = needing(run, due, ASSIGN_NEED_READ);
	struct reconcile_outcome outcome;
	struct device_record record;
	bool accessible;

	for (size_t i = 0; i < DEVICES && devices != 0; i++) {
		if (devices >> i & 1) {
			const struct device_row before = run->working.rows[i];
			struct reconcile_settings settings = as_decided(run, &before);

			if (!apple_details(run->client, i, &record, &accessible)) {
				reconcile_assigned(&outcome, &settings, &before, settings.wanted_profile_uuid, ASSIGN_RESULT_MISSING, -1, random_next());
			} else if (!accessible) {
				settings = of_gone(run);
				reconcile_unseen(&outcome, &settings, &before, REMOVAL_INACCESSIBLE);
			} else {
				settings = decide(run, &record);
				reconcile_record(&outcome, &settings, &before, &record, false);
				run->working.accepted[i] = NULL;
			}
			apply(run, &outcome);
		}
	}
	if (devices != 0) {
		(void)commit(run);
	}
}

static void assign(struct run *run)
{
	for (int round = 0; round < ROUNDS_MAX && may_go_on(run); round++) {
		unsigned due = 0;

		for (size_t i = 0; i < DEVICES; i++) {
			due |= is_due(run, i) ? 1U << i : 0;
		}
		if (due == 0 || !settle_others(run, due)) {
			return;
		}
		call_all(run, due);
		if (may_go_on(run)) {
			read_back(run, due);
		}
	}
}

// --- the run ---

static bool may_ask_apple(const struct run *run)
{
	return run->working.reason == SYNC_REASON_UP_TO_DATE || run->working.sync_next_at_us <= world.now_us;
}

void run_client(size_t client, bool full)
{
	struct run run = { .client = client, .config = world.clients[client].config, .working = world.clients[client].stored };

	plan(&run);
	if (!run.ended && (full || run.working.sync_next_at_us <= world.now_us)) {
		sync(&run, full);
	}
	for (int round = 0; round < ROUNDS_MAX && !run.ended && may_ask_apple(&run); round++) {
		plan(&run);
		assign(&run);
	}
	world.clients[client].ran_at_us = world.now_us;
	deliver(client);
}
