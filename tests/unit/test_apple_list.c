// SPDX-License-Identifier: Apache-2.0
//
// Lists of which only what differs is read, beside the parser that reads everything.
#include "apple/apple.h"

#include "apple/apple_device.h"
#include "depbroker/digest.h"
#include "support/apple_laws.h"
#include "support/cmocka_all.h"
#include "support/random.h"
#include "support/vectors.h"
#include "tenants/device_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#define VECTORS "protocol/vectors/apple-responses/"

enum { JSON_LIMIT = 1 << 20, DEVICES_MAX = 12 };

static const unsigned char key[KNOWN_KEY_SIZE] = { 3, 1, 4, 1, 5 };

// --- pages by chance ---

static void add_blanks(struct buffer *json)
{
	static const char *const blanks[] = { "", "", "", "", " ", "\n\t", "\r\n  " };

	buffer_add_string(json, blanks[random_below(sizeof blanks / sizeof *blanks)]);
}

static void add_string(struct buffer *json)
{
	static const char *const parts[] = {
		"a", "Space Gray", "{", "}", "[", "]", ",", ":", "\\\"", "\\\\", "\\u0041", "\\ud83d\\ude00", "\\\\\\\"", "\xc3\xa9", "/", "\\n",
		"0123456789abcdef", "\\\"serial_number\\\":\\\"X\\\"",
	};

	buffer_add_string(json, "\"");
	for (uint64_t count = random_below(5); count > 0; count--) {
		buffer_add_string(json, parts[random_below(sizeof parts / sizeof *parts)]);
	}
	buffer_add_string(json, "\"");
}

static void add_value(struct buffer *json, int depth)
{
	static const char *const words[] = { "null", "true", "false", "0", "-12.5e3", "\"\"", "{}", "[]" };
	const uint64_t kind = random_below(depth > 3 ? 2 : 4);

	add_blanks(json);
	if (kind == 0) {
		buffer_add_string(json, words[random_below(sizeof words / sizeof *words)]);
	} else if (kind == 1) {
		add_string(json);
	} else {
		buffer_add_string(json, kind == 2 ? "[" : "{");
		for (uint64_t i = 0, count = random_below(4); i < count; i++) {
			buffer_add_string(json, i > 0 ? "," : "");
			if (kind == 3) {
				buffer_add_format(json, "\"m%d\":", (int)i);
			}
			add_value(json, depth + 1);
		}
		buffer_add_string(json, kind == 2 ? "]" : "}");
	}
	add_blanks(json);
}

static void add_serial(struct buffer *json, uint64_t number)
{
	static const struct { const char *before, *after; } forms[] = { { "sn", "" }, { " SN", " " }, { "S\\u004e", "" }, { "SN ", "" } };
	const bool usual = random_chance(97);
	const uint64_t form = random_below(sizeof forms / sizeof *forms);

	buffer_add_string(json, "\"serial_number\":");
	add_blanks(json);
	buffer_add_format(json, "\"%s%d%s\"", usual ? "SN" : forms[form].before, (int)number, usual ? "" : forms[form].after);
}

static void add_member(struct buffer *json)
{
	static const char *const names[] = {
		"model", "os", "color", "asset_tag", "profile_status", "op_date", "device_assigned_date", "imei", "is_replacement_device", "other", "serial_number",
	};

	if (random_chance(5)) {
		buffer_add_string(json, random_chance(50) ? "\"op_type\":\"deleted\"" : "\"op_type\":\"modified\"");
		return;
	}
	buffer_add_format(json, "\"%s\":", names[random_below(random_chance(98) ? 10 : 11)]);
	add_value(json, 2);
}

static void add_device(struct buffer *json, uint64_t number)
{
	const uint64_t count = random_below(6), serial = random_chance(90) ? 0 : random_below(count + 1);

	buffer_add_string(json, "{");
	for (uint64_t i = 0; i <= count; i++) {
		buffer_add_string(json, i > 0 ? "," : "");
		add_blanks(json);
		if (i == serial) {
			add_serial(json, number);
		} else {
			add_member(json);
		}
	}
	buffer_add_string(json, "}");
}

struct devices {
	struct buffer json[DEVICES_MAX];
	size_t count;
};

static void make_devices(struct devices *devices)
{
	devices->count = random_below(DEVICES_MAX + 1);
	for (size_t i = 0; i < devices->count; i++) {
		devices->json[i] = BUFFER(JSON_LIMIT);
		add_device(&devices->json[i], random_chance(95) ? i : random_below(DEVICES_MAX));
	}
}

