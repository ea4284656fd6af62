// SPDX-License-Identifier: Apache-2.0
//
// What virtual DEP servers believe: signatures, sessions, cursors, and what a device's record tells an MDM server.
#include "api/dep/dep_cursor.h"
#include "api/dep/dep_device_json.h"
#include "api/dep/dep_secret.h"
#include "api/dep/dep_session.h"
#include "support/cmocka_all.h"
#include "tenants/oauth_claim.h"

#include <stdio.h>
#include <string.h>

#define NOW_US INT64_C(1790000000000000)

static const struct dep_place place = { 17, 4711 };

static void make(struct dep_secret *out, const struct dep_secret *before)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(DEP_SECRET_MAX);

	dep_secret_make(&plain, place, before, NOW_US);
	assert_int_equal(dep_secret_read(out, buffer_text(&plain), NULL), OK);
}

static void a_renewed_secret_keeps_the_consumer_key_and_the_cursors(void **state)
{
	struct dep_secret first CLEANUP(dep_secret_fini) = { 0 };
	struct dep_secret next CLEANUP(dep_secret_fini) = { 0 };
	struct dep_place found;

	(void)state;
	make(&first, NULL);
	make(&next, &first);
	assert_true(text_equal(first.token.consumer_key, next.token.consumer_key));
	assert_memory_equal(first.cursor_key, next.cursor_key, sizeof first.cursor_key);
	assert_false(text_equal(first.token.consumer_secret, next.token.consumer_secret));
	assert_false(text_equal(first.token.access_token, next.token.access_token));
	assert_false(text_equal(first.token.access_secret, next.token.access_secret));
	assert_int_equal(next.token.expires_at_us, NOW_US + DEP_TOKEN_LIFE_DAYS * DAY_S * SECOND_US);
	assert_true(dep_place_of_key(&found, next.token.consumer_key));
	assert_int_equal(found.tenant_id, place.tenant_id);
	assert_int_equal(found.instance_id, place.instance_id);
}

static void other_keys_name_no_place(void **state)
{
	static const char *const keys[] = {
		"", "CK_", "CK_unknown", "CK_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg0",
		"CK_00000000000000000000000000000001ffffffffffffffffffffffffffffffff",
		"CK_ffffffffffffffff0000000000000001ffffffffffffffffffffffffffffffff",
		"CK_000000000000000G0000000000000001ffffffffffffffffffffffffffffffff",
	};
	struct dep_place found;

	(void)state;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		assert_false(dep_place_of_key(&found, text_of(keys[i])));
	}
}

static void a_session_ages_and_ends(void **state)
{
	static const struct {
		int64_t after_s;
		enum dep_session_state state;
	} ages[] = {
		{ 0, DEP_SESSION_GOOD }, { DEP_SESSION_RENEW_S - 1, DEP_SESSION_GOOD }, { DEP_SESSION_RENEW_S, DEP_SESSION_AGEING },
		{ DEP_SESSION_LIFE_S - 1, DEP_SESSION_AGEING }, { DEP_SESSION_LIFE_S, DEP_SESSION_REFUSED },
	};
	struct dep_secret secret CLEANUP(dep_secret_fini) = { 0 };
	struct buffer session CLEANUP(buffer_fini) = BUFFER(DEP_SESSION_SIZE);
	struct dep_place found;

	(void)state;
	make(&secret, NULL);
	dep_session_write(&session, place, &secret, NOW_US);
	assert_true(dep_session_place(&found, buffer_text(&session)));
	assert_int_equal(found.instance_id, place.instance_id);
	for (size_t i = 0; i < sizeof ages / sizeof *ages; i++) {
		assert_int_equal(dep_session_check(buffer_text(&session), &secret, NOW_US + ages[i].after_s * SECOND_US), ages[i].state);
	}
}

static void no_digit_of_a_session_can_be_changed_and_no_other_secret_takes_it(void **state)
{
	struct dep_secret secret CLEANUP(dep_secret_fini) = { 0 };
	struct dep_secret renewed CLEANUP(dep_secret_fini) = { 0 };
	struct buffer session CLEANUP(buffer_fini) = BUFFER(DEP_SESSION_SIZE);

	(void)state;
	make(&secret, NULL);
	make(&renewed, &secret);
	dep_session_write(&session, place, &secret, NOW_US);
	assert_int_equal(dep_session_check(buffer_text(&session), &renewed, NOW_US), DEP_SESSION_REFUSED);
	for (size_t i = 0; i < session.length; i++) {
		const char before = session.bytes[i];

		session.bytes[i] = before == '0' ? '1' : '0';
		assert_int_equal(dep_session_check(buffer_text(&session), &secret, NOW_US), DEP_SESSION_REFUSED);
		session.bytes[i] = before;
	}
	assert_int_equal(dep_session_check(buffer_text(&session), &secret, NOW_US), DEP_SESSION_GOOD);
}

