// SPDX-License-Identifier: Apache-2.0
//
// readiness.h - whether this process can serve: the database is connected and writable, its schema is ours, the linter is
// content.
//
// Ownership  made by readiness_open; readiness_close frees it, when its listener is closed.
// Laws       1. asked at most every 2 s; whoever asks meanwhile gets, or waits for, the same answer
//            2. the trouble of one tenant never makes the service unready
#pragma once

#include "api/service.h"

struct readiness *readiness_open(struct service *service);
void readiness_answer(struct readiness *readiness, struct http_request *request);
void readiness_close(struct readiness *readiness);
