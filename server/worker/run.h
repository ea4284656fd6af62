// SPDX-License-Identifier: Apache-2.0
//
// run.h - one client, taken by this process, from the claim to the last write.
//
//   load -> verify a token that waits -> define, replan -> sync -> assign -> wait for deliveries -> tell -> finish
//
// A paused or quarantined client is loaded, its token watched, and nothing else done.
//
// Ownership  run_start allocates; a run frees itself when it has ended and then calls process->run_ended.
// Laws       1. one run a client in all processes: the database decides between processes (stream.h), run_start within one
//            2. when a write of it fails, a run begins anew from what the database holds, a few times; then it lets go
#pragma once

#include "worker/process.h"

#include "store/stream.h"

// Nothing is started while this process runs the client already: what came up meanwhile has moved `wake`, which that run
// compares when it waits and when it ends.
// `taken`: its stream, when it was taken with the claim, otherwise NULL. Its texts are read before the call returns.
void run_start(struct worker_process *process, const struct due_row *due, const struct stream_row *taken);
// The same, of one that was hinted at and not claimed: it is taken if it is due.
void run_start_hinted(struct worker_process *process, int64_t tenant_id);
// True: this process runs the client, and looks at once whether something else came up.
bool run_look(struct worker_process *process, int64_t tenant_id);
// One that may crash the process is under way, and has not been for long (SUSPECT_ALONE_MS).
bool run_has_suspect(const struct worker_process *process);
// Every run of the process: end after the present step.
void run_stop_all(struct worker_process *process);
