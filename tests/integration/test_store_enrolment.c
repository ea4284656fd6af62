// SPDX-License-Identifier: Apache-2.0
//
// The inbox, enrolments, misroutes and expected devices as the database keeps them.
#include "store/run_row.h"
#include "store/devices.h"
#include "store/enrolments.h"
#include "store/expected.h"
#include "store/instances.h"
#include "store/tenants.h"
#include "support/cmocka_all.h"
#include "support/store_world.h"

#include <stdio.h>
#include <string.h>

static struct store_world world;

static int open_world(void **state)
{
	(void)state;
	store_world_open(&world);
	beat(&world, "a");
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	store_world_close(&world);
	return 0;
}

struct client {
	int64_t id, here, there;
};

static struct client fresh_client(void)
{
	static int number;
	struct client client;
	char slug[32];

	(void)snprintf(slug, sizeof slug, "enrols-%d", ++number);
	client.id = new_tenant(&world, slug);
	client.here = new_instance(&world, client.id, "here");
	client.there = new_instance(&world, client.id, "there");
	return client;
}

static void put_device(const struct client *client, const char *serial, int64_t instance_id)
{
	struct pg_call call;
	const struct device_row row = {
		.apple = { .serial_number = text_of(serial), .profile_assign_time_us = INSTANT_NONE, .profile_push_time_us = INSTANT_NONE,
			.device_assigned_date_us = INSTANT_NONE, .mdm_migration_deadline_us = INSTANT_NONE, .op_date_us = INSTANT_NONE },
		.gone_at_us = INSTANT_NONE, .instance_id = instance_id, .assign_at_us = INSTANT_NONE, .first_seen_at_us = clock_wall_us(),
		.changed_at_us = clock_wall_us(),
	};

	(void)store_device_put(begin(&call, store_worker(client->id)), client->id, &row, 1);
	run_and_end(&call, &world);
}

// True: it was news.
static bool hear(const struct client *client, int64_t instance_id, const char *id, const char *serial, enum enrolment_word word, int64_t at_us)
{
	struct pg_call call;
	unsigned char digest[SHA256_SIZE];
	const struct enrolment_message message = {
		.instance_id = instance_id, .enrolment_id = text_of(id), .serial_number = text_of(serial), .word = word, .at_us = at_us,
	};
	const struct digest_part parts[] = { { &instance_id, sizeof instance_id }, { id, strlen(id) }, { serial, strlen(serial) }, { &at_us, sizeof at_us } };
	struct pg_transaction *t = begin(&call, store_api(client->id));

	sha256(digest, parts, sizeof parts / sizeof *parts);
	const unsigned heard = store_enrolment_hear(t, client->id, &message, digest);

	(void)store_enrolment_misroute(t, client->id, digest);
	run(&call, &world);
	const bool was_news = store_enrolment_was_news(t, heard);

	end(&call);
	return was_news;
}

static void put(const struct client *client, int64_t instance_id, const char *id, const char *serial, enum enrolment_state state, int64_t at_us,
	bool is_misrouted)
{
	struct pg_call call;
	const struct enrolment_row row = {
		.instance_id = instance_id, .enrolment_id = text_of(id), .serial_number = text_of(serial),
		.enrolment = { .state = state, .at_us = at_us, .enrolled_at_us = INSTANT_NONE, .is_misrouted = is_misrouted },
	};
	struct pg_transaction *t = begin(&call, store_worker(client->id));

	store_enrolment_put(t, client->id, &row, 1);
	store_enrolment_supersede(t, client->id, &row, state == ENROLMENT_ENROLLED ? 1 : 0);
	store_enrolment_review(t, client->id);
	run_and_end(&call, &world);
}

static bool alert_is_open(const struct client *client, const char *kind)
{
	struct pg_call call;
	struct pg_transaction *t = begin(&call, store_worker(client->id));
	const unsigned statement = store_run_select(t, client->id);
	struct run_row row;
	struct text found_kind;
	bool found = false;

	run(&call, &world);
	store_run_read(t, statement, &row);
	while (store_run_next_alert(&row.open_alerts, &found_kind)) {
		found = found || text_equal_string(found_kind, kind);
	}
	end(&call);
	return found;
}

