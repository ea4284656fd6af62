// SPDX-License-Identifier: Apache-2.0
#include "tenants/device_list.h"

#include <stdlib.h>
#include <string.h>

enum { SERIAL_MAX = 64 };

struct walk {
	const char *at;
	const char *end;
};

// What matters where: brackets and quotes outside of strings, quotes and backslashes in them.
enum { OPENS = 1, CLOSES = 2, QUOTE = 4, BACKSLASH = 8 };

static const unsigned char kinds[256] = {
	['{'] = OPENS, ['['] = OPENS, ['}'] = CLOSES, [']'] = CLOSES, ['"'] = QUOTE, ['\\'] = BACKSLASH,
};

static void skip_blanks(struct walk *walk)
{
	while (walk->at < walk->end && (*walk->at == ' ' || *walk->at == '\t' || *walk->at == '\n' || *walk->at == '\r')) {
		walk->at++;
	}
}

static bool accept(struct walk *walk, char c)
{
	skip_blanks(walk);
	if (walk->at == walk->end || *walk->at != c) {
		return false;
	}
	walk->at++;
	return true;
}

// Behind its first quote.
static bool skip_string(struct walk *walk)
{
	const char *at = walk->at;

	while (at < walk->end) {
		const unsigned char kind = kinds[(unsigned char)*at];

		if (kind == QUOTE) {
			walk->at = at + 1;
			return true;
		}
		at += kind == BACKSLASH ? 2 : 1;
	}
	return false;
}

// Within a container: how many are open, and whether a string is.
struct nesting {
	size_t depth;
	bool in_string;
};

// One byte, or an escape. True: it was the last bracket.
static bool step(struct walk *walk, struct nesting *nesting)
{
	const unsigned char kind = kinds[(unsigned char)*walk->at++];

	if (kind == QUOTE) {
		nesting->in_string = !nesting->in_string;
	} else if (nesting->in_string) {
		walk->at += kind == BACKSLASH && walk->at < walk->end ? 1 : 0;
	} else if (kind == OPENS) {
		nesting->depth++;
	} else if (kind == CLOSES) {
		nesting->depth--;
	}
	return nesting->depth == 0;
}

#ifdef __SSE2__
enum { BLOCK = 16 };

typedef char block __attribute__((vector_size(BLOCK)));

static block block_at(const char *at)
{
	block bytes;

	memcpy(&bytes, at, sizeof bytes);
	return bytes;
}

// A bit for each byte.
static unsigned where_is(block bytes, char c)
{
	return (unsigned)__builtin_ia32_pmovmskb128((block)(bytes == (block){ 0 } + c));
}

// Likewise: whether an odd number of quotes stands up to it.
static unsigned after_odd(unsigned quotes)
{
	quotes ^= quotes << 1;
	quotes ^= quotes << 2;
	quotes ^= quotes << 4;
	return quotes ^ quotes << 8;
}

// As steps, sixteen at once, through bytes without an escape.
static bool step_block(struct walk *walk, struct nesting *nesting)
{
	const block bytes = block_at(walk->at), folded = bytes | ((block){ 0 } + 0x20); // brackets to braces
	const unsigned quotes = where_is(bytes, '"'), opening = where_is(folded, '{'), closing = where_is(folded, '}');
	const unsigned outside = (after_odd(quotes) ^ (nesting->in_string ? 0u : ~0u)) & (opening | closing);

	for (unsigned left = outside; left != 0; left &= left - 1) {
		const unsigned bit = left & -left;

		nesting->depth += (opening & bit) != 0 ? 1 : (size_t)-1;
		if (nesting->depth == 0) {
			walk->at += __builtin_ctz(bit) + 1;
			return true;
		}
	}
	nesting->in_string ^= __builtin_parity(quotes);
	walk->at += BLOCK;
	return false;
}

