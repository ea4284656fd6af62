// SPDX-License-Identifier: Apache-2.0
//
// process.h - what all runs of one worker process share.
//
// Ownership  owned by worker.c; runs borrow it and end before it does.
// Laws       1. at most RUNS_MAX clients are in flight in a process, RUNS_LONG_MAX more that read long lists (page_turn.h), and
//               RUNS_TELLING_MAX more that only wait for webhook endpoints, so its memory does not grow with the number of clients, and
//               endpoints that hang keep no place of others
//            2. a process whose heart-beat has not reached the database for NODE_ALIVE_S stops its runs by itself
#pragma once

#include "crypto/key_provider.h"
#include "depbroker/config.h"
#include "loop/http_client.h"
#include "store/store.h"
#include "tenants/fair_queue.h"
#include "worker/breakers.h"
#include "worker/load_cache.h"
#include "worker/quiet_ends.h"

enum { RUNS_MAX = 32, RUNS_LONG_MAX = 32, RUNS_TELLING_MAX = 256 };

struct worker_process {
	const struct config *config;
	struct loop loop;
	struct pg_pool *pool;
	struct http_client *apple;
	struct http_client *webhooks;
	struct key_provider *keys;
	struct breakers breakers; // ours alone: other processes have their own
	struct load_cache loads;
	struct quiet_ends ends;
	char node_id[201];
	struct list runs;
	unsigned run_count;
	unsigned long_count;     // of these, long ones
	unsigned telling_count;  // of these, those that only wait for webhook endpoints
	struct fair_queue pages; // whose turn it is to read one
	bool stopping;
	int64_t hint_missed_at_ms; // when a hint led to a client that was not due; 0: never
	void (*run_ended)(struct worker_process *process, bool is_due_again); // perhaps: somebody asked for it while it ran
};
