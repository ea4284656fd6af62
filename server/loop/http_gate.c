// SPDX-License-Identifier: Apache-2.0
#include "loop/http_gate.h"

#include <string.h>
#include <strings.h>

enum { REQUEST_LINE_MAX = GATE_METHOD_MAX + 1 + GATE_TARGET_MAX + 1 + 8, LENGTH_DIGITS_MAX = 18, CHUNK_DIGITS_MAX = 8 };

#define MALFORMED(name, says)                                        \
	static const struct problem name = {                             \
		.status = 400, .code = "malformed_request",                  \
		.title = "The request is not well-formed HTTP/1.1", .detail = (says), \
	}

MALFORMED(bad_line_end, "Each line of the head must end in CR LF, and neither may stand alone.");
MALFORMED(bad_control, "The head has a control character.");
MALFORMED(bad_request_line, "The first line must be a method, a target and HTTP/1.1, with one blank between them.");
MALFORMED(bad_version, "The version must be HTTP/1.1.");
MALFORMED(bad_target, "The target must be a path that starts with \"/\" and has only characters that a URI may have.");
MALFORMED(bad_escape, "The target has an incomplete %-escape, or one of a control character.");
MALFORMED(bad_field, "A header must be a name, a colon and a value on one line, without a blank before the colon.");
MALFORMED(bad_host, "There must be exactly one Host header, with a host name.");
MALFORMED(bad_length, "Content-Length must be given once, as a decimal number.");
MALFORMED(bad_encoding, "Transfer-Encoding must be given once, and can only be \"chunked\".");
MALFORMED(bad_framing, "Content-Length and Transfer-Encoding must not be given together.");
MALFORMED(bad_chunk, "The body does not have the form of chunks, or has chunk extensions or trailers.");

const struct problem gate_bad_path = {
	.status = 400, .code = "ambiguous_path", .title = "The path can be read in two ways",
	.detail = "A path must not have empty or dot segments, escaped slashes, or escapes that are not UTF-8.",
};
const struct problem gate_bad_query = {
	.status = 400, .code = "bad_query", .title = "The query cannot be used",
	.detail = "A query parameter is given twice, there are too many of them, or one is not UTF-8.",
};
static const struct problem target_too_long = {
	.status = 414, .code = "uri_too_long", .title = "The URL is too long", .detail = "A URL can have 4,096 bytes.",
};
static const struct problem head_too_large = {
	.status = 431, .code = "head_too_large", .title = "The head of the request is too large",
	.detail = "The request line and the headers together can have 16,384 bytes, and there can be 64 headers.",
};
static const struct problem bad_expectation = {
	.status = 417, .code = "expectation_failed", .title = "The expectation cannot be met",
	.detail = "The only value of Expect that is known is \"100-continue\".",
};
static const struct problem body_too_large = {
	.status = 413, .code = "body_too_large", .title = "The body of the request is too large",
};
const struct problem gate_head_too_slow = {
	.status = 408, .code = "request_timeout", .title = "The request came in too slowly",
	.detail = "The head of the request was not complete in time.",
};
const struct problem gate_body_too_slow = {
	.status = 408, .code = "request_timeout", .title = "The request came in too slowly",
	.detail = "The body of the request was not complete in time.",
};

static const struct problem *end_of_line(struct gate_scan *scan, bool *is_end)
{
	const size_t length = scan->at - 1 - scan->line_start;

	if (length == 0) {
		*is_end = scan->lines > 0;
		return scan->lines > 0 ? NULL : &bad_request_line;
	}
	if (scan->lines == 0 && length > REQUEST_LINE_MAX) {
		return &target_too_long;
	}
	scan->lines++;
	scan->line_start = scan->at + 1;
	return scan->lines > GATE_FIELDS_MAX + 1 ? &head_too_large : NULL;
}

