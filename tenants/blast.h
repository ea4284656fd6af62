// SPDX-License-Identifier: Apache-2.0
//
// blast.h - whether a change may move so many devices at once, or a second person is asked first.
//
// Laws  1. pure
//       2. allowed is what changes, together with what was moved without an approval within the last BLAST_WINDOW_S, at most as
//          many devices as the larger of two limits says: a number, or a share of the devices that there are
//       3. an approval allows up to the number that it names, and nothing beyond it
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { BLAST_DEVICES = 25, BLAST_PERCENT = 10, BLAST_WINDOW_S = 86400 };

struct blast_limits { // negative: BLAST_DEVICES, BLAST_PERCENT; 0 and 0: every change is asked for
	int64_t devices, percent;
};

struct blast_cost {
	int64_t present; // devices of the client
	int64_t changes; // with another instance, another profile, held or no longer held. May be more than there are: a job counts them a slice
	                 // at a time, and devices go meanwhile
	int64_t spent;   // moved within the window, by changes that nobody else was asked about
	int64_t approved;
};

enum blast_decision { BLAST_ALLOWED, BLAST_NEEDS_APPROVAL };

enum blast_decision blast_decide(const struct blast_limits *limits, const struct blast_cost *cost);
int64_t blast_limit(const struct blast_limits *limits, int64_t present); // the number of devices that need no approval
