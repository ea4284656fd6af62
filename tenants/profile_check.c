// SPDX-License-Identifier: Apache-2.0
#include "tenants/profile_check.h"

#include "tenants/ber.h"
#include "tenants/profile_guard.h"
#include "tenants/profile_keys.h"
#include "tenants/skip_check.h"

#include <string.h>

enum { CERTIFICATE_SIZE_MAX = 32768, NEWEST_PROTOCOL = 10 };

struct checking {
	const struct profile_merged *merged;
	const struct profile_conditions *conditions;
	struct findings *findings;
};

static struct finding_kind error_of(const char *code, const char *apple_word)
{
	return (struct finding_kind){ FINDING_ERROR, code, apple_word };
}

static struct profile_guard_hosts hosts_of(const struct checking *checking)
{
	return (struct profile_guard_hosts){
		.items = checking->conditions->allowed_hosts, .count = checking->conditions->allowed_host_count,
		.is_unknown = checking->conditions->is_draft,
	};
}

static void refuse_type(const struct checking *checking, const struct profile_key *key, const struct profile_key_rule *rule)
{
	profile_find_at_key(checking->findings, key, error_of("type", rule->invalid), "%.*s is %s", TEXT_ARGS(rule->name),
		profile_key_type_name(rule->type));
}

static size_t characters(struct text t)
{
	size_t count = 0;

	for (size_t i = 0; i < t.length; i++) {
		count += ((unsigned char)t.bytes[i] & 0xc0) != 0x80;
	}
	return count;
}

static bool is_full_string(const struct tree_value *value)
{
	return value->kind == TREE_STRING && value->text.length > 0;
}

static bool is_flag(const struct tree_value *value)
{
	return value->kind == TREE_TRUE || value->kind == TREE_FALSE;
}

// What a draft's variables will make of it cannot be told.
static bool is_open(const struct checking *checking, const struct tree_value *value)
{
	return checking->conditions->is_draft && value->kind == TREE_STRING && value->text.length > 1 &&
		memmem(value->text.bytes, value->text.length, "{{", 2) != NULL;
}

static void check_text(const struct checking *checking, const struct profile_key *key, const struct profile_key_rule *rule)
{
	static const struct finding_kind shape = { FINDING_WARNING, "shape", NULL };
	const struct text t = key->value.text;

	if (!is_full_string(&key->value)) {
		refuse_type(checking, key, rule);
	} else if (characters(t) > rule->most) {
		profile_find_at_key(checking->findings, key, error_of("length", rule->invalid), "%.*s has %zu characters; Apple takes %zu",
			TEXT_ARGS(rule->name), characters(t), rule->most);
	} else if (text_equal_string(rule->name, "support_email_address") && memchr(t.bytes, '@', t.length) == NULL) {
		profile_find_at_key(checking->findings, key, shape, "support_email_address has no @ in it");
	}
}

static void check_flag(const struct checking *checking, const struct profile_key *key, const struct profile_key_rule *rule)
{
	if (!is_flag(&key->value)) {
		refuse_type(checking, key, rule);
	}
}

static void check_url(const struct checking *checking, const struct profile_key *key, const struct profile_key_rule *rule)
{
	if (!is_full_string(&key->value)) {
		refuse_type(checking, key, rule);
	} else {
		profile_guard_url(checking->findings, key, hosts_of(checking));
	}
}

static bool has_only(const struct tree_value *value, char first, char last, size_t least, size_t most)
{
	if (value->kind != TREE_STRING || value->text.length < least || value->text.length > most) {
		return false;
	}
	for (size_t i = 0; i < value->text.length; i++) {
		if (value->text.bytes[i] < first || value->text.bytes[i] > last) {
			return false;
		}
	}
	return true;
}

static void check_language(const struct checking *checking, const struct profile_key *key,
	const struct profile_key_rule *rule)
{
	if (!has_only(&key->value, 'a', 'z', 2, 3)) {
		refuse_type(checking, key, rule);
	}
}

static bool is_region(struct text code)
{
	static const char regions[] = // ISO 3166-1 alpha-2
		"AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY "
		"BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK "
		"FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR "
		"IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK "
		"ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
		"PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF "
		"TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW ";

	for (size_t at = 0; at + 3 <= sizeof regions; at += 3) {
		if (memcmp(regions + at, code.bytes, 2) == 0) {
			return true;
		}
	}
	return false;
}

static void check_region(const struct checking *checking, const struct profile_key *key, const struct profile_key_rule *rule)
{
	static const struct finding_kind unlisted = { FINDING_WARNING, "shape", "LOCALE_INVALID" };

	if (!has_only(&key->value, 'A', 'Z', 2, 2)) {
		refuse_type(checking, key, rule);
	} else if (!is_region(key->value.text)) {
		profile_find_at_key(checking->findings, key, unlisted, "%.*s is not a region of ISO 3166-1%s", TEXT_ARGS(key->value.text),
			text_equal_string(key->value.text, "UK") ? "; GB is the United Kingdom" : "");
	}
}

