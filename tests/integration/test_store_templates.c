// SPDX-License-Identifier: Apache-2.0
//
// Layers of profiles in the database: versions, who is woken, what is counted.
#include "store/account.h"
#include "store/definitions.h"
#include "store/templates.h"
#include "support/cmocka_all.h"
#include "support/store_world.h"

#include <stdio.h>

static struct store_world world;
static const struct layer_author author = { .made_by = { "key", 3 }, .reason = { "why", 3 } };

static int64_t put_template(const char *name, int64_t expected, const char *layer)
{
	struct pg_call call;
	const unsigned at = store_template_put(begin(&call, store_directory()), text_of(name), expected, text_of(layer), &author);
	int64_t version;

	run(&call, &world);
	version = store_layer_put_read(&call.transaction, at);
	end(&call);
	return version;
}

static void use_template(int64_t tenant_id, const char *name)
{
	const struct tenant_profile_row profile = { .template_name = text_of(name), .layer = TEXT("{}") };
	struct pg_call call;

	(void)store_tenant_profile_put(begin(&call, store_api(tenant_id)), tenant_id, -1, &profile, &author);
	run_and_end(&call, &world);
}

static int64_t wake_of(int64_t tenant_id)
{
	char sql[128];

	(void)snprintf(sql, sizeof sql, "select wake from depbroker.sync_due where tenant_id = %lld", (long long)tenant_id);
	return ask_number(&world, sql);
}

static void each_version_of_a_template_is_kept(void **state)
{
	struct layer_version version;
	struct template_row row;
	struct pg_call call;

	(void)state;
	assert_int_equal(put_template("kept", 0, "{\"a\": 1.0}"), 1);
	assert_int_equal(put_template("kept", 1, "{\"a\":2}"), 2);
	assert_int_equal(put_template("kept", -1, "{\"a\": 1.0}"), 3);
	(void)store_template_put(begin(&call, store_directory()), TEXT("kept"), 2, TEXT("{}"), &author);
	refuse(&call, &world, ERR_FENCED);
	(void)store_template_put(begin(&call, store_directory()), TEXT("kept"), 0, TEXT("{}"), &author);
	refuse(&call, &world, ERR_FENCED);
	(void)store_template_by_name(begin(&call, store_directory()), TEXT("kept"));
	(void)store_template_versions(&call.transaction, TEXT("kept"), 0, 2);
	(void)store_template_versions(&call.transaction, TEXT("kept"), 2, 2);
	run(&call, &world);
	store_template_read(&call.transaction, 0, 0, &row);
	assert_int_equal(row.in_force.version, 3);
	assert_true(text_equal(row.in_force.layer, TEXT("{\"a\": 1.0}"))); // byte by byte
	assert_int_equal(pg_row_count(&call.transaction, 1), 2);
	store_layer_version_read(&call.transaction, 2, 0, &version);
	assert_int_equal(version.version, 2);
	assert_true(text_equal(version.reason, TEXT("why")) && text_equal(version.made_by, TEXT("key")));
	end(&call);
}

static void who_uses_a_template_is_woken_by_its_change_and_nobody_else(void **state)
{
	const int64_t user = new_tenant(&world, "user");
	const int64_t stranger = new_tenant(&world, "stranger");
	struct tenant_profile_row profile;
	struct template_user_row found;
	struct pg_call call;
	int64_t wakes[2];

	(void)state;
	(void)put_template("shared", 0, "{}");
	use_template(user, "shared");
	wakes[0] = wake_of(user);
	wakes[1] = wake_of(stranger);
	(void)put_template("shared", 1, "{\"department\":\"d\"}");
	assert_int_equal(wake_of(user), wakes[0] + 1);
	assert_int_equal(wake_of(stranger), wakes[1]);
	(void)store_template_users(begin(&call, store_directory()), TEXT("shared"), TEXT_NONE, 10);
	run(&call, &world);
	assert_int_equal(pg_row_count(&call.transaction, 0), 1);
	store_template_user_read(&call.transaction, 0, 0, &found);
	assert_int_equal(found.tenant_id, user);
	end(&call);
	store_template_done(begin(&call, store_worker(user)), user, 1);
	(void)store_tenant_profile_select(&call.transaction, user);
	run(&call, &world);
	store_tenant_profile_read(&call.transaction, 1, 0, &profile);
	assert_int_equal(profile.template_version, 2);
	assert_int_equal(profile.template_done, 1);
	assert_true(text_equal(profile.template_layer, TEXT("{\"department\":\"d\"}")));
	end(&call);
}

enum { ROUNDS = 6 };

