// SPDX-License-Identifier: Apache-2.0
//
// rules_load.h - the rules in force, and with them the profiles that they name: read when they are needed.
//
// Ownership  the rules are the tenant's.
// Laws       1. rules are read and profiles composed with the client, unless this process knows of the very same input that both work and
//               that nobody is to be told about it (settled.h): then at first use
//            2. so what is wrong with either is found when the client is loaded, and never later
#pragma once

#include "worker/tenant.h"

// After everything else that was loaded. ERR_BUG: the stored rules cannot be read.
MUST_USE enum err rules_load(struct tenant *tenant, struct text document, struct fault *fault);
// Reads what was left; the client's labels too. Whoever uses rules, labels or the list of wanted profiles calls it before.
void rules_need(struct tenant *tenant);
