// SPDX-License-Identifier: Apache-2.0
//
// job_runner.h - what an api process does for jobs: it costs them and carries them out, a slice at a time, each client's oldest first.
//
// Ownership  job_runner_close gives it back; it may live on until its transaction is over.
// Thread     loop thread only.
// Laws       1. several processes may do so at once: a slice counts once (store/jobs.h), and who came second tries again
//            2. a job that fails keeps no other client's from being done
#pragma once

#include "api/service.h"

struct job_runner *job_runner_open(struct service *service);
void job_runner_close(struct job_runner *runner); // before the pool is closed
void job_runner_wake(struct job_runner *runner);  // there may be something to do. NULL is harmless
