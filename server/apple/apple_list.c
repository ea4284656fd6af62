// SPDX-License-Identifier: Apache-2.0
//
// apple_list.c - a page of a list of all devices, of which only that is read which is not stored already (decision 0025).
//
// What is left out are whole elements of the array, each with the comma behind it: what remains is parsed as ever, and is well-formed if
// the page was. The hashes are compared with those of bytes that were parsed, and gave the row: equal bytes give it again.
#include "apple/apple.h"

#include "apple/apple_device.h"
#include "depbroker/digest.h"
#include "tenants/device_list.h"
#include "tenants/seen.h"

#include <stdlib.h>
#include <string.h>

void apple_listing_init(struct apple_listing *listing, struct known *known, int64_t tenant_id)
{
	*listing = (struct apple_listing){ .known = known, .key = { APPLE_READING_VERSION, (uint64_t)tenant_id } };
}

enum { AHEAD = 8 }; // devices

struct listed {
	const struct apple_listing *listing;
	struct device_list list;
	uint64_t *hashes; // of each device
	size_t *read;     // which ones are read
	size_t read_count;
	struct buffer rest; // of the page, when some are left out
};

static uint64_t hash_of(const struct listed *listed, const struct device_extent *extent)
{
	const uint64_t hash = keyed_hash_of_long(listed->listing->key, extent->bytes);

	return hash != 0 ? hash : 1;
}

static void look_up(struct listed *listed)
{
	for (size_t i = 0; i < listed->list.count; i++) {
		if (i + AHEAD < listed->list.count) {
			known_expect(listed->listing->known, listed->list.extents[i + AHEAD].serial);
		}
		const struct device_extent *extent = &listed->list.extents[i];

		listed->hashes[i] = hash_of(listed, extent);
		if (extent->serial.length == 0 || !known_add_listed(listed->listing->known, extent->serial, listed->hashes[i])) {
			listed->read[listed->read_count++] = i;
		}
	}
}

static void write_rest(struct listed *listed, struct text page)
{
	const struct text inside = listed->list.inside;
	const char *end = inside.bytes + inside.length;

	listed->rest = BUFFER(page.length + 1);
	buffer_add(&listed->rest, page.bytes, (size_t)(inside.bytes - page.bytes));
	for (size_t i = 0; i < listed->read_count; i++) {
		buffer_add_string(&listed->rest, i > 0 ? "," : "");
		buffer_add_text(&listed->rest, listed->list.extents[listed->read[i]].bytes);
	}
	buffer_add(&listed->rest, end, (size_t)(page.bytes + page.length - end));
}

// Of a serial number that is there twice the parser has to see both.
static bool is_one_there_twice(const struct apple_page *page, const struct known *known)
{
	for (size_t i = 0; i < page->count; i++) {
		if (known_is_in_page(known, page->devices[i].serial_number)) {
			return true;
		}
	}
	return false;
}

// Each record is of the bytes in its place, unless one was refused; and nothing else of the page has had a part in it.
static void keep_hashes(struct apple_page *page, const struct listed *listed)
{
	if (page->count != listed->read_count || page->rejected > 0 || page->extras_dropped > 0) {
		return;
	}
	for (size_t i = 0; i < page->count; i++) {
		if (page->devices[i].operation != DEVICE_DELETED) {
			page->devices[i].list_hash = listed->hashes[listed->read[i]];
		}
	}
}

// False: the page is to be read whole.
static bool parse_rest(struct apple_page *page, struct listed *listed, struct text whole, enum err *rc, struct fault *fault)
{
	const struct known *known = listed->listing->known;

	if (known->page_count == 0) {
		return false;
	}
	write_rest(listed, whole);
	const size_t length = listed->rest.length;

	*rc = apple_page_parse(page, buffer_take(&listed->rest), length, fault);
	if (*rc == OK && is_one_there_twice(page, known)) {
		apple_page_fini(page);
		return false;
	}
	page->unchanged = known->page_count;
	return true;
}

// What was found in the page is not to be looked at any more: it is read in place, and may move.
static enum err parse_whole(struct apple_page *page, struct listed *listed, char *bytes, size_t length, struct fault *fault)
{
	known_drop_page(listed->listing->known);
	for (size_t i = 0; i < listed->list.count; i++) {
		listed->read[i] = i;
	}
	listed->read_count = listed->list.count;
	return apple_page_parse(page, bytes, length, fault);
}

static void name_page(unsigned char digest[APPLE_DIGEST_SIZE], const struct listed *listed, struct text page)
{
	const struct text inside = listed->list.inside;
	const char *end = inside.bytes + inside.length;
	const struct digest_part parts[] = {
		{ listed->hashes, listed->list.count * sizeof *listed->hashes },
		{ page.bytes, (size_t)(inside.bytes - page.bytes) },
		{ end, (size_t)(page.bytes + page.length - end) },
	};

	sha256(digest, parts, sizeof parts / sizeof *parts);
}

static enum err parse(struct apple_page *page, struct listed *listed, char *bytes, size_t length, struct fault *fault)
{
	const struct text whole = { bytes, length };
	unsigned char digest[APPLE_DIGEST_SIZE];
	enum err rc;

	listed->hashes = allocate_array(listed->list.count + 1, sizeof *listed->hashes);
	listed->read = allocate_array(listed->list.count + 1, sizeof *listed->read);
	look_up(listed);
	name_page(digest, listed, whole);
	if (parse_rest(page, listed, whole, &rc, fault)) {
		free(bytes);
	} else {
		rc = parse_whole(page, listed, bytes, length, fault);
	}
	memcpy(page->digest, digest, sizeof digest);
	if (rc == OK) {
		keep_hashes(page, listed);
	} else {
		known_drop_page(listed->listing->known);
	}
	free(listed->hashes);
	free(listed->read);
	return rc;
}

enum err apple_list_parse(struct apple_page *page, char *bytes, size_t length, const struct apple_listing *listing, struct fault *fault)
{
	struct listed listed = { .listing = listing };

	known_drop_page(listing->known);
	if (length > APPLE_ANSWER_MAX || !device_list_find(&listed.list, (struct text){ bytes, length }, APPLE_PAGE_RECORDS_MAX)) {
		device_list_fini(&listed.list);
		listed.list.inside = (struct text){ bytes, 0 }; // no device of it is found: all stands around them
	}
	const enum err rc = parse(page, &listed, bytes, length, fault);

	device_list_fini(&listed.list);
	return rc;
}
