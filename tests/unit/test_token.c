// SPDX-License-Identifier: Apache-2.0
//
// From the .p7m file to the token: every vector, every spelling that administrators upload, and what they upload by mistake.
#include "crypto/envelope.h"
#include "crypto/key_pair.h"
#include "support/cmocka_all.h"
#include "support/files.h"
#include "support/vectors.h"
#include "tenants/token.h"

#include <openssl/cms.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "protocol/vectors/token/"
#define FOUR "\"consumer_key\":\"k\",\"consumer_secret\":\"SECRET\",\"access_token\":\"t\",\"access_secret\":\"SECRET\""

struct keys {
	struct buffer private_key_der;
	char *certificate_pem;
};

static struct keys ours;
static struct keys others;

static char *vector(const char *name, size_t *length)
{
	char path[256];

	(void)snprintf(path, sizeof path, FOLDER "%s", name);
	return shared_read(SOURCE_DIRECTORY, path, length);
}

static void load_keys(struct keys *keys, const char *jwk, const char *certificate)
{
	char *content = vector(jwk, NULL);

	keys->private_key_der = BUFFER(8192);
	jwk_to_der(&keys->private_key_der, content);
	keys->certificate_pem = vector(certificate, NULL);
	free(content);
}

static int load_all_keys(void **state)
{
	(void)state;
	load_keys(&ours, "key.jwk.json", "cert.pem");
	load_keys(&others, "other-key.jwk.json", "other-cert.pem");
	return 0;
}

static int free_all_keys(void **state)
{
	(void)state;
	buffer_fini(&ours.private_key_der);
	buffer_fini(&others.private_key_der);
	free(ours.certificate_pem);
	free(others.certificate_pem);
	return 0;
}

static enum err open_with(const struct keys *keys, struct text file, struct server_token *token, struct fault *fault)
{
	struct buffer der CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(TOKEN_PLAIN_MAX);

	enum token_mistake mistake;

	TRY(token_file_read(&der, file, &mistake, fault));
	TRY(envelope_open(&plain, buffer_text(&der), buffer_text(&keys->private_key_der), text_of(keys->certificate_pem), fault));
	return token_parse(token, buffer_text(&plain), fault);
}

static void read_cms(struct buffer *der, const char *file)
{
	enum token_mistake mistake = TOKEN_MISTAKE_OTHER;

	assert_int_equal(token_file_read(der, text_of(file), &mistake, NULL), OK);
	assert_int_equal(mistake, TOKEN_MISTAKE_NONE);
}

static void assert_expected_token(const struct server_token *token)
{
	assert_true(text_equal_string(token->consumer_key, "CK_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
	assert_true(text_equal_string(token->consumer_secret, "CS_fedcba9876543210fedcba987654321001234567"));
	assert_true(text_equal_string(token->access_token,
		"AT_O1234567890O0a1b2c3d4e5f0a1b2c3d4e5f0a1b2c3d4e5f0a1b2c3d4e5fO1767225600000"));
	assert_true(text_equal_string(token->access_secret, "AS_00112233445566778899aabbccddeeff01234567"));
	assert_int_equal(token->expires_at_us, instant_parse(TEXT("2027-11-23T18:47:25Z")));
}

static void assert_opens(struct text file)
{
	struct server_token token;

	assert_int_equal(open_with(&ours, file, &token, NULL), OK);
	assert_expected_token(&token);
	server_token_fini(&token);
}

static void every_well_formed_vector_opens(void **state)
{
	static const char *const names[] = { "apple-aes128-ber.p7m", "aes128-ber-bare.p7m", "aes128-ber-chunked.p7m",
		"aes128-ber-crlf.p7m", "aes128-ber-multiline.p7m", "aes128-der.p7m", "aes256-ber.p7m", "des3-ber.p7m" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t length;
		char *file = vector(names[i], &length);

		assert_opens((struct text){ file, length });
		free(file);
	}
}

static void a_token_for_another_key_is_refused_as_such(void **state)
{
	size_t length;
	char *file = vector("wrong-recipient.p7m", &length);
	struct server_token token;

	(void)state;
	assert_int_equal(open_with(&ours, (struct text){ file, length }, &token, NULL), ERR_REFUSED);
	assert_int_equal(open_with(&others, (struct text){ file, length }, &token, NULL), OK);
	assert_expected_token(&token);
	server_token_fini(&token);
	free(file);
}

// The body of a vector: what stands after the empty line.
static const char *body_of(const char *file)
{
	const char *body = strstr(file, "\n\n");

	assert_non_null(body);
	return body + 2;
}

static void the_spellings_of_administrators_open(void **state)
{
	static const struct {
		const char *before;
		bool headers;
		bool no_final_line_end;
		const char *after;
	} spellings[] = {
		{ "", true, true, "" },
		{ "\xef\xbb\xbf", true, false, "" },
		{ "\n \r\n", true, false, "\n\n  \n" },
		{ "", false, false, "" },
		{ "\xef\xbb\xbf", false, true, "" },
		{ "-----BEGIN PKCS7-----\n", false, false, "-----END PKCS7-----\n" },
		{ "content-type: application/x-pkcs7-mime;\r\n\tname=\"smime.p7m\"\r\nMIME-Version: 1.0\r\n\r\n", false, false, "" },
	};
	char *file = vector("apple-aes128-ber.p7m", NULL);

	(void)state;
	for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
		struct buffer spelling CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);

		buffer_add_string(&spelling, spellings[i].before);
		buffer_add_string(&spelling, spellings[i].headers ? file : body_of(file));
		spelling.length -= spellings[i].no_final_line_end ? 1 : 0;
		buffer_add_string(&spelling, spellings[i].after);
		assert_opens(buffer_text(&spelling));
	}
	free(file);
}

