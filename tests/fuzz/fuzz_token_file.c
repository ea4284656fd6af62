// SPDX-License-Identifier: Apache-2.0
//
// A hostile upload, and hostile content inside a well-formed one: token_file_read and token_parse. What token_parse takes
// is read back as it was written.
#include "tenants/token.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct server_token *token)
{
	struct buffer json CLEANUP(buffer_fini_wiped) = BUFFER(8 * TOKEN_PLAIN_MAX);
	struct server_token back;
	enum err rc;

	server_token_write(&json, token);
	assert(!json.overflow);
	if (json.length > TOKEN_PLAIN_MAX) { // escapes can be longer than what was read
		return;
	}
	rc = token_parse(&back, buffer_text(&json), NULL);
	assert(rc == OK);
	assert(text_equal(back.consumer_key, token->consumer_key) && text_equal(back.access_secret, token->access_secret));
	assert(back.expires_at_us == token->expires_at_us || token->expires_at_us < 0);
	server_token_fini(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct text input = { (const char *)data, size };
	struct buffer der CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);
	struct server_token token;
	enum token_mistake mistake;
	struct fault fault = { 0 };

	if (token_file_read(&der, input, &mistake, &fault) == OK) {
		assert(der.length >= 2 && der.bytes[0] == 0x30 && mistake == TOKEN_MISTAKE_NONE);
	} else {
		assert(der.length == 0 && mistake != TOKEN_MISTAKE_NONE && fault.text[0] != '\0');
	}
	if (token_parse(&token, input, &fault) == OK) {
		check_round_trip(&token);
		server_token_fini(&token);
	}
	return 0;
}