static const struct problem *scan_byte(struct gate_scan *scan, const char *bytes, bool *is_end)
{
	const unsigned char c = (unsigned char)bytes[scan->at];
	const bool after_cr = scan->at > scan->line_start && bytes[scan->at - 1] == '\r';

	if ((c == '\n') != after_cr) {
		return &bad_line_end;
	}
	if (c == '\n') {
		return end_of_line(scan, is_end);
	}
	return (c < ' ' && c != '\t' && c != '\r') || c == 0x7f ? &bad_control : NULL;
}

size_t gate_scan(struct gate_scan *scan, struct text received, const struct problem **refusal)
{
	bool is_end = false;

	*refusal = NULL;
	for (; scan->at < received.length && scan->at < GATE_HEAD_MAX; scan->at++) {
		*refusal = scan_byte(scan, received.bytes, &is_end);
		if (*refusal != NULL) {
			return 0;
		}
		if (is_end) {
			return scan->at + 1;
		}
	}
	if (scan->lines == 0 && scan->at > REQUEST_LINE_MAX + 1) {
		*refusal = &target_too_long;
	} else if (scan->at >= GATE_HEAD_MAX) {
		*refusal = &head_too_large;
	}
	return 0;
}

static bool is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_token(struct text t)
{
	for (size_t i = 0; i < t.length; i++) {
		if (!is_alphanumeric(t.bytes[i]) && !is_one_of(t.bytes[i], "!#$%&'*+-.^_`|~")) {
			return false;
		}
	}
	return t.length > 0;
}

static bool is_all_of(struct text t, const char *punctuation)
{
	for (size_t i = 0; i < t.length; i++) {
		if (!is_alphanumeric(t.bytes[i]) && !is_one_of(t.bytes[i], punctuation)) {
			return false;
		}
	}
	return true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	} else if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool split(struct text whole, char separator, struct text *before, struct text *after)
{
	const char *at = whole.length > 0 ? memchr(whole.bytes, separator, whole.length) : NULL;

	if (at == NULL) {
		*before = whole;
		*after = TEXT_NONE;
		return false;
	}
	*before = (struct text){ whole.bytes, (size_t)(at - whole.bytes) };
	*after = (struct text){ at + 1, whole.length - before->length - 1 };
	return true;
}

static const struct problem *check_escapes(struct text target, bool is_path)
{
	for (size_t i = 0; i < target.length; i++) {
		if (target.bytes[i] != '%') {
			continue;
		}
		const int high = i + 2 < target.length ? hex_value(target.bytes[i + 1]) : -1;
		const int low = i + 2 < target.length ? hex_value(target.bytes[i + 2]) : -1;

		if (high < 0 || low < 0 || high < 2 || (high == 7 && low == 15)) {
			return &bad_escape;
		}
		if (is_path && ((high == 2 && low == 15) || (high == 5 && low == 12))) {
			return &gate_bad_path;
		}
	}
	return NULL;
}

// "." and "..", however they are written.
static bool is_dot_segment(struct text segment)
{
	size_t dots = 0;

	for (size_t i = 0; i < segment.length; dots++) {
		if (segment.bytes[i] == '.') {
			i++;
		} else if (segment.length - i >= 3 && strncasecmp(segment.bytes + i, "%2e", 3) == 0) {
			i += 3;
		} else {
			return false;
		}
	}
	return dots == 1 || dots == 2;
}

static const struct problem *check_segments(struct text path)
{
	struct text segment;
	struct text rest = { path.bytes + 1, path.length - 1 };

	for (bool more = true; more;) {
		more = split(rest, '/', &segment, &rest);
		if (is_dot_segment(segment) || (segment.length == 0 && more)) {
			return &gate_bad_path;
		}
	}
	return NULL;
}

static const struct problem *parse_target(struct gate_head *head, struct text target)
{
	const struct problem *refusal;

	if (target.length > GATE_TARGET_MAX) {
		return &target_too_long;
	}
	const bool has_query = split(target, '?', &head->path, &head->query);

	if (has_query && head->query.length == 0) {
		head->query = TEXT_NONE;
	}
	if (head->path.length == 0 || head->path.bytes[0] != '/' || !is_all_of(head->path, "-._~%!$&'()*+,;=:@/") ||
		!is_all_of(head->query, "-._~%!$&'()*+,;=:@/?")) {
		return &bad_target;
	}
	refusal = check_escapes(head->path, true);
	if (refusal == NULL) {
		refusal = check_escapes(head->query, false);
	}
	return refusal != NULL ? refusal : check_segments(head->path);
}

