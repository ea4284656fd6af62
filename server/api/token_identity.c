// SPDX-License-Identifier: Apache-2.0
#include "api/token_identity.h"

#include "api/json_out.h"
#include "tenants/identity.h"

unsigned token_identity_differences(struct buffer *out, const struct tenant_row *pinned, const struct apple_account *given)
{
	const struct identity ours = { pinned->server_uuid, pinned->org_id, pinned->org_id_hash, pinned->org_type };
	const struct identity theirs = { given->server_uuid, given->org_id, given->org_id_hash, given->org_type };
	struct identity_difference differences[IDENTITY_FIELDS];
	const size_t count = identity_compare(differences, &ours, &theirs);
	struct json_out json = { .out = out };

	put_list(&json, "differences");
	for (size_t i = 0; i < count; i++) {
		put_object(&json, NULL);
		put_string(&json, "field", differences[i].field);
		put_text(&json, "pinned", differences[i].pinned);
		put_text(&json, "given", differences[i].given);
		put_object_end(&json);
	}
	put_list_end(&json);
	return (unsigned)count;
}
