// SPDX-License-Identifier: Apache-2.0
//
// admin.h - the listener for operators: /livez, /readyz, /metrics. No key is asked for; it is not for the public.
#pragma once

#include "api/service.h"

MUST_USE enum err admin_open(struct service *service, struct fault *fault);
