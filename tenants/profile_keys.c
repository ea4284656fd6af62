// SPDX-License-Identifier: Apache-2.0
#include "tenants/profile_keys.h"

#include "tenants/nearest.h"

#define BODY "MALFORMED_REQUEST_BODY"
enum { IOS = 1 << SKIP_IOS, MACOS = 1 << SKIP_MACOS, TVOS = 1 << SKIP_TVOS, VISIONOS = 1 << SKIP_VISIONOS };

const struct profile_key_rule profile_key_rules[] = {
	{ .name = TEXT("profile_name"), .type = PROFILE_KEY_TEXT, .most = 125, .since = 1,
		.missing = "CONFIG_NAME_REQUIRED", .invalid = "CONFIG_NAME_INVALID" },
	{ .name = TEXT("url"), .type = PROFILE_KEY_URL, .most = 2000, .since = 1, .is_brokers = true,
		.missing = "CONFIG_URL_REQUIRED", .invalid = "CONFIG_URL_INVALID" },
	{ .name = TEXT("configuration_web_url"), .type = PROFILE_KEY_URL, .most = 2000, .since = 1, .systems = IOS | MACOS,
		.invalid = "CONFIG_URL_INVALID" },
	{ .name = TEXT("department"), .type = PROFILE_KEY_TEXT, .most = 125, .since = 1, .invalid = "DEPARTMENT_INVALID" },
	{ .name = TEXT("org_magic"), .type = PROFILE_KEY_TEXT, .most = 256, .since = 1, .invalid = "MAGIC_INVALID" },
	{ .name = TEXT("support_phone_number"), .type = PROFILE_KEY_TEXT, .most = 50, .since = 1,
		.invalid = "SUPPORT_PHONE_INVALID" },
	{ .name = TEXT("support_email_address"), .type = PROFILE_KEY_TEXT, .most = 250, .since = 2,
		.invalid = "SUPPORT_EMAIL_INVALID" },
	{ .name = TEXT("language"), .type = PROFILE_KEY_LANGUAGE, .since = 1, .systems = MACOS | TVOS,
		.invalid = "LOCALE_INVALID" },
	{ .name = TEXT("region"), .type = PROFILE_KEY_REGION, .since = 1, .systems = MACOS | TVOS,
		.invalid = "LOCALE_INVALID" },
	{ .name = TEXT("allow_pairing"), .type = PROFILE_KEY_FLAG, .since = 1, .is_on_by_default = true,
		.invalid = "FLAGS_INVALID" },
	{ .name = TEXT("is_supervised"), .type = PROFILE_KEY_FLAG, .since = 1, .invalid = "FLAGS_INVALID" },
	{ .name = TEXT("is_mandatory"), .type = PROFILE_KEY_FLAG, .since = 1, .invalid = "FLAGS_INVALID" },
	{ .name = TEXT("is_mdm_removable"), .type = PROFILE_KEY_FLAG, .since = 1, .is_on_by_default = true,
		.invalid = "FLAGS_INVALID" },
	{ .name = TEXT("await_device_configured"), .type = PROFILE_KEY_FLAG, .since = 2, .invalid = "FLAGS_INVALID" },
	{ .name = TEXT("auto_advance_setup"), .type = PROFILE_KEY_FLAG, .since = 2, .systems = MACOS | TVOS,
		.invalid = "FLAGS_INVALID" },
	{ .name = TEXT("is_multi_user"), .type = PROFILE_KEY_FLAG, .since = 2, .systems = IOS, .invalid = "FLAGS_INVALID" },
	{ .name = TEXT("is_return_to_service"), .type = PROFILE_KEY_FLAG, .since = 1, .systems = IOS | VISIONOS,
		.invalid = "FLAGS_INVALID" },
	{ .name = TEXT("do_not_use_profile_from_backup"), .type = PROFILE_KEY_FLAG, .since = 1, .systems = IOS | VISIONOS,
		.invalid = "FLAGS_INVALID" },
	{ .name = TEXT("anchor_certs"), .type = PROFILE_KEY_CERTIFICATES, .since = 1, .invalid = BODY },
	{ .name = TEXT("supervising_host_certs"), .type = PROFILE_KEY_CERTIFICATES, .since = 1, .invalid = BODY },
	{ .name = TEXT("skip_setup_items"), .type = PROFILE_KEY_SKIP_ITEMS, .since = 1, .invalid = BODY },
	{ .name = TEXT("devices"), .type = PROFILE_KEY_REFUSED, .since = 1, .is_brokers = true },
	{ .name = TEXT("profile_uuid"), .type = PROFILE_KEY_REFUSED, .since = 1, .is_brokers = true },
};
enum { RULE_COUNT = sizeof profile_key_rules / sizeof *profile_key_rules };
const size_t profile_key_rule_count = RULE_COUNT;

const struct profile_key_rule *profile_key_rule_find(struct text name)
{
	for (size_t i = 0; i < RULE_COUNT; i++) {
		if (text_equal(profile_key_rules[i].name, name)) {
			return &profile_key_rules[i];
		}
	}
	return NULL;
}

struct text profile_key_nearest(struct text name)
{
	struct text names[RULE_COUNT];

	for (size_t i = 0; i < RULE_COUNT; i++) {
		names[i] = profile_key_rules[i].name;
	}
	return nearest_word(name, names, RULE_COUNT);
}

const char *profile_key_type_name(enum profile_key_type type)
{
	static const char *const names[] = {
		[PROFILE_KEY_TEXT] = "a string that is not empty",
		[PROFILE_KEY_URL] = "an https URL",
		[PROFILE_KEY_FLAG] = "true or false",
		[PROFILE_KEY_LANGUAGE] = "a language of two or three small letters (ISO 639)",
		[PROFILE_KEY_REGION] = "a region of two capital letters (ISO 3166-1)",
		[PROFILE_KEY_CERTIFICATES] = "a list of certificates, each base64 of DER",
		[PROFILE_KEY_SKIP_ITEMS] = "a list of strings, none of them empty",
		[PROFILE_KEY_REFUSED] = "not for a profile",
	};

	return names[type];
}