static void a_message_is_kept_once(void **state)
{
	const struct client client = fresh_client();

	(void)state;
	assert_true(hear(&client, client.here, "U1", "A", ENROLMENT_WORD_AUTHENTICATE, 1000));
	assert_false(hear(&client, client.here, "U1", "A", ENROLMENT_WORD_AUTHENTICATE, 1000));
	assert_true(hear(&client, client.there, "U1", "A", ENROLMENT_WORD_AUTHENTICATE, 1000));
}

static void of_each_device_the_oldest_message_comes_first_with_what_is_known(void **state)
{
	const struct client client = fresh_client();
	struct pg_call call;
	struct heard_row row;

	(void)state;
	put(&client, client.here, "U1", "A", ENROLMENT_ENROLLING, 500, false);
	assert_true(hear(&client, client.here, "U1", "", ENROLMENT_WORD_TOKEN_UPDATE, 1000));
	assert_true(hear(&client, client.here, "U1", "", ENROLMENT_WORD_CHECK_OUT, 2000));
	assert_true(hear(&client, client.here, "", "A", ENROLMENT_WORD_CHECK_OUT, 3000)); // the same enrolment, by its serial number
	assert_true(hear(&client, client.here, "", "B", ENROLMENT_WORD_AUTHENTICATE, 4000));
	struct pg_transaction *t = begin(&call, store_worker(client.id));
	const unsigned heard = store_enrolment_heard(t, client.id, 10);

	run(&call, &world);
	assert_int_equal(pg_row_count(t, heard), 2);
	store_enrolment_heard_read(t, heard, 0, &row);
	assert_true(text_equal(row.message.enrolment_id, TEXT("U1")));
	assert_true(text_equal(row.message.serial_number, TEXT("A"))); // as it is known
	assert_int_equal(row.message.word, ENROLMENT_WORD_TOKEN_UPDATE);
	assert_true(row.is_known);
	assert_int_equal(row.known.enrolment.state, ENROLMENT_ENROLLING);
	assert_int_equal(row.known.enrolment.at_us, 500);
	store_enrolment_heard_read(t, heard, 1, &row);
	assert_true(text_equal(row.message.enrolment_id, TEXT("serial:B")));
	assert_false(row.is_known);
	end(&call);
}

static void a_misroute_is_an_alert_from_its_message_until_no_device_is_misrouted(void **state)
{
	const struct client client = fresh_client();

	(void)state;
	put_device(&client, "A", client.here);
	put_device(&client, "HELD", 0);
	assert_true(hear(&client, client.here, "U1", "A", ENROLMENT_WORD_AUTHENTICATE, 1000));
	assert_true(hear(&client, client.there, "U2", "HELD", ENROLMENT_WORD_AUTHENTICATE, 1000));
	assert_true(hear(&client, client.there, "U3", "UNKNOWN", ENROLMENT_WORD_AUTHENTICATE, 1000));
	assert_true(hear(&client, client.there, "U1", "A", ENROLMENT_WORD_CHECK_OUT, 1001));
	assert_false(alert_is_open(&client, "device.misrouted"));
	assert_true(hear(&client, client.there, "U1", "A", ENROLMENT_WORD_AUTHENTICATE, 2000));
	assert_true(alert_is_open(&client, "device.misrouted"));
	put(&client, client.there, "U1", "A", ENROLMENT_ENROLLED, 2000, true);
	assert_true(alert_is_open(&client, "device.misrouted"));
	put(&client, client.here, "U1", "A", ENROLMENT_ENROLLED, 3000, false); // which ends the other one
	assert_false(alert_is_open(&client, "device.misrouted"));
	assert_true(hear(&client, client.there, "U1", "A", ENROLMENT_WORD_AUTHENTICATE, 1500)); // old news
	assert_false(alert_is_open(&client, "device.misrouted"));
}

static struct expected_counts counts_of(const struct client *client)
{
	struct pg_call call;
	struct expected_counts counts;
	struct pg_transaction *t = begin(&call, store_api(client->id));
	const unsigned statement = store_expected_count(t, client->id);

	run(&call, &world);
	store_expected_count_read(t, statement, &counts);
	end(&call);
	return counts;
}

static void expect(const struct client *client, const struct expected_row *rows, size_t count, bool replaces)
{
	struct pg_call call;

	store_expected_put(begin(&call, store_api(client->id)), client->id, rows, count, replaces, EXPECTED_HOLD_AS_IT_WAS, TEXT("key"));
	run_and_end(&call, &world);
	store_expected_review(begin(&call, store_worker(client->id)), client->id, 1);
	run_and_end(&call, &world);
}

