// SPDX-License-Identifier: Apache-2.0
//
// webhook_verify with hostile headers. The input's lines are: id, timestamp, signature; the rest is the body.
#include "tenants/webhook.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct text take_line(struct text *rest)
{
	const char *end = rest->length > 0 ? memchr(rest->bytes, '\n', rest->length) : NULL;
	const struct text line = { rest->bytes, end != NULL ? (size_t)(end - rest->bytes) : rest->length };
	const size_t taken = line.length + (end != NULL ? 1 : 0);

	*rest = (struct text){ rest->bytes + taken, rest->length - taken };
	return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct webhook_secret secret = { .bytes = "0123456789abcdef0123456789abcdef", .length = 32 };
	struct text rest = { (const char *)data, size };
	const struct text id = take_line(&rest);
	const struct text timestamp = take_line(&rest);
	const struct webhook_headers headers = { id, timestamp, take_line(&rest) };
	struct buffer right CLEANUP(buffer_fini) = BUFFER(64);
	struct webhook_secret parsed;
	struct fault fault;

	webhook_signature(&right, &secret, 1, headers.id, 1700000000, rest);
	if (webhook_verify(&secret, &headers, rest, 1700000000, &fault) && text_equal(timestamp, TEXT("1700000000"))) {
		assert(memmem(headers.signature.bytes, headers.signature.length, right.bytes, right.length) != NULL);
	}
	if (webhook_secret_parse(&parsed, headers.id, &fault) == OK) {
		assert(parsed.length >= WEBHOOK_SECRET_MIN && parsed.length <= WEBHOOK_SECRET_MAX);
		webhook_secret_fini(&parsed);
	}
	return 0;
}
