// SPDX-License-Identifier: Apache-2.0
#include "api/instance_profile.h"

#include "tenants/url_guard.h"

#include <string.h>

enum kind { KIND_TEXT, KIND_FLAG, KIND_TEXTS, KIND_URL, KIND_REFUSED };

static const struct member {
	const char *name;
	enum kind kind;
	size_t longest; // of a text, in bytes; of a list, in elements
} members[] = {
	{ "url", KIND_REFUSED, 0 },
	{ "devices", KIND_REFUSED, 0 },
	{ "profile_name", KIND_REFUSED, 0 },
	{ "configuration_web_url", KIND_URL, URL_GUARD_URL_MAX },
	{ "department", KIND_TEXT, 125 },
	{ "org_magic", KIND_TEXT, 256 },
	{ "support_phone_number", KIND_TEXT, 50 },
	{ "support_email_address", KIND_TEXT, 250 },
	{ "language", KIND_TEXT, 20 },
	{ "region", KIND_TEXT, 20 },
	{ "allow_pairing", KIND_FLAG, 0 },
	{ "is_supervised", KIND_FLAG, 0 },
	{ "is_mandatory", KIND_FLAG, 0 },
	{ "is_mdm_removable", KIND_FLAG, 0 },
	{ "await_device_configured", KIND_FLAG, 0 },
	{ "auto_advance_setup", KIND_FLAG, 0 },
	{ "is_multi_user", KIND_FLAG, 0 },
	{ "is_return_to_service", KIND_FLAG, 0 },
	{ "do_not_use_profile_from_backup", KIND_FLAG, 0 },
	{ "anchor_certs", KIND_TEXTS, 100 },
	{ "supervising_host_certs", KIND_TEXTS, 100 },
	{ "skip_setup_items", KIND_TEXTS, 200 },
};

static enum err check_text(const struct member *member, const json_t *value, struct fault *fault)
{
	if (!json_is_string(value) || json_string_length(value) == 0 || json_string_length(value) > member->longest) {
		return fault_set(fault, ERR_BAD_INPUT, "profile: %s is a string of 1 to %zu bytes", member->name, member->longest);
	}
	return OK;
}

static enum err check_texts(const struct member *member, const json_t *value, struct fault *fault)
{
	size_t i;
	const json_t *element;

	if (!json_is_array(value) || json_array_size(value) > member->longest) {
		return fault_set(fault, ERR_BAD_INPUT, "profile: %s is a list of at most %zu strings", member->name, member->longest);
	}
	json_array_foreach(value, i, element) {
		if (!json_is_string(element) || json_string_length(element) == 0) {
			return fault_set(fault, ERR_BAD_INPUT, "profile: %s holds something that is not a string, or an empty one",
				member->name);
		}
	}
	return OK;
}

static enum err check_url(const struct member *member, const json_t *value, const struct text *hosts, size_t count,
	struct fault *fault)
{
	TRY(check_text(member, value, fault));
	if (url_guard_check((struct text){ json_string_value(value), json_string_length(value) }, hosts, count, fault) != OK) {
		return fault_wrap(fault, ERR_FORBIDDEN_ADDRESS, "profile: %s", member->name);
	}
	return OK;
}

static const struct member *find(const char *name)
{
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		if (strcmp(members[i].name, name) == 0) {
			return &members[i];
		}
	}
	return NULL;
}

static enum err check(const struct member *member, const json_t *value, const struct text *hosts, size_t count,
	struct fault *fault)
{
	switch (member->kind) {
	case KIND_TEXT: return check_text(member, value, fault);
	case KIND_TEXTS: return check_texts(member, value, fault);
	case KIND_URL: return check_url(member, value, hosts, count, fault);
	case KIND_FLAG:
		return json_is_boolean(value) ? OK : fault_set(fault, ERR_BAD_INPUT, "profile: %s is true or false", member->name);
	case KIND_REFUSED:
		return fault_set(fault, ERR_BAD_INPUT, "profile: %s is set by depbroker itself", member->name);
	}
	return OK;
}

// Apple refuses this pair with FLAGS_INVALID; better here than at the first assignment.
static enum err check_flags(const json_t *profile, struct fault *fault)
{
	const bool must_stay = json_is_false(json_object_get(profile, "is_mdm_removable"));

	if (must_stay && !json_is_true(json_object_get(profile, "is_supervised"))) {
		return fault_set(fault, ERR_BAD_INPUT, "profile: is_mdm_removable false needs is_supervised true");
	}
	return OK;
}

static int add_bytes(const char *bytes, size_t length, void *out)
{
	buffer_add(out, bytes, length);
	return 0;
}

enum err instance_profile_write(struct buffer *out, json_t *profile, const struct text *allowed_hosts, size_t host_count,
	struct fault *fault)
{
	void *at;

	for (at = json_object_iter(profile); at != NULL; at = json_object_iter_next(profile, at)) {
		const struct member *member = find(json_object_iter_key(at));

		if (member != NULL) {
			TRY(check(member, json_object_iter_value(at), allowed_hosts, host_count, fault));
		}
	}
	TRY(check_flags(profile, fault));
	if (json_dump_callback(profile, add_bytes, out, JSON_COMPACT | JSON_SORT_KEYS) != 0 || out->overflow) {
		return fault_set(fault, ERR_BAD_INPUT, "profile: it is larger than %d bytes", INSTANCE_PROFILE_MAX);
	}
	return OK;
}
