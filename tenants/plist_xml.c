// SPDX-License-Identifier: Apache-2.0
//
// XML property lists, as a walk over tags: the names of those that are open are kept, and what stands right in the outermost dictionary.
#include "tenants/plist.h"

#include <limits.h>
#include <string.h>

struct walk {
	struct text rest;
	struct arena *arena;
	struct fault *fault;
};

static enum err malformed(const struct walk *walk, const char *what)
{
	return fault_set(walk->fault, ERR_BAD_INPUT, "the XML property list is malformed: %s", what);
}

static void skip(struct walk *walk, size_t count)
{
	walk->rest.bytes += count;
	walk->rest.length -= count;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct walk *walk)
{
	while (walk->rest.length > 0 && is_blank(walk->rest.bytes[0])) {
		skip(walk, 1);
	}
}

// Whether `end` comes, and then it is passed.
static bool skip_past(struct walk *walk, struct text end)
{
	const char *found = walk->rest.length > 0 ? memmem(walk->rest.bytes, walk->rest.length, end.bytes, end.length) : NULL;

	if (found != NULL) {
		skip(walk, (size_t)(found - walk->rest.bytes) + end.length);
	}
	return found != NULL;
}

static enum err skip_comments(struct walk *walk)
{
	skip_blanks(walk);
	while (text_starts_with(walk->rest, TEXT("<!--"))) {
		if (!skip_past(walk, TEXT("-->"))) {
			return malformed(walk, "a comment does not end");
		}
		skip_blanks(walk);
	}
	return OK;
}

// A declaration of the document's type that brings anything of its own is not followed, but refused.
static enum err skip_prologue(struct walk *walk)
{
	if (text_starts_with(walk->rest, TEXT("\xef\xbb\xbf"))) {
		skip(walk, 3);
	}
	skip_blanks(walk);
	if (text_starts_with(walk->rest, TEXT("<?xml")) && !skip_past(walk, TEXT("?>"))) {
		return malformed(walk, "its declaration does not end");
	}
	TRY(skip_comments(walk));
	if (!text_starts_with(walk->rest, TEXT("<!DOCTYPE"))) {
		return OK;
	}
	const char *start = walk->rest.bytes;

	if (!skip_past(walk, TEXT(">"))) {
		return malformed(walk, "its document type does not end");
	}
	if (memchr(start, '[', (size_t)(walk->rest.bytes - start)) != NULL) {
		return malformed(walk, "its document type has a subset");
	}
	return skip_comments(walk);
}

struct tag {
	struct text name;
	bool closes;
	bool is_empty;
};

static bool is_of_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Attributes mean nothing in a property list and are passed over; none has an angle bracket.
static enum err take_tag(struct walk *walk, struct tag *tag)
{
	*tag = (struct tag){ .closes = text_starts_with(walk->rest, TEXT("</")) };
	if (!text_starts_with(walk->rest, TEXT("<"))) {
		return malformed(walk, "a tag is missing");
	}
	skip(walk, tag->closes ? 2 : 1);
	tag->name = (struct text){ walk->rest.bytes, 0 };
	while (walk->rest.length > 0 && is_of_name(walk->rest.bytes[0])) {
		tag->name.length++;
		skip(walk, 1);
	}
	if (tag->name.length == 0 || walk->rest.length == 0 || !(is_blank(walk->rest.bytes[0]) || strchr("/>", walk->rest.bytes[0]) != NULL)) {
		return malformed(walk, "a tag has no name that is one");
	}
	const char *start = walk->rest.bytes;

	if (!skip_past(walk, TEXT(">"))) {
		return malformed(walk, "a tag does not end");
	}
	const size_t length = (size_t)(walk->rest.bytes - start) - 1;

	tag->is_empty = length > 0 && start[length - 1] == '/';
	return memchr(start, '<', length) == NULL && !(tag->closes && tag->is_empty) ? OK : malformed(walk, "a tag inside of a tag");
}

// --- text ---

static bool is_character(uint32_t c)
{
	return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c < 0xd800) || (c >= 0xe000 && c < 0xfffe) || (c >= 0x10000 && c < 0x110000);
}

