// SPDX-License-Identifier: Apache-2.0
//
// Binary property lists: a magic, objects, a table of their offsets, and a trailer that says where that table is. An object begins with a
// marker: its type in the upper half, its size or value in the lower one, 15 for a size that follows as an integer object.
#include "tenants/plist.h"

#include <string.h>

enum {
	HEAD_SIZE = 8, TRAILER_SIZE = 32,
	MARK_FALSE = 0x08, MARK_TRUE = 0x09, TYPE_INTEGER = 0x1, TYPE_ASCII = 0x5, TYPE_UTF16 = 0x6, TYPE_DICTIONARY = 0xd, SIZE_FOLLOWS = 0xf,
	INTEGER_BYTES_MAX = 8, SURROGATE_FIRST = 0xd800, SURROGATE_SECOND = 0xdc00, SURROGATE_END = 0xe000,
};

struct list {
	const unsigned char *bytes;
	size_t objects_end; // where the table begins
	size_t table, offset_size, reference_size, count, top;
	struct arena *arena;
	struct fault *fault;
};

static enum err damaged(const struct list *list)
{
	return fault_set(list->fault, ERR_BAD_INPUT, "the binary property list is damaged");
}

// Big-endian, at most 8 bytes, which the caller has seen to be there.
static uint64_t number_at(const unsigned char *bytes, size_t size)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size; i++) {
		number = number << 8 | bytes[i];
	}
	return number;
}

static bool is_size(uint64_t size)
{
	return size >= 1 && size <= INTEGER_BYTES_MAX;
}

static enum err read_trailer(struct list *list, struct text plist)
{
	const unsigned char *trailer = (const unsigned char *)plist.bytes + plist.length - TRAILER_SIZE;
	const size_t room = plist.length - TRAILER_SIZE;
	const uint64_t count = number_at(trailer + 8, 8);
	const uint64_t top = number_at(trailer + 16, 8);
	const uint64_t table = number_at(trailer + 24, 8);

	if (!is_size(trailer[6]) || !is_size(trailer[7]) || table < HEAD_SIZE || table > room || count > (room - table) / trailer[6] ||
		top >= count) {
		return damaged(list);
	}
	list->offset_size = trailer[6];
	list->reference_size = trailer[7];
	list->count = (size_t)count;
	list->top = (size_t)top;
	list->table = (size_t)table;
	list->objects_end = (size_t)table;
	return OK;
}

struct object {
	unsigned type;
	unsigned low; // of the marker
	size_t size;  // that the marker tells: bytes, units or pairs
	size_t at;    // what follows the marker and the size
};

static enum err read_long_size(const struct list *list, struct object *object)
{
	const size_t at = object->at;

	if (at >= list->objects_end || list->bytes[at] >> 4 != TYPE_INTEGER || (list->bytes[at] & 0xf) > 3) {
		return damaged(list);
	}
	const size_t bytes = (size_t)1 << (list->bytes[at] & 0xf);

	if (bytes > list->objects_end - at - 1) {
		return damaged(list);
	}
	const uint64_t size = number_at(list->bytes + at + 1, bytes);

	object->at = at + 1 + bytes;
	object->size = (size_t)size;
	return size <= list->objects_end ? OK : damaged(list);
}

static enum err find(const struct list *list, uint64_t reference, struct object *object)
{
	if (reference >= list->count) {
		return damaged(list);
	}
	const uint64_t offset = number_at(list->bytes + list->table + (size_t)reference * list->offset_size, list->offset_size);

	if (offset < HEAD_SIZE || offset >= list->objects_end) {
		return damaged(list);
	}
	const unsigned char marker = list->bytes[offset];

	*object = (struct object){ .type = marker >> 4, .low = marker & 0xf, .size = marker & 0xf, .at = (size_t)offset + 1 };
	const bool has_size = object->type >= 4 && object->type != 8;

	return has_size && object->low == SIZE_FOLLOWS ? read_long_size(list, object) : OK;
}

static bool fits(const struct list *list, const struct object *object, size_t each)
{
	return object->size <= (list->objects_end - object->at) / each;
}