static void free_devices(struct devices *devices)
{
	for (size_t i = 0; i < devices->count; i++) {
		buffer_fini(&devices->json[i]);
	}
}

static void write_page(struct buffer *json, const struct devices *devices)
{
	buffer_clear(json);
	buffer_add_string(json, "{\"cursor\":\"c\",");
	if (random_chance(30)) {
		buffer_add_string(json, "\"more\":");
		add_value(json, 1);
		buffer_add_string(json, ",");
	}
	buffer_add_string(json, "\"devices\":[");
	for (size_t i = 0; i < devices->count; i++) {
		buffer_add_string(json, i > 0 ? "," : "");
		add_blanks(json);
		buffer_add_text(json, buffer_text(&devices->json[i]));
	}
	buffer_add_string(json, "],\"more_to_follow\":false}");
}

static void damage(struct buffer *json)
{
	static const char *const parts[] = { "\"", "\\", "{", "}", "[", "]", ",", ":", " ", "null", "x", "\"devices\":[", "\xff", "\\ud83d" };
	struct buffer damaged = BUFFER(JSON_LIMIT);
	const size_t at = random_below(json->length), end = random_chance(50) ? at : at + random_below(json->length - at) % 4;

	buffer_add(&damaged, json->bytes, at);
	buffer_add_string(&damaged, parts[random_below(sizeof parts / sizeof *parts)]);
	buffer_add(&damaged, json->bytes + end, json->length - end);
	buffer_fini(json);
	*json = damaged;
}

// --- where devices stand ---

static yyjson_doc *parse_tree(struct text json)
{
	return yyjson_read_opts((char *)(uintptr_t)json.bytes, json.length, YYJSON_READ_NUMBER_AS_RAW | YYJSON_READ_ALLOW_INVALID_UNICODE, NULL, NULL);
}