static unsigned value_of_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return (unsigned)(c - '0');
	}
	if (c >= 'a' && c <= 'f') {
		return (unsigned)(c - 'a') + 10;
	}
	return c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10 : UINT_MAX;
}

// "#65" or "#x41", without the ampersand and the semicolon.
static bool add_number(struct buffer *out, struct text digits)
{
	const unsigned base = digits.length > 1 && digits.bytes[1] == 'x' ? 16 : 10;
	const size_t start = base == 16 ? 2 : 1;
	uint32_t c = 0;

	if (digits.length == start) {
		return false;
	}
	for (size_t i = start; i < digits.length; i++) {
		const unsigned value = value_of_digit(digits.bytes[i]);

		if (value >= base || c > 0x110000) {
			return false;
		}
		c = c * base + value;
	}
	if (!is_character(c)) {
		return false;
	}
	plist_add_character(out, c);
	return true;
}

static bool add_entity(struct buffer *out, struct text name)
{
	static const struct {
		const char *name, *text;
	} entities[] = { { "amp", "&" }, { "lt", "<" }, { "gt", ">" }, { "quot", "\"" }, { "apos", "'" } };

	for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
		if (text_equal_string(name, entities[i].name)) {
			buffer_add_string(out, entities[i].text);
			return true;
		}
	}
	return name.length > 0 && name.bytes[0] == '#' && add_number(out, name);
}

static enum err add_content(const struct walk *walk, struct buffer *out, struct text raw)
{
	enum { ENTITY_MAX = 12 };

	for (size_t i = 0; i < raw.length; i++) {
		if (raw.bytes[i] != '&') {
			buffer_add(out, &raw.bytes[i], 1);
			continue;
		}
		const size_t left = raw.length - i - 1;
		const char *end = memchr(raw.bytes + i + 1, ';', left < ENTITY_MAX ? left : ENTITY_MAX);

		if (end == NULL || !add_entity(out, (struct text){ raw.bytes + i + 1, (size_t)(end - raw.bytes) - i - 1 })) {
			return malformed(walk, "an entity that is none of XML's own");
		}
		i = (size_t)(end - raw.bytes);
	}
	return OK;
}

static enum err decode(const struct walk *walk, struct text raw, struct text *out)
{
	struct buffer text CLEANUP(buffer_fini) = BUFFER(PLIST_TEXT_MAX);

	TRY(add_content(walk, &text, raw));
	if (text.overflow || !text_is_utf8(buffer_text(&text))) {
		return malformed(walk, "a text is too long, or not UTF-8");
	}
	const char *copy = arena_copy(walk->arena, buffer_text(&text));

	*out = (struct text){ copy, text.length };
	return copy != NULL ? OK : fault_set(walk->fault, ERR_BUDGET, "the property list holds too much");
}

// What stands between a tag that was taken and the one that closes it, which is taken too: no other tag.
static enum err take_content(struct walk *walk, const struct tag *tag, struct text *raw)
{
	struct tag end;

	*raw = (struct text){ walk->rest.bytes, 0 };
	if (tag->is_empty) {
		return OK;
	}
	while (walk->rest.length > 0 && walk->rest.bytes[0] != '<') {
		raw->length++;
		skip(walk, 1);
	}
	TRY(take_tag(walk, &end));
	return end.closes && text_equal(end.name, tag->name) ? OK : malformed(walk, "something inside of a value that holds text");
}

// --- values ---

static bool is_one_of(struct text name, const char *const *names)
{
	for (; *names != NULL; names++) {
		if (text_equal_string(name, *names)) {
			return true;
		}
	}
	return false;
}

static bool is_container(struct text name)
{
	return is_one_of(name, (const char *const[]){ "dict", "array", NULL });
}

static bool is_leaf(struct text name)
{
	return is_one_of(name, (const char *const[]){ "string", "integer", "real", "data", "date", "true", "false", "key", NULL });
}

