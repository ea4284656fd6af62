// SPDX-License-Identifier: Apache-2.0
//
// apple_gate.h - the breaker of a server (breaker.h) before each request to it and after each answer. For this room only.
#pragma once

#include "apple/apple.h"

// False: nothing may be sent now; retry_after_s and op.fault say so.
bool apple_gate_admits(struct apple_call *call);
// `rc` of the request that was admitted last; call->status is its answer's.
void apple_gate_observe(struct apple_call *call, enum err rc);
