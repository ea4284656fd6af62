// SPDX-License-Identifier: Apache-2.0
//
// worker.h - `depbroker worker`: takes due clients and runs each on its own.
#pragma once

#include "depbroker/config.h"

// Runs until SIGTERM or SIGINT. Returns the exit code.
MUST_USE int worker_main(const struct config *config);