// Everything up to the tag that closes the container whose tag was taken.
static enum err skip_container(struct walk *walk, const struct tag *tag)
{
	struct text open[PLIST_DEPTH_MAX] = { tag->name };
	size_t depth = tag->is_empty ? 0 : 1;

	while (depth > 0) {
		struct tag next;
		struct text raw;

		TRY(skip_comments(walk));
		TRY(take_tag(walk, &next));
		if (next.closes) {
			if (!text_equal(next.name, open[--depth])) {
				return malformed(walk, "tags that do not match");
			}
		} else if (is_container(next.name)) {
			if (depth == PLIST_DEPTH_MAX) {
				return malformed(walk, "it is too deep");
			}
			open[depth] = next.name;
			depth += next.is_empty ? 0 : 1;
		} else if (is_leaf(next.name)) {
			TRY(take_content(walk, &next, &raw));
		} else {
			return malformed(walk, "a tag that no property list has");
		}
	}
	return OK;
}

static enum err take_value(struct walk *walk, struct plist_member *member)
{
	struct tag tag;
	struct text raw;

	TRY(skip_comments(walk));
	TRY(take_tag(walk, &tag));
	if (tag.closes || text_equal(tag.name, TEXT("key")) || !(is_container(tag.name) || is_leaf(tag.name))) {
		return malformed(walk, "a key without a value");
	}
	if (is_container(tag.name)) {
		TRY(skip_container(walk, &tag));
	} else {
		TRY(take_content(walk, &tag, &raw));
	}
	if (member == NULL) {
		return OK;
	}
	member->kind = text_equal(tag.name, TEXT("true")) ? PLIST_TRUE : text_equal(tag.name, TEXT("false")) ? PLIST_FALSE : PLIST_OTHER;
	if (text_equal(tag.name, TEXT("string"))) {
		member->kind = PLIST_STRING;
		return decode(walk, raw, &member->text);
	}
	return OK;
}

static enum err take_pair(struct walk *walk, const struct tag *tag, struct plist_member *members, size_t count)
{
	struct text raw;
	struct text key;

	if (tag->closes || !text_equal(tag->name, TEXT("key"))) {
		return malformed(walk, "a value without a key");
	}
	TRY(take_content(walk, tag, &raw));
	TRY(decode(walk, raw, &key));
	struct plist_member *member = plist_wanted(members, count, key);

	if (member != NULL && member->kind != PLIST_ABSENT) {
		return fault_set(walk->fault, ERR_BAD_INPUT, "%s is there twice", member->name);
	}
	return take_value(walk, member);
}

static enum err take_dictionary(struct walk *walk, struct plist_member *members, size_t count)
{
	struct tag tag;

	TRY(skip_comments(walk));
	TRY(take_tag(walk, &tag));
	if (tag.closes || !text_equal(tag.name, TEXT("dict"))) {
		return fault_set(walk->fault, ERR_BAD_INPUT, "the property list is no dictionary");
	}
	while (!tag.is_empty) {
		TRY(skip_comments(walk));
		TRY(take_tag(walk, &tag));
		if (tag.closes && text_equal(tag.name, TEXT("dict"))) {
			return OK;
		}
		TRY(take_pair(walk, &tag, members, count));
		tag.is_empty = false;
	}
	return OK;
}

enum err plist_read_xml(struct plist_member *members, size_t count, struct text plist, struct arena *arena, struct fault *fault)
{
	struct walk walk = { plist, arena, fault };
	struct tag tag;

	TRY(skip_prologue(&walk));
	TRY(take_tag(&walk, &tag));
	if (tag.closes || tag.is_empty || !text_equal(tag.name, TEXT("plist"))) {
		return malformed(&walk, "it does not begin as one");
	}
	TRY(take_dictionary(&walk, members, count));
	TRY(skip_comments(&walk));
	TRY(take_tag(&walk, &tag));
	if (!tag.closes || !text_equal(tag.name, TEXT("plist"))) {
		return malformed(&walk, "something follows the dictionary");
	}
	TRY(skip_comments(&walk));
	return walk.rest.length == 0 ? OK : malformed(&walk, "something follows its end");
}
