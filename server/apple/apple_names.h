// SPDX-License-Identifier: Apache-2.0
//
// apple_names.h - Apple's names on the wire, for those who speak like it.
#pragma once

#define APPLE_SESSION_HEADER "X-ADM-Auth-Session"
#define APPLE_VERSION_HEADER "X-Server-Protocol-Version"
#define APPLE_MEDIA_TYPE     "application/json;charset=UTF8" // so spelled, without a hyphen
