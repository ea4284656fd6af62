// SPDX-License-Identifier: Apache-2.0
//
// endpoint_action.h - what is done with one webhook endpoint: it is found, and then acted on.
//
//   begin -> (the endpoint is read) -> take -> act -> (the second transaction) -> refused, or answer
//
// Laws       1. whoever is no endpoint of the tenant does not exist, by the same words for all
//            2. whose it is says the route: a tenant's, or STORE_EVERYBODY's
//            3. the row that take and act get is of the first transaction, and gone when act has begun the second one
#pragma once

#include "api/call.h"
#include "store/endpoints.h"

struct endpoint_action {
	bool (*begin)(struct call *call); // reads what was sent, and may own something. False: it has answered. NULL: there is nothing
	void (*ask)(struct call *call);   // adds further statements, from the second on, to those that read the endpoint. NULL: none
	bool (*take)(struct call *call, struct endpoint_row *endpoint); // looks at what was read. False: it has answered. NULL: it may be acted on
	void (*act)(struct call *call, const struct endpoint_row *endpoint); // starts the second transaction. NULL: there is none
	bool (*refused)(struct call *call); // of the failures that it has words for; it has answered then. NULL: it has none
	void (*answer)(struct call *call);
};

// Part of a path: `before_slug` and the tenant's slug, or nothing for the endpoints of STORE_EVERYBODY.
const char *endpoint_of_whom(struct call *call, const char *before_slug);

void endpoint_act(struct call *call, const struct endpoint_action *action); // the step of a route
