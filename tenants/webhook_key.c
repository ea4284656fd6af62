// SPDX-License-Identifier: Apache-2.0
#include "tenants/webhook_key.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { WHOLE = 2 * ED25519_SIZE };

void webhook_key_make(struct webhook_key *key, const unsigned char seed[ED25519_SIZE])
{
	memcpy(key->seed, seed, ED25519_SIZE);
	ed25519_public(key->public_part, seed);
}

enum err webhook_key_parse(struct webhook_key *key, struct text spelling, struct fault *fault)
{
	struct buffer bytes CLEANUP(buffer_fini_wiped) = BUFFER(WHOLE);

	*key = (struct webhook_key){ .seed = { 0 } };
	if (!text_starts_with(spelling, TEXT("whsk_")) || spelling.length > WEBHOOK_KEY_SPELLING) {
		return fault_set(fault, ERR_BAD_INPUT, "a private webhook key is \"whsk_\" and base64");
	}
	bytes.bytes = allocate(bytes.limit + 1); // all at once: growing would leave copies of the key behind
	bytes.capacity = bytes.limit + 1;
	if (!base64_decode(&bytes, (struct text){ spelling.bytes + 5, spelling.length - 5 }) ||
		(bytes.length != ED25519_SIZE && bytes.length != WHOLE)) {
		return fault_set(fault, ERR_BAD_INPUT, "a private webhook key has %d or %d bytes", (int)ED25519_SIZE, (int)WHOLE);
	}
	webhook_key_make(key, (const unsigned char *)bytes.bytes);
	if (bytes.length == WHOLE && memcmp(bytes.bytes + ED25519_SIZE, key->public_part, ED25519_SIZE) != 0) {
		webhook_key_fini(key);
		return fault_set(fault, ERR_BAD_INPUT, "the halves of a webhook key do not belong together");
	}
	return OK;
}

void webhook_key_write(struct buffer *out, const struct webhook_key *key)
{
	unsigned char whole[WHOLE];

	memcpy(whole, key->seed, ED25519_SIZE);
	memcpy(whole + ED25519_SIZE, key->public_part, ED25519_SIZE);
	buffer_add_string(out, "whsk_");
	buffer_add_base64(out, whole, sizeof whole);
	wipe(whole, sizeof whole);
}

void webhook_key_write_public(struct buffer *out, const struct webhook_key *key)
{
	buffer_add_string(out, "whpk_");
	buffer_add_base64(out, key->public_part, sizeof key->public_part);
}

void webhook_key_fini(struct webhook_key *key)
{
	wipe(key, sizeof *key);
}

void webhook_key_signatures(struct buffer *out, const struct webhook_key *keys, size_t count, struct text id, int64_t timestamp_s,
	struct text body)
{
	unsigned char signature[ED25519_SIGNATURE_SIZE];
	char timestamp[32];
	int length;

	assert(count <= WEBHOOK_KEYS_MAX);
	length = snprintf(timestamp, sizeof timestamp, ".%lld.", (long long)timestamp_s);
	const struct digest_part parts[] = { { id.bytes, id.length }, { timestamp, (size_t)length }, { body.bytes, body.length } };

	for (size_t i = 0; i < count; i++) {
		ed25519_sign(signature, keys[i].seed, parts, sizeof parts / sizeof *parts);
		buffer_add_string(out, out->length > 0 && out->bytes[out->length - 1] != ' ' ? " v1a," : "v1a,");
		buffer_add_base64(out, signature, sizeof signature);
	}
}
