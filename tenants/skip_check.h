// SPDX-License-Identifier: Apache-2.0
//
// skip_check.h - advice about one element of skip_setup_items: misspelt, or without effect on the devices it is meant for.
#pragma once

#include "tenants/profile_layers.h"

// `systems`: bits 1 << enum skip_os; 0: not known.
void skip_check(struct findings *findings, const struct profile_key *key, size_t index, unsigned systems);
