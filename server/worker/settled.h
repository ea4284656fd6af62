// SPDX-License-Identifier: Apache-2.0
//
// settled.h - of which clients this process has found out that their rules can be read and that nobody is to be told about a profile of theirs.
//
// What it was found out from is known by its digest. As reading rules and composing profiles are pure, equal digests mean equal results, so
// a run that has no device to decide about need not do either (wanted_profile.h).
//
// Ownership  the set owns its memory until settled_free.
// Law        one digest a client, and a fixed number of clients: of two that share a place the later one has it
#pragma once

#include "depbroker/digest.h"

enum { SETTLED_MAX = 16384 };

struct settled { // zeroes: nothing is known
	unsigned char (*digests)[SHA256_SIZE];
	size_t count;
};

bool settled_is(const struct settled *settled, int64_t tenant_id, const unsigned char digest[SHA256_SIZE]);
void settled_note(struct settled *settled, int64_t tenant_id, const unsigned char digest[SHA256_SIZE]);
void settled_free(struct settled *settled);
