// SPDX-License-Identifier: Apache-2.0
//
// identity.h - whose a server token is, as GET /account tells it, against whom the client is pinned to (architecture, section 6, guard 3).
//
// Laws  1. pure
//       2. a pinned field that differs, or that Apple does not name any more, is a difference; one that was never pinned is none
#pragma once

#include "depbroker/text.h"

struct identity {
	struct text server_uuid, org_id, org_id_hash, org_type;
};

struct identity_difference {
	const char *field;
	struct text pinned, given;
};

enum { IDENTITY_FIELDS = 4 };

size_t identity_compare(struct identity_difference out[IDENTITY_FIELDS], const struct identity *pinned, const struct identity *given);