static bool steps(struct walk *walk, struct nesting *nesting)
{
	return walk->end - walk->at >= BLOCK && where_is(block_at(walk->at), '\\') == 0 ? step_block(walk, nesting) : step(walk, nesting);
}
#else
static bool steps(struct walk *walk, struct nesting *nesting)
{
	return step(walk, nesting);
}
#endif

// Behind its first bracket, to its last one.
static bool skip_container(struct walk *walk)
{
	struct nesting nesting = { .depth = 1 };

	while (walk->at < walk->end) {
		if (steps(walk, &nesting)) {
			return true;
		}
	}
	return false;
}

static bool skip_value(struct walk *walk)
{
	skip_blanks(walk);
	const unsigned char kind = walk->at < walk->end ? kinds[(unsigned char)*walk->at] : 0;

	if (kind == QUOTE || kind == OPENS) {
		walk->at++;
		return kind == QUOTE ? skip_string(walk) : skip_container(walk);
	}
	while (walk->at < walk->end && strchr(",}] \t\r\n", *walk->at) == NULL) {
		walk->at++;
	}
	return walk->at < walk->end;
}

// "serial_number":"..." wherever it stands in the device: Apple sends it first.
static struct text guess_serial(struct text device)
{
	static const char name[] = "\"serial_number\"";
	const char *found = memmem(device.bytes, device.length, name, sizeof name - 1);

	if (found == NULL) {
		return TEXT_NONE;
	}
	struct walk walk = { found + sizeof name - 1, device.bytes + device.length };

	if (!accept(&walk, ':') || !accept(&walk, '"')) {
		return TEXT_NONE;
	}
	const char *start = walk.at;

	return skip_string(&walk) && walk.at - start <= SERIAL_MAX + 1 ? (struct text){ start, (size_t)(walk.at - 1 - start) } : TEXT_NONE;
}

static void add(struct device_list *list, const char *start, const char *end)
{
	const struct text bytes = { start, (size_t)(end - start) };

	if (list->count == list->room) {
		list->room = list->room > 0 ? 2 * list->room : 1024;
		list->extents = reallocate(list->extents, list->room * sizeof *list->extents);
	}
	list->extents[list->count++] = (struct device_extent){ bytes, guess_serial(bytes) };
}

// Behind the array's first bracket.
static bool find_devices(struct device_list *list, struct walk *walk, size_t most)
{
	const char *start = walk->at;

	if (!accept(walk, ']')) {
		do {
			if (list->count == most || !accept(walk, '{')) {
				return false;
			}
			const char *device = walk->at - 1;

			if (!skip_container(walk)) {
				return false;
			}
			add(list, device, walk->at);
		} while (accept(walk, ','));
		if (!accept(walk, ']')) {
			return false;
		}
	}
	list->inside = (struct text){ start, (size_t)(walk->at - 1 - start) };
	return true;
}

bool device_list_find(struct device_list *list, struct text page, size_t most)
{
	static const char mark[] = "\xef\xbb\xbf"; // byte order mark
	struct walk walk = { page.bytes, page.bytes + page.length };

	*list = (struct device_list){ .count = 0 };
	if (page.length >= 3 && memcmp(page.bytes, mark, 3) == 0) {
		walk.at += 3;
	}
	if (!accept(&walk, '{')) {
		return false;
	}
	do {
		if (!accept(&walk, '"')) {
			return false;
		}
		const char *name = walk.at;

		if (!skip_string(&walk)) {
			return false;
		}
		const struct text key = { name, (size_t)(walk.at - 1 - name) };

		if (!accept(&walk, ':')) {
			return false;
		}
		if (text_equal_string(key, "devices")) {
			return accept(&walk, '[') && find_devices(list, &walk, most);
		}
		if (!skip_value(&walk)) {
			return false;
		}
	} while (accept(&walk, ','));
	return false;
}

void device_list_fini(struct device_list *list)
{
	free(list->extents);
	*list = (struct device_list){ .count = 0 };
}
