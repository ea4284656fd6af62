// SPDX-License-Identifier: Apache-2.0
//
// housekeeping.h - what an api process does unasked: it ends deletions that were broken off, and drops the private keys of renewal links
// that nobody used.
//
// Ownership  housekeeping_close gives it back; it may live on until its transaction is over.
// Thread     loop thread only.
// Laws       1. each chore may be done by several processes at once, and any number of times
//            2. a chore that fails is tried again in the next round, and keeps no other from being done
#pragma once

#include "api/service.h"

struct housekeeping *housekeeping_open(struct service *service);
void housekeeping_close(struct housekeeping *housekeeping); // before the pool is closed
