// SPDX-License-Identifier: Apache-2.0
#include "tenants/profile.h"

void profile_write(struct buffer *out, const struct profile_source *source)
{
	const struct text members = text_trim(source->members);
	struct buffer name CLEANUP(buffer_fini) = BUFFER(256);

	buffer_add_text(&name, source->tenant_slug);
	buffer_add_string(&name, " ");
	buffer_add_text(&name, source->instance_name);
	buffer_add_string(out, "{\"profile_name\":");
	buffer_add_json(out, buffer_text(&name));
	buffer_add_string(out, ",\"url\":");
	buffer_add_json(out, source->enrolment_url);
	if (members.length > 2) { // not {}
		const struct text inner = text_trim((struct text){ members.bytes + 1, members.length - 2 });

		if (inner.length > 0) {
			buffer_add_string(out, ",");
			buffer_add_text(out, inner);
		}
	}
	buffer_add_string(out, "}");
}