// True: each element is a string that is not empty; the others have become findings.
static bool check_strings(const struct checking *checking, const struct profile_key *key, const struct profile_key_rule *rule)
{
	bool all = true;

	if (key->value.kind != TREE_ARRAY) {
		refuse_type(checking, key, rule);
		return false;
	}
	for (size_t i = 0; i < key->value.count; i++) {
		if (!is_full_string(&key->value.members[i].value)) {
			profile_find_at_element(checking->findings, key, i, error_of("type", rule->invalid),
				"this is not a string, or an empty one");
			all = false;
		}
	}
	return all;
}

static void check_certificate(const struct checking *checking, const struct profile_key *key, size_t index,
	const struct profile_key_rule *rule)
{
	struct buffer der CLEANUP(buffer_fini) = BUFFER(CERTIFICATE_SIZE_MAX);
	const struct text base64 = key->value.members[index].value.text;
	size_t length = 0;

	if (!base64_decode(&der, base64) || der.overflow) {
		profile_find_at_element(checking->findings, key, index, error_of("certificate", rule->invalid), "this is not base64%s",
			text_starts_with(base64, TEXT("-----BEGIN")) ? ": leave out the lines of dashes and the line breaks" : " of a certificate");
	} else if (der.length == 0 || (unsigned char)der.bytes[0] != 0x30 ||
		ber_measure(&length, buffer_text(&der)) != BER_WHOLE || length != der.length) {
		profile_find_at_element(checking->findings, key, index, error_of("certificate", NULL), "this is not a certificate in DER");
	}
}

static void check_certificates(const struct checking *checking, const struct profile_key *key,
	const struct profile_key_rule *rule)
{
	if (!check_strings(checking, key, rule)) {
		return;
	}
	for (size_t i = 0; i < key->value.count; i++) {
		if (!is_open(checking, &key->value.members[i].value)) {
			check_certificate(checking, key, i, rule);
		}
	}
}

static void check_skip_items(const struct checking *checking, const struct profile_key *key,
	const struct profile_key_rule *rule)
{
	if (!check_strings(checking, key, rule)) {
		return;
	}
	for (size_t i = 0; i < key->value.count; i++) {
		if (!is_open(checking, &key->value.members[i].value)) {
			skip_check(checking->findings, key, i, checking->conditions->systems);
		}
	}
}

static void check_refused(const struct checking *checking, const struct profile_key *key, const struct profile_key_rule *rule)
{
	profile_find_at_key(checking->findings, key, error_of("refused", NULL), "%.*s is never part of a profile",
		TEXT_ARGS(rule->name));
}

static void check_use(const struct checking *checking, const struct profile_key *key, const struct profile_key_rule *rule)
{
	static const struct finding_kind too_new = { FINDING_WARNING, "protocol_version", NULL };
	static const struct finding_kind no_effect = { FINDING_NOTE, "no_effect", NULL };
	const struct profile_conditions *conditions = checking->conditions;
	const int version = conditions->protocol_version > 0 ? conditions->protocol_version : NEWEST_PROTOCOL;

	if (rule->since > version) {
		profile_find_at_key(checking->findings, key, too_new, "Apple reads %.*s from protocol version %d on; the tenant has %d",
			TEXT_ARGS(rule->name), rule->since, version);
	}
	if (rule->systems != 0 && conditions->systems != 0 && (rule->systems & conditions->systems) == 0) {
		profile_find_at_key(checking->findings, key, no_effect, "%.*s has no effect on the devices that this is for",
			TEXT_ARGS(rule->name));
	}
}

static void check_known(const struct checking *checking, const struct profile_key *key, const struct profile_key_rule *rule)
{
	static void (*const by_type[])(const struct checking *, const struct profile_key *, const struct profile_key_rule *) = {
		[PROFILE_KEY_TEXT] = check_text,
		[PROFILE_KEY_URL] = check_url,
		[PROFILE_KEY_FLAG] = check_flag,
		[PROFILE_KEY_LANGUAGE] = check_language,
		[PROFILE_KEY_REGION] = check_region,
		[PROFILE_KEY_CERTIFICATES] = check_certificates,
		[PROFILE_KEY_SKIP_ITEMS] = check_skip_items,
		[PROFILE_KEY_REFUSED] = check_refused,
	};

	if (rule->is_brokers && rule->type != PROFILE_KEY_REFUSED && key->origin.layer != checking->conditions->broker_layer) {
		profile_find_at_key(checking->findings, key, error_of("refused", NULL), "%.*s is set by depbroker itself, from the instance",
			TEXT_ARGS(rule->name));
	}
	if (!is_open(checking, &key->value)) {
		by_type[rule->type](checking, key, rule);
	}
	check_use(checking, key, rule);
}