static void bare_der_and_ber_open(void **state)
{
	static const char *const names[] = { "aes128-der.p7m", "apple-aes128-ber.p7m" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct buffer der CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
		char *file = vector(names[i], NULL);

		read_cms(&der, file);
		assert_opens(buffer_text(&der));
		buffer_add_string(&der, "\n");
		assert_opens(buffer_text(&der));
		free(file);
	}
}

static void assert_mistake(struct text file, enum token_mistake expected, const char *part)
{
	struct buffer der CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
	enum token_mistake mistake = TOKEN_MISTAKE_NONE;
	struct fault fault = { "" };

	assert_int_equal(token_file_read(&der, file, &mistake, &fault), ERR_BAD_INPUT);
	if (strstr(fault.text, part) == NULL) {
		fail_msg("\"%s\" does not say \"%s\"", fault.text, part);
	}
	assert_int_equal(mistake, expected);
	assert_int_equal(der.length, 0);
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *file;
		enum token_mistake mistake;
		const char *part;
	} cases[] = {
		{ "", TOKEN_MISTAKE_OTHER, "empty" },
		{ " \r\n\t", TOKEN_MISTAKE_OTHER, "empty" },
		{ "\xef\xbb\xbf\n", TOKEN_MISTAKE_OTHER, "empty" },
		{ "<!DOCTYPE html>", TOKEN_MISTAKE_WEB_PAGE, "web page" },
		{ "\n<html>", TOKEN_MISTAKE_WEB_PAGE, "web page" },
		{ "\xef\xbb\xbf\r\n<HTML><title>Sign in</title>", TOKEN_MISTAKE_WEB_PAGE, "web page" },
		{ "Content-Type: text/html\n\n<html>", TOKEN_MISTAKE_WEB_PAGE, "web page" },
		{ "HTTP/1.1 200 OK\r\n\r\n<html>", TOKEN_MISTAKE_WEB_PAGE, "web server" },
		{ "Sign in\n<html>", TOKEN_MISTAKE_WEB_PAGE, "web page" },
		{ "<?xml version=\"1.0\"?><plist/>", TOKEN_MISTAKE_OTHER, "XML" },
		{ "-----BEGIN CERTIFICATE-----\nMIIB\n", TOKEN_MISTAKE_CERTIFICATE, "certificate" },
		{ "Certificate:\n    Data:\n-----BEGIN CERTIFICATE-----\nMIIB\n", TOKEN_MISTAKE_CERTIFICATE, "certificate" },
		{ "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n", TOKEN_MISTAKE_OTHER, "request" },
		{ "-----BEGIN PRIVATE KEY-----\nMIIB\n", TOKEN_MISTAKE_PRIVATE_KEY, "private key" },
		{ "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n", TOKEN_MISTAKE_PRIVATE_KEY, "private key" },
		{ "-----BEGIN PUBLIC KEY-----\nMIIB\n", TOKEN_MISTAKE_OTHER, "public key" },
		{ "{\"consumer_key\":\"CK_1\"}", TOKEN_MISTAKE_DECRYPTED, "JSON" },
		{ "-----BEGIN MESSAGE-----\n{}", TOKEN_MISTAKE_DECRYPTED, "decrypted" },
		{ "{\\rtf1", TOKEN_MISTAKE_OTHER, "text document" },
		{ "PK\x03\x04zip", TOKEN_MISTAKE_OTHER, "zip" },
		{ "\x1f\x8b\x08", TOKEN_MISTAKE_OTHER, "compressed" },
		{ "\xff\xfe<", TOKEN_MISTAKE_OTHER, "UTF-16" },
		{ "Content-Type: application/pdf\n\nJVBERi0=", TOKEN_MISTAKE_OTHER, "something else" },
		{ "Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: quoted-printable\n\nMIAG", TOKEN_MISTAKE_OTHER, "base64" },
		{ "Content-Type: application/pkcs7-mime\n\n", TOKEN_MISTAKE_CUT, "no content" },
		{ "x", TOKEN_MISTAKE_OTHER, "not base64" },
		{ "hello, world", TOKEN_MISTAKE_OTHER, "not base64" },
		{ "aGVsbG8gd29ybGQ=", TOKEN_MISTAKE_OTHER, "no encrypted message" },
	};
	static char large[TOKEN_FILE_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_mistake(text_of(cases[i].file), cases[i].mistake, cases[i].part);
	}
	memset(large, 'A', sizeof large);
	assert_mistake((struct text){ large, sizeof large }, TOKEN_MISTAKE_OTHER, "too large");
}

