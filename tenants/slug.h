// SPDX-License-Identifier: Apache-2.0
//
// slug.h - the names of tenants and instances: "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
#pragma once

#include "depbroker/text.h"

enum { SLUG_MAX = 63 };

bool is_slug(struct text t);
// The slug that comes nearest to a name: lower case, a hyphen for each run of other bytes. Empty when nothing is left.
void slug_of(char out[SLUG_MAX + 1], struct text name);