static bool add_utf16(struct buffer *out, const unsigned char *units, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t c = (uint32_t)number_at(units + 2 * i, 2);

		if (c >= SURROGATE_SECOND && c < SURROGATE_END) {
			return false;
		}
		if (c >= SURROGATE_FIRST && c < SURROGATE_SECOND) {
			const uint32_t second = ++i < count ? (uint32_t)number_at(units + 2 * i, 2) : 0;

			if (second < SURROGATE_SECOND || second >= SURROGATE_END) {
				return false;
			}
			c = 0x10000 + ((c - SURROGATE_FIRST) << 10) + (second - SURROGATE_SECOND);
		}
		plist_add_character(out, c);
	}
	return true;
}

static enum err read_string(const struct list *list, const struct object *object, struct text *out)
{
	struct buffer text CLEANUP(buffer_fini) = BUFFER(PLIST_TEXT_MAX);
	const bool is_ascii = object->type == TYPE_ASCII;

	if (!fits(list, object, is_ascii ? 1 : 2)) {
		return damaged(list);
	}
	if (object->size > PLIST_TEXT_MAX) {
		return fault_set(list->fault, ERR_BAD_INPUT, "a text has more than %d bytes", PLIST_TEXT_MAX);
	}
	if (is_ascii) {
		buffer_add(&text, list->bytes + object->at, object->size);
	} else if (!add_utf16(&text, list->bytes + object->at, object->size)) {
		return damaged(list);
	}
	if (text.overflow || !text_is_utf8(buffer_text(&text))) {
		return fault_set(list->fault, ERR_BAD_INPUT, "a text is too long, or holds what is no text");
	}
	const char *copy = arena_copy(list->arena, buffer_text(&text));

	*out = (struct text){ copy, text.length };
	return copy != NULL ? OK : fault_set(list->fault, ERR_BUDGET, "the property list holds too much");
}

static bool is_string(const struct object *object)
{
	return object->type == TYPE_ASCII || object->type == TYPE_UTF16;
}

// Nobody asks for a key that is longer than this, or has other characters.
static struct text plain_key(const struct list *list, const struct object *key)
{
	return key->type == TYPE_ASCII && fits(list, key, 1) ? (struct text){ (const char *)list->bytes + key->at, key->size } : TEXT_NONE;
}

static enum err take_value(const struct list *list, struct plist_member *member, uint64_t reference)
{
	struct object value;

	TRY(find(list, reference, &value));
	if (is_string(&value)) {
		member->kind = PLIST_STRING;
		return read_string(list, &value, &member->text);
	}
	const unsigned marker = value.type << 4 | value.low;

	member->kind = marker == MARK_TRUE ? PLIST_TRUE : marker == MARK_FALSE ? PLIST_FALSE : PLIST_OTHER;
	return OK;
}

static enum err read_pairs(const struct list *list, const struct object *top, struct plist_member *members, size_t count)
{
	const size_t size = list->reference_size;
	const unsigned char *keys = list->bytes + top->at;
	const unsigned char *values = keys + top->size * size;

	for (size_t i = 0; i < top->size; i++) {
		struct object key;
		struct plist_member *member;

		TRY(find(list, number_at(keys + i * size, size), &key));
		if (!is_string(&key)) {
			return damaged(list);
		}
		member = plist_wanted(members, count, plain_key(list, &key));
		if (member != NULL && member->kind != PLIST_ABSENT) {
			return fault_set(list->fault, ERR_BAD_INPUT, "%s is there twice", member->name);
		}
		if (member != NULL) {
			TRY(take_value(list, member, number_at(values + i * size, size)));
		}
	}
	return OK;
}

enum err plist_read_binary(struct plist_member *members, size_t count, struct text plist, struct arena *arena, struct fault *fault)
{
	struct list list = { .bytes = (const unsigned char *)plist.bytes, .arena = arena, .fault = fault };
	struct object top;

	if (plist.length < HEAD_SIZE + TRAILER_SIZE || memcmp(plist.bytes, "bplist00", HEAD_SIZE) != 0) {
		return damaged(&list);
	}
	TRY(read_trailer(&list, plist));
	TRY(find(&list, list.top, &top));
	if (top.type != TYPE_DICTIONARY) {
		return fault_set(fault, ERR_BAD_INPUT, "the property list is no dictionary");
	}
	return fits(&list, &top, 2 * list.reference_size) ? read_pairs(&list, &top, members, count) : damaged(&list);
}
