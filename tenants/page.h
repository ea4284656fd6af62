// SPDX-License-Identifier: Apache-2.0
//
// page.h - what one page means: which record of each serial number counts, and whether the device is gone.
//
// Ownership  a plan owns its items; it refers to the records by their index. page_plan_fini frees, harmless when zeroed.
// Laws       1. one item a serial number; of several records the greatest op_date counts, on a tie the later position
//               (dep-api.md, section 7); a record without op_date counts as the oldest
//            2. nothing acts on op_type except this: "deleted" is gone, everything else is present, known before or not
#pragma once

#include "depbroker/device.h"

struct page_item {
	uint32_t record; // index into the page's records
	bool gone;
	bool is_new; // nothing is stored of it, as far as its user knows
};

struct page_plan {
	struct page_item *items; // in the order of their records
	size_t count;
	size_t duplicates; // records that do not count
	size_t gone;       // items that are gone
};

void page_plan_make(struct page_plan *plan, const struct device_record *records, size_t count);
// By serial number, byte by byte. What is stored in the order of the indexes costs half.
void page_items_sort(struct page_item *items, size_t count, const struct device_record *records);
void page_plan_fini(struct page_plan *plan);
