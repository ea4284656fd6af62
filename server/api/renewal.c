// SPDX-License-Identifier: Apache-2.0
//
// /renew/{link}, /renew/{link}/certificate.pem: no key is asked for; the link is the permission, for one tenant and one token.
// POST /renew/{link} is in token_upload.c: one guard for everybody.
#include "api/renewal.h"

#include "api/html.h"
#include "api/multipart.h"
#include "api/resources.h"
#include "store/tokens.h"
#include "tenants/token.h"

#include <stdio.h>
#include <string.h>

enum { PAGE_MAX = 64 * 1024, DAY_LENGTH = 10 }; // 2026-11-26

void renewal_link_make(char secret[RENEWAL_SECRET_SIZE + 1], unsigned char hash[SHA256_SIZE])
{
	struct buffer digits CLEANUP(buffer_fini_wiped) = BUFFER(RENEWAL_SECRET_SIZE);
	unsigned char random[RENEWAL_SECRET_SIZE / 2];

	random_bytes(random, sizeof random);
	buffer_add_hex(&digits, random, sizeof random);
	wipe(random, sizeof random);
	memcpy(secret, digits.bytes, RENEWAL_SECRET_SIZE + 1);
	sha256(hash, &(struct digest_part){ secret, RENEWAL_SECRET_SIZE }, 1);
}

bool renewal_link_hash(unsigned char hash[SHA256_SIZE], struct text secret)
{
	for (size_t i = 0; i < secret.length; i++) {
		if (!(secret.bytes[i] >= '0' && secret.bytes[i] <= '9') && !(secret.bytes[i] >= 'a' && secret.bytes[i] <= 'f')) {
			return false;
		}
	}
	if (secret.length != RENEWAL_SECRET_SIZE) {
		return false;
	}
	sha256(hash, &(struct digest_part){ secret.bytes, secret.length }, 1);
	return true;
}

// --- refusals, in the words of somebody who does this once a year ---

static const struct {
	enum api_problem which;
	const char *title;
	const char *words;
	bool may_try_again; // with the same link
} refusals[] = {
	{ PROBLEM_LINK_NOT_FOUND, "This link does not work",
		"It was used already, it is too old, or it is not complete. Please ask whoever sent it to you for a new one.", false },
	{ PROBLEM_TOO_MANY_REQUESTS, "Too many requests", "Please wait for a minute, then open the link again.", false },
	{ PROBLEM_FORM_UNREADABLE, "There was no file", "Please choose the file that Apple gave you, and send it again.", true },
	{ PROBLEM_TOKEN_FILE_UNREADABLE, "This is not a server token",
		"Please choose the file whose name ends in _smime.p7m, exactly as Apple gave it to you.", true },
	{ PROBLEM_TOKEN_FILE_TRUNCATED, "The end of this file is missing", "Please download the token at Apple once more, and send it whole.", true },
	{ PROBLEM_TOKEN_FILE_IS_CERTIFICATE, "This is the certificate, not a server token",
		"Please upload the certificate at Apple. What Apple then gives you to download is the file to send here.", true },
	{ PROBLEM_TOKEN_FILE_IS_PRIVATE_KEY, "This is a private key, not a server token",
		"Please keep it secret, and send it to nobody. The file to send here ends in _smime.p7m.", true },
	{ PROBLEM_TOKEN_FILE_IS_WEB_PAGE, "This is a web page, not a server token",
		"Please sign in at Apple, download the token again, and send the file that ends in _smime.p7m.", true },
	{ PROBLEM_TOKEN_FILE_IS_DECRYPTED, "This is a token without its envelope",
		"Please send the file that ends in _smime.p7m exactly as Apple gave it.", true },
	{ PROBLEM_TOKEN_WRONG_KEY, "This token was made for another certificate",
		"Please upload the certificate of step 1 at Apple once more, download a new token there, and send that one.", true },
	{ PROBLEM_TOKEN_CONTENT_UNREADABLE, "This file holds no server token", "Please download a new token at Apple, and send that one.", true },
	{ PROBLEM_TOKEN_EXPIRED, "This token has expired", "Please download a new token at Apple, and send that one.", true },
	{ PROBLEM_TOKEN_REFUSED_BY_APPLE, "Apple does not accept this token",
		"A token ends when a newer one is downloaded. Please download a new one at Apple, and send that one.", true },
	{ PROBLEM_APPLE_TERMS_UNSIGNED, "Apple wants new terms to be accepted",
		"Please sign in at Apple, accept the new terms, and then send the same file once more.", true },
	{ PROBLEM_TOKEN_IDENTITY_MISMATCH, "This token is of another server",
		"It belongs to another organisation or device management server than the one named on the page before. Nothing was changed. "
		"Please choose the right server at Apple, and download its token.", true },
	{ PROBLEM_SERVER_BELONGS_TO_ANOTHER_TENANT, "This token is of another server",
		"It belongs to another organisation or device management server than the one named on the page before. Nothing was changed. "
		"Please choose the right server at Apple, and download its token.", true },
	{ PROBLEM_NO_KEY_PAIR, "This link does not work",
		"It was used already, it is too old, or it is not complete. Please ask whoever sent it to you for a new one.", false },
};