static void check_missing(const struct checking *checking)
{
	for (size_t i = 0; i < profile_key_rule_count; i++) {
		const struct profile_key_rule *rule = &profile_key_rules[i];

		if (rule->missing != NULL && profile_merged_find(checking->merged, rule->name) == NULL) {
			finding_add(checking->findings, error_of("required", rule->missing),
				(struct finding_place){ TEXT(""), FINDING_NO_LAYER }, "no layer gives %.*s", TEXT_ARGS(rule->name));
		}
	}
}

enum state { IS_TRUE, IS_FALSE, IS_GIVEN, IS_MISSING };

static const struct combination {
	const char *name;
	enum state state;
	const char *other; // NULL: whatever else there is
	enum state other_state;
	struct finding_kind kind;
	const char *sentence;
} combinations[] = {
	{ "is_mdm_removable", IS_FALSE, "is_supervised", IS_FALSE, { FINDING_ERROR, "combination", "FLAGS_INVALID" },
		"is_mdm_removable false needs is_supervised true, even where devices are always supervised" },
	{ "await_device_configured", IS_TRUE, "is_supervised", IS_FALSE, { FINDING_NOTE, "combination", NULL },
		"iOS below 13 ignores await_device_configured without is_supervised" },
	{ "supervising_host_certs", IS_GIVEN, "is_supervised", IS_FALSE, { FINDING_NOTE, "combination", NULL },
		"supervising_host_certs are not used without is_supervised" },
	{ "auto_advance_setup", IS_TRUE, "language", IS_MISSING, { FINDING_NOTE, "combination", NULL },
		"auto_advance_setup asks nobody; give language and region, too" },
	{ "is_multi_user", IS_TRUE, NULL, 0, { FINDING_NOTE, "combination", NULL },
		"devices that migrate from another server by a deadline cannot have is_multi_user" },
	{ "is_return_to_service", IS_TRUE, NULL, 0, { FINDING_NOTE, "combination", NULL },
		"devices that migrate from another server by a deadline cannot have is_return_to_service" },
};

static bool is_in_state(const struct checking *checking, const char *name, enum state state)
{
	const struct profile_key *key = profile_merged_find(checking->merged, text_of(name));
	const struct profile_key_rule *rule = profile_key_rule_find(text_of(name));
	const bool is_on = key != NULL && is_flag(&key->value) ? key->value.kind == TREE_TRUE : rule->is_on_by_default;

	switch (state) {
	case IS_TRUE: return is_on;
	case IS_FALSE: return !is_on;
	case IS_GIVEN: return key != NULL && key->value.count > 0;
	case IS_MISSING: return key == NULL;
	}
	return false;
}

static void check_combinations(const struct checking *checking)
{
	for (size_t i = 0; i < sizeof combinations / sizeof *combinations; i++) {
		const struct combination *combination = &combinations[i];
		const struct profile_key *key = profile_merged_find(checking->merged, text_of(combination->name));

		if (key != NULL && is_in_state(checking, combination->name, combination->state) &&
			(combination->other == NULL || is_in_state(checking, combination->other, combination->other_state))) {
			profile_find_at_key(checking->findings, key, combination->kind, "%s", combination->sentence);
		}
	}
}

void profile_check(const struct profile_merged *merged, const struct profile_conditions *conditions,
	struct findings *findings)
{
	const struct checking checking = { merged, conditions, findings };

	for (size_t i = 0; i < merged->count; i++) {
		const struct profile_key_rule *rule = profile_key_rule_find(merged->keys[i].name);

		if (rule != NULL) {
			check_known(&checking, &merged->keys[i], rule);
		} else {
			profile_guard_unknown(findings, &merged->keys[i], hosts_of(&checking));
		}
	}
	if (!conditions->is_draft) {
		check_missing(&checking);
		check_combinations(&checking);
	}
}

unsigned profile_system_of(struct text os)
{
	static const struct {
		const char *name;
		unsigned system;
	} names[] = {
		{ "iOS", PROFILE_FOR_IOS }, { "iPadOS", PROFILE_FOR_IOS }, { "OSX", PROFILE_FOR_MACOS }, { "macOS", PROFILE_FOR_MACOS },
		{ "tvOS", PROFILE_FOR_TVOS }, { "visionOS", PROFILE_FOR_VISIONOS },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (text_equal_string(os, names[i].name)) {
			return names[i].system;
		}
	}
	return 0;
}
