// SPDX-License-Identifier: Apache-2.0
//
// sync_removals.h - what the end of a list means for devices that it does not have: they are counted, and removed unless the brake holds
// them (brake.h). The steps of sync_flow.c, which knows their order; of these two files only.
//
//   begin -> while marks_left: read, count -> unless held, while marks_left: read, take; while unseen_count > 0: read_rows, reconcile, write
//         -> the brake's row, when it must be written
#pragma once

#include "worker/sync_flow.h"

enum { SYNC_MARKS_BATCH = 10000 }; // rows that are read at once of what is stored

void sync_removals_begin(struct sync_flow *sync);
void sync_removals_read(struct sync_flow *sync);
void sync_removals_count(struct sync_flow *sync); // what was read
bool sync_removals_are_held(const struct sync_flow *sync);
void sync_removals_take(struct sync_flow *sync); // likewise: the serial numbers that the list does not have
void sync_removals_read_rows(struct sync_flow *sync);
void sync_removals_reconcile(struct sync_flow *sync);
void sync_removals_write(struct sync_flow *sync);
bool sync_removals_must_write_brake(const struct sync_flow *sync);
void sync_removals_build_brake(struct fenced_write *write, struct pg_transaction *t);
void sync_removals_brake_is_written(struct sync_flow *sync);