// Both look before either has committed, unless one waits for the other.
static void dawdle(struct pg_call *call)
{
	(void)pg_add(&call->transaction, "select pg_sleep(0.03)", NULL, 0);
}

// The version that has been seen as costing nothing is taken into use while another one, which nobody uses as far as can be seen, is put.
static void who_begins_to_use_a_template_is_counted_by_its_next_version_or_sees_it(void **state)
{
	const struct tenant_profile_row profile = { .template_name = TEXT("raced"), .layer = TEXT("{}") };
	size_t used = 0, put = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		const int64_t version = put_template("raced", -1, "{}");
		char slug[32];
		struct pg_call user, putter;

		(void)snprintf(slug, sizeof slug, "raced-%d", i);
		const int64_t tenant_id = new_tenant(&world, slug);

		store_template_lock(begin(&user, store_api(tenant_id)), TEXT("raced"), true);
		store_template_require(&user.transaction, TEXT("raced"), version);
		(void)store_tenant_profile_put(&user.transaction, tenant_id, -1, &profile, &author);
		dawdle(&user);
		store_template_lock(begin(&putter, store_directory()), TEXT("raced"), false);
		(void)store_template_put(&putter.transaction, TEXT("raced"), version, TEXT("{\"department\":\"d\"}"), &author);
		store_template_require_users(&putter.transaction, TEXT("raced"), NULL, 0);
		dawdle(&putter);
		pg_call_start(i % 2 == 0 ? &user : &putter, &world.pg, 60000);
		pg_call_start(i % 2 == 0 ? &putter : &user, &world.pg, 60000);
		const enum err used_rc = pg_call_wait(&user, &world.pg), put_rc = pg_call_wait(&putter, &world.pg);

		assert_true((used_rc == OK && put_rc == ERR_FENCED) || (used_rc == ERR_FENCED && put_rc == OK));
		used += used_rc == OK;
		put += put_rc == OK;
		end(&user);
		end(&putter);
		test_postgres_run(world.postgres, "update depbroker.tenants set template = null");
	}
	assert_int_equal(used + put, ROUNDS);
}

static int64_t changes_of(int64_t tenant_id)
{
	char sql[128];

	(void)snprintf(sql, sizeof sql, "select change_count from depbroker.sync_due where tenant_id = %lld", (long long)tenant_id);
	return ask_number(&world, sql);
}

static void begin_against(int64_t tenant_id, int64_t count, enum err expected)
{
	const struct account_base bases[] = { { tenant_id, count } };
	struct pg_call call;

	store_account_begin(begin(&call, store_api(tenant_id)), tenant_id, count);
	if (expected == OK) {
		run_and_end(&call, &world);
	} else {
		refuse(&call, &world, expected);
	}
	store_account_begin_all(begin(&call, store_directory()), bases, 1);
	if (expected == OK) {
		run_and_end(&call, &world);
	} else {
		refuse(&call, &world, expected);
	}
}

static void a_change_that_was_costed_before_another_one_is_not_made(void **state)
{
	const int64_t tenant_id = new_tenant(&world, "costed");
	const int64_t stranger = new_tenant(&world, "costed-elsewhere");
	int64_t count;

	(void)state;
	(void)put_template("costed", 0, "{}");
	count = changes_of(tenant_id);
	begin_against(tenant_id, count, OK);
	use_template(tenant_id, "costed"); // a layer
	begin_against(tenant_id, count, ERR_FENCED);
	begin_against(tenant_id, count + 1, OK);
	(void)put_template("costed", 1, "{}"); // of the template that it uses
	begin_against(tenant_id, count + 1, ERR_FENCED);
	begin_against(tenant_id, count + 2, OK);
	assert_int_equal(changes_of(stranger), 0);
}

static void a_layer_is_not_put_over_another_version(void **state)
{
	const int64_t tenant_id = new_tenant(&world, "fenced");
	const int64_t instance_id = new_instance(&world, tenant_id, "main");
	const struct tenant_profile_row profile = { .layer = TEXT("{}"), .mend = true };
	struct pg_call call;

	(void)state;
	(void)store_tenant_profile_put(begin(&call, store_api(tenant_id)), tenant_id, 0, &profile, &author);
	run_and_end(&call, &world);
	(void)store_tenant_profile_put(begin(&call, store_api(tenant_id)), tenant_id, 0, &profile, &author);
	refuse(&call, &world, ERR_FENCED);
	(void)store_instance_profile_put(begin(&call, store_api(tenant_id)), tenant_id, instance_id, 0, TEXT("{}"), &author);
	run_and_end(&call, &world);
	(void)store_instance_profile_put(begin(&call, store_api(tenant_id)), tenant_id, instance_id, 0, TEXT("{}"), &author);
	refuse(&call, &world, ERR_FENCED);
}

