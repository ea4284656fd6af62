// SPDX-License-Identifier: Apache-2.0
//
// url_guard.h - whether an enrolment URL stays on the hosts that an instance lists: what keeps a device from being sent to
// somebody else's MDM by one wrong or hostile profile (architecture, section 6).
//
// Laws       1. pure: no name is resolved
//            2. default deny: https only, no user information, printable ASCII only; anything that two parsers could read
//               differently (a backslash, a blank, a lone '%', a dot at the host's end) is refused
//            3. hosts are compared whole, ignoring the case of ASCII letters; punycode is a name like any other
//            4. a listed host means port 443; another port must be listed with the host: "mdm.example:8443"
#pragma once

#include "depbroker/text.h"

enum { URL_GUARD_URL_MAX = 2000, URL_GUARD_HOST_MAX = 259 }; // 253 bytes of a name, a colon and a port

// Both: ERR_BAD_INPUT with a sentence that says what is wrong.
MUST_USE enum err url_guard_check(struct text url, const struct text *allowed_hosts, size_t count, struct fault *fault);
MUST_USE enum err url_guard_check_host(struct text allowed_host, struct fault *fault); // an entry of the list itself

// A URL that is not guarded by hosts: http or https, a host, printable ASCII, whole escapes, no user information.
MUST_USE enum err url_check(struct text url, struct fault *fault);
