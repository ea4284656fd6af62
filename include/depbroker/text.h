// SPDX-License-Identifier: Apache-2.0
//
// text.h - borrowed bytes, and a growing buffer that is born with its limit.
//
// Ownership  struct text owns nothing. A struct buffer owns its memory until buffer_fini or buffer_take.
// Laws       1. a buffer never holds more than `limit` bytes: adding more marks it `overflow` and adds nothing from then on
//            2. `bytes` is always NUL-terminated after the first addition, so that it can be used as a C string
//            3. memory exhaustion aborts the process; the limit is the error that callers handle
#pragma once

#include "depbroker/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
	const char *bytes;
	size_t length;
};

#define TEXT(literal) ((struct text){ "" literal, sizeof(literal) - 1 })
#define TEXT_NONE     ((struct text){ NULL, 0 })
#define TEXT_ARGS(t)  (int)(t).length, (t).bytes // for "%.*s"

struct text text_of(const char *string); // NULL gives TEXT_NONE
bool text_equal(struct text a, struct text b);
bool text_equal_string(struct text a, const char *string);
bool text_equal_ignoring_case(struct text a, struct text b); // ASCII only
bool text_starts_with(struct text whole, struct text start);
bool text_contains_ignoring_case(struct text whole, const char *part); // ASCII only
// Takes what comes before the separator, or all. False: nothing was left, and `part` is that. What follows a separator at the end is a part, empty.
bool text_next(struct text *rest, char separator, struct text *part);
void text_put(char *out, size_t size, struct text t);                   // NUL-terminated, cut to what fits
struct text text_trim(struct text t);                                  // blanks, tabs, CR, LF off both ends
bool text_is_utf8(struct text t);                                      // well-formed and without NUL

struct buffer {
	char *bytes;
	size_t length;
	size_t capacity;
	size_t limit;
	bool overflow;
};

#define BUFFER(limit_bytes) ((struct buffer){ .limit = (limit_bytes) })

void buffer_add(struct buffer *buffer, const void *bytes, size_t length);
void buffer_reserve(struct buffer *buffer, size_t length); // room for as many bytes, or up to the limit: a hint
char *buffer_extend(struct buffer *buffer, size_t length); // by bytes that the caller fills in at once; NULL: no room
void buffer_add_text(struct buffer *buffer, struct text t);
static inline void buffer_add_string(struct buffer *buffer, const char *string) // the length of a literal is known beforehand
{
	buffer_add(buffer, string, strlen(string));
}
void buffer_add_format(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_add_json(struct buffer *buffer, struct text t);            // as a quoted JSON string; ill-formed UTF-8 becomes U+FFFD
void buffer_add_hex(struct buffer *buffer, const void *bytes, size_t length);    // lower case
void buffer_add_base64(struct buffer *buffer, const void *bytes, size_t length); // with padding
struct text buffer_text(const struct buffer *buffer);
void buffer_clear(struct buffer *buffer); // empties, keeps the memory
void buffer_wipe(struct buffer *buffer);  // empties and overwrites the memory first
void buffer_fini(struct buffer *buffer);  // for CLEANUP too
void buffer_fini_wiped(struct buffer *buffer);
char *buffer_take(struct buffer *buffer); // the caller frees; never NULL

// Decoders append to `out`. Standard alphabet, padding optional; false for any other byte.
MUST_USE bool base64_decode(struct buffer *out, struct text in);
MUST_USE bool hex_decode(struct buffer *out, struct text in);

// Overwrites memory in a way that the compiler keeps.
void wipe(void *memory, size_t length);
// Overwrites the first `length` bytes, and frees; once where free() itself overwrites (server/wiping_memory.c).
void free_wiped(void *memory, size_t length);
// Overwrites what functions that have returned left below on the stack: libraries that decrypt or sign do not.
void wipe_stack(void);

// Memory that cannot be had aborts: the supervisor restarts us, and leases make that safe.
void *allocate(size_t size);               // zeroed
void *allocate_array(size_t count, size_t size); // zeroed, refuses an overflow of count * size
void *reallocate(void *memory, size_t size);
char *duplicate(struct text t); // NUL-terminated copy, the caller frees
