// SPDX-License-Identifier: Apache-2.0
//
// profile_check.c - what Apple demands of an enrolment profile (dep-api.md, sections 5.6 and 9), and how it is given back.
#include "applesim/apple.h"

#include <stdlib.h>
#include <string.h>

static size_t characters(struct text t)
{
	size_t count = 0;

	for (size_t i = 0; i < t.length; i++) {
		count += ((unsigned char)t.bytes[i] & 0xc0) != 0x80;
	}
	return count;
}

static const struct limit {
	const char *name;
	size_t most;       // characters
	const char *missing; // NULL: it may be
	const char *invalid;
} limits[] = {
	{ "profile_name", 125, "CONFIG_NAME_REQUIRED", "CONFIG_NAME_INVALID" },
	{ "url", 2000, "CONFIG_URL_REQUIRED", "CONFIG_URL_INVALID" },
	{ "configuration_web_url", 2000, NULL, "CONFIG_URL_INVALID" },
	{ "department", 125, NULL, "DEPARTMENT_INVALID" },
	{ "org_magic", 256, NULL, "MAGIC_INVALID" },
	{ "support_phone_number", 50, NULL, "SUPPORT_PHONE_INVALID" },
	{ "support_email_address", 250, NULL, "SUPPORT_EMAIL_INVALID" },
};

static const char *text_mistake(yyjson_val *profile)
{
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		yyjson_val *value = yyjson_obj_get(profile, limits[i].name);
		const struct text t = json_text(profile, limits[i].name);

		if (value == NULL || yyjson_is_null(value)) {
			if (limits[i].missing != NULL) {
				return limits[i].missing;
			}
		} else if (t.bytes == NULL || (t.length == 0 && limits[i].missing != NULL) || characters(t) > limits[i].most) {
			return limits[i].invalid;
		}
	}
	return NULL;
}

// RFC 2396 with 2732: the characters it allows, whole escapes, a scheme and a host.
static bool is_url(struct text t)
{
	const char *colon = t.length > 0 ? memchr(t.bytes, ':', t.length) : NULL;
	const struct text rest = colon != NULL ? (struct text){ colon, t.length - (size_t)(colon - t.bytes) } : TEXT_NONE;

	for (size_t i = 0; i < t.length; i++) {
		const char c = t.bytes[i];

		if (c <= ' ' || c >= 0x7f || strchr("<>\"{}|\\^`", c) != NULL) {
			return false;
		}
		if (c == '%' && (i + 2 >= t.length || strspn(t.bytes + i + 1, "0123456789abcdefABCDEF") < 2)) {
			return false;
		}
	}
	return colon != NULL && colon > t.bytes && text_starts_with(rest, TEXT("://")) && rest.length > 3 &&
		rest.bytes[3] != '/';
}

static const char *url_mistake(yyjson_val *profile)
{
	const struct text web = json_text(profile, "configuration_web_url");

	return is_url(json_text(profile, "url")) && (web.bytes == NULL || is_url(web)) ? NULL : "CONFIG_URL_INVALID";
}

static const struct flag {
	const char *name;
	int since;
	bool usual;
	bool is_returned; // also when it was not given
} flags[] = {
	{ "allow_pairing", 1, true, true },
	{ "is_supervised", 1, false, true },
	{ "is_mandatory", 1, false, true },
	{ "is_mdm_removable", 1, true, true },
	{ "await_device_configured", 2, false, true },
	{ "auto_advance_setup", 2, false, true },
	{ "is_multi_user", 2, false, true },
	{ "is_return_to_service", 1, false, false },
	{ "do_not_use_profile_from_backup", 1, false, false },
};
enum { FLAG_COUNT = sizeof flags / sizeof *flags };

static const char *flag_mistake(yyjson_val *profile)
{
	for (size_t i = 0; i < FLAG_COUNT; i++) {
		yyjson_val *value = yyjson_obj_get(profile, flags[i].name);

		if (value != NULL && !yyjson_is_null(value) && !yyjson_is_bool(value)) {
			return "FLAGS_INVALID";
		}
	}
	return yyjson_is_false(yyjson_obj_get(profile, "is_mdm_removable")) && !json_flag(profile, "is_supervised")
		? "FLAGS_INVALID" : NULL;
}