static void answer_refusal(struct call *call, unsigned status, const char *title, const char *words, bool may_try_again)
{
	struct buffer page = BUFFER(PAGE_MAX);

	html_begin(&page, title);
	buffer_add_string(&page, "<p role=\"alert\">");
	html_text(&page, text_of(words));
	buffer_add_string(&page, "</p>\n");
	if (may_try_again) {
		buffer_add_string(&page, "<p><a href=\"/renew/");
		html_text(&page, call->request->parameters[0]);
		buffer_add_string(&page, "\">Back to the steps</a></p>\n");
	}
	html_end(&page);
	html_answer(call, status, &page);
}

void renewal_refuse(struct call *call, enum api_problem which, const char *detail)
{
	const struct problem problem = api_problem(which);

	(void)detail; // for technicians; it may say what is nobody else's business
	if (problem.status == 429) {
		http_answer_header(call->request, "Retry-After", "60");
	}
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		if (refusals[i].which == which) {
			answer_refusal(call, problem.status, refusals[i].title, refusals[i].words, refusals[i].may_try_again);
			return;
		}
	}
	answer_refusal(call, problem.status, "That did not work", "Something is wrong at our side, and nothing was changed. "
		"Please open the link again in a few minutes.", false);
}

// --- the page ---

static void add_fact(struct buffer *page, const char *name, struct text value)
{
	if (value.length > 0) {
		buffer_add_format(page, "<dt>%s</dt><dd>", name);
		html_text(page, value);
		buffer_add_string(page, "</dd>\n");
	}
}

static void add_day(struct buffer *page, const char *name, int64_t at_us)
{
	char when[INSTANT_TEXT_SIZE];

	(void)instant_format(when, at_us, false);
	add_fact(page, name, (struct text){ when, DAY_LENGTH });
}

static void add_facts(struct buffer *page, const struct call *call)
{
	buffer_add_string(page, "<dl>\n");
	add_fact(page, "Organisation", call->tenant.display_name);
	add_fact(page, "Organisation at Apple", call->tenant.org_name);
	add_fact(page, "Server at Apple", call->tenant.server_name);
	if (call->tenant_status.token_expires_at_us != INSTANT_NONE) {
		add_day(page, "The present token ends", call->tenant_status.token_expires_at_us);
	}
	add_day(page, "This link works until", call->link.expires_at_us);
	buffer_add_string(page, "</dl>\n");
}

