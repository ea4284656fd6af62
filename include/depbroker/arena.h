// SPDX-License-Identifier: Apache-2.0
//
// arena.h - memory of one flow or request, freed all at once, with a budget.
//
// Ownership  everything taken from an arena dies with arena_reset or arena_fini; nothing in it is freed singly.
// Laws       an arena never holds more than its budget: arena_take gives NULL beyond it, and the caller returns ERR_BUDGET.
#pragma once

#include "depbroker/text.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t budget_bytes;
	size_t taken_bytes;
};

#define ARENA(budget) ((struct arena){ .budget_bytes = (budget) })

MUST_USE void *arena_take(struct arena *arena, size_t size);                      // zeroed, aligned for any type
MUST_USE char *arena_copy(struct arena *arena, struct text t);                    // NUL-terminated
MUST_USE char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void arena_reset(struct arena *arena);
void arena_fini(struct arena *arena);
