// SPDX-License-Identifier: Apache-2.0
//
// hook.h - what MDM servers tell: POST /hooks/{tenant}/{instance}, signed, or with the secret behind it.
//
// Laws  1. nothing that is heard is believed before the secret has been proven; whoever cannot prove it is refused by the same words, after
//          the same work, whether tenant, instance and secret exist or not
//       2. the answer comes when the message is stored; a message that comes again changes nothing
#pragma once

#include "api/call.h"

enum { HOOK_BODY_MAX = 1 << 20, HOOK_SECRET_SIZE = 48 }; // hexadecimal digits

void hook_admit(struct call *call);
