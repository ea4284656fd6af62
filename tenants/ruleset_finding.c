// SPDX-License-Identifier: Apache-2.0
#include "tenants/nearest.h"
#include "tenants/ruleset_inner.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { POINTER_MAX = 600, SENTENCE_MAX = 400, WARNINGS_MAX = RULESET_FINDINGS_MAX / 2 }; // errors always find room

static void add_name(struct buffer *out, struct text name)
{
	for (size_t i = 0; i < name.length; i++) { // RFC 6901
		const char c = name.bytes[i];

		if (c == '~' || c == '/') {
			buffer_add_string(out, c == '~' ? "~0" : "~1");
		} else {
			buffer_add(out, &c, 1);
		}
	}
}

static void add_path(struct buffer *out, const struct rule_path *at)
{
	if (at == NULL) {
		return;
	}
	add_path(out, at->up);
	buffer_add_string(out, "/");
	if (at->name.bytes != NULL) {
		add_name(out, at->name);
	} else {
		buffer_add_format(out, "%zu", at->index);
	}
}

__attribute__((format(printf, 3, 0)))
static struct ruleset_finding *add_finding(struct ruleset *ruleset, const struct rule_path *at, const char *format,
	va_list arguments)
{
	CLEANUP(buffer_fini) struct buffer pointer = BUFFER(POINTER_MAX);
	char sentence[SENTENCE_MAX];
	struct ruleset_finding *finding;

	if (ruleset->finding_count == RULESET_FINDINGS_MAX) {
		return NULL;
	}
	if (ruleset->findings == NULL) { // most rules have none
		ruleset->findings = ruleset_take(ruleset, RULESET_FINDINGS_MAX * sizeof *ruleset->findings);
	}
	add_path(&pointer, at);
	(void)vsnprintf(sentence, sizeof sentence, format, arguments);
	finding = &ruleset->findings[ruleset->finding_count++];
	finding->pointer = ruleset_keep(ruleset, buffer_text(&pointer));
	finding->sentence = ruleset_keep(ruleset, text_of(sentence));
	return finding;
}

void rule_error(struct ruleset *ruleset, const struct rule_path *at, const char *format, ...)
{
	struct ruleset_finding *finding;
	va_list arguments;

	va_start(arguments, format);
	finding = add_finding(ruleset, at, format, arguments);
	va_end(arguments);
	ruleset->error_count++;
	if (finding != NULL) {
		finding->kind = RULESET_ERROR;
		finding->rule = finding->other = RULESET_NO_RULE;
	}
}

void rule_warn(struct ruleset *ruleset, const struct ruleset_finding *what, const struct rule_path *at, const char *format, ...)
{
	struct ruleset_finding *finding;
	va_list arguments;

	if (ruleset->finding_count >= WARNINGS_MAX) {
		return;
	}
	va_start(arguments, format);
	finding = add_finding(ruleset, at, format, arguments);
	va_end(arguments);
	if (finding != NULL) {
		finding->kind = what->kind;
		finding->rule = what->rule;
		finding->other = what->other;
	}
}

static bool is_known(struct text name, const struct text *known, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (text_equal(name, known[i])) {
			return true;
		}
	}
	return false;
}

void rule_refuse_unknown(struct ruleset *ruleset, const struct rule_path *at, const struct tree_value *object,
	const struct text *known, size_t count)
{
	for (size_t i = 0; i < object->count; i++) {
		const struct text name = object->members[i].name;
		const struct rule_path here = { .up = at, .name = name };

		if (is_known(name, known, count)) {
			continue;
		}
		const struct text near = nearest_word(name, known, count);

		if (near.length > 0) {
			rule_error(ruleset, &here, "there is no \"%.*s\" here: is \"%.*s\" meant?", TEXT_ARGS(name), TEXT_ARGS(near));
		} else {
			rule_error(ruleset, &here, "there is no \"%.*s\" here", TEXT_ARGS(name));
		}
	}
}

// --- out ---

static const struct {
	const char *severity, *code;
} kinds[] = {
	[RULESET_ERROR] = { "error", "error" },
	[RULESET_NEVER_MATCHES] = { "warning", "never_matches" },
	[RULESET_CHANGES_NOTHING] = { "warning", "changes_nothing" },
	[RULESET_GONE] = { "warning", "gone" },
	[RULESET_DRAINING] = { "warning", "draining" },
	[RULESET_UNUSUAL] = { "warning", "unusual" },
};

void ruleset_findings_write(struct buffer *out, const struct ruleset *ruleset)
{
	buffer_add_string(out, "[");
	for (size_t i = 0; i < ruleset->finding_count; i++) {
		const struct ruleset_finding *finding = &ruleset->findings[i];

		buffer_add_format(out, "%s{\"severity\":\"%s\",\"code\":\"%s\",\"pointer\":", i > 0 ? "," : "",
			kinds[finding->kind].severity, kinds[finding->kind].code);
		buffer_add_json(out, finding->pointer);
		buffer_add_string(out, ",\"sentence\":");
		buffer_add_json(out, finding->sentence);
		buffer_add_string(out, "}");
	}
	buffer_add_string(out, "]");
}

const struct ruleset_finding *ruleset_findings(const struct ruleset *ruleset, size_t *count)
{
	*count = ruleset->finding_count;
	return ruleset->findings;
}
