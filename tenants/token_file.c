// SPDX-License-Identifier: Apache-2.0
//
// The outer layer of a server token: from what an administrator uploads to the CMS bytes.
#include "tenants/ber.h"
#include "tenants/token_mistake.h"

#include <string.h>

static struct text text_from(struct text t, size_t start)
{
	return (struct text){ t.bytes + start, t.length - start };
}

static enum err refuse(enum token_mistake *out, enum token_mistake mistake, struct fault *fault, const char *sentence)
{
	*out = mistake;
	return fault_set(fault, ERR_BAD_INPUT, "%s", sentence);
}

// One whole element, and an encrypted message as far as its beginning tells. What follows it is dropped.
static enum err add_message(struct buffer *cms_der, struct text der, enum token_mistake *mistake, struct fault *fault)
{
	size_t length = 0;

	if (der.length > 0 && der.bytes[0] != 0x30) { // no SEQUENCE
		return refuse(mistake, TOKEN_MISTAKE_OTHER, fault, "the file holds no encrypted message: it is no .p7m file from Apple");
	}
	TRY(token_mistake_by_der(der, mistake, fault));
	switch (ber_measure(&length, der)) {
	case BER_WHOLE: break;
	case BER_CUT:
		return refuse(mistake, TOKEN_MISTAKE_CUT, fault, "the end of the file is missing: download it from Apple again");
	case BER_DAMAGED: return refuse(mistake, TOKEN_MISTAKE_OTHER, fault, "the encrypted message in the file is damaged");
	}
	buffer_add(cms_der, der.bytes, length);
	return cms_der->overflow ? refuse(mistake, TOKEN_MISTAKE_OTHER, fault, "the encrypted message is too large") : OK;
}

// Takes a line off the front, without its line end.
static struct text take_line(struct text *rest)
{
	const char *end = rest->length > 0 ? memchr(rest->bytes, '\n', rest->length) : NULL;
	struct text line = *rest;

	if (end == NULL) {
		*rest = text_from(*rest, rest->length);
	} else {
		line.length = (size_t)(end - rest->bytes);
		*rest = text_from(*rest, line.length + 1);
	}
	while (line.length > 0 && line.bytes[line.length - 1] == '\r') {
		line.length--;
	}
	return line;
}

static bool is_header(struct text line)
{
	size_t name = 0;

	while (name < line.length && line.bytes[name] > ' ' && line.bytes[name] < 0x7f && line.bytes[name] != ':') {
		name++;
	}
	return name > 0 && name < line.length && line.bytes[name] == ':';
}

static bool is_fold(struct text line)
{
	return line.length > 0 && (line.bytes[0] == ' ' || line.bytes[0] == '\t') && text_trim(line).length > 0;
}

static bool is_named(struct text header, struct text name)
{
	return header.length >= name.length && text_equal_ignoring_case((struct text){ header.bytes, name.length }, name);
}

static enum err check_header(struct text header, enum token_mistake *mistake, struct fault *fault)
{
	if (is_named(header, TEXT("Content-Transfer-Encoding:")) && !text_contains_ignoring_case(header, "base64")) {
		return refuse(mistake, TOKEN_MISTAKE_OTHER, fault, "the file says that it is not encoded in base64: upload it as it "
			"came from Apple");
	}
	if (is_named(header, TEXT("Content-Type:")) && text_contains_ignoring_case(header, "text/html")) {
		return refuse(mistake, TOKEN_MISTAKE_WEB_PAGE, fault, "this is a web page, not the .p7m file from Apple");
	}
	if (is_named(header, TEXT("Content-Type:")) && !text_contains_ignoring_case(header, "pkcs7-mime")) {
		return refuse(mistake, TOKEN_MISTAKE_OTHER, fault, "the file says that it is something else than an encrypted "
			"message: it is not a .p7m file from Apple");
	}
	return OK;
}

