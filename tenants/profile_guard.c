// SPDX-License-Identifier: Apache-2.0
#include "tenants/profile_guard.h"

#include "tenants/profile_keys.h"
#include "tenants/url_guard.h"

#include <string.h>

static const struct finding_kind not_a_url = { FINDING_ERROR, "url", "CONFIG_URL_INVALID" };
static const struct finding_kind other_host = { FINDING_ERROR, "host", NULL };
static const struct finding_kind look_alike = { FINDING_ERROR, "look_alike", NULL };
static const struct finding_kind unknown_key = { FINDING_WARNING, "unknown_key", NULL };

static enum err guard(struct text url, struct profile_guard_hosts hosts, struct fault *fault)
{
	return hosts.is_unknown ? url_check(url, fault) : url_guard_check(url, hosts.items, hosts.count, fault);
}

void profile_guard_url(struct findings *findings, const struct profile_key *key, struct profile_guard_hosts hosts)
{
	const struct text url = key->value.text;
	struct fault fault = { "" };

	if (guard(url, hosts, &fault) != OK) {
		const struct finding_kind kind = url_check(url, NULL) == OK ? other_host : not_a_url;

		profile_find_at_key(findings, key, kind, "%.*s: %s", TEXT_ARGS(key->name), fault.text);
	}
}

static bool is_separator(char c)
{
	return strchr("_-. +", c) != NULL; // names of keys have no NUL
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

// Whether both are the same name to a reader that ignores case and separators.
static bool is_alike(struct text a, struct text b)
{
	size_t i = 0, j = 0;

	for (;;) {
		while (i < a.length && is_separator(a.bytes[i])) {
			i++;
		}
		while (j < b.length && is_separator(b.bytes[j])) {
			j++;
		}
		if (i == a.length || j == b.length) {
			return i == a.length && j == b.length;
		}
		if (lower(a.bytes[i++]) != lower(b.bytes[j++])) {
			return false;
		}
	}
}

static bool is_printable_ascii(struct text name)
{
	for (size_t i = 0; i < name.length; i++) {
		if (name.bytes[i] < ' ' || name.bytes[i] > '~') {
			return false;
		}
	}
	return true;
}

static bool is_guarded(const struct profile_key_rule *rule)
{
	return rule->type == PROFILE_KEY_URL || rule->is_brokers;
}

// The guarded key that a reader could take this name for, or NULL.
static const struct profile_key_rule *look_alike_of(struct text name)
{
	for (size_t i = 0; i < profile_key_rule_count; i++) {
		if (is_guarded(&profile_key_rules[i]) && is_alike(name, profile_key_rules[i].name)) {
			return &profile_key_rules[i];
		}
	}
	return NULL;
}

static bool is_named_url(struct text name)
{
	return name.length >= 3 &&
		text_equal_ignoring_case((struct text){ name.bytes + name.length - 3, 3 }, TEXT("url"));
}

static bool starts_ignoring_case(struct text whole, struct text start)
{
	return whole.length >= start.length && text_equal_ignoring_case((struct text){ whole.bytes, start.length }, start);
}

// As the most lenient reader would see it: blanks and control characters before it, slashes of either kind or none.
static bool could_be_url(struct text t)
{
	while (t.length > 0 && (unsigned char)t.bytes[0] <= ' ') {
		t = (struct text){ t.bytes + 1, t.length - 1 };
	}
	return text_contains_ignoring_case(t, "://") || starts_ignoring_case(t, TEXT("http:")) ||
		starts_ignoring_case(t, TEXT("https:")) ||
		(t.length >= 2 && strchr("/\\", t.bytes[0]) != NULL && strchr("/\\", t.bytes[1]) != NULL);
}

// The first string in the value that has to be on an allowed host and is not; NULL: none.
static const struct text *stray_url(const struct tree_value *value, struct text name, struct profile_guard_hosts hosts,
	struct fault *fault)
{
	if (value->kind == TREE_STRING) {
		const bool is_url = could_be_url(value->text) || (is_named_url(name) && value->text.length > 0);

		return is_url && guard(value->text, hosts, fault) != OK ? &value->text : NULL;
	}
	for (size_t i = 0; i < value->count; i++) {
		const struct tree_member *member = &value->members[i];
		const struct text of = value->kind == TREE_OBJECT ? member->name : name;
		const struct text *found = stray_url(&member->value, of, hosts, fault);

		if (found != NULL) {
			return found;
		}
	}
	return NULL;
}

static void warn(struct findings *findings, const struct profile_key *key)
{
	const struct text nearest = profile_key_nearest(key->name);

	if (nearest.length > 0) {
		profile_find_at_key(findings, key, unknown_key, "%.*s is not a key that Apple documents; %.*s may be meant. It is passed on",
			TEXT_ARGS(key->name), TEXT_ARGS(nearest));
	} else {
		profile_find_at_key(findings, key, unknown_key, "%.*s is not a key that Apple documents. It is passed on",
			TEXT_ARGS(key->name));
	}
}

void profile_guard_unknown(struct findings *findings, const struct profile_key *key, struct profile_guard_hosts hosts)
{
	const struct profile_key_rule *alike = look_alike_of(key->name);
	struct fault fault = { "" };

	if (alike != NULL) {
		profile_find_at_key(findings, key, look_alike, "%.*s could be read as %.*s", TEXT_ARGS(key->name), TEXT_ARGS(alike->name));
	} else if (!is_printable_ascii(key->name)) {
		profile_find_at_key(findings, key, look_alike, "the name of a key is printable ASCII");
	} else if (!hosts.is_unknown && stray_url(&key->value, key->name, hosts, &fault) != NULL) {
		profile_find_at_key(findings, key, other_host, "%.*s is not a key that Apple documents, and what could be a URL in it is "
			"guarded: %s", TEXT_ARGS(key->name), fault.text);
	} else {
		warn(findings, key);
	}
}
