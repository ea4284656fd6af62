// SPDX-License-Identifier: Apache-2.0
//
// paging.h - `limit` and `cursor` of lists, `after` of logs.
//
// Laws  1. a cursor says after which key of which list to go on, and nothing about what the API key may see
//       2. a cursor of another list is refused
#pragma once

#include "api/call.h"
#include "api/json_out.h"

enum { PAGE_LIMIT_MAX = 1000, PAGE_LIMIT_USUAL = 100 };

struct paging {
	const char *list; // its name, part of the cursor
	int limit;
	struct text after; // empty: from the first
};

// All: false when it has been refused and answered.
MUST_USE bool paging_read(struct call *call, struct paging *out, const char *list);
MUST_USE bool paging_limit(struct call *call, int64_t *out); // 1 to 1000
MUST_USE bool paging_number(struct call *call, const char *name, int64_t *out); // a query parameter from 0; absent: 0

// Of lists by number: where the page goes on, `first` at the first one.
int64_t paging_after_number(const struct paging *paging, int64_t first);
// The rows of statement 0 as the answer. `put` writes one, and into `key`, which is empty, what the cursor goes on from.
void paging_answer(struct call *call, const struct paging *paging,
	void (*put)(struct json_out *json, const struct pg_transaction *t, size_t row, struct buffer *key));
void paging_number_key(struct buffer *key, int64_t number); // of lists by number

// The member "cursor" at the end of a page of `count` items whose last one is `last`; null when it was the last page.
void paging_write(struct json_out *json, const struct paging *paging, size_t count, struct text last);
