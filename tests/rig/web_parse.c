// SPDX-License-Identifier: Apache-2.0
#include "rig/web.h"

#include <string.h>

#define BODY_MAX ((size_t)64 * 1024 * 1024)
#define HEAD_MAX ((size_t)32 * 1024)

static struct text take_until(struct text *rest, const char *mark)
{
	const char *found = memmem(rest->bytes, rest->length, mark, strlen(mark));
	struct text taken = *rest;

	if (found == NULL) {
		*rest = (struct text){ rest->bytes + rest->length, 0 };
		return taken;
	}
	taken.length = (size_t)(found - rest->bytes);
	rest->bytes = found + strlen(mark);
	rest->length -= taken.length + strlen(mark);
	return taken;
}

static bool is_token(struct text t)
{
	for (size_t i = 0; i < t.length; i++) {
		if (t.bytes[i] <= ' ' || t.bytes[i] == 0x7f || strchr("()<>@,;:\\\"/[]?={}", t.bytes[i]) != NULL) {
			return false;
		}
	}
	return t.length > 0;
}

static bool read_request_line(struct web_request *request, struct text line, bool *is_old)
{
	struct text target;

	request->method = take_until(&line, " ");
	target = take_until(&line, " ");
	*is_old = text_equal_string(line, "HTTP/1.0");
	if (!is_token(request->method) || target.length == 0 || target.bytes[0] != '/' ||
		(!*is_old && !text_equal_string(line, "HTTP/1.1"))) {
		return false;
	}
	request->path = take_until(&target, "?");
	request->query = target;
	return true;
}

static bool read_headers(struct web_request *request, struct text rest)
{
	request->header_count = 0;
	while (rest.length > 0) {
		struct text line = take_until(&rest, "\r\n");
		const char *colon = memchr(line.bytes, ':', line.length);

		if (colon == NULL || request->header_count == WEB_HEADERS_MAX || memchr(line.bytes, '\0', line.length) != NULL) {
			return false;
		}
		const struct text name = { line.bytes, (size_t)(colon - line.bytes) };

		if (!is_token(name)) { // also a folded line, which begins with a blank
			return false;
		}
		request->headers[request->header_count++] =
			(struct web_header){ name, text_trim((struct text){ colon + 1, line.length - name.length - 1 }) };
	}
	return true;
}

static bool read_length(struct text t, int base, size_t *out)
{
	size_t value = 0;

	for (size_t i = 0; i < t.length; i++) {
		const char *digits = "0123456789abcdef";
		const char lower = (char)(t.bytes[i] >= 'A' && t.bytes[i] <= 'F' ? t.bytes[i] + 32 : t.bytes[i]);
		const char *digit = lower != '\0' ? strchr(digits, lower) : NULL;

		if (digit == NULL || digit - digits >= base || value > BODY_MAX) {
			return false;
		}
		value = value * (size_t)base + (size_t)(digit - digits);
	}
	*out = value;
	return t.length > 0 && value <= BODY_MAX;
}

static enum web_parse read_chunks(struct web_message *message, struct text input)
{
	struct text rest = { input.bytes + message->head_length, input.length - message->head_length };

	buffer_clear(&message->decoded);
	message->decoded.limit = BODY_MAX;
	for (;;) {
		size_t length;

		if (memmem(rest.bytes, rest.length, "\r\n", 2) == NULL) {
			return rest.length > 64 ? WEB_PARSE_BAD : WEB_PARSE_MORE;
		}
		struct text line = take_until(&rest, "\r\n");

		if (!read_length(take_until(&line, ";"), 16, &length)) {
			return WEB_PARSE_BAD;
		}
		if (rest.length < length + 2) {
			return WEB_PARSE_MORE;
		}
		if (memcmp(rest.bytes + length, "\r\n", 2) != 0) { // trailers are not understood
			return WEB_PARSE_BAD;
		}
		buffer_add(&message->decoded, rest.bytes, length);
		rest = (struct text){ rest.bytes + length + 2, rest.length - length - 2 };
		if (length == 0) {
			message->length = input.length - rest.length;
			return message->decoded.overflow ? WEB_PARSE_BAD : WEB_PARSE_DONE;
		}
	}
}

static enum web_parse read_body(struct web_request *request, struct web_message *message, struct text input)
{
	const struct text coding = web_header(request, "transfer-encoding");
	size_t length = 0;

