// SPDX-License-Identifier: Apache-2.0
//
// labels.h - labels of single devices, as requests bring them and as they are stored: a line each.
#pragma once

#include "api/json_out.h"
#include "depbroker/arena.h"

enum { LABELS_MAX = 20, LABEL_MAX = 60 };
#define LABELS_LAW "labels are at most %d, of 1 to %d bytes, without control characters" // LABELS_MAX, LABEL_MAX

// Both: lines in the arena, bytes NULL when they break the law. No labels at all are an empty text.
struct text labels_join(struct arena *arena, const struct text *labels, size_t count);
struct text labels_split(struct arena *arena, struct text list, const char *separators); // "site=north,year=2026"

void labels_json(struct json_out *json, struct text lines); // a member "labels"
