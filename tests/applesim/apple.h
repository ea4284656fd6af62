// SPDX-License-Identifier: Apache-2.0
//
// apple.h - Apple's side: the gate that every request passes, and the endpoints behind it.
//
// Laws       1. order: endpoint, User-Agent, protocol version, planted fault, session, Content-Type, JSON, handler
//            2. an error is Apple's status and a bare word; nothing but 200 has a JSON body
#pragma once

#include "applesim/fault_plan.h"
#include "rig/json.h"
#include "applesim/world.h"
#include "rig/web.h"

enum { SERVED_MAX = 65536, WORD_SIZE = 36 };

struct served { // one line of the log of requests
	uint64_t number;
	int64_t tenant;
	int64_t at_ms;
	const char *method;
	const char *path;
	unsigned status;
	int version;
	uint32_t devices;
	bool was_faulty;
	char word[WORD_SIZE]; // of an error
};

struct apple {
	struct world *world;
	struct fault_list faults;
	struct served *served; // a ring
	uint64_t served_count;
	uint64_t by_status[600];
};

struct call {
	struct apple *apple;
	struct world *world;
	struct web_request *request;
	struct web_answer *answer;
	const struct endpoint *endpoint;
	struct tenant *tenant; // NULL: nobody known yet
	struct session *session;
	int version;
	yyjson_val *body; // an object, when the endpoint has one
	struct fault_plan *fault;
	uint32_t devices; // for the log
	struct profile *profile; // that is being assigned
	int64_t retry_after_s;   // 0: nothing was throttled
};

struct endpoint {
	const char *method;
	const char *path;
	void (*handle)(struct call *call);
	bool has_body;
	int since; // protocol version
	bool is_listing;
	bool is_assignment;
};

void apple_init(struct apple *apple, struct world *world);
void apple_fini(struct apple *apple);
void apple_handle(struct web_request *request, struct web_answer *answer); // of the web server; context: struct apple

void answer_word(struct call *call, unsigned status, const char *word);
void answer_json(struct call *call); // the body has been written: 200
struct fault_target call_target(const struct call *call);

// session.c
void handle_session(struct call *call);
MUST_USE bool session_check(struct call *call); // false: answered 401
struct tenant *session_owner(const struct world *world, struct text token);
void sessions_forget(struct world *world);
// oauth_check.c
enum oauth_verdict { OAUTH_FITS, OAUTH_MALFORMED, OAUTH_REFUSED };
struct tenant *oauth_claimed(struct call *call);                           // whose consumer key the header names
enum oauth_verdict oauth_check(struct call *call, unsigned *status, const char **word);
// listing.c
void handle_fetch(struct call *call);
void handle_sync(struct call *call);
void handle_details(struct call *call);
// profiles.c
void handle_define(struct call *call);
void handle_profile(struct call *call);
void handle_assign(struct call *call);
void handle_remove(struct call *call);
// profile_check.c: the word of the first mistake in a profile, or NULL
const char *profile_mistake(yyjson_val *profile);
char *profile_text(yyjson_val *profile, const char *uuid, int version); // as it is kept and given back
// others.c
void handle_account(struct call *call);
void handle_disown(struct call *call);
void handle_activation_lock(struct call *call);
void handle_beta_tokens(struct call *call);
void handle_discovery_set(struct call *call);
void handle_discovery_get(struct call *call);
void handle_discovery_delete(struct call *call);
void handle_replacement(struct call *call);

// The request's array of serial numbers; NULL: answered with an error.
yyjson_val *call_devices(struct call *call);
MUST_USE bool are_serials(yyjson_val *array);
// Assigns call->profile; one of add_results.
const char *assign_one(struct call *call, const char *serial, struct device *device, size_t place);
bool is_instead_of_running(const struct fault_plan *fault);
// Writes "devices":{"SERIAL":"RESULT",...}, each serial once. `one` decides for a serial (device NULL: it is not here);
// when it gives NULL the serial is left out.
void add_results(struct call *call, yyjson_val *serials,
	const char *(*one)(struct call *call, const char *serial, struct device *device, size_t place));
