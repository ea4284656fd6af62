// SPDX-License-Identifier: Apache-2.0
#include "tenants/profile.h"

static struct text cut(struct text t, size_t most)
{
	return (struct text){ t.bytes, t.length < most ? t.length : most };
}

void profile_name_write(struct buffer *out, struct text tenant_slug, struct text instance_name)
{
	const struct text first = cut(tenant_slug, PROFILE_NAME_MAX - 1);

	buffer_add_text(out, first);
	buffer_add_string(out, " ");
	buffer_add_text(out, cut(instance_name, PROFILE_NAME_MAX - 1 - first.length));
}

void profile_write(struct buffer *out, const struct profile_source *source)
{
	const struct text members = text_trim(source->members);
	struct buffer name CLEANUP(buffer_fini) = BUFFER(256);

	profile_name_write(&name, source->tenant_slug, source->instance_name);
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
