// SPDX-License-Identifier: Apache-2.0
#include "tenants/tree_value.h"

#include "tenants/scan_json.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 16, FIRST_CAPACITY = 4, FEW = 8 };

struct reader {
	struct scan_json scan;
	struct arena *arena;
};

static enum err read_value(struct reader *reader, struct tree_value *out, int depth);

int tree_name_compare(struct text a, struct text b)
{
	const size_t common = a.length < b.length ? a.length : b.length;
	const int order = common > 0 ? memcmp(a.bytes, b.bytes, common) : 0;

	return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_members(const void *a, const void *b)
{
	return tree_name_compare(((const struct tree_member *)a)->name, ((const struct tree_member *)b)->name);
}

static enum err refuse_budget(const struct reader *reader)
{
	return fault_set(reader->scan.fault, ERR_BUDGET, "the JSON needs more than %zu bytes of memory",
		reader->arena->budget_bytes);
}

static enum err make_room(struct reader *reader, struct tree_value *list, size_t *capacity)
{
	struct tree_member *larger;

	if (list->count < *capacity) {
		return OK;
	}
	*capacity = *capacity == 0 ? FIRST_CAPACITY : *capacity * 2;
	larger = arena_take(reader->arena, *capacity * sizeof *larger);
	if (larger == NULL) {
		return refuse_budget(reader);
	}
	if (list->count > 0) {
		memcpy(larger, list->members, list->count * sizeof *larger);
	}
	list->members = larger;
	return OK;
}

static enum err read_name(struct scan_json *scan, struct text *name)
{
	TRY(scan_json_string(scan, name));
	scan_json_blanks(scan);
	if (!scan_json_accept(scan, ':')) {
		return scan_json_refuse(scan, "a colon is expected");
	}
	scan_json_blanks(scan);
	return OK;
}

static enum err sort_members(const struct reader *reader, struct tree_value *object)
{
	if (object->count > 1) {
		qsort(object->members, object->count, sizeof *object->members, compare_members);
	}
	for (size_t i = 1; i < object->count; i++) {
		if (text_equal(object->members[i - 1].name, object->members[i].name)) {
			return scan_json_refuse(&reader->scan, "an object before it has a name twice");
		}
	}
	return OK;
}

static enum err read_members(struct reader *reader, struct tree_value *out, int depth)
{
	struct scan_json *scan = &reader->scan;
	const bool has_names = out->kind == TREE_OBJECT;
	const char end = has_names ? '}' : ']';
	size_t capacity = 0;

	scan_json_blanks(scan);
	if (scan_json_accept(scan, end)) {
		return OK;
	}
	do {
		struct tree_member member = { 0 };

		scan_json_blanks(scan);
		if (has_names) {
			TRY(read_name(scan, &member.name));
		}
		TRY(read_value(reader, &member.value, depth));
		TRY(make_room(reader, out, &capacity));
		out->members[out->count++] = member;
		scan_json_blanks(scan);
	} while (scan_json_accept(scan, ','));
	if (!scan_json_accept(scan, end)) {
		return scan_json_refuse(scan, "a comma or the end is expected");
	}
	return has_names ? sort_members(reader, out) : OK;
}

static bool read_word(struct scan_json *scan, enum tree_value_kind *kind)
{
	static const struct {
		struct text word;
		enum tree_value_kind kind;
	} words[] = { { TEXT("null"), TREE_NULL }, { TEXT("false"), TREE_FALSE }, { TEXT("true"), TREE_TRUE } };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (scan_json_word(scan, words[i].word)) {
			*kind = words[i].kind;
			return true;
		}
	}
	return false;
}

static enum err read_value(struct reader *reader, struct tree_value *out, int depth)
{
	struct scan_json *scan = &reader->scan;

	*out = (struct tree_value){ .kind = TREE_NULL };
	if (depth > DEPTH_MAX) {
		return scan_json_refuse(scan, "nested too deeply");
	}
	if (scan_json_next_is(scan, '"')) {
		out->kind = TREE_STRING;
		return scan_json_string(scan, &out->text);
	}
	if (scan_json_accept(scan, '{')) {
		out->kind = TREE_OBJECT;
		return read_members(reader, out, depth + 1);
	}
	if (scan_json_accept(scan, '[')) {
		out->kind = TREE_ARRAY;
		return read_members(reader, out, depth + 1);
	}
	if (read_word(scan, &out->kind)) {
		return OK;
	}
	out->kind = TREE_NUMBER;
	return scan_json_number(scan, &out->text);
}

enum err tree_value_read(struct tree_value *out, char *json, size_t length, struct arena *arena, struct fault *fault)
{
	struct reader reader = {
		.scan = { .start = json, .at = json, .end = json + length, .fault = fault }, .arena = arena,
	};

	if (!text_is_utf8((struct text){ json, length })) {
		return fault_set(fault, ERR_BAD_INPUT, "not well-formed UTF-8");
	}
	scan_json_blanks(&reader.scan);
	TRY(read_value(&reader, out, 0));
	scan_json_blanks(&reader.scan);
	return reader.scan.at == reader.scan.end ? OK : scan_json_refuse(&reader.scan, "something follows the value");
}

// Most names differ in their length.
static const struct tree_value *find_among_few(const struct tree_value *object, struct text name)
{
	for (size_t i = 0; i < object->count; i++) {
		if (text_equal(object->members[i].name, name)) {
			return &object->members[i].value;
		}
	}
	return NULL;
}

const struct tree_value *tree_value_find(const struct tree_value *object, struct text name)
{
	const struct tree_member wanted = { .name = name };
	const struct tree_member *found;

	if (object->kind != TREE_OBJECT || object->count == 0) {
		return NULL;
	}
	if (object->count <= FEW) {
		return find_among_few(object, name);
	}
	found = bsearch(&wanted, object->members, object->count, sizeof wanted, compare_members);
	return found != NULL ? &found->value : NULL;
}

bool tree_value_equal(const struct tree_value *a, const struct tree_value *b)
{
	if (a->kind != b->kind || a->count != b->count || !text_equal(a->text, b->text)) {
		return false;
	}
	for (size_t i = 0; i < a->count; i++) {
		if (!text_equal(a->members[i].name, b->members[i].name) ||
			!tree_value_equal(&a->members[i].value, &b->members[i].value)) {
			return false;
		}
	}
	return true;
}

static void write_members(struct buffer *out, const struct tree_value *value)
{
	const bool has_names = value->kind == TREE_OBJECT;

	buffer_add_string(out, has_names ? "{" : "[");
	for (size_t i = 0; i < value->count; i++) {
		buffer_add_string(out, i > 0 ? "," : "");
		if (has_names) {
			buffer_add_json(out, value->members[i].name);
			buffer_add_string(out, ":");
		}
		tree_value_write(out, &value->members[i].value);
	}
	buffer_add_string(out, has_names ? "}" : "]");
}

void tree_value_write(struct buffer *out, const struct tree_value *value)
{
	switch (value->kind) {
	case TREE_NULL: buffer_add_string(out, "null"); break;
	case TREE_FALSE: buffer_add_string(out, "false"); break;
	case TREE_TRUE: buffer_add_string(out, "true"); break;
	case TREE_NUMBER: buffer_add_text(out, value->text); break;
	case TREE_STRING: buffer_add_json(out, value->text); break;
	case TREE_ARRAY:
	case TREE_OBJECT: write_members(out, value); break;
	}
}
