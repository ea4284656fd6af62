// SPDX-License-Identifier: Apache-2.0
#include "api/labels.h"

#include <string.h>

static bool is_label(struct text label)
{
	for (size_t i = 0; i < label.length; i++) {
		if ((unsigned char)label.bytes[i] < ' ' || label.bytes[i] == 0x7f) {
			return false;
		}
	}
	return label.length > 0 && label.length <= LABEL_MAX;
}

struct text labels_join(struct arena *arena, const struct text *labels, size_t count)
{
	struct buffer lines CLEANUP(buffer_fini) = BUFFER((LABEL_MAX + 1) * LABELS_MAX);

	for (size_t i = 0; i < count; i++) {
		if (count > LABELS_MAX || !is_label(labels[i])) {
			return TEXT_NONE;
		}
		buffer_add_string(&lines, i > 0 ? "\n" : "");
		buffer_add_text(&lines, labels[i]);
	}
	return text_of(arena_copy(arena, buffer_text(&lines)));
}

static size_t length_until(struct text list, const char *separators)
{
	size_t length = 0;

	while (length < list.length && strchr(separators, list.bytes[length]) == NULL) {
		length++;
	}
	return length;
}

struct text labels_split(struct arena *arena, struct text list, const char *separators)
{
	struct text labels[LABELS_MAX + 1];
	size_t count = 0;

	while (list.length > 0 && count <= LABELS_MAX) {
		const size_t length = length_until(list, separators);
		const size_t taken = length < list.length ? length + 1 : length;

		labels[count++] = text_trim((struct text){ list.bytes, length });
		list = (struct text){ list.bytes + taken, list.length - taken };
	}
	return labels_join(arena, labels, count);
}

void labels_json(struct json_out *json, struct text lines)
{
	put_list(json, "labels");
	while (lines.length > 0) {
		const size_t length = length_until(lines, "\n");
		const size_t taken = length < lines.length ? length + 1 : length;

		put_text(json, NULL, (struct text){ lines.bytes, length });
		lines = (struct text){ lines.bytes + taken, lines.length - taken };
	}
	put_list_end(json);
}
