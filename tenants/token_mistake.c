// SPDX-License-Identifier: Apache-2.0
#include "tenants/token_mistake.h"

#include "tenants/ber.h"

#define CERTIFICATE "this is a certificate: upload it at Apple, and here the .p7m file that Apple gives for it"
#define REQUEST     "this is a certificate request, not the .p7m file from Apple"
#define PRIVATE_KEY "this is a private key: keep it secret, and upload the .p7m file from Apple"
#define PKCS_12     "this is a PKCS #12 file, perhaps with a private key: keep it secret, and upload the .p7m file from Apple"
#define PUBLIC_KEY  "this is a public key, not the .p7m file from Apple"
#define PLAIN_TOKEN "this is a token that somebody has decrypted: upload the .p7m file as it came from Apple"
#define UTF_16      "this file was saved as UTF-16: upload the .p7m file as it came from Apple"

static const struct {
	const char *start;
	enum token_mistake mistake;
	const char *sentence;
} by_text[] = {
	{ "-----BEGIN CERTIFICATE REQUEST", TOKEN_MISTAKE_OTHER, REQUEST },
	{ "-----BEGIN NEW CERTIFICATE REQUEST", TOKEN_MISTAKE_OTHER, REQUEST },
	{ "-----BEGIN CERTIFICATE", TOKEN_MISTAKE_CERTIFICATE, CERTIFICATE },
	{ "-----BEGIN TRUSTED CERTIFICATE", TOKEN_MISTAKE_CERTIFICATE, CERTIFICATE },
	{ "-----BEGIN X509 CERTIFICATE", TOKEN_MISTAKE_CERTIFICATE, CERTIFICATE },
	{ "-----BEGIN PRIVATE KEY", TOKEN_MISTAKE_PRIVATE_KEY, PRIVATE_KEY },
	{ "-----BEGIN RSA PRIVATE KEY", TOKEN_MISTAKE_PRIVATE_KEY, PRIVATE_KEY },
	{ "-----BEGIN EC PRIVATE KEY", TOKEN_MISTAKE_PRIVATE_KEY, PRIVATE_KEY },
	{ "-----BEGIN ENCRYPTED PRIVATE KEY", TOKEN_MISTAKE_PRIVATE_KEY, PRIVATE_KEY },
	{ "-----BEGIN OPENSSH PRIVATE KEY", TOKEN_MISTAKE_PRIVATE_KEY, PRIVATE_KEY },
	{ "-----BEGIN PUBLIC KEY", TOKEN_MISTAKE_OTHER, PUBLIC_KEY },
	{ "-----BEGIN RSA PUBLIC KEY", TOKEN_MISTAKE_OTHER, PUBLIC_KEY },
	{ "-----BEGIN MESSAGE", TOKEN_MISTAKE_DECRYPTED, PLAIN_TOKEN },
	{ "{\\rtf", TOKEN_MISTAKE_OTHER, "this is a text document, not the .p7m file from Apple" },
	{ "{", TOKEN_MISTAKE_DECRYPTED, "this is JSON, perhaps a decrypted token: upload the .p7m file as it came from Apple" },
	{ "<?xml", TOKEN_MISTAKE_OTHER, "this is XML, not the .p7m file from Apple" },
	{ "<", TOKEN_MISTAKE_WEB_PAGE, "this is a web page, not the .p7m file from Apple: perhaps a log-in page" },
	{ "HTTP/", TOKEN_MISTAKE_WEB_PAGE, "this is a web server's answer, not the .p7m file from Apple" },
	{ "[", TOKEN_MISTAKE_OTHER, "this is JSON, not the .p7m file from Apple" },
	{ "PK\x03\x04", TOKEN_MISTAKE_OTHER, "this is a zip archive: upload the .p7m file inside it" },
	{ "\x1f\x8b", TOKEN_MISTAKE_OTHER, "this is a compressed file: unpack it, and upload the .p7m file inside it" },
	{ "%PDF", TOKEN_MISTAKE_OTHER, "this is a PDF, not the .p7m file from Apple" },
	{ "bplist", TOKEN_MISTAKE_OTHER, "this is a property list, not the .p7m file from Apple" },
	{ "\xff\xfe", TOKEN_MISTAKE_OTHER, UTF_16 },
	{ "\xfe\xff", TOKEN_MISTAKE_OTHER, UTF_16 },
};

enum err token_mistake_by_text(struct text content, enum token_mistake *mistake, struct fault *fault)
{
	for (size_t i = 0; i < sizeof by_text / sizeof *by_text; i++) {
		const struct text start = text_of(by_text[i].start);

		if (content.length >= start.length && text_equal_ignoring_case((struct text){ content.bytes, start.length }, start)) {
			*mistake = by_text[i].mistake;
			return fault_set(fault, ERR_BAD_INPUT, "%s", by_text[i].sentence);
		}
	}
	return OK;
}

#define OID_CMS           "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07"
#define OID_ENCRYPTED_KEY "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05"

// `sequences` headers of a SEQUENCE, then these bytes. The first line that fits counts.
static const struct {
	int sequences;
	struct text bytes;
	enum token_mistake mistake;
	const char *sentence; // NULL: it is what it should be
} by_der[] = {
	{ 1, { OID_CMS "\x03", 11 }, TOKEN_MISTAKE_NONE, NULL },
	{ 1, { OID_CMS "\x02", 11 }, TOKEN_MISTAKE_OTHER, "this is a signed message or certificates, not Apple's encrypted .p7m file" },
	{ 1, { OID_CMS "\x01", 11 }, TOKEN_MISTAKE_OTHER, "this is a CMS message, but not an encrypted one from Apple" },
	{ 1, { "\x02\x01\x03", 3 }, TOKEN_MISTAKE_PRIVATE_KEY, PKCS_12 },
	{ 1, { "\x02", 1 }, TOKEN_MISTAKE_PRIVATE_KEY, PRIVATE_KEY },
	{ 2, { OID_ENCRYPTED_KEY, 10 }, TOKEN_MISTAKE_PRIVATE_KEY, PRIVATE_KEY },
	{ 2, { "\x06", 1 }, TOKEN_MISTAKE_OTHER, PUBLIC_KEY },
	{ 2, { "\x02\x01\x00\x30", 4 }, TOKEN_MISTAKE_OTHER, REQUEST },
	{ 2, { "\xa0", 1 }, TOKEN_MISTAKE_CERTIFICATE, CERTIFICATE },
	{ 2, { "\x02", 1 }, TOKEN_MISTAKE_CERTIFICATE, CERTIFICATE },
};

enum err token_mistake_by_der(struct text der, enum token_mistake *mistake, struct fault *fault)
{
	int sequences = 0;

	while (sequences < 2 && der.length > 0 && der.bytes[0] == 0x30 && ber_enter(&der)) {
		sequences++;
	}
	for (size_t i = 0; i < sizeof by_der / sizeof *by_der; i++) {
		if (sequences == by_der[i].sequences && text_starts_with(der, by_der[i].bytes)) {
			*mistake = by_der[i].mistake;
			return by_der[i].sentence != NULL ? fault_set(fault, ERR_BAD_INPUT, "%s", by_der[i].sentence) : OK;
		}
	}
	return OK;
}
