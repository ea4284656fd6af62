// SPDX-License-Identifier: Apache-2.0
#include "api/token_identity.h"

#include "api/json_out.h"

unsigned token_identity_differences(struct buffer *out, const struct tenant_row *pinned, const struct apple_account *given)
{
	const struct {
		const char *field;
		struct text pinned;
		struct text given;
	} fields[] = {
		{ "server_uuid", pinned->server_uuid, given->server_uuid },
		{ "org_id", pinned->org_id, given->org_id },
		{ "org_id_hash", pinned->org_id_hash, given->org_id_hash },
	};
	struct json_out json = { .out = out };
	unsigned count = 0;

	put_list(&json, "differences");
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		if (fields[i].pinned.length == 0 || text_equal(fields[i].pinned, fields[i].given)) {
			continue;
		}
		put_object(&json, NULL);
		put_string(&json, "field", fields[i].field);
		put_text(&json, "pinned", fields[i].pinned);
		put_text(&json, "given", fields[i].given);
		put_object_end(&json);
		count++;
	}
	put_list_end(&json);
	return count;
}
