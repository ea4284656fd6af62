// SPDX-License-Identifier: Apache-2.0
//
// The outer layer of a server token: from what an administrator uploads to the CMS bytes.
#include "tenants/token.h"

#include <string.h>

static struct text text_from(struct text t, size_t start)
{
	return (struct text){ t.bytes + start, t.length - start };
}

// What people upload instead, by how it begins (after blanks). The sentences tell them where to look.
static const struct {
	const char *start;
	const char *sentence;
} mistakes[] = {
	{ "-----BEGIN CERTIFICATE", "this is a certificate: upload it at Apple, and here the .p7m file that Apple gives for it" },
	{ "-----BEGIN TRUSTED CERTIFICATE", "this is a certificate, not the .p7m file that Apple gives for it" },
	{ "-----BEGIN PRIVATE KEY", "this is a private key: keep it secret, and upload the .p7m file from Apple" },
	{ "-----BEGIN RSA PRIVATE KEY", "this is a private key: keep it secret, and upload the .p7m file from Apple" },
	{ "-----BEGIN EC PRIVATE KEY", "this is a private key: keep it secret, and upload the .p7m file from Apple" },
	{ "-----BEGIN ENCRYPTED PRIVATE KEY", "this is a private key: keep it secret, and upload the .p7m file from Apple" },
	{ "-----BEGIN PUBLIC KEY", "this is a public key, not the .p7m file from Apple" },
	{ "-----BEGIN MESSAGE", "this is a token that somebody has decrypted: upload the .p7m file as it came from Apple" },
	{ "<", "this is a web page or XML, not the .p7m file from Apple: perhaps a log-in page was saved instead of it" },
	{ "{", "this is JSON, perhaps a token that somebody has decrypted: upload the .p7m file as it came from Apple" },
	{ "[", "this is JSON, not the .p7m file from Apple" },
	{ "PK\x03\x04", "this is a zip archive: upload the .p7m file inside it" },
	{ "%PDF", "this is a PDF, not the .p7m file from Apple" },
	{ "bplist", "this is a property list, not the .p7m file from Apple" },
	{ "\xff\xfe", "this file was saved as UTF-16: upload the .p7m file as it came from Apple" },
	{ "\xfe\xff", "this file was saved as UTF-16: upload the .p7m file as it came from Apple" },
};

static enum err refuse_mistakes(struct text content, struct fault *fault)
{
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
		const struct text start = text_of(mistakes[i].start);

		if (content.length >= start.length && text_equal_ignoring_case((struct text){ content.bytes, start.length }, start)) {
			return fault_set(fault, ERR_BAD_INPUT, "%s", mistakes[i].sentence);
		}
	}
	return OK;
}

static enum err cut(struct fault *fault)
{
	return fault_set(fault, ERR_BAD_INPUT, "the end of the file is missing: download it from Apple again");
}

// One BER element that is a SEQUENCE, and complete. What follows it is ignored, which only bare DER can have.
static enum err check_complete(struct text *der, struct fault *fault)
{
	const unsigned char *bytes = (const unsigned char *)der->bytes;
	size_t length = 0;
	size_t count;

	if (der->length < 2 || bytes[0] != 0x30) {
		return fault_set(fault, ERR_BAD_INPUT, "the file holds no encrypted message: it is not a .p7m file from Apple");
	}
	if (bytes[1] == 0x80) { // indefinite length: it ends with two zeroes
		while (der->length > 2 && (bytes[der->length - 1] == '\n' || bytes[der->length - 1] == '\r')) {
			der->length--;
		}
		return der->length >= 4 && bytes[der->length - 1] == 0 && bytes[der->length - 2] == 0 ? OK : cut(fault);
	}
	count = bytes[1] > 0x80 ? bytes[1] & 0x7fu : 0;
	if (count > 4) {
		return fault_set(fault, ERR_BAD_INPUT, "the encrypted message in the file is damaged");
	}
	if (der->length < 2 + count) {
		return cut(fault);
	}
	for (size_t i = 0; i < count; i++) {
		length = length << 8 | bytes[2 + i];
	}
	length += 2 + count + (count == 0 ? bytes[1] : 0);
	if (length > der->length) {
		return cut(fault);
	}
	der->length = length;
	return OK;
}

