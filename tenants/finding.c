// SPDX-License-Identifier: Apache-2.0
#include "tenants/finding.h"

#include <stdio.h>
#include <string.h>

enum { SENTENCE_SIZE = 400 };

// A sentence that was cut inside of a character ends before it.
static struct text whole_characters(const char *sentence)
{
	struct text t = text_of(sentence);

	for (int i = 0; i < 4 && t.length > 0 && !text_is_utf8(t); i++) {
		t.length--;
	}
	return t;
}

void finding_add_list(struct findings *findings, struct finding_kind kind, struct finding_place place, const char *format,
	va_list arguments)
{
	char sentence[SENTENCE_SIZE];
	char *kept_sentence, *kept_pointer;

	findings->error_count += kind.severity == FINDING_ERROR ? 1 : 0;
	findings->not_kept++;
	if (findings->items == NULL) {
		findings->items = arena_take(findings->arena, FINDINGS_MAX * sizeof *findings->items);
	}
	if (findings->items == NULL || findings->count == FINDINGS_MAX) {
		return;
	}
	(void)vsnprintf(sentence, sizeof sentence, format, arguments);
	const struct text whole = whole_characters(sentence);

	kept_sentence = arena_copy(findings->arena, whole);
	kept_pointer = arena_copy(findings->arena, place.pointer);
	if (kept_sentence == NULL || kept_pointer == NULL) {
		return;
	}
	findings->not_kept--;
	findings->items[findings->count++] = (struct finding){
		.severity = kind.severity, .code = kind.code, .apple_word = kind.apple_word, .layer = place.layer,
		.pointer = { kept_pointer, place.pointer.length }, .sentence = { kept_sentence, whole.length },
	};
}

void finding_add(struct findings *findings, struct finding_kind kind, struct finding_place place, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	finding_add_list(findings, kind, place, format, arguments);
	va_end(arguments);
}

const char *finding_severity_name(enum finding_severity severity)
{
	static const char *const names[] = { "note", "warning", "error" };

	return names[severity];
}

void finding_pointer_add(struct buffer *pointer, struct text name)
{
	size_t plain = 0; // start of what needs no escape

	buffer_add_string(pointer, "/");
	for (size_t i = 0; i < name.length; i++) {
		const char c = name.bytes[i];

		if (c == '~' || c == '/') {
			buffer_add(pointer, name.bytes + plain, i - plain);
			buffer_add_string(pointer, c == '~' ? "~0" : "~1");
			plain = i + 1;
		}
	}
	if (name.length > plain) {
		buffer_add(pointer, name.bytes + plain, name.length - plain);
	}
}
