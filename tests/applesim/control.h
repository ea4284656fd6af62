// SPDX-License-Identifier: Apache-2.0
//
// control.h - the listener through which tests and people play administrator, fate and witness (README.md lists it).
#pragma once

#include "applesim/apple.h"

struct control {
	struct apple *apple;
	struct world *world;
};

struct control_call {
	struct control *control;
	struct world *world;
	struct web_request *request;
	struct web_answer *answer;
	struct buffer *out;    // the answer's body
	struct tenant *tenant; // of /tenants/{}
	struct device *device; // of /tenants/{}/devices/{}, when it is there
	yyjson_val *body;      // NULL: none was sent
};

void control_handle(struct web_request *request, struct web_answer *answer); // context: struct control

void refuse_control(struct control_call *call, unsigned status, const char *why);
void add_tenant(struct buffer *out, const struct tenant *tenant);

// control_tenants.c
void control_add_tenants(struct control_call *call);
void control_change_tenant(struct control_call *call);
void control_certificate(struct control_call *call);
void control_make_token(struct control_call *call);
void control_show_token(struct control_call *call);
// control_devices.c
void control_add_devices(struct control_call *call);
void control_change_device(struct control_call *call);
void control_delete_device(struct control_call *call);
void control_move_device(struct control_call *call);
void control_replace_device(struct control_call *call);
// control_truth.c
void control_tenants(struct control_call *call);
void control_tenant(struct control_call *call);
void control_truth(struct control_call *call);
void control_changes(struct control_call *call);
void control_assignments(struct control_call *call);
void control_profiles(struct control_call *call);
void control_change_profile(struct control_call *call);
void control_where(struct control_call *call);
void control_requests(struct control_call *call);
void control_stats(struct control_call *call);
