// SPDX-License-Identifier: Apache-2.0
#include "tenants/page.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HASH_FACTOR UINT64_C(0x9e3779b97f4a7c15)

enum { LOOKS_MOST = 8 }; // for a record, on average

struct candidate {
	const struct device_record *record;
	uint32_t index;
};

static int compare_serials(struct text a, struct text b)
{
	const size_t shorter = a.length < b.length ? a.length : b.length;
	const int order = shorter > 0 ? memcmp(a.bytes, b.bytes, shorter) : 0;

	return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

// Of one serial number the record that counts comes last. INSTANT_NONE is the smallest number, and so the oldest.
static int compare(const void *left, const void *right)
{
	const struct candidate *a = left;
	const struct candidate *b = right;
	const int serials = compare_serials(a->record->serial_number, b->record->serial_number);

	if (serials != 0) {
		return serials;
	}
	if (a->record->op_date_us != b->record->op_date_us) {
		return a->record->op_date_us > b->record->op_date_us ? 1 : -1;
	}
	return (a->index > b->index) - (a->index < b->index);
}

static bool counts(const struct candidate *sorted, size_t at, size_t count)
{
	return at + 1 == count ||
		!text_equal(sorted[at].record->serial_number, sorted[at + 1].record->serial_number);
}

static void mark_those_that_count(bool *marks, const struct device_record *records, size_t count)
{
	struct candidate *sorted = allocate_array(count, sizeof *sorted);

	for (size_t i = 0; i < count; i++) {
		sorted[i] = (struct candidate){ &records[i], (uint32_t)i };
	}
	qsort(sorted, count, sizeof *sorted, compare);
	for (size_t i = 0; i < count; i++) {
		marks[sorted[i].index] = counts(sorted, i, count);
	}
	free(sorted);
}

static uint64_t hash_of(struct text serial)
{
	uint64_t hash = serial.length;

	for (size_t i = 0; i < serial.length; i++) {
		hash = (hash ^ (unsigned char)serial.bytes[i]) * HASH_FACTOR;
	}
	return hash ^ hash >> 32;
}

// Nearly always no serial number is there twice, and nothing need be sorted. False also when the records' hashes are so much alike that
// it would take longer to find out.
static bool is_each_there_once(const struct device_record *records, size_t count)
{
	size_t size = 64, looks = 0;

	while (size < 2 * count) {
		size *= 2;
	}
	uint32_t *slots = allocate_array(size, sizeof *slots); // 0: empty, else of the record with one less
	bool once = true;

	for (size_t i = 0; i < count && once; i++) {
		size_t at = (size_t)hash_of(records[i].serial_number) & (size - 1);

		while (slots[at] != 0 && once) {
			once = ++looks < LOOKS_MOST * count && !text_equal(records[slots[at] - 1].serial_number, records[i].serial_number);
			at = (at + 1) & (size - 1);
		}
		slots[at] = (uint32_t)i + 1;
	}
	free(slots);
	return once;
}

struct placed {
	uint64_t start; // of the serial number, so that most comparisons need not look at it
	struct text serial;
	struct page_item item;
};

static int compare_placed(const void *left, const void *right)
{
	const struct placed *a = left;
	const struct placed *b = right;

	return a->start != b->start ? (a->start > b->start ? 1 : -1) : compare_serials(a->serial, b->serial);
}

static uint64_t start_of(struct text serial)
{
	uint64_t start = 0;

	for (size_t i = 0; i < sizeof start; i++) {
		start = start << 8 | (i < serial.length ? (unsigned char)serial.bytes[i] : 0);
	}
	return start;
}

void page_items_sort(struct page_item *items, size_t count, const struct device_record *records)
{
	if (count == 0) {
		return;
	}
	struct placed *sorted = allocate_array(count, sizeof *sorted);

	for (size_t i = 0; i < count; i++) {
		const struct text serial = records[items[i].record].serial_number;

		sorted[i] = (struct placed){ start_of(serial), serial, items[i] };
	}
	qsort(sorted, count, sizeof *sorted, compare_placed);
	for (size_t i = 0; i < count; i++) {
		items[i] = sorted[i].item;
	}
	free(sorted);
}

void page_plan_make(struct page_plan *plan, const struct device_record *records, size_t count)
{
	assert(count < UINT32_MAX);
	*plan = (struct page_plan){ 0 };
	if (count == 0) {
		return;
	}
	bool *marks = allocate_array(count, sizeof *marks);

	plan->items = allocate_array(count, sizeof *plan->items);
	if (is_each_there_once(records, count)) {
		memset(marks, true, count * sizeof *marks);
	} else {
		mark_those_that_count(marks, records, count);
	}
	for (size_t i = 0; i < count; i++) {
		if (marks[i]) {
			const bool gone = records[i].operation == DEVICE_DELETED;

			plan->items[plan->count++] = (struct page_item){ .record = (uint32_t)i, .gone = gone };
			plan->gone += gone ? 1 : 0;
		}
	}
	plan->duplicates = count - plan->count;
	free(marks);
}

void page_plan_fini(struct page_plan *plan)
{
	free(plan->items);
	*plan = (struct page_plan){ 0 };
}
