// SPDX-License-Identifier: Apache-2.0
//
// metrics.h - /metrics in Prometheus' text format. Tenants are labels, serial numbers never.
#pragma once

#include "api/service.h"

void metrics_answer(struct service *service, struct http_request *request);
