// SPDX-License-Identifier: Apache-2.0
//
// fault_plan.h - planted faults: which requests they hit, how often, and what goes wrong then.
//
// Ownership  the list owns its plans; one that is used up stays listed with `times` 0 until it is deleted.
#pragma once

#include "applesim/world.h"
#include "depbroker/list.h"

#include <yyjson.h>

enum page_place { PAGE_ANY, PAGE_FIRST, PAGE_MIDDLE, PAGE_LAST, PAGE_NUMBER };

struct fault_plan {
	struct list link;
	int64_t id;
	int64_t tenant;  // 0: any
	char *method;    // NULL: any
	char *path;      // NULL: any that it makes sense for
	int64_t skip;    // requests that still pass
	int64_t times;   // that are still to be hit; -1: without end
	int64_t hits;
	enum page_place place;
	int64_t page; // for PAGE_NUMBER, from 1
	// what goes wrong
	unsigned status; // 0: none of our business
	char *body;      // NULL: none of our business
	char *content_type;
	char *headers; // lines, each with its CRLF
	bool perform;  // do what was asked, and then give `status` and `body`
	int64_t delay_ms;
	int64_t cut_after_bytes; // -1: not
	int64_t drip_ms;   // between two bytes of the body; 0: at once
	int64_t pad_bytes; // blanks after the body
	bool reset;
	bool stuck_cursor;
	int64_t duplicates; // how many more times each device of a page is listed
	const char *result; // per device: FAILED, NOT_ACCESSIBLE, THROTTLED, MISSING; NULL: none
	char **serials;     // whose; none and share < 0: everybody's
	size_t serial_count;
	double share;
	int64_t retry_after_s; // of THROTTLED
	bool terms_unsigned;
	bool token_rejected;
};

struct fault_list {
	struct list plans;
	int64_t last_id;
};

struct fault_target {
	int64_t tenant; // 0: nobody known
	const char *method;
	const char *path;
	bool is_assignment;
	bool is_listing;
};

struct fault_page {
	unsigned number; // from 1
	bool is_last;
};

void fault_list_init(struct fault_list *list);
void fault_list_clear(struct fault_list *list);
MUST_USE bool fault_list_delete(struct fault_list *list, int64_t id);
// NULL with a reason: the plan makes no sense.
struct fault_plan *fault_list_add(struct fault_list *list, yyjson_val *json, const char **reason);
// The first plan that hits; its count is taken. `page` NULL: plans that ask for a page are not looked at; otherwise only
// those.
struct fault_plan *fault_list_take(struct fault_list *list, const struct fault_target *target,
	const struct fault_page *page);
MUST_USE bool fault_plan_names(const struct fault_plan *plan, const char *serial); // for `result`
void fault_list_json(struct buffer *out, const struct fault_list *list);