static struct definition_row definition_of(int64_t tenant_id)
{
	struct definition_row row = { .attempts = -1 };
	struct pg_call call;

	(void)store_definition_list(begin(&call, store_worker(tenant_id)), tenant_id);
	run(&call, &world);
	if (pg_row_count(&call.transaction, 0) > 0) {
		store_definition_read(&call.transaction, 0, 0, &row);
	}
	end(&call);
	return row; // without its digest
}

static void definitions_are_counted_for_a_week(void **state)
{
	static const struct text digest = { "0123456789abcdef0123456789abcdef", 32 };
	const int64_t tenant_id = new_tenant(&world, "counted");
	const int64_t instance_id = new_instance(&world, tenant_id, "main");
	struct pg_call call;

	(void)state;
	for (int i = 1; i <= 3; i++) {
		store_definition_begin(begin(&call, store_worker(tenant_id)), tenant_id, instance_id, digest);
		run_and_end(&call, &world);
		assert_int_equal(definition_of(tenant_id).attempts, i);
	}
	store_definition_withdraw(begin(&call, store_worker(tenant_id)), tenant_id, instance_id, digest, INSTANT_NONE);
	run_and_end(&call, &world);
	assert_int_equal(definition_of(tenant_id).attempts, 2);
	test_postgres_run(world.postgres, "update depbroker.profile_definitions set last_at = now() - interval '8 days'");
	assert_int_equal(definition_of(tenant_id).attempts, -1);
	store_definition_begin(begin(&call, store_worker(tenant_id)), tenant_id, instance_id, digest);
	run_and_end(&call, &world);
	assert_int_equal(definition_of(tenant_id).attempts, 1);
}

static void a_definition_that_was_not_taken_waits_until_somebody_ends_it(void **state)
{
	static const struct text digest = { "0123456789abcdef0123456789abcdef", 32 };
	const int64_t tenant_id = new_tenant(&world, "waits");
	const int64_t instance_id = new_instance(&world, tenant_id, "main");
	const int64_t until_us = clock_wall_us() + DAY_S * SECOND_US;
	struct pg_call call;

	(void)state;
	store_definition_begin(begin(&call, store_worker(tenant_id)), tenant_id, instance_id, digest);
	store_definition_withdraw(&call.transaction, tenant_id, instance_id, digest, until_us);
	run_and_end(&call, &world);
	assert_int_equal(definition_of(tenant_id).refusals, 1);
	assert_int_equal(definition_of(tenant_id).wait_until_us, until_us);
	store_definition_end_waits(begin(&call, store_worker(tenant_id)), tenant_id, until_us); // it is over by then
	run_and_end(&call, &world);
	assert_int_equal(definition_of(tenant_id).wait_until_us, until_us);
	store_definition_end_waits(begin(&call, store_worker(tenant_id)), tenant_id, until_us - 1);
	run_and_end(&call, &world);
	assert_int_equal(definition_of(tenant_id).wait_until_us, INSTANT_NONE);
	assert_int_equal(definition_of(tenant_id).refusals, 1);
	store_definition_begin(begin(&call, store_worker(tenant_id)), tenant_id, instance_id, digest);
	store_definition_withdraw(&call.transaction, tenant_id, instance_id, digest, INSTANT_NONE); // it was not asked for
	run_and_end(&call, &world);
	assert_int_equal(definition_of(tenant_id).refusals, 1);
	store_definition_taken(begin(&call, store_worker(tenant_id)), tenant_id, instance_id, digest);
	run_and_end(&call, &world);
	assert_int_equal(definition_of(tenant_id).refusals, 0);
}

static int open_world(void **state)
{
	(void)state;
	store_world_open(&world);
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	store_world_close(&world);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_version_of_a_template_is_kept),
		cmocka_unit_test(who_uses_a_template_is_woken_by_its_change_and_nobody_else),
		cmocka_unit_test(who_begins_to_use_a_template_is_counted_by_its_next_version_or_sees_it),
		cmocka_unit_test(a_change_that_was_costed_before_another_one_is_not_made),
		cmocka_unit_test(a_layer_is_not_put_over_another_version),
		cmocka_unit_test(definitions_are_counted_for_a_week),
		cmocka_unit_test(a_definition_that_was_not_taken_waits_until_somebody_ends_it),
	};

	return cmocka_run_group_tests_name("store_templates", tests, open_world, close_world);
}
