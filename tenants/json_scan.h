// SPDX-License-Identifier: Apache-2.0
//
// json_scan.h - the words of strict JSON (RFC 8259), which the readers in tenants/ are made of.
//
// Ownership  the text is read in place: strings are unescaped where they stand, and the results point there.
// Laws       1. the caller has proven the text to be well-formed UTF-8 without NUL (text_is_utf8)
//            2. \u0000 and halves of surrogate pairs are refused
#pragma once

#include "depbroker/text.h"

struct json_scan {
	char *start;
	char *at;
	const char *end;
	struct fault *fault;
};

enum err json_scan_refuse(const struct json_scan *scan, const char *what); // ERR_BAD_INPUT, with the position
MUST_USE bool json_scan_next_is(const struct json_scan *scan, char c);
bool json_scan_accept(struct json_scan *scan, char c);           // moves on behind it, if it is next
bool json_scan_word(struct json_scan *scan, struct text word);   // likewise
void json_scan_blanks(struct json_scan *scan);
MUST_USE enum err json_scan_string(struct json_scan *scan, struct text *value);
MUST_USE enum err json_scan_number(struct json_scan *scan, struct text *as_written);
