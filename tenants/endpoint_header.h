// SPDX-License-Identifier: Apache-2.0
//
// endpoint_header.h - headers that an operator adds to an endpoint's webhooks.
//
// Laws  1. none can change what the request means: whom it goes to, how long it is, who it is from, what it is signed with
//       2. a value has no byte that could end the line
#pragma once

#include "depbroker/text.h"

enum { ENDPOINT_HEADER_NAME_MAX = 64, ENDPOINT_HEADER_VALUE_MAX = 512 };

// ERR_BAD_INPUT says why not.
MUST_USE enum err endpoint_header_check(struct text name, struct text value, struct fault *fault);