	if (coding.bytes != NULL) {
		if (!text_equal_ignoring_case(coding, TEXT("chunked")) || web_header_count(request, "content-length") > 0) {
			return WEB_PARSE_BAD;
		}
		const enum web_parse result = read_chunks(message, input);

		request->body = buffer_text(&message->decoded);
		return result;
	}
	const struct text promised = web_header(request, "content-length");

	if (promised.bytes != NULL && !read_length(promised, 10, &length)) {
		return WEB_PARSE_BAD;
	}
	message->length = message->head_length + length;
	request->body = (struct text){ input.bytes + message->head_length, length };
	return input.length < message->length ? WEB_PARSE_MORE : WEB_PARSE_DONE;
}

enum web_parse web_parse(struct web_request *request, struct web_message *message, struct text input)
{
	const char *end = memmem(input.bytes, input.length, "\r\n\r\n", 4);
	bool is_old;

	message->head_length = 0;
	if (end == NULL) {
		return input.length > HEAD_MAX ? WEB_PARSE_BAD : WEB_PARSE_MORE;
	}
	struct text head = { input.bytes, (size_t)(end - input.bytes) };

	if (!read_request_line(request, take_until(&head, "\r\n"), &is_old) || !read_headers(request, head) ||
		web_header_count(request, "host") != 1 || web_header_count(request, "content-length") > 1 ||
		web_header_count(request, "transfer-encoding") > 1) {
		return WEB_PARSE_BAD;
	}
	message->head_length = (size_t)(end - input.bytes) + 4;
	message->keep_alive = !is_old && !text_equal_ignoring_case(web_header(request, "connection"), TEXT("close"));
	message->expects_continue = text_equal_ignoring_case(web_header(request, "expect"), TEXT("100-continue"));
	return read_body(request, message, input);
}

struct text web_header(const struct web_request *request, const char *name)
{
	for (size_t i = 0; i < request->header_count; i++) {
		if (text_equal_ignoring_case(request->headers[i].name, text_of(name))) {
			return request->headers[i].value;
		}
	}
	return TEXT_NONE;
}

size_t web_header_count(const struct web_request *request, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < request->header_count; i++) {
		count += text_equal_ignoring_case(request->headers[i].name, text_of(name));
	}
	return count;
}

bool percent_decode(struct buffer *out, struct text in)
{
	for (size_t i = 0; i < in.length; i++) {
		if (in.bytes[i] != '%') {
			buffer_add(out, in.bytes + i, 1);
			continue;
		}
		if (i + 2 >= in.length || !hex_decode(out, (struct text){ in.bytes + i + 1, 2 })) {
			return false;
		}
		i += 2;
	}
	return true;
}

static struct text decoded(struct web_request *request, struct text raw)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(HEAD_MAX);
	char *copy;

	if (!percent_decode(&out, raw)) {
		return raw;
	}
	copy = arena_copy(&request->arena, buffer_text(&out));
	return copy != NULL ? (struct text){ copy, out.length } : TEXT_NONE;
}

struct text web_query(struct web_request *request, const char *name)
{
	struct text rest = request->query;

	while (rest.length > 0) {
		struct text value = take_until(&rest, "&");
		const struct text key = take_until(&value, "=");

		if (text_equal_string(key, name)) {
			return decoded(request, value);
		}
	}
	return TEXT_NONE;
}

int64_t web_query_number(struct web_request *request, const char *name, int64_t otherwise)
{
	const struct text t = web_query(request, name);
	size_t value;

	return t.length > 0 && t.length < 10 && read_length(t, 10, &value) ? (int64_t)value : otherwise;
}

bool web_path_matches(struct web_request *request, const char *pattern)
{
	struct text path = request->path;
	struct text wanted = text_of(pattern);
	size_t count = 0;

	while (path.length > 0 && wanted.length > 0) {
		const struct text segment = take_until(&path, "/");
		const struct text expected = take_until(&wanted, "/");

		if (text_equal_string(expected, "{}") && segment.length > 0 && count < WEB_PARAMETERS_MAX) {
			request->parameters[count++] = decoded(request, segment);
		} else if (!text_equal(segment, expected)) {
			return false;
		}
	}
	return path.length == 0 && wanted.length == 0;
}

void web_answer_header(struct web_answer *answer, const char *name, const char *value)
{
	buffer_add_format(&answer->headers, "%s: %s\r\n", name, value);
}

void web_answer_text(struct web_answer *answer, unsigned status, const char *text)
{
	answer->status = status;
	answer->content_type = "text/plain;charset=UTF-8";
	buffer_clear(&answer->body);
	buffer_add_string(&answer->body, text);
}
