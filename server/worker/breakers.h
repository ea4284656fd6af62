// SPDX-License-Identifier: Apache-2.0
//
// breakers.h - a breaker for each address of Apple's service that clients of this process have.
//
// Ownership  the set owns its breakers until breakers_free; they do not move.
#pragma once

#include "depbroker/list.h"
#include "tenants/breaker.h"

enum { BREAKERS_MAX = 100 }; // addresses beyond these have none: such clients wait each for itself

struct breakers {
	struct list all; // list_init
	unsigned count;
};

struct breaker *breakers_of(struct breakers *breakers, const char *base_url); // NULL: none
void breakers_free(struct breakers *breakers);
