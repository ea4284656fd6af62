// SPDX-License-Identifier: Apache-2.0
#include "tenants/identity.h"

size_t identity_compare(struct identity_difference out[IDENTITY_FIELDS], const struct identity *pinned, const struct identity *given)
{
	const struct identity_difference fields[IDENTITY_FIELDS] = {
		{ "server_uuid", pinned->server_uuid, given->server_uuid },
		{ "org_id", pinned->org_id, given->org_id },
		{ "org_id_hash", pinned->org_id_hash, given->org_id_hash },
		{ "org_type", pinned->org_type, given->org_type },
	};
	size_t count = 0;

	for (size_t i = 0; i < IDENTITY_FIELDS; i++) {
		if (fields[i].pinned.length > 0 && !text_equal(fields[i].pinned, fields[i].given)) {
			out[count++] = fields[i];
		}
	}
	return count;
}
