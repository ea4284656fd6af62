// SPDX-License-Identifier: Apache-2.0
//
// Two pages of any bytes, a list and the same list later: of the second one that is read which the parser reads, or it is stored just so.
#include "apple/apple.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static enum err parse(struct apple_page *page, struct text json, struct known *known)
{
	struct apple_listing listing;
	struct fault fault;

	apple_listing_init(&listing, known, 1);
	return apple_list_parse(page, duplicate(json), json.length, &listing, &fault);
}

static void remember(struct known *known, const struct apple_page *page)
{
	for (size_t i = 0; i < page->count; i++) {
		const struct device_record *record = &page->devices[i];

		known_put(known, record->serial_number, record->fingerprint, record->list_hash, record->operation == DEVICE_DELETED);
	}
}

static bool is_read(const struct apple_page *page, struct text serial)
{
	for (size_t i = 0; i < page->count; i++) {
		if (text_equal(page->devices[i].serial_number, serial)) {
			return true;
		}
	}
	return false;
}

static void compare(struct text json, struct known *known)
{
	struct apple_page listed, whole;
	struct fault fault;
	const enum err rc = apple_page_parse(&whole, duplicate(json), json.length, &fault);

	if (parse(&listed, json, known) != rc || (rc != OK && known->page_count > 0)) {
		abort();
	}
	for (size_t i = 0; rc == OK && i < whole.count; i++) {
		const struct device_record *record = &whole.devices[i];

		if (is_read(&listed, record->serial_number) == known_is_in_page(known, record->serial_number) ||
			(known_is_in_page(known, record->serial_number) && known_ask(known, record->serial_number, record->fingerprint) != KNOWN_SAME)) {
			abort();
		}
	}
	apple_page_fini(&listed);
	apple_page_fini(&whole);
}

// The pages stand one behind the other, with a zero byte between them; without one they are the same.
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static const unsigned char key[KNOWN_KEY_SIZE] = { 1 };
	const struct text all = { (const char *)bytes, length };
	const char *zero = length > 0 ? memchr(all.bytes, '\0', length) : NULL;
	const struct text first = { all.bytes, zero != NULL ? (size_t)(zero - all.bytes) : length };
	const struct text second = zero != NULL ? (struct text){ zero + 1, length - first.length - 1 } : all;
	struct known known;
	struct apple_page page;

	known_init(&known, key, 1 << 22);
	if (parse(&page, first, &known) == OK) {
		remember(&known, &page);
	}
	apple_page_fini(&page);
	compare(second, &known);
	known_fini(&known);
	return 0;
}
