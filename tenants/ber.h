// SPDX-License-Identifier: Apache-2.0
//
// ber.h - where one BER element ends (ITU-T X.690, section 8.1), whatever it means.
#pragma once

#include "depbroker/text.h"

enum { BER_DEPTH_MAX = 32 };

enum ber_verdict {
	BER_WHOLE,
	BER_CUT,     // its end is missing
	BER_DAMAGED, // no end can be told: a broken header, or deeper than BER_DEPTH_MAX
};

// Of the element that `in` begins with; `length` is set with BER_WHOLE. Definite and indefinite lengths.
MUST_USE enum ber_verdict ber_measure(size_t *length, struct text in);

// Drops tag and length octets off the front of `in`, so that it begins with the content. False: they are cut or broken.
MUST_USE bool ber_enter(struct text *in);
