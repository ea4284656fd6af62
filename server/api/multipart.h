// SPDX-License-Identifier: Apache-2.0
//
// multipart.h - the one file of a form (multipart/form-data, RFC 7578), as browsers send it.
//
// Ownership  `file` is borrowed from the body.
// Laws       1. pure. Exactly one part, named as asked; anything before it, after it or besides it is refused
//            2. limits: a boundary of 70 bytes, 8 header lines of 1 KiB each
#pragma once

#include "depbroker/text.h"

MUST_USE enum err multipart_file(struct text *file, struct text content_type, struct text body, const char *name, struct fault *fault);