static void what_is_expected_arrives_or_is_overdue_and_the_rest_is_unexpected(void **state)
{
	const struct client client = fresh_client();
	const struct expected_row rows[] = {
		{ .serial_number = TEXT("A"), .due_on = TEXT("2020-01-01") },
		{ .serial_number = TEXT("B"), .due_on = TEXT("2020-01-01"), .note = TEXT("late") },
		{ .serial_number = TEXT("C"), .due_on = TEXT("2999-01-01"), .instance = TEXT("there") },
		{ .serial_number = TEXT("D") },
	};
	struct pg_call call;

	(void)state;
	put_device(&client, "A", client.here);
	put_device(&client, "BEFORE", client.here);
	expect(&client, rows, 4, true);
	put_device(&client, "AFTER", client.here);
	struct expected_counts counts = counts_of(&client);

	assert_int_equal(counts.arrived, 1);
	assert_int_equal(counts.overdue, 1);
	assert_int_equal(counts.awaited, 2);
	assert_int_equal(counts.unexpected, 1);
	assert_true(alert_is_open(&client, "device.overdue"));
	expect(&client, &(struct expected_row){ .serial_number = TEXT("AFTER") }, 1, false);
	counts = counts_of(&client);
	assert_int_equal(counts.arrived, 2);
	assert_int_equal(counts.unexpected, 0);
	store_expected_put(begin(&call, store_api(client.id)), client.id,
		&(struct expected_row){ .serial_number = TEXT("E"), .instance = TEXT("nowhere") }, 1, true,
		EXPECTED_HOLD_AS_IT_WAS, TEXT("key"));
	refuse(&call, &world, ERR_FENCED);
	assert_int_equal(counts_of(&client).arrived, 2);
	expect(&client, NULL, 0, true);
	counts = counts_of(&client);
	assert_int_equal(counts.arrived + counts.awaited + counts.overdue + counts.unexpected, 0);
	assert_false(alert_is_open(&client, "device.overdue"));
}

static void an_instance_that_is_in_use_cannot_be_retired(void **state)
{
	const struct client client = fresh_client();
	struct pg_call call;

	(void)state;
	store_instance_require_unused(begin(&call, store_api(client.id)), client.id, client.here);
	run_and_end(&call, &world);
	put_device(&client, "A", client.here);
	store_instance_require_unused(begin(&call, store_api(client.id)), client.id, client.here);
	refuse(&call, &world, ERR_FENCED);
	store_instance_require_unused(begin(&call, store_api(client.id)), client.id, client.there);
	run_and_end(&call, &world);
}

static void a_client_that_is_deleted_leaves_nothing_of_it(void **state)
{
	const struct client client = fresh_client();
	struct pg_call call;
	bool is_all = false;

	(void)state;
	put_device(&client, "A", client.here);
	put(&client, client.here, "U1", "A", ENROLMENT_ENROLLED, 1000, false);
	(void)hear(&client, client.here, "U1", "A", ENROLMENT_WORD_CHECK_OUT, 2000);
	expect(&client, &(struct expected_row){ .serial_number = TEXT("A"), .instance = TEXT("here") }, 1, true);
	store_tenant_begin_erase(begin(&call, store_api(client.id)), client.id);
	run_and_end(&call, &world);
	for (int turn = 0; turn < 100 && !is_all; turn++) {
		struct pg_transaction *t = begin(&call, store_api(client.id));
		const unsigned statement = store_tenant_erase(t, 1000);

		run(&call, &world);
		is_all = store_tenant_erase_read(t, statement);
		end(&call);
	}
	assert_true(is_all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_kept_once),
		cmocka_unit_test(of_each_device_the_oldest_message_comes_first_with_what_is_known),
		cmocka_unit_test(a_misroute_is_an_alert_from_its_message_until_no_device_is_misrouted),
		cmocka_unit_test(what_is_expected_arrives_or_is_overdue_and_the_rest_is_unexpected),
		cmocka_unit_test(an_instance_that_is_in_use_cannot_be_retired),
		cmocka_unit_test(a_client_that_is_deleted_leaves_nothing_of_it),
	};

	return cmocka_run_group_tests_name("store_enrolment", tests, open_world, close_world);
}
