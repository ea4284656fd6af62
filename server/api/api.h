// SPDX-License-Identifier: Apache-2.0
//
// api.h - `depbroker api`: the REST API on one listener, health and metrics on another.
//
// Laws  1. it waits for a database that is away; /readyz says so
//       2. SIGTERM drains: no new connections, requests in flight end, 20 s at most; a second signal hurries
//       3. it holds no state of any tenant between two requests
#pragma once

#include "depbroker/config.h"

MUST_USE int api_main(const struct config *config); // the exit code
