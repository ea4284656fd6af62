// SPDX-License-Identifier: Apache-2.0
//
// bypass_code.h - Activation Lock bypass codes that the server makes: what people type, and what Apple is given.
//
// Law  all of raw is data, NUL bytes too
#pragma once

#include "depbroker/digest.h"

enum { BYPASS_RAW_SIZE = 16, BYPASS_SPELLING_SIZE = 32, BYPASS_ESCROW_KEY_SIZE = 2 * SHA256_SIZE + 1 };

struct bypass_code { // sealed as these bytes
	unsigned char raw[BYPASS_RAW_SIZE];
	unsigned char hash[SHA256_SIZE];
};

// Fills the hash: 50,000 rounds, so through loop/offload.
void bypass_code_derive(struct bypass_code *code);

// "8LNYD-DVNKU-GYRC-E6GU-3YFD-CT86": what unlocks.
void bypass_code_spell(char out[BYPASS_SPELLING_SIZE], const struct bypass_code *code);

// The other way: raw only. False: it is none, spelled as above.
MUST_USE bool bypass_code_read(struct bypass_code *out, struct text spelling);

// 64 hexadecimal digits: what locks.
void bypass_code_escrow_key(char out[BYPASS_ESCROW_KEY_SIZE], const struct bypass_code *code);
