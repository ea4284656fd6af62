// SPDX-License-Identifier: Apache-2.0
//
// sim_apple.h - a call to the simulated Apple, between the way there and back (sim_calls.c) and what it does there (sim_apple.c).
#pragma once

#include "sim/sim.h"

enum what { SIGN_IN, ACCOUNT, FETCH, SYNC, DETAILS, DEFINE, ASSIGN, REPLACES, REMOVE, RELEASE };

struct sim_call {
	struct apple_call *call;
	struct sim_life *life;
	struct sim_tenant *tenant;
	enum what what;
	bool signing_in, renewed, over;
	bool is_out; // a request that was let out, and has no answer yet
	void *out;
	struct text cursor, session, content, uuid;
	struct text *serials;
	size_t count;
	bool current; // sent by the owner, as the rows have it
	int64_t loaded_config;
	// The answer
	enum err rc;
	int64_t retry_after_s;
	struct text new_session, new_cursor;
	struct device_record *records;
	size_t record_count;
	bool more;
	enum assign_result *results;
};

struct apple_profile {
	int64_t instance_id;
	int version; // of the instance's members
	bool forgotten;
};

bool sim_is_foreign(struct text session);
bool sim_knows_session(const struct sim_tenant *tenant, struct text session);
struct text sim_new_session(const struct sim_tenant *tenant);
struct apple_profile *sim_profile_at_apple(const struct sim_tenant *tenant, struct text uuid);
size_t sim_called_device(const struct sim_call *at, struct text serial);
void sim_apple_serve(struct sim_call *at); // does what the call asks for, and writes the answer into it
