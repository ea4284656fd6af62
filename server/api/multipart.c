// SPDX-License-Identifier: Apache-2.0
#include "api/multipart.h"

#include <stdio.h>
#include <string.h>

enum { BOUNDARY_MAX = 70, LINES_MAX = 8, LINE_MAX_BYTES = 1024 };

static bool is_boundary(struct text t)
{
	static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=?";

	for (size_t i = 0; i < t.length; i++) {
		if (t.bytes[i] == '\0' || strchr(allowed, t.bytes[i]) == NULL) {
			return false;
		}
	}
	return t.length > 0 && t.length <= BOUNDARY_MAX;
}

static bool skip(struct text *t, struct text start)
{
	if (!text_starts_with(*t, start)) {
		return false;
	}
	t->bytes += start.length;
	t->length -= start.length;
	return true;
}

// `multipart/form-data; boundary=...`, quoted or not, and nothing after it.
static bool read_boundary(struct text *boundary, struct text content_type)
{
	static const struct text kind = { "multipart/form-data", 19 };
	static const struct text parameter = { "boundary=", 9 };
	struct text rest = content_type;

	if (rest.length < kind.length || !text_equal_ignoring_case((struct text){ rest.bytes, kind.length }, kind)) {
		return false;
	}
	rest = text_trim((struct text){ rest.bytes + kind.length, rest.length - kind.length });
	if (!skip(&rest, TEXT(";"))) {
		return false;
	}
	rest = text_trim(rest);
	if (rest.length < parameter.length || !text_equal_ignoring_case((struct text){ rest.bytes, parameter.length }, parameter)) {
		return false;
	}
	*boundary = (struct text){ rest.bytes + parameter.length, rest.length - parameter.length };
	if (boundary->length >= 2 && boundary->bytes[0] == '"' && boundary->bytes[boundary->length - 1] == '"') {
		*boundary = (struct text){ boundary->bytes + 1, boundary->length - 2 };
	}
	return is_boundary(*boundary);
}

// Up to CRLF, which is skipped.
static bool take_line(struct text *rest, struct text *line)
{
	const char *end = rest->length > 0 ? memmem(rest->bytes, rest->length < LINE_MAX_BYTES ? rest->length : LINE_MAX_BYTES, "\r\n", 2) : NULL;

	if (end == NULL) {
		return false;
	}
	*line = (struct text){ rest->bytes, (size_t)(end - rest->bytes) };
	rest->bytes += line->length + 2;
	rest->length -= line->length + 2;
	return true;
}

static bool names(struct text line, const char *name)
{
	static const struct text start = { "content-disposition: form-data; name=\"", 38 };
	const size_t length = strlen(name);

	return line.length >= start.length + length + 1 && text_equal_ignoring_case((struct text){ line.bytes, start.length }, start) &&
		memcmp(line.bytes + start.length, name, length) == 0 && line.bytes[start.length + length] == '"';
}

// The lines of the part up to the empty one. True: it is the wanted field.
static bool take_head(struct text *rest, const char *name)
{
	struct text line;
	bool is_named = false;

	for (int i = 0; i <= LINES_MAX; i++) {
		if (!take_line(rest, &line)) {
			return false;
		}
		if (line.length == 0) {
			return is_named;
		}
		is_named = is_named || names(line, name);
	}
	return false;
}

enum err multipart_file(struct text *file, struct text content_type, struct text body, const char *name, struct fault *fault)
{
	char delimiter[BOUNDARY_MAX + 8];
	struct text boundary;
	struct text rest = body;

	if (!read_boundary(&boundary, content_type)) {
		return fault_set(fault, ERR_BAD_INPUT, "it is not a form with a file");
	}
	(void)snprintf(delimiter, sizeof delimiter, "\r\n--%.*s", TEXT_ARGS(boundary));
	const struct text between = text_of(delimiter);
	const struct text first = { delimiter + 2, between.length - 2 };

	if (!skip(&rest, first) || !skip(&rest, TEXT("\r\n")) || !take_head(&rest, name)) {
		return fault_set(fault, ERR_BAD_INPUT, "its first field is not the file");
	}
	const char *end = rest.length > 0 ? memmem(rest.bytes, rest.length, between.bytes, between.length) : NULL;

	if (end == NULL) {
		return fault_set(fault, ERR_BAD_INPUT, "it is cut");
	}
	*file = (struct text){ rest.bytes, (size_t)(end - rest.bytes) };
	rest = (struct text){ end + between.length, rest.length - file->length - between.length };
	if (!text_equal(rest, TEXT("--\r\n")) && !text_equal(rest, TEXT("--"))) {
		return fault_set(fault, ERR_BAD_INPUT, "it has another field");
	}
	return OK;
}