static bool has_only(struct text t, char first, char last, size_t least, size_t most)
{
	for (size_t i = 0; i < t.length; i++) {
		if (t.bytes[i] < first || t.bytes[i] > last) {
			return false;
		}
	}
	return t.length >= least && t.length <= most;
}

static const char *locale_mistake(yyjson_val *profile)
{
	yyjson_val *language = yyjson_obj_get(profile, "language");
	yyjson_val *region = yyjson_obj_get(profile, "region");

	if (language != NULL && !yyjson_is_null(language) && !has_only(json_text(profile, "language"), 'a', 'z', 2, 3)) {
		return "LOCALE_INVALID";
	}
	if (region != NULL && !yyjson_is_null(region) && !has_only(json_text(profile, "region"), 'A', 'Z', 2, 2)) {
		return "LOCALE_INVALID";
	}
	return NULL;
}

bool are_serials(yyjson_val *array)
{
	yyjson_val *serial;
	size_t index, count;

	yyjson_arr_foreach(array, index, count, serial) {
		if (!yyjson_is_str(serial)) {
			return false;
		}
	}
	return yyjson_is_arr(array);
}

static bool is_base64(struct text t)
{
	struct buffer bytes CLEANUP(buffer_fini) = BUFFER(1024 * 1024);

	return t.length > 0 && base64_decode(&bytes, t);
}

static const char *array_mistake(yyjson_val *profile)
{
	static const char *const arrays[] = { "devices", "skip_setup_items", "anchor_certs", "supervising_host_certs" };
	yyjson_val *item;
	size_t index, count;

	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
		yyjson_val *array = yyjson_obj_get(profile, arrays[i]);

		if (array != NULL && !yyjson_is_null(array) && !are_serials(array)) {
			return "MALFORMED_REQUEST_BODY";
		}
		yyjson_arr_foreach(array, index, count, item) {
			if (i >= 2 && !is_base64((struct text){ yyjson_get_str(item), yyjson_get_len(item) })) {
				return "MALFORMED_REQUEST_BODY";
			}
		}
	}
	return NULL;
}

const char *profile_mistake(yyjson_val *profile)
{
	const char *(*const checks[])(yyjson_val *) = {
		text_mistake, url_mistake, flag_mistake, locale_mistake, array_mistake,
	};

	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		const char *mistake = checks[i](profile);

		if (mistake != NULL) {
			return mistake;
		}
	}
	return NULL;
}

char *profile_text(yyjson_val *profile, const char *uuid, int version)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *kept = yyjson_val_mut_copy(doc, profile);
	char *text;

	yyjson_mut_doc_set_root(doc, kept);
	(void)yyjson_mut_obj_remove_key(kept, "devices");
	(void)yyjson_mut_obj_remove_key(kept, "profile_uuid");
	for (size_t i = 0; i < FLAG_COUNT; i++) {
		yyjson_val *given = yyjson_obj_get(profile, flags[i].name);

		if (flags[i].since > version || !yyjson_is_bool(given)) {
			(void)yyjson_mut_obj_remove_key(kept, flags[i].name);
			if (flags[i].is_returned) {
				(void)yyjson_mut_obj_add_bool(doc, kept, flags[i].name, flags[i].usual);
			}
		}
	}
	if (yyjson_mut_obj_get(kept, "skip_setup_items") == NULL) {
		(void)yyjson_mut_obj_add_val(doc, kept, "skip_setup_items", yyjson_mut_arr(doc));
	}
	(void)yyjson_mut_obj_add_str(doc, kept, "profile_uuid", uuid);
	text = yyjson_mut_write(doc, 0, NULL);
	yyjson_mut_doc_free(doc);
	return text != NULL ? text : duplicate(TEXT("{}"));
}