static const struct problem *parse_request_line(struct gate_head *head, struct text line)
{
	struct text target;
	struct text version;

	if (!split(line, ' ', &head->method, &version) || !split(version, ' ', &target, &version) ||
		!is_token(head->method) || head->method.length > GATE_METHOD_MAX) {
		return &bad_request_line;
	}
	return text_equal(version, TEXT("HTTP/1.1")) ? parse_target(head, target) : &bad_version;
}

static struct text trim_blanks(struct text t)
{
	while (t.length > 0 && is_one_of(t.bytes[0], " \t")) {
		t.bytes++;
		t.length--;
	}
	while (t.length > 0 && is_one_of(t.bytes[t.length - 1], " \t")) {
		t.length--;
	}
	return t;
}

static const struct problem *parse_field(struct gate_head *head, struct text line)
{
	struct gate_field *field = &head->fields[head->field_count];

	if (!split(line, ':', &field->name, &field->value) || !is_token(field->name)) {
		return &bad_field;
	}
	field->value = trim_blanks(field->value);
	head->field_count++;
	return NULL;
}

static size_t count_fields(const struct gate_head *head, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < head->field_count; i++) {
		count += text_equal_ignoring_case(head->fields[i].name, text_of(name)) ? 1 : 0;
	}
	return count;
}

struct text gate_field(const struct gate_head *head, const char *name)
{
	for (size_t i = 0; i < head->field_count; i++) {
		if (text_equal_ignoring_case(head->fields[i].name, text_of(name))) {
			return head->fields[i].value;
		}
	}
	return TEXT_NONE;
}

static bool parse_length(struct text t, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < t.length; i++) {
		if (t.bytes[i] < '0' || t.bytes[i] > '9') {
			return false;
		}
		*out = *out * 10 + (uint64_t)(t.bytes[i] - '0');
	}
	return t.length > 0 && t.length <= LENGTH_DIGITS_MAX;
}

static const struct problem *check_framing(struct gate_head *head)
{
	const size_t lengths = count_fields(head, "Content-Length");
	const size_t encodings = count_fields(head, "Transfer-Encoding");

	if (lengths > 0 && encodings > 0) {
		return &bad_framing;
	}
	if (lengths > 1 || (lengths == 1 && !parse_length(gate_field(head, "Content-Length"), &head->content_length))) {
		return &bad_length;
	}
	if (encodings > 1 ||
		(encodings == 1 && !text_equal_ignoring_case(gate_field(head, "Transfer-Encoding"), TEXT("chunked")))) {
		return &bad_encoding;
	}
	head->is_chunked = encodings == 1;
	return NULL;
}

static const struct problem *check_host(const struct gate_head *head)
{
	const struct text host = gate_field(head, "Host");

	return count_fields(head, "Host") == 1 && host.length > 0 && is_all_of(host, "-._~%!$&'()*+,;=:[]") ? NULL : &bad_host;
}

static bool list_has(struct text list, struct text word)
{
	struct text item;

	for (bool more = true; more;) {
		more = split(list, ',', &item, &list);
		if (text_equal_ignoring_case(trim_blanks(item), word)) {
			return true;
		}
	}
	return false;
}

static const struct problem *check_options(struct gate_head *head)
{
	for (size_t i = 0; i < head->field_count; i++) {
		const struct gate_field *field = &head->fields[i];

		if (text_equal_ignoring_case(field->name, TEXT("Connection")) && list_has(field->value, TEXT("close"))) {
			head->closes = true;
		}
		if (text_equal_ignoring_case(field->name, TEXT("Expect"))) {
			if (!text_equal_ignoring_case(field->value, TEXT("100-continue"))) {
				return &bad_expectation;
			}
			head->expects_continue = true;
		}
	}
	return NULL;
}

