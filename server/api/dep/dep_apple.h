// SPDX-License-Identifier: Apache-2.0
//
// dep_apple.h - a call to Apple with the client's own token, on behalf of an MDM server that has none.
//
//   dep_apple_ask_token -> call_failed -> dep_apple_take_token -> dep_apple_ask_account -> dep_apple_is_ours -> any call with `session`
//
// Ownership  embedded in an endpoint's state, zeroed; dep_apple_fini when the call is over.
// Laws       1. nothing is asked with a token that is not of the pinned server (architecture, section 6, guard 3)
//            2. it ends before the listener would answer in its place
#pragma once

#include "api/alarm.h"
#include "api/dep/dep.h"
#include "apple/apple.h"

struct dep_apple {
	struct call *call;
	struct alarm *alarm;
	struct server_token token;
	struct apple_server server;
	struct apple_session session;
	struct apple_call apple; // its completion calls the endpoint's step
	struct apple_account account;
	bool is_open;
};

void dep_apple_ask_token(struct call *call);                                  // starts a transaction
MUST_USE bool dep_apple_take_token(struct dep_apple *apple, struct call *call); // false: that has been answered
void dep_apple_ask_account(struct dep_apple *apple);
MUST_USE bool dep_apple_is_ours(struct dep_apple *apple);  // false: that has been answered
MUST_USE bool dep_apple_worked(struct dep_apple *apple);   // after any call; false: Apple's refusal has been handed on
void dep_apple_fini(struct dep_apple *apple);