static bool is_same(yyjson_val *a, yyjson_val *b)
{
	char *left = yyjson_val_write(a, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL), *right = yyjson_val_write(b, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
	const bool same = left != NULL && right != NULL && strcmp(left, right) == 0;

	free(left);
	free(right);
	return same;
}

// Law 1 of device_list.h. False: the parser does not take the page, or finds no list in it.
static bool check_extents(const struct device_list *list, struct text page)
{
	yyjson_doc *whole = parse_tree(page);
	yyjson_val *devices = yyjson_obj_get(yyjson_doc_get_root(whole), "devices");
	const bool compared = yyjson_is_arr(devices);

	LAW(!compared || yyjson_arr_size(devices) == list->count);
	for (size_t i = 0; compared && i < list->count; i++) {
		yyjson_doc *one = parse_tree(list->extents[i].bytes);

		LAW(one != NULL && is_same(yyjson_doc_get_root(one), yyjson_arr_get(devices, i)));
		yyjson_doc_free(one);
	}
	yyjson_doc_free(whole);
	return compared;
}

static void devices_stand_where_the_parser_finds_them(void **state)
{
	size_t compared = 0;

	(void)state;
	for (size_t number = 0; number < 4000; number++) {
		struct buffer json = BUFFER(JSON_LIMIT);
		struct devices devices;
		struct device_list list;

		random_case("test_apple_list", number);
		make_devices(&devices);
		write_page(&json, &devices);
		LAW(device_list_find(&list, buffer_text(&json), DEVICES_MAX) && list.count == devices.count);
		LAW(check_extents(&list, buffer_text(&json)));
		device_list_fini(&list);
		damage(&json);
		if (device_list_find(&list, buffer_text(&json), DEVICES_MAX)) {
			compared += check_extents(&list, buffer_text(&json)) ? 1 : 0;
		}
		device_list_fini(&list);
		free_devices(&devices);
		buffer_fini(&json);
	}
	assert_true(compared > 400); // damage that the parser never takes would prove little
}

static void a_page_that_ends_anywhere_is_not_read_beyond_its_end(void **state)
{
	static const char page[] = "{\"a\":\"\\\\\",\"devices\":[{\"serial_number\":\"A1\",\"b\":[{\"c\":\"0123456789abcdef\\\"}\"}]},{}]}";
	struct device_list list;

	(void)state;
	for (size_t length = 0; length < sizeof page - 2; length++) {
		char *cut = duplicate((struct text){ page, length });
		char *exact = reallocate(cut, length > 0 ? length : 1);

		assert_false(device_list_find(&list, (struct text){ exact, length }, 10) && length < sizeof page - 3);
		device_list_fini(&list);
		free(exact);
	}
}

// --- what is read ---

static void remember(struct known *known, const struct apple_page *page)
{
	for (size_t i = 0; i < page->count; i++) {
		const struct device_record *record = &page->devices[i];

		known_put(known, record->serial_number, record->fingerprint, record->list_hash, record->operation == DEVICE_DELETED);
	}
}

static enum err parse_list(struct apple_page *page, struct text json, struct known *known)
{
	struct apple_listing listing;
	struct fault fault;

	apple_listing_init(&listing, known, 7);
	return apple_list_parse(page, duplicate(json), json.length, &listing, &fault);
}

static const struct device_record *record_of(const struct apple_page *page, struct text serial)
{
	for (size_t i = page->count; i > 0; i--) {
		if (text_equal(page->devices[i - 1].serial_number, serial)) {
			return &page->devices[i - 1];
		}
	}
	return NULL;
}

// Whatever the parser reads is read here, too, or is stored just so; and there is nothing else.
static size_t check_against_parser(struct text json, struct known *known)
{
	struct apple_page listed, whole;
	struct fault fault;
	const enum err rc = apple_page_parse(&whole, duplicate(json), json.length, &fault);
	size_t left_out = 0, distinct = 0, read_once = 0;

	LAW(parse_list(&listed, json, known) == rc);
	for (size_t i = 0; rc == OK && i < whole.count; i++) {
		const struct device_record *record = &whole.devices[i];
		const struct device_record *read = record_of(&listed, record->serial_number);

		if (read == NULL) {
			LAW(known_is_in_page(known, record->serial_number) && record->operation != DEVICE_DELETED);
			LAW(known_ask(known, record->serial_number, record->fingerprint) == KNOWN_SAME);
			left_out++;
		} else {
			LAW(!known_is_in_page(known, record->serial_number));
		}
		distinct += record_of(&whole, record->serial_number) == record ? 1 : 0;
	}
	if (rc == OK) {
		LAW(text_equal(listed.cursor, whole.cursor) && listed.more_to_follow == whole.more_to_follow && listed.rejected == whole.rejected);
		for (size_t i = 0; i < listed.count; i++) {
			read_once += record_of(&listed, listed.devices[i].serial_number) == &listed.devices[i] ? 1 : 0;
		}
		LAW(read_once + listed.unchanged == distinct);
		LAW(listed.unchanged == known->page_count);
	} else {
		LAW(known->page_count == 0);
	}
	apple_page_fini(&listed);
	apple_page_fini(&whole);
	return left_out;
}

static void a_byte_that_changed_anywhere_is_found(void **state)
{
	size_t left_out = 0;

	(void)state;
	for (size_t number = 0; number < 3000; number++) {
		struct buffer json = BUFFER(JSON_LIMIT);
		struct devices devices;
		struct known known;
		struct apple_page page;

		random_case("test_apple_list", number);
		known_init(&known, key, 1 << 20);
		make_devices(&devices);
		write_page(&json, &devices);
		if (parse_list(&page, buffer_text(&json), &known) == OK) {
			remember(&known, &page);
		}
		apple_page_fini(&page);
		for (int round = 0; round < 4; round++) {
			known_drop_page(&known);
			if (round > 0 && devices.count > 0) { // a device changes, the others may stand elsewhere
				damage(&devices.json[random_below(devices.count)]);
			}
			write_page(&json, &devices);
			left_out += check_against_parser(buffer_text(&json), &known);
		}
		known_fini(&known);
		free_devices(&devices);
		buffer_fini(&json);
	}
	assert_true(left_out > 5000); // otherwise all of that would be about nothing
}

static void each_byte_of_a_device_counts(void **state)
{
	static const char before[] = "{\"cursor\":\"c\",\"more_to_follow\":false,\"devices\":[";
	static const char device[] = "{\"serial_number\":\"A1\",\"model\":\"iPad\",\"asset_tag\":\"0123456789abcdef0123456789abcdef\",\"os\":\"iOS\"}";
	static const char after[] = ",{\"serial_number\":\"B2\"}]}";
	struct buffer json CLEANUP(buffer_fini) = BUFFER(JSON_LIMIT);
	struct known known CLEANUP(known_fini);
	struct apple_page page;

	(void)state;
	known_init(&known, key, 1 << 20);
	buffer_add_format(&json, "%s%s%s", before, device, after);
	assert_int_equal(parse_list(&page, buffer_text(&json), &known), OK);
	remember(&known, &page);
	apple_page_fini(&page);
	assert_int_equal(parse_list(&page, buffer_text(&json), &known), OK);
	assert_int_equal(page.count, 0);
	assert_int_equal(page.unchanged, 2);
	apple_page_fini(&page);
	for (size_t i = 0; i < sizeof device - 1; i++) {
		json.bytes[sizeof before - 1 + i] ^= 1;
		if (parse_list(&page, buffer_text(&json), &known) == OK) {
			assert_int_equal(page.count + page.rejected, 1);
			assert_int_equal(page.unchanged, 1);
		}
		assert_false(known_is_in_page(&known, TEXT("A1")));
		apple_page_fini(&page);
		json.bytes[sizeof before - 1 + i] ^= 1;
	}
}

static void list(struct apple_page *page, struct known *known, const char *devices)
{
	struct buffer json CLEANUP(buffer_fini) = BUFFER(JSON_LIMIT);

	buffer_add_format(&json, "{\"cursor\":\"c\",\"more_to_follow\":false,\"devices\":[%s]}", devices);
	assert_int_equal(parse_list(page, buffer_text(&json), known), OK);
}

static void a_serial_number_that_is_there_twice_is_read_twice(void **state)
{
	struct known known CLEANUP(known_fini);
	struct apple_page page;

	(void)state;
	known_init(&known, key, 1 << 20);
	list(&page, &known, "{\"serial_number\":\"A1\",\"os\":\"iOS\"},{\"serial_number\":\"B2\"}");
	remember(&known, &page);
	apple_page_fini(&page);
	list(&page, &known, "{\"serial_number\":\"A1\",\"os\":\"OSX\"},{\"serial_number\":\"A1\",\"os\":\"iOS\"},{\"serial_number\":\"B2\"}");
	assert_int_equal(page.count, 3);
	assert_int_equal(page.unchanged, 0);
	apple_page_fini(&page);
	list(&page, &known, "{\"serial_number\":\"A1\",\"os\":\"iOS\"},{\"serial_number\":\"A1\",\"os\":\"iOS\"}"); // with the same bytes once
	assert_int_equal(page.count, 0);
	assert_int_equal(page.unchanged, 1);
	apple_page_fini(&page);
}

static void nothing_is_kept_of_a_page_with_a_record_that_was_refused(void **state)
{
	struct known known CLEANUP(known_fini);
	struct apple_page page;

	(void)state;
	known_init(&known, key, 1 << 20);
	list(&page, &known, "{\"os\":\"iOS\"},{\"serial_number\":\"B2\"},{\"serial_number\":\"C3\",\"op_type\":\"deleted\"}");
	assert_int_equal(page.rejected, 1);
	assert_true(page.devices[0].list_hash == 0 && page.devices[1].list_hash == 0);
	apple_page_fini(&page);
	list(&page, &known, "{\"serial_number\":\"B2\"},{\"serial_number\":\"C3\",\"op_type\":\"deleted\"}");
	assert_true(page.devices[0].list_hash != 0 && page.devices[1].list_hash == 0); // nor of a device that is gone
	apple_page_fini(&page);
}

static void a_device_that_is_gone_is_read(void **state)
{
	struct known known CLEANUP(known_fini);
	struct apple_page page;

	(void)state;
	known_init(&known, key, 1 << 20);
	list(&page, &known, "{\"serial_number\":\"B2\"}");
	known_put(&known, TEXT("B2"), page.devices[0].fingerprint, page.devices[0].list_hash, true);
	apple_page_fini(&page);
	list(&page, &known, "{\"serial_number\":\"B2\"}");
	assert_int_equal(page.count, 1);
	apple_page_fini(&page);
}

static void another_clients_hashes_and_another_versions_are_others(void **state)
{
	struct known known CLEANUP(known_fini);
	struct apple_listing a, b;

	(void)state;
	known_init(&known, key, 1 << 20);
	apple_listing_init(&a, &known, 1);
	apple_listing_init(&b, &known, 2);
	assert_true(a.key[0] == APPLE_READING_VERSION && a.key[0] == b.key[0] && a.key[1] != b.key[1]);
}

static void a_page_is_named_by_what_was_received(void **state)
{
	static const char *const devices[] = {
		"{\"serial_number\":\"A1\"},{\"serial_number\":\"B2\"}", "{\"serial_number\":\"B2\"},{\"serial_number\":\"A1\"}", "{\"serial_number\":\"A1\"}",
		"7", // no list of devices
	};
	unsigned char names[4][APPLE_DIGEST_SIZE];
	struct known known CLEANUP(known_fini);
	struct apple_page page;

	(void)state;
	known_init(&known, key, 1 << 20);
	for (int round = 0; round < 2; round++) { // the second time some of it is not read
		for (size_t i = 0; i < 4; i++) {
			list(&page, &known, devices[i]);
			assert_true(round == 0 || memcmp(names[i], page.digest, sizeof names[i]) == 0);
			memcpy(names[i], page.digest, sizeof names[i]);
			remember(&known, &page);
			apple_page_fini(&page);
			for (size_t j = 0; j < i; j++) {
				assert_memory_not_equal(names[i], names[j], sizeof names[i]);
			}
		}
	}
}

// --- the version ---

static void add_fingerprints(struct buffer *out, struct text json)
{
	struct apple_page page;
	struct fault fault;

	assert_int_equal(apple_page_parse(&page, duplicate(json), json.length, &fault), OK);
	for (size_t i = 0; i < page.count; i++) {
		buffer_add(out, page.devices[i].fingerprint, DEVICE_FINGERPRINT_SIZE);
	}
	apple_page_fini(&page);
}

// Whoever changes what is made of the same bytes raises APPLE_READING_VERSION, and writes here what comes out now: devices that were read
// by the version before are then read once more.
static void what_is_read_of_these_bytes_is_of_this_version(void **state)
{
	static const char odd[] = "{\"cursor\":\"c\",\"more_to_follow\":false,\"devices\":["
		"{\"serial_number\":\" a1 \",\"model\":7,\"os\":null,\"color\":\"\",\"description\":\"\\ud83d\\u00e9\",\"imei\":[\"1\",\"2\"],\"meid\":\"no\",\"eid\":\"3\","
		"\"is_replacement_device\":true,\"released_by_replacement\":\"x\",\"new\":{\"b\":[1.50,true],\"a\":null},\"profile_push_time\":\"2026-01-01T00:00:00Z\","
		"\"profile_assign_time\":\"then\",\"mdm_migration_deadline\":\"2026-01-01T01:00:00+01:00\",\"op_type\":\"added\",\"op_date\":\"2026-01-01T00:00:00Z\"},"
		"{\"wifi_mac_address\":\"a\",\"ethernet_mac_address\":[\"b\"],\"bluetooth_mac_address\":4,\"asset_tag\":\"t\",\"asset_tag\":\"u\",\"serial_number\":\"B2\"}]}";
	static const char expected[] = "9b4b2db5d391a4b5";
	struct buffer fingerprints CLEANUP(buffer_fini) = BUFFER(JSON_LIMIT), hex CLEANUP(buffer_fini) = BUFFER(100);
	unsigned char digest[SHA256_SIZE];
	size_t length;
	char *live = shared_read(SOURCE_DIRECTORY, VECTORS "micromdm/device_response.json", &length);

	(void)state;
	add_fingerprints(&fingerprints, (struct text){ live, length });
	add_fingerprints(&fingerprints, text_of(odd));
	free(live);
	sha256(digest, &(struct digest_part){ fingerprints.bytes, fingerprints.length }, 1);
	buffer_add_hex(&hex, digest, 8);
	assert_int_equal(APPLE_READING_VERSION, 1);
	assert_string_equal(hex.bytes, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_stand_where_the_parser_finds_them),
		cmocka_unit_test(a_page_that_ends_anywhere_is_not_read_beyond_its_end),
		cmocka_unit_test(a_byte_that_changed_anywhere_is_found),
		cmocka_unit_test(each_byte_of_a_device_counts),
		cmocka_unit_test(a_serial_number_that_is_there_twice_is_read_twice),
		cmocka_unit_test(nothing_is_kept_of_a_page_with_a_record_that_was_refused),
		cmocka_unit_test(a_device_that_is_gone_is_read),
		cmocka_unit_test(another_clients_hashes_and_another_versions_are_others),
		cmocka_unit_test(a_page_is_named_by_what_was_received),
		cmocka_unit_test(what_is_read_of_these_bytes_is_of_this_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