const struct problem *gate_parse(struct gate_head *head, struct text raw)
{
	const struct problem *refusal = NULL;
	struct text line;

	head->field_count = 0;
	head->content_length = 0;
	head->is_chunked = head->expects_continue = head->closes = false;
	for (bool is_first = true; refusal == NULL; is_first = false) {
		(void)split(raw, '\n', &line, &raw);
		line.length -= line.length > 0 ? 1 : 0; // the CR, by the law of gate_scan
		if (line.length == 0) {
			break;
		}
		refusal = is_first ? parse_request_line(head, line) : parse_field(head, line);
	}
	if (refusal == NULL) {
		refusal = check_host(head);
	}
	if (refusal == NULL) {
		refusal = check_framing(head);
	}
	return refusal != NULL ? refusal : check_options(head);
}

bool gate_has_body(const struct gate_head *head)
{
	return head->is_chunked || head->content_length > 0;
}

const struct problem *gate_body_start(struct gate_body *body, const struct gate_head *head, uint64_t limit)
{
	*body = (struct gate_body){ .limit = limit, .content = head->content_length, .left = head->content_length };
	if (head->is_chunked) {
		body->state = GATE_BODY_SIZE;
	} else {
		body->state = head->content_length > 0 ? GATE_BODY_PLAIN : GATE_BODY_END;
	}
	return head->content_length > limit ? &body_too_large : NULL;
}

// The line of a chunk's size has ended.
static const struct problem *start_chunk(struct gate_body *body)
{
	body->digits = 0;
	if (body->left == 0) {
		body->state = GATE_BODY_LAST_CR;
		return NULL;
	}
	if (body->left > body->limit - body->content) {
		return &body_too_large;
	}
	body->content += body->left;
	body->state = GATE_BODY_CHUNK;
	return NULL;
}

static const struct problem *take_size(struct gate_body *body, char c)
{
	const int digit = hex_value(c);

	if (c == '\r' && body->digits > 0) {
		body->state = GATE_BODY_SIZE_LF;
		return NULL;
	}
	if (digit < 0 || body->digits == CHUNK_DIGITS_MAX) {
		return &bad_chunk;
	}
	body->left = (body->digits == 0 ? 0 : body->left * 16) + (uint64_t)digit;
	body->digits++;
	return NULL;
}

static const struct problem *take_framing(struct gate_body *body, char c)
{
	static const struct {
		char expected;
		enum gate_body_state next;
	} steps[] = {
		[GATE_BODY_CHUNK_CR] = { '\r', GATE_BODY_CHUNK_LF },
		[GATE_BODY_CHUNK_LF] = { '\n', GATE_BODY_SIZE },
		[GATE_BODY_LAST_CR] = { '\r', GATE_BODY_LAST_LF },
		[GATE_BODY_LAST_LF] = { '\n', GATE_BODY_END },
	};

	if (body->state == GATE_BODY_SIZE) {
		return take_size(body, c);
	}
	if (body->state == GATE_BODY_SIZE_LF) {
		return c == '\n' ? start_chunk(body) : &bad_chunk;
	}
	if (c != steps[body->state].expected) {
		return &bad_chunk;
	}
	body->state = steps[body->state].next;
	return NULL;
}

size_t gate_body_take(struct gate_body *body, struct text received, const struct problem **refusal)
{
	size_t at = 0;

	*refusal = NULL;
	while (at < received.length && body->state != GATE_BODY_END && *refusal == NULL) {
		if (body->state != GATE_BODY_PLAIN && body->state != GATE_BODY_CHUNK) {
			*refusal = take_framing(body, received.bytes[at++]);
			continue;
		}
		const size_t there = received.length - at;
		const size_t taken = body->left < there ? (size_t)body->left : there;

		at += taken;
		body->left -= taken;
		if (body->left == 0) {
			body->state = body->state == GATE_BODY_PLAIN ? GATE_BODY_END : GATE_BODY_CHUNK_CR;
		}
	}
	return at;
}
