// SPDX-License-Identifier: Apache-2.0
#include "api/token_opening.h"

#include "crypto/envelope.h"

// What one key makes of it. Only a token inside proves that the key was the right one: the format has no checksum.
static enum token_verdict try_key(struct token_opening *opening, struct text cms, const struct token_candidate *candidate)
{
	struct buffer plain CLEANUP(buffer_fini_wiped) = BUFFER(TOKEN_PLAIN_MAX);

	const enum err rc = envelope_open(&plain, cms, buffer_text(&candidate->private_key_der), candidate->certificate_pem,
		&opening->fault);

	if (rc != OK) {
		return rc == ERR_REFUSED ? TOKEN_OF_ANOTHER_KEY : rc == ERR_CRYPTO ? TOKEN_OUR_KEY_IS_BROKEN : TOKEN_FILE_IS_NONE;
	}
	return token_parse(&opening->token, buffer_text(&plain), &opening->fault) == OK ? TOKEN_OPENED : TOKEN_CONTENT_IS_NONE;
}

static enum err work(struct offload *offload)
{
	struct token_opening *opening = CONTAINER_OF(offload, struct token_opening, offload);
	struct buffer cms CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);

	if (token_file_read(&cms, opening->file, &opening->mistake, &opening->fault) != OK) {
		opening->verdict = TOKEN_FILE_IS_NONE;
		return OK;
	}
	opening->verdict = TOKEN_OF_ANOTHER_KEY;
	for (size_t i = 0; i < opening->count; i++) {
		const enum token_verdict verdict = try_key(opening, buffer_text(&cms), &opening->candidates[i]);

		if (verdict == TOKEN_OPENED || verdict == TOKEN_FILE_IS_NONE) {
			opening->verdict = verdict;
			opening->opened_by = i;
			return OK;
		}
		if (verdict > opening->verdict) {
			opening->verdict = verdict;
		}
	}
	return OK;
}

void token_opening_start(struct token_opening *opening, struct loop *loop)
{
	opening->offload.work = work;
	offload_start(&opening->offload, loop);
}

void token_opening_fini(struct token_opening *opening)
{
	for (size_t i = 0; i < opening->count; i++) {
		buffer_fini_wiped(&opening->candidates[i].private_key_der);
	}
	if (opening->verdict == TOKEN_OPENED && opening->token.memory.bytes != NULL) {
		server_token_fini(&opening->token);
	}
	opening->count = 0;
}
