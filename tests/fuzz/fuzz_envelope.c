// SPDX-License-Identifier: Apache-2.0
//
// Hostile CMS bytes, opened with the published test key that the corpus was encrypted for: envelope_open, then token_parse.
#include "crypto/envelope.h"
#include "support/vectors.h"
#include "tenants/token.h"

#include <assert.h>
#include <stdlib.h>

#define FOLDER "protocol/vectors/token/"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct buffer key = { .limit = 8192 };
static char *certificate;

static void load_key(void)
{
	char *jwk = shared_read(SOURCE_DIRECTORY, FOLDER "key.jwk.json", NULL);

	jwk_to_der(&key, jwk);
	free(jwk);
	certificate = shared_read(SOURCE_DIRECTORY, FOLDER "cert.pem", NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct text input = { (const char *)data, size };
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(TOKEN_PLAIN_MAX);
	struct server_token token;
	struct fault fault = { 0 };

	if (certificate == NULL) {
		load_key();
	}
	const enum err rc = envelope_open(&plain, input, buffer_text(&key), text_of(certificate), &fault);

	assert(rc == OK || rc == ERR_BAD_INPUT || rc == ERR_REFUSED);
	assert((rc == OK) == (fault.text[0] == '\0'));
	if (rc == OK && token_parse(&token, buffer_text(&plain), &fault) == OK) {
		server_token_fini(&token);
	}
	return 0;
}
