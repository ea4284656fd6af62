// SPDX-License-Identifier: Apache-2.0
//
// scan_json.h - the words of strict JSON (RFC 8259), which the readers in tenants/ are made of.
//
// Ownership  the text is read in place: strings are unescaped where they stand, and the results point there.
// Laws       1. the caller has proven the text to be well-formed UTF-8 without NUL (text_is_utf8)
//            2. \u0000 and halves of surrogate pairs are refused
#pragma once

#include "depbroker/text.h"

struct scan_json {
	char *start;
	char *at;
	const char *end;
	struct fault *fault;
};

enum err scan_json_refuse(const struct scan_json *scan, const char *what); // ERR_BAD_INPUT, with the position
MUST_USE bool scan_json_next_is(const struct scan_json *scan, char c);
bool scan_json_accept(struct scan_json *scan, char c);           // moves on behind it, if it is next
bool scan_json_word(struct scan_json *scan, struct text word);   // likewise
void scan_json_blanks(struct scan_json *scan);
MUST_USE enum err scan_json_string(struct scan_json *scan, struct text *value);
MUST_USE enum err scan_json_number(struct scan_json *scan, struct text *as_written);