// As DER, and as the base64 of it without a word around it.
static void assert_der_mistake(struct text der, enum token_mistake mistake, const char *part)
{
	struct buffer base64 CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);

	assert_mistake(der, mistake, part);
	buffer_add_base64(&base64, der.bytes, der.length);
	assert_mistake(buffer_text(&base64), mistake, part);
}

static void what_is_der_and_no_token_is_named_too(void **state)
{
	struct buffer base64 CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
	struct buffer certificate CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
	const char *at = strchr(ours.certificate_pem, '\n');

	(void)state;
	for (; *at != '-'; at++) {
		buffer_add(&base64, at, *at != '\n' ? 1 : 0);
	}
	assert_true(base64_decode(&certificate, buffer_text(&base64)));
	assert_der_mistake(buffer_text(&certificate), TOKEN_MISTAKE_CERTIFICATE, "certificate");
	assert_der_mistake(buffer_text(&ours.private_key_der), TOKEN_MISTAKE_PRIVATE_KEY, "private key"); // PKCS #1

	static const struct {
		struct text der;
		enum token_mistake mistake;
		const char *part;
	} cases[] = {
		{ { "\x30\x81\x80\x02\x01\x00\x30\x0d", 8 }, TOKEN_MISTAKE_PRIVATE_KEY, "private key" }, // PKCS #8
		{ { "\x30\x81\x80\x02\x01\x03\x30\x0d", 8 }, TOKEN_MISTAKE_PRIVATE_KEY, "PKCS #12" },
		{ { "\x30\x81\x80\x30\x70\x02\x01\x00\x30\x0d", 10 }, TOKEN_MISTAKE_OTHER, "request" },
		{ { "\x30\x81\x80\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 16 }, TOKEN_MISTAKE_OTHER, "public key" },
		{ { "\x30\x81\x80\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d", 16 }, TOKEN_MISTAKE_PRIVATE_KEY, "private key" },
		{ { "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0", 14 }, TOKEN_MISTAKE_OTHER, "signed" },
		{ { "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0", 14 }, TOKEN_MISTAKE_OTHER, "not an encrypted one" },
		{ { "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0", 14 }, TOKEN_MISTAKE_CUT, "end of the file" },
		{ { "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\x20\x85", 15 }, TOKEN_MISTAKE_OTHER, "damaged" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_der_mistake(cases[i].der, cases[i].mistake, cases[i].part);
	}
}

static void a_file_that_was_cut_anywhere_never_opens(void **state)
{
	static const char *const names[] = { "apple-aes128-ber.p7m", "aes128-der.p7m", "aes128-ber-chunked.p7m" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t length;
		char *file = vector(names[i], &length);
		const size_t body = (size_t)(body_of(file) - file);

		for (size_t cut = 0; cut + 4 < length; cut++) { // the last characters are padding and the line end
			struct buffer der CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
			enum token_mistake mistake = TOKEN_MISTAKE_NONE;
			struct fault fault = { "" };
			char *copy = allocate(cut + 1);

			memcpy(copy, file, cut);
			assert_int_equal(token_file_read(&der, (struct text){ copy, cut }, &mistake, &fault), ERR_BAD_INPUT);
			assert_int_not_equal(mistake, TOKEN_MISTAKE_NONE);
			if (cut > body && mistake != TOKEN_MISTAKE_CUT) {
				fail_msg("%s cut at %zu of %zu: %s", names[i], cut, length, fault.text);
			}
			free(copy);
		}
		free(file);
	}
}

static void every_cipher_of_the_field_opens(void **state)
{
	const EVP_CIPHER *const ciphers[] = { EVP_aes_128_cbc(), EVP_aes_192_cbc(), EVP_aes_256_cbc(), EVP_des_ede3_cbc() };
	const char *plain = "{" FOUR "}";

	(void)state;
	for (size_t i = 0; i < sizeof ciphers / sizeof *ciphers; i++) {
		BIO *pem = BIO_new_mem_buf(ours.certificate_pem, -1);
		BIO *in = BIO_new_mem_buf(plain, -1);
		X509 *certificate = PEM_read_bio_X509(pem, NULL, NULL, NULL);
		STACK_OF(X509) *recipients = sk_X509_new_null();
		unsigned char *der = NULL;
		struct server_token token;

		assert_true(sk_X509_push(recipients, certificate) > 0);
		CMS_ContentInfo *cms = CMS_encrypt(recipients, in, ciphers[i], CMS_BINARY);
		const int length = i2d_CMS_ContentInfo(cms, &der);

		assert_true(length > 0);
		assert_int_equal(open_with(&ours, (struct text){ (const char *)der, (size_t)length }, &token, NULL), OK);
		assert_true(text_equal_string(token.access_token, "t"));
		server_token_fini(&token);
		OPENSSL_free(der);
		CMS_ContentInfo_free(cms);
		sk_X509_free(recipients);
		X509_free(certificate);
		(void)BIO_free(in);
		(void)BIO_free(pem);
	}
}

static void the_inner_layer_is_read_with_and_without_its_wrapping(void **state)
{
	static const char *const names[] = { "inner-bare.txt", "inner-multiline.txt", "inner-wrapped.txt", "expected.json" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t length;
		char *plain = vector(names[i], &length);
		struct server_token token;

		assert_int_equal(token_parse(&token, (struct text){ plain, length }, NULL), OK);
		assert_expected_token(&token);
		server_token_fini(&token);
		free(plain);
	}
}

static void an_expiry_is_optional_and_read_in_all_its_forms(void **state)
{
	static const struct {
		const char *plain;
		const char *expiry;
	} cases[] = {
		{ "{" FOUR "}", NULL },
		{ "{" FOUR ",\"access_token_expiry\":null}", NULL },
		{ "{" FOUR ",\"access_token_expiry\":\"soon\"}", NULL },
		{ "{" FOUR ",\"access_token_expiry\":\"2015-01-14T21:27:41Z\",\"more\":{\"a\":[1]}}", "2015-01-14T21:27:41Z" },
		{ "{" FOUR ",\"access_token_expiry\":\"2015-01-14T21:27:41.5+02:00\"}", "2015-01-14T19:27:41.5Z" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct server_token token;

		assert_int_equal(token_parse(&token, text_of(cases[i].plain), NULL), OK);
		assert_int_equal(token.expires_at_us,
			cases[i].expiry != NULL ? instant_parse(text_of(cases[i].expiry)) : INSTANT_NONE);
		server_token_fini(&token);
	}
}

static void what_is_not_a_token_is_refused_without_quoting_it(void **state)
{
	static const char *const bad[] = {
		"", "SECRET", "{}", "{SECRET", "[\"SECRET\"]", "{\"consumer_key\":\"SECRET\"}", "{" FOUR, "{" FOUR "} SECRET",
		"{\"consumer_key\":\"\",\"consumer_secret\":\"SECRET\",\"access_token\":\"t\",\"access_secret\":\"SECRET\"}",
		"{\"consumer_key\":\"k\",\"consumer_secret\":\"SECRET\",\"access_token\":\"t\",\"access_secret\":null}",
		"{\"consumer_key\":\"k\",\"consumer_secret\":\"SECRET\",\"access_token\":1,\"access_secret\":\"SECRET\"}",
		"{" FOUR ",\"consumer_key\":\"SECRET\"}", "Content-Type: text/plain\r\n\r\n",
	};
	static char large[TOKEN_PLAIN_MAX + 1];
	struct server_token token;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct fault fault = { "" };

		assert_int_equal(token_parse(&token, text_of(bad[i]), &fault), ERR_BAD_INPUT);
		assert_true(fault.text[0] != '\0');
		assert_null(strstr(fault.text, "SECRET"));
	}
	memset(large, ' ', sizeof large);
	assert_int_equal(token_parse(&token, (struct text){ large, sizeof large }, NULL), ERR_BAD_INPUT);
}

static void a_token_is_read_back_as_it_was_written(void **state)
{
	static const int64_t expiries[] = { INSTANT_NONE, 0, INT64_C(1764000000) * SECOND_US, INT64_C(1764000000) * SECOND_US + 7 };

	(void)state;
	for (size_t i = 0; i < sizeof expiries / sizeof *expiries; i++) {
		const struct server_token token = {
			.consumer_key = TEXT("CK_\"\\\x01"),
			.consumer_secret = TEXT("Z\xc3\xbcrich"),
			.access_token = TEXT("AT {}\t"),
			.access_secret = TEXT("-----END MESSAGE-----"),
			.expires_at_us = expiries[i],
		};
		struct buffer json CLEANUP(buffer_fini_wiped) = BUFFER(4096);
		struct server_token back;

		server_token_write(&json, &token);
		assert_int_equal(token_parse(&back, buffer_text(&json), NULL), OK);
		assert_true(text_equal(back.consumer_key, token.consumer_key));
		assert_true(text_equal(back.consumer_secret, token.consumer_secret));
		assert_true(text_equal(back.access_token, token.access_token));
		assert_true(text_equal(back.access_secret, token.access_secret));
		assert_int_equal(back.expires_at_us, token.expires_at_us);
		server_token_fini(&back);
		server_token_fini(&back);
	}
}

static void a_message_that_we_make_is_one_that_we_open(void **state)
{
	struct buffer der CLEANUP(buffer_fini) = BUFFER(ENVELOPE_MAX);
	struct buffer plain CLEANUP(buffer_fini) = BUFFER(ENVELOPE_MAX);

	(void)state;
	assert_int_equal(envelope_make(&der, TEXT("{" FOUR "}"), text_of(ours.certificate_pem), NULL), OK);
	assert_int_equal(envelope_open(&plain, buffer_text(&der), buffer_text(&ours.private_key_der),
		text_of(ours.certificate_pem), NULL), OK);
	assert_string_equal(plain.bytes, "{" FOUR "}");
	buffer_clear(&plain);
	assert_int_equal(envelope_open(&plain, buffer_text(&der), buffer_text(&others.private_key_der),
		text_of(others.certificate_pem), NULL), ERR_REFUSED);
	assert_int_equal(plain.length, 0);
}

static void a_file_that_we_write_is_one_that_we_read(void **state)
{
	struct buffer message CLEANUP(buffer_fini) = BUFFER(TOKEN_PLAIN_MAX);
	struct buffer made CLEANUP(buffer_fini) = BUFFER(ENVELOPE_MAX);
	struct buffer file CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
	struct buffer read CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
	struct buffer plain CLEANUP(buffer_fini) = BUFFER(TOKEN_PLAIN_MAX);
	const struct server_token token = { TEXT("CK_1"), TEXT("CS_\"2"), TEXT("AT_3"), TEXT("AS_4"), INT64_C(1790000000000000), BUFFER(1) };
	enum token_mistake mistake;
	struct server_token back;

	(void)state;
	token_message_write(&message, &token);
	assert_int_equal(envelope_make(&made, buffer_text(&message), text_of(ours.certificate_pem), NULL), OK);
	assert_memory_equal(made.bytes, "\x30\x80", 2); // of indefinite length, as Apple's
	token_file_write(&file, buffer_text(&made));
	assert_int_equal(token_file_read(&read, buffer_text(&file), &mistake, NULL), OK);
	assert_int_equal(envelope_open(&plain, buffer_text(&read), buffer_text(&ours.private_key_der), text_of(ours.certificate_pem), NULL), OK);
	assert_int_equal(token_parse(&back, buffer_text(&plain), NULL), OK);
	assert_true(text_equal(back.consumer_secret, token.consumer_secret) && text_equal(back.access_token, token.access_token));
	assert_int_equal(back.expires_at_us, token.expires_at_us);
	server_token_fini(&back);
}

static void our_own_broken_keys_are_our_fault(void **state)
{
	struct buffer der CLEANUP(buffer_fini) = BUFFER(ENVELOPE_MAX);
	struct buffer plain CLEANUP(buffer_fini) = BUFFER(ENVELOPE_MAX);
	const struct text key = buffer_text(&ours.private_key_der);
	const struct text certificate = text_of(ours.certificate_pem);

	(void)state;
	assert_int_equal(envelope_make(&der, TEXT("x"), certificate, NULL), OK);
	assert_int_equal(envelope_open(&plain, buffer_text(&der), TEXT("no key"), certificate, NULL), ERR_CRYPTO);
	assert_int_equal(envelope_open(&plain, buffer_text(&der), TEXT_NONE, certificate, NULL), ERR_CRYPTO);
	assert_int_equal(envelope_open(&plain, buffer_text(&der), key, TEXT("no certificate"), NULL), ERR_CRYPTO);
	assert_int_equal(envelope_open(&plain, buffer_text(&der), key, text_of(others.certificate_pem), NULL), ERR_CRYPTO);
	assert_int_equal(envelope_make(&der, TEXT("x"), TEXT("no certificate"), NULL), ERR_BAD_INPUT);
}

static void a_damaged_envelope_is_refused_or_gives_the_same_token(void **state)
{
	struct buffer der CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
	char *file = vector("aes128-der.p7m", NULL);

	(void)state;
	read_cms(&der, file);
	for (size_t at = 0; at < der.length; at += 7) { // RSA costs a millisecond each
		struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(TOKEN_PLAIN_MAX);
		struct server_token token;

		der.bytes[at] = (char)(der.bytes[at] ^ 0x20);
		if (envelope_open(&plain, buffer_text(&der), buffer_text(&ours.private_key_der), text_of(ours.certificate_pem),
				NULL) == OK && token_parse(&token, buffer_text(&plain), NULL) == OK) {
			assert_expected_token(&token); // what was damaged are the headers before it
			server_token_fini(&token);
		}
		der.bytes[at] = (char)(der.bytes[at] ^ 0x20);
	}
	assert_opens(buffer_text(&der));
	free(file);
}

static void of_a_key_only_its_end_is_shown_and_of_a_short_one_nothing(void **state)
{
	const struct server_token token = { .consumer_key = TEXT("CK_0123456789abcdef") };
	const struct server_token twelve = { .consumer_key = TEXT("123456789abc") };
	const struct server_token eleven = { .consumer_key = TEXT("123456789ab") };

	(void)state;
	assert_true(text_equal(server_token_key_end(&token), TEXT("cdef")));
	assert_true(text_equal(server_token_key_end(&twelve), TEXT("9abc")));
	assert_int_equal(server_token_key_end(&eleven).length, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_well_formed_vector_opens),
		cmocka_unit_test(a_file_that_we_write_is_one_that_we_read),
		cmocka_unit_test(of_a_key_only_its_end_is_shown_and_of_a_short_one_nothing),
		cmocka_unit_test(a_token_for_another_key_is_refused_as_such),
		cmocka_unit_test(the_spellings_of_administrators_open),
		cmocka_unit_test(bare_der_and_ber_open),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(what_is_der_and_no_token_is_named_too),
		cmocka_unit_test(every_cipher_of_the_field_opens),
		cmocka_unit_test(a_file_that_was_cut_anywhere_never_opens),
		cmocka_unit_test(the_inner_layer_is_read_with_and_without_its_wrapping),
		cmocka_unit_test(an_expiry_is_optional_and_read_in_all_its_forms),
		cmocka_unit_test(what_is_not_a_token_is_refused_without_quoting_it),
		cmocka_unit_test(a_token_is_read_back_as_it_was_written),
		cmocka_unit_test(a_message_that_we_make_is_one_that_we_open),
		cmocka_unit_test(our_own_broken_keys_are_our_fault),
		cmocka_unit_test(a_damaged_envelope_is_refused_or_gives_the_same_token),
	};

	return cmocka_run_group_tests_name("token", tests, load_all_keys, free_all_keys);
}