static void a_cursor_comes_back_as_it_went(void **state)
{
	struct dep_secret secret CLEANUP(dep_secret_fini) = { 0 };
	struct dep_secret other CLEANUP(dep_secret_fini) = { 0 };
	struct buffer text CLEANUP(buffer_fini) = BUFFER(2 * DEP_CURSOR_MAX);
	const struct dep_cursor cursor = { .offset = 1000, .position = INT64_C(123456789012), .from_us = NOW_US, .issued_us = NOW_US + 5000,
		.serial = "C02:XK\"1" };
	struct dep_cursor back = { 0 };

	(void)state;
	make(&secret, NULL);
	make(&other, NULL);
	const struct dep_cursor_owner owner = { &secret, 3 };

	dep_cursor_write(&text, &owner, &cursor);
	assert_true(dep_cursor_read(&back, &owner, buffer_text(&text)));
	assert_int_equal(back.offset, cursor.offset);
	assert_int_equal(back.position, cursor.position);
	assert_int_equal(back.issued_us, cursor.issued_us);
	assert_false(back.is_complete);
	assert_string_equal(back.serial, cursor.serial);
	assert_false(dep_cursor_read(&back, &(struct dep_cursor_owner){ &secret, 4 }, buffer_text(&text)));
	assert_false(dep_cursor_read(&back, &(struct dep_cursor_owner){ &other, 3 }, buffer_text(&text)));
	for (size_t i = 0; i < text.length; i++) {
		const char before = text.bytes[i];

		text.bytes[i] = before == 'A' ? 'B' : 'A';
		assert_false(dep_cursor_read(&back, &owner, buffer_text(&text)));
		text.bytes[i] = before;
	}
}

// --- records ---

#define RECORD                                                                                                                  \
	"{\"serial_number\":\"C02\",\"model\":\"iPad, \\\"Pro\\\"\",\"os\":\"iPadOS\",\"profile_status\":\"pushed\",\"profile_uuid\":\"MINE\"," \
	"\"device_assigned_by\":\"a@b\",\"device_assigned_date\":\"2026-01-01T00:00:00.000000Z\","                                     \
	"\"profile_push_time\":\"2026-01-02T00:00:00.000000Z\",\"imei\":[\"1\",\"2\"],\"released_by_replacement\":true,\"op_type\":\"added\",\"new\":{\"a\":[1,2]}}"

static void assert_record(const struct dep_view *view, const char *expected)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(4096);

	dep_device_json(&out, TEXT(RECORD), view);
	assert_string_equal(out.bytes, expected);
}

static void a_record_tells_of_the_instances_own_profile(void **state)
{
	const struct text uuids[] = { TEXT("ALSO"), TEXT("MINE"), TEXT("OTHER") };

	(void)state;
	assert_record(&(struct dep_view){ .version = 10, .profiles = { uuids, 3 } },
		"{\"serial_number\":\"C02\",\"model\":\"iPad, \\\"Pro\\\"\",\"os\":\"iPadOS\",\"profile_status\":\"pushed\",\"profile_uuid\":\"MINE\","
		"\"device_assigned_by\":\"a@b\",\"device_assigned_date\":\"2026-01-01T00:00:00Z\",\"profile_push_time\":\"2026-01-02T00:00:00Z\","
		"\"imei\":[\"1\",\"2\"],\"new\":{\"a\":[1,2]}}");
}

static void a_record_tells_nothing_of_anybody_elses_profile(void **state)
{
	const struct text uuids[] = { TEXT("ALSO"), TEXT("OTHER") };

	(void)state;
	assert_record(&(struct dep_view){ .version = 6, .profiles = { uuids, 2 }, .is_detail = true },
		"{\"serial_number\":\"C02\",\"model\":\"iPad, \\\"Pro\\\"\",\"os\":\"iOS\",\"device_assigned_by\":\"a@b\","
		"\"device_assigned_date\":\"2026-01-01T00:00:00Z\",\"new\":{\"a\":[1,2]},\"profile_status\":\"empty\",\"response_status\":\"SUCCESS\"}");
}

