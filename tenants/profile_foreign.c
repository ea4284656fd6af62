// SPDX-License-Identifier: Apache-2.0
#include "tenants/profile_foreign.h"

#include "tenants/profile_guard.h"
#include "tenants/profile_keys.h"

static enum err explain(const struct findings *findings, struct fault *fault)
{
	for (size_t i = 0; i < findings->count; i++) {
		if (findings->items[i].severity == FINDING_ERROR) {
			return fault_set(fault, ERR_BAD_INPUT, "%.*s", TEXT_ARGS(findings->items[i].sentence));
		}
	}
	return findings->error_count > 0 ? fault_set(fault, ERR_BAD_INPUT, "it has errors") : OK;
}

enum err profile_foreign_read(struct profile_merged *out, struct text json, struct arena *arena, struct fault *fault)
{
	static const struct profile_variables as_it_is = { .only_form = true };
	struct findings findings = FINDINGS(arena);
	struct profile_changes changes;

	TRY(profile_changes_read(&changes, json, 0, &findings, arena));
	for (size_t i = 0; i < changes.count; i++) {
		if (changes.items[i].addition_count > 0) { // of a layer; Apple would read it as another key
			return fault_set(fault, ERR_BAD_INPUT, "the name of a key does not end in +");
		}
	}
	TRY(profile_changes_apply(out, &changes, &as_it_is, &findings, arena));
	return explain(&findings, fault);
}

static bool is_given(const struct profile_key *key)
{
	return key->value.kind != TREE_STRING || key->value.text.length > 0;
}

static enum err check_url(struct findings *findings, const struct profile_key *key, struct profile_guard_hosts hosts, struct fault *fault)
{
	if (!is_given(key)) {
		return OK;
	}
	if (key->value.kind != TREE_STRING) {
		return fault_set(fault, ERR_BAD_INPUT, "%.*s is a URL", TEXT_ARGS(key->name));
	}
	profile_guard_url(findings, key, hosts);
	return OK;
}

enum err profile_foreign_check(const struct profile_merged *profile, const struct profile_foreign_place *place, bool is_for_devices,
	struct arena *arena, struct fault *fault)
{
	const struct profile_guard_hosts hosts = { .items = place->allowed_hosts, .count = place->allowed_host_count };
	const struct profile_key *url = profile_merged_find(profile, TEXT("url"));
	struct findings findings = FINDINGS(arena);

	if (url == NULL || !is_given(url)) {
		return fault_set(fault, ERR_BAD_INPUT, "the profile has no url");
	}
	for (size_t i = 0; i < profile->count; i++) {
		const struct profile_key *key = &profile->keys[i];
		const struct profile_key_rule *rule = profile_key_rule_find(key->name);

		if (rule == NULL) {
			profile_guard_unknown(&findings, key, hosts);
		} else if (rule->type == PROFILE_KEY_URL) {
			TRY(check_url(&findings, key, hosts, fault));
		}
	}
	TRY(explain(&findings, fault));
	if (is_for_devices && !text_equal(url->value.text, place->enrolment_url)) {
		return fault_set(fault, ERR_BAD_INPUT, "the profile's url is not the instance's enrolment_url");
	}
	return OK;
}
