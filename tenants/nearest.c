// SPDX-License-Identifier: Apache-2.0
#include "tenants/nearest.h"

#include <string.h>

enum { WORD_MAX = 64 };

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

// The optimal string alignment distance, ignoring the case of ASCII letters; both are at most WORD_MAX long.
static size_t distance(struct text a, struct text b)
{
	size_t rows[3][WORD_MAX + 1] = { 0 }; // the row before the last, the last one, and the one that is being filled

	for (size_t j = 0; j <= b.length; j++) {
		rows[1][j] = j;
	}
	for (size_t i = 1; i <= a.length; i++) {
		rows[2][0] = i;
		for (size_t j = 1; j <= b.length; j++) {
			const bool same = lower(a.bytes[i - 1]) == lower(b.bytes[j - 1]);
			size_t cost = least(least(rows[1][j], rows[2][j - 1]) + 1, rows[1][j - 1] + (same ? 0 : 1));

			if (i > 1 && j > 1 && lower(a.bytes[i - 1]) == lower(b.bytes[j - 2]) &&
				lower(a.bytes[i - 2]) == lower(b.bytes[j - 1])) {
				cost = least(cost, rows[0][j - 2] + 1);
			}
			rows[2][j] = cost;
		}
		memcpy(rows[0], rows[1], sizeof rows[0]);
		memcpy(rows[1], rows[2], sizeof rows[0]);
	}
	return rows[1][b.length];
}

struct text nearest_word(struct text wrong, const struct text *words, size_t count)
{
	struct text nearest = TEXT_NONE;
	size_t fewest = wrong.length / 4 + 1;

	if (wrong.length == 0 || wrong.length > WORD_MAX) {
		return TEXT_NONE;
	}
	for (size_t i = 0; i < count; i++) {
		if (words[i].length == 0 || words[i].length > WORD_MAX) {
			continue;
		}
		const size_t mistakes = distance(wrong, words[i]);

		if (mistakes < fewest) {
			fewest = mistakes;
			nearest = words[i];
		}
	}
	return nearest;
}