static void of_a_device_that_has_left_it_tells_what_it_is_made_of(void **state)
{
	const struct text uuids[] = { TEXT("MINE") };

	(void)state;
	assert_record(
		&(struct dep_view){ .version = 10, .profiles = { uuids, 1 }, .has_left = true, .operation = "deleted", .operation_at_us = NOW_US },
		"{\"serial_number\":\"C02\",\"model\":\"iPad, \\\"Pro\\\"\",\"os\":\"iPadOS\",\"imei\":[\"1\",\"2\"],\"released_by_replacement\":true,"
		"\"new\":{\"a\":[1,2]},\"profile_status\":\"empty\",\"op_type\":\"deleted\",\"op_date\":\"2026-09-21T14:13:20Z\"}");
}

// --- signatures ---

static void a_claim_is_read_and_fits_what_was_signed(void **state)
{
	struct dep_secret secret CLEANUP(dep_secret_fini) = { 0 };
	struct buffer header CLEANUP(buffer_fini) = BUFFER(4096);
	struct arena arena CLEANUP(arena_fini) = ARENA(65536);
	struct oauth_claim claim;

	(void)state;
	make(&secret, NULL);
	assert_int_equal(oauth_authorization(&header, &secret.token, TEXT("https://dep.example:8443/session"), TEXT("a+b/c="), 1790000000), OK);
	assert_true(oauth_claim_read(&claim, buffer_text(&header), &arena));
	assert_true(text_equal(claim.consumer_key, secret.token.consumer_key));
	assert_true(text_equal(claim.nonce, TEXT("a+b/c=")));
	assert_int_equal(claim.timestamp_s, 1790000000);
	assert_true(oauth_claim_fits(&claim, &secret.token, TEXT("GET"), TEXT("https://dep.example:8443/session")));
	assert_false(oauth_claim_fits(&claim, &secret.token, TEXT("POST"), TEXT("https://dep.example:8443/session")));
	assert_false(oauth_claim_fits(&claim, &secret.token, TEXT("GET"), TEXT("http://dep.example:8443/session")));
	assert_false(oauth_claim_fits(&claim, &secret.token, TEXT("GET"), TEXT("https://dep.example/session")));
}

static void malformed_claims_are_none(void **state)
{
#define GOOD "oauth_consumer_key=\"k\", oauth_token=\"t\", oauth_nonce=\"n\", oauth_timestamp=\"1\", oauth_signature=\"s\""
#define METHOD ", oauth_signature_method=\"HMAC-SHA1\""
	static const struct {
		const char *header;
		bool good;
	} cases[] = {
		{ "OAuth " GOOD METHOD, true },
		{ "oauth realm=\"ADM\"," GOOD METHOD ",oauth_version=\"1.0\"", true },
		{ "OAuth " GOOD METHOD ", oauth_version=\"2.0\"", false },
		{ "OAuth " GOOD ", oauth_signature_method=\"PLAINTEXT\"", false },
		{ "OAuth " GOOD, false },
		{ "OAuth " GOOD METHOD ", oauth_token=\"u\"", false },
		{ "OAuth " GOOD METHOD " x=\"1\"", false },
		{ "OAuth " GOOD METHOD ", x=\"1", false },
		{ "OAuth " GOOD METHOD ", x", false },
		{ "OAuth " GOOD METHOD ", x=\"%4\"", false },
		{ "OAuth " GOOD METHOD ", x=\"%zz\"", false },
		{ "Basic abc", false },
		{ "OAuth ", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena arena CLEANUP(arena_fini) = ARENA(65536);
		struct oauth_claim claim;

		if (oauth_claim_read(&claim, text_of(cases[i].header), &arena) != cases[i].good) {
			fail_msg("%s", cases[i].header);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_renewed_secret_keeps_the_consumer_key_and_the_cursors),
		cmocka_unit_test(other_keys_name_no_place),
		cmocka_unit_test(a_session_ages_and_ends),
		cmocka_unit_test(no_digit_of_a_session_can_be_changed_and_no_other_secret_takes_it),
		cmocka_unit_test(a_cursor_comes_back_as_it_went),
		cmocka_unit_test(a_record_tells_of_the_instances_own_profile),
		cmocka_unit_test(a_record_tells_nothing_of_anybody_elses_profile),
		cmocka_unit_test(of_a_device_that_has_left_it_tells_what_it_is_made_of),
		cmocka_unit_test(a_claim_is_read_and_fits_what_was_signed),
		cmocka_unit_test(malformed_claims_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
