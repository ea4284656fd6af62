// SPDX-License-Identifier: Apache-2.0
//
// nearest.h - which known word somebody may have meant: the suggestion in "unknown key".
#pragma once

#include "depbroker/text.h"

// The word that differs only in case, or else by the fewest typing mistakes (a byte too many, too few, another one, two
// swapped); TEXT_NONE when none is near: at most one mistake in four bytes. Ties go to the first.
struct text nearest_word(struct text wrong, const struct text *words, size_t count);
