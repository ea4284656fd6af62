// SPDX-License-Identifier: Apache-2.0
#include "support/vectors.h"
#include "support/cmocka_all.h"
#include "support/files.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char *shared_read(const char *source, const char *path, size_t *length)
{
	const char *folder = getenv("DEPBROKER_SHARED");
	const char *const beside[] = { "/..", "/../.." }; // a checkout, a worktree below one
	char full[1024];

	for (size_t i = 0; folder == NULL && i < sizeof beside / sizeof *beside; i++) {
		(void)snprintf(full, sizeof full, "%s%s/shared/%s", source, beside[i], path);
		if (access(full, R_OK) == 0) {
			return file_read(full, length);
		}
	}
	(void)snprintf(full, sizeof full, "%s/%s", folder != NULL ? folder : "../shared", path);
	return file_read(full, length);
}

static void add_element(struct buffer *out, unsigned char tag, struct text body)
{
	const unsigned char header[4] = { tag, 0x82, (unsigned char)(body.length >> 8), (unsigned char)body.length };
	const unsigned char small[2] = { tag, (unsigned char)body.length };

	if (body.length < 0x80) {
		buffer_add(out, small, sizeof small);
	} else if (body.length < 0x100) {
		const unsigned char medium[3] = { tag, 0x81, (unsigned char)body.length };

		buffer_add(out, medium, sizeof medium);
	} else {
		buffer_add(out, header, sizeof header);
	}
	buffer_add_text(out, body);
}

static void add_integer(struct buffer *out, const char *base64url)
{
	struct buffer spelling CLEANUP(buffer_fini) = BUFFER(4096);
	struct buffer number CLEANUP(buffer_fini) = BUFFER(4096);

	for (const char *at = base64url; *at != '\0'; at++) {
		buffer_add(&spelling, *at == '-' ? "+" : *at == '_' ? "/" : at, 1);
	}
	buffer_add(&number, "", 1); // positive
	assert_true(base64_decode(&number, buffer_text(&spelling)));
	const size_t extra = (number.bytes[1] & 0x80) == 0 ? 1 : 0;

	add_element(out, 0x02, (struct text){ number.bytes + extra, number.length - extra });
}

void jwk_to_der(struct buffer *der, const char *jwk)
{
	static const char *const names[] = { "n", "e", "d", "p", "q", "dp", "dq", "qi" };
	struct buffer numbers CLEANUP(buffer_fini) = BUFFER(16384);
	json_t *key = json_loads(jwk, 0, NULL);

	assert_non_null(key);
	add_element(&numbers, 0x02, (struct text){ "", 1 }); // version 0
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		add_integer(&numbers, json_string_value(json_object_get(key, names[i])));
	}
	add_element(der, 0x30, buffer_text(&numbers));
	json_decref(key);
}
