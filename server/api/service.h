// SPDX-License-Identifier: Apache-2.0
//
// service.h - what one api process holds, seen by everything in this room.
#pragma once

#include "crypto/key_provider.h"
#include "depbroker/config.h"
#include "loop/http_client.h"
#include "loop/http_server.h"
#include "loop/pg.h"

struct service {
	const struct config *config;
	struct loop loop;
	struct pg_pool *pool;
	struct key_provider *keys;
	struct http_client *apple;
	struct http_server *public_listener; // NULL: not open yet, or closed
	struct http_server *dep_listener; // virtual DEP servers; NULL as above
	struct http_server *admin_listener;
	struct readiness *readiness;
	struct housekeeping *housekeeping; // NULL: not open yet
	struct job_runner *job_runner;     // likewise
	unsigned calls; // not finished yet; they may outlive their clients, and the listener
	void (*idle)(struct service *service); // called when there is none any more; NULL: nobody waits for that
	struct proxy_sessions *proxy_sessions; // of the NanoDEP API
	struct recent *recent; // rows of keys and tenants
	struct rate_limit *address_rates; // of the pages that need no key: by address, and by link
	struct rate_limit *link_rates;
	struct rate_limit *dep_rates; // by address
	struct rate_limit *public_key_rates; // by address
	struct rate_limit *replay_rates;     // by endpoint
	struct rate_limit *hook_rates; // by address, and by the instance that a message is for
};