static enum err add_complete(struct buffer *cms_der, struct text der, struct fault *fault)
{
	TRY(check_complete(&der, fault));
	buffer_add_text(cms_der, der);
	return cms_der->overflow ? fault_set(fault, ERR_BAD_INPUT, "the encrypted message is too large") : OK;
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

static enum err check_header(struct text header, struct fault *fault)
{
	if (text_equal_ignoring_case((struct text){ header.bytes, header.length < 26 ? header.length : 26 },
			TEXT("Content-Transfer-Encoding:")) &&
		!text_contains_ignoring_case(header, "base64")) {
		return fault_set(fault, ERR_BAD_INPUT, "the file says that it is not encoded in base64: upload it as it came from Apple");
	}
	if (text_equal_ignoring_case((struct text){ header.bytes, header.length < 13 ? header.length : 13 },
			TEXT("Content-Type:")) &&
		!text_contains_ignoring_case(header, "pkcs7-mime")) {
		return fault_set(fault, ERR_BAD_INPUT, "the file says that it is something else than an encrypted message: it is not a "
			".p7m file from Apple");
	}
	return OK;
}

// Leaves the body in `content`. A header and its folded lines are checked as one text, because they lie side by side.
static enum err skip_headers(struct text *content, struct fault *fault)
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
		TRY(check_header(header, fault));
		rest = after;
	}
}

// Base64 in lines; lines of dashes around it are dropped (-----BEGIN PKCS7-----).
static enum err add_base64(struct buffer *cms_der, struct text body, struct fault *fault)
{
	struct buffer letters CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
	struct buffer der CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);

	while (body.length > 0) {
		const struct text line = text_trim(take_line(&body));

		if (text_starts_with(line, TEXT("-----"))) {
			continue;
		}
		for (size_t i = 0; i < line.length; i++) {
			if (line.bytes[i] != ' ' && line.bytes[i] != '\t' && line.bytes[i] != '\r') {
				buffer_add(&letters, &line.bytes[i], 1);
			}
		}
	}
	if (letters.length == 0) {
		return fault_set(fault, ERR_BAD_INPUT, "the file has no content after its headers: download it from Apple again");
	}
	// A file that was cut within a group of four letters still decodes up to there, and is then found incomplete.
	letters.length -= letters.length % 4 == 1 ? 1 : 0;
	if (!base64_decode(&der, buffer_text(&letters))) {
		return fault_set(fault, ERR_BAD_INPUT, "the file is not a .p7m file from Apple: its content is not base64");
	}
	return add_complete(cms_der, buffer_text(&der), fault);
}

enum err token_file_read(struct buffer *cms_der, struct text file, struct fault *fault)
{
	struct text content = file;

	if (file.length > TOKEN_FILE_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "the file is too large for a server token: %zu bytes, at most %d are accepted",
			file.length, (int)TOKEN_FILE_MAX);
	}
	if (file.length >= 2 && file.bytes[0] == 0x30 && (file.bytes[1] & 0x80) != 0) {
		return add_complete(cms_der, file, fault); // bare BER or DER: base64 has no such second letter
	}
	if (text_starts_with(content, TEXT("\xef\xbb\xbf"))) {
		content = text_from(content, 3);
	}
	content = text_trim(content);
	if (content.length == 0) {
		return fault_set(fault, ERR_BAD_INPUT, "the file is empty");
	}
	TRY(refuse_mistakes(content, fault));
	TRY(skip_headers(&content, fault));
	return add_base64(cms_der, content, fault);
}