// Leaves the body in `content`. A header and its folded lines are checked as one text, because they lie side by side.
static enum err skip_headers(struct text *content, enum token_mistake *mistake, struct fault *fault)
{
	struct text rest = *content;

	for (;;) {
		struct text after = rest;
		struct text header = take_line(&after);
		struct text next = after;

		if (!is_header(header)) {
			*content = rest;
			return OK;
		}
		for (struct text line = take_line(&next); is_fold(line); line = take_line(&next)) {
			header.length = (size_t)(line.bytes + line.length - header.bytes);
			after = next;
		}
		TRY(check_header(header, mistake, fault));
		rest = after;
	}
}

static void add_letters(struct buffer *letters, struct text line)
{
	for (size_t i = 0; i < line.length; i++) {
		if (line.bytes[i] != ' ' && line.bytes[i] != '\t' && line.bytes[i] != '\r') {
			buffer_add(letters, &line.bytes[i], 1);
		}
	}
}

// A file that was cut within a group of four letters is read up to there, and is then found incomplete.
static bool decode(struct buffer *der, struct text letters)
{
	if (base64_decode(der, letters)) {
		return true;
	}
	buffer_clear(der);
	letters.length -= letters.length % 4;
	return base64_decode(der, letters);
}

// Base64 in lines; lines of dashes around it are dropped (-----BEGIN PKCS7-----), unless they name something else.
static enum err add_base64(struct buffer *cms_der, struct text body, enum token_mistake *mistake, struct fault *fault)
{
	struct buffer letters CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
	struct buffer der CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
	const struct text all = body;

	while (body.length > 0) {
		const struct text line = text_trim(take_line(&body));

		if (text_starts_with(line, TEXT("-----"))) {
			TRY(token_mistake_by_text(line, mistake, fault));
		} else {
			add_letters(&letters, line);
		}
	}
	if (letters.length == 0) {
		return refuse(mistake, TOKEN_MISTAKE_CUT, fault, "the file has no content after its headers: download it from Apple again");
	}
	// 'M' begins every SEQUENCE: of a file of two letters or less that is all there is to see.
	if (decode(&der, buffer_text(&letters)) && (der.length > 0 || letters.bytes[0] == 'M')) {
		return add_message(cms_der, buffer_text(&der), mistake, fault);
	}
	if (text_contains_ignoring_case(all, "<html")) {
		return refuse(mistake, TOKEN_MISTAKE_WEB_PAGE, fault, "there is a web page in the file: it is not a .p7m file from Apple");
	}
	return refuse(mistake, TOKEN_MISTAKE_OTHER, fault, "the file is not a .p7m file from Apple: its content is not base64");
}

static enum err read_text(struct buffer *cms_der, struct text content, enum token_mistake *mistake, struct fault *fault)
{
	if (text_starts_with(content, TEXT("\xef\xbb\xbf"))) {
		content = text_from(content, 3);
	}
	content = text_trim(content);
	if (content.length == 0) {
		return refuse(mistake, TOKEN_MISTAKE_OTHER, fault, "the file is empty");
	}
	TRY(token_mistake_by_text(content, mistake, fault));
	TRY(skip_headers(&content, mistake, fault));
	return add_base64(cms_der, content, mistake, fault);
}

enum err token_file_read(struct buffer *cms_der, struct text file, enum token_mistake *mistake, struct fault *fault)
{
	*mistake = TOKEN_MISTAKE_NONE;
	if (file.length > TOKEN_FILE_MAX) {
		*mistake = TOKEN_MISTAKE_OTHER;
		return fault_set(fault, ERR_BAD_INPUT, "the file is too large for a server token: %zu bytes, at most %d are accepted",
			file.length, (int)TOKEN_FILE_MAX);
	}
	if (file.length >= 2 && file.bytes[0] == 0x30 && (file.bytes[1] & 0x80) != 0) {
		return add_message(cms_der, file, mistake, fault); // bare BER or DER: base64 has no such second letter
	}
	return read_text(cms_der, file, mistake, fault);
}
