// SPDX-License-Identifier: Apache-2.0
//
// renewal.h - what a client's administrator sees behind a renewal link: the steps, the certificate, the form, the result.
//
// Laws  1. a link that is unknown, used or expired shows the same page, byte for byte
//       2. nothing of any other tenant is shown, not even that there is one
//       3. the link's secret is hashed before anything else is done with it, and stands in no log
#pragma once

#include "api/call.h"

enum { RENEWAL_SECRET_SIZE = 48, RENEWAL_FORM_MAX = 1 << 20 }; // hexadecimal digits of 192 random bits

void renewal_link_make(char secret[RENEWAL_SECRET_SIZE + 1], unsigned char hash[SHA256_SIZE]);
MUST_USE bool renewal_link_hash(unsigned char hash[SHA256_SIZE], struct text secret); // false: it cannot be one

void renewal_refuse(struct call *call, enum api_problem which, const char *detail); // endpoint.refuse
// The file of the form that was sent. False: there is none, and that has been answered.
MUST_USE bool renewal_read_file(struct call *call, struct text *file);
void renewal_answer_done(struct call *call, bool is_pending);