static void add_steps(struct buffer *page, const struct call *call)
{
	const struct text server = call->tenant.server_name;

	buffer_add_string(page, "<h2 id=\"steps\">What to do</h2>\n<ol aria-labelledby=\"steps\">\n<li><a href=\"/renew/");
	html_text(page, call->request->parameters[0]);
	buffer_add_string(page, "/certificate.pem\" download>Download the certificate</a>, a small file that ends in .pem.</li>\n"
		"<li>Sign in at Apple Business or Apple School Manager as an administrator. Open Preferences, then the device management server ");
	if (server.length > 0) {
		buffer_add_string(page, "<strong>");
		html_text(page, server);
		buffer_add_string(page, "</strong>");
	} else {
		buffer_add_string(page, "that your provider named");
	}
	buffer_add_string(page, ", and edit it. Upload the certificate there, and save.</li>\n"
		"<li>In the same place, choose Download Token. You get a file that ends in _smime.p7m. Leave it as it is.</li>\n"
		"<li>Send that file with the form below.</li>\n</ol>\n");
}

static void add_form(struct buffer *page, const struct call *call)
{
	buffer_add_string(page, "<h2 id=\"send\">Send the token</h2>\n<form method=\"post\" enctype=\"multipart/form-data\" aria-labelledby=\"send\" "
		"action=\"/renew/");
	html_text(page, call->request->parameters[0]);
	buffer_add_string(page, "\">\n<label for=\"token\">The file from Apple, ending in .p7m</label>\n"
		"<input type=\"file\" id=\"token\" name=\"token\" required aria-describedby=\"note\">\n"
		"<p id=\"note\">It is encrypted for us: nobody else can read it. We ask Apple whose it is before we use it.</p>\n"
		"<button type=\"submit\">Send</button>\n</form>\n");
}

void renewal_page(struct call *call)
{
	struct buffer page = BUFFER(PAGE_MAX);

	html_begin(&page, "Renew the server token");
	buffer_add_string(&page, "<p>Apple's server token connects your devices with their management. It lasts for a year, and an administrator of "
		"your organisation renews it in about five minutes.</p>\n");
	add_facts(&page, call);
	add_steps(&page, call);
	add_form(&page, call);
	html_end(&page);
	html_answer(call, 200, &page);
}

// --- the certificate ---

static void ask_pair(struct call *call)
{
	(void)store_key_pair_by_id(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, call->link.key_pair_id);
	call_start(call);
}

void renewal_certificate(struct call *call)
{
	enum { NEW, READING };

	switch (call->state) {
	case NEW: {
		AWAIT(call, READING, ask_pair(call));
		if (call_failed(call)) {
			return;
		}
		if (pg_row_count(&call->transaction, 0) == 0) {
			call_problem(call, PROBLEM_LINK_NOT_FOUND, "%s", "");
			return;
		}
		struct key_pair_row pair;
		char *disposition = arena_format(&call->request->arena, "attachment; filename=\"%.*s.pem\"", TEXT_ARGS(call->tenant.slug));

		store_key_pair_read(&call->transaction, 0, 0, &pair);
		if (disposition != NULL) {
			http_answer_header(call->request, "Content-Disposition", disposition);
		}
		http_answer(call->request, 200, "application/x-pem-file", pair.certificate_pem);
	}
	}
}

// --- the form ---

bool renewal_read_file(struct call *call, struct text *file)
{
	struct fault fault;

	if (multipart_file(file, http_request_header(call->request, "Content-Type"), call->request->body, "token", &fault) != OK ||
		file->length == 0) {
		call_problem(call, PROBLEM_FORM_UNREADABLE, "%s", "");
		return false;
	}
	if (file->length > TOKEN_FILE_MAX) {
		call_problem(call, PROBLEM_TOKEN_FILE_UNREADABLE, "%s", "");
		return false;
	}
	return true;
}

void renewal_answer_done(struct call *call, bool is_pending)
{
	struct buffer page = BUFFER(PAGE_MAX);

	html_begin(&page, is_pending ? "The token has arrived" : "The token is renewed");
	buffer_add_string(&page, is_pending
		? "<p role=\"status\">Thank you. Apple cannot be asked at the moment whose token this is. We keep it safe, ask again by ourselves, and your "
		  "provider is told how it ends. Until then the present token stays in use.</p>\n"
		: "<p role=\"status\">Thank you. The new token is in use, and your provider has been told. You can close this page; the link does not work any "
		  "more.</p>\n");
	html_end(&page);
	html_answer(call, is_pending ? 202 : 200, &page);
}
