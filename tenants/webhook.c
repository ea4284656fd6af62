// SPDX-License-Identifier: Apache-2.0
#include "tenants/webhook.h"

#include "depbroker/digest.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_SIZE = 16, ID_DIGITS = 22 };

static void put_be64(unsigned char out[8], int64_t value)
{
	for (int i = 0; i < 8; i++) {
		out[i] = (unsigned char)((uint64_t)value >> (56 - 8 * i) & 0xff);
	}
}

// Of the whole number at most every fifth digit costs a division.
static void write_base62(char out[ID_DIGITS], const unsigned char number[NUMBER_SIZE])
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	static const uint64_t five_digits = UINT64_C(62) * 62 * 62 * 62 * 62;
	uint32_t left[NUMBER_SIZE / 4]; // the highest first

	for (size_t at = 0; at < NUMBER_SIZE / 4; at++) {
		const unsigned char *four = number + 4 * at;

		left[at] = (uint32_t)four[0] << 24 | (uint32_t)four[1] << 16 | (uint32_t)four[2] << 8 | four[3];
	}
	for (size_t i = ID_DIGITS; i > 0;) {
		uint64_t remainder = 0;

		for (size_t at = 0; at < NUMBER_SIZE / 4; at++) {
			const uint64_t part = remainder << 32 | left[at];

			left[at] = (uint32_t)(part / five_digits);
			remainder = part % five_digits;
		}
		for (size_t digit = 0; digit < 5 && i > 0; digit++, remainder /= 62) {
			out[--i] = digits[remainder % 62];
		}
	}
}

void webhook_message_id(char out[WEBHOOK_ID_SIZE + 1], int64_t tenant_id, int64_t incarnation, int64_t seq,
	struct text body)
{
	unsigned char numbers[24];
	unsigned char body_hash[SHA256_SIZE];
	unsigned char hash[SHA256_SIZE];

	put_be64(numbers, tenant_id);
	put_be64(numbers + 8, incarnation);
	put_be64(numbers + 16, seq);
	sha256(body_hash, &(struct digest_part){ body.bytes, body.length }, 1);
	sha256(hash, (const struct digest_part[]){ { "depb-wh-1", 9 }, { numbers, sizeof numbers },
		{ body_hash, sizeof body_hash } }, 3);
	memcpy(out, "msg_", 4);
	write_base62(out + 4, hash);
	out[WEBHOOK_ID_SIZE] = '\0';
}

void webhook_secret_make(struct webhook_secret *secret, const unsigned char random[WEBHOOK_SECRET_NEW])
{
	*secret = (struct webhook_secret){ .length = WEBHOOK_SECRET_NEW };
	memcpy(secret->bytes, random, WEBHOOK_SECRET_NEW);
}

enum err webhook_secret_parse(struct webhook_secret *secret, struct text spelling, struct fault *fault)
{
	struct buffer bytes CLEANUP(buffer_fini_wiped) = BUFFER(2 * WEBHOOK_SECRET_MAX);

	*secret = (struct webhook_secret){ .length = 0 };
	bytes.bytes = allocate(bytes.limit + 1); // all at once: growing would leave copies of the secret behind
	bytes.capacity = bytes.limit + 1;
	if (text_starts_with(spelling, TEXT("whsec_"))) {
		spelling = (struct text){ spelling.bytes + 6, spelling.length - 6 };
	}
	if (spelling.length > 2 * WEBHOOK_SECRET_MAX || !base64_decode(&bytes, spelling)) {
		return fault_set(fault, ERR_BAD_INPUT, "a webhook secret is \"whsec_\" and base64");
	}
	if (bytes.length < WEBHOOK_SECRET_MIN || bytes.length > WEBHOOK_SECRET_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "a webhook secret has %d to %d bytes, this one has %zu",
			(int)WEBHOOK_SECRET_MIN, (int)WEBHOOK_SECRET_MAX, bytes.length);
	}
	memcpy(secret->bytes, bytes.bytes, bytes.length);
	secret->length = bytes.length;
	return OK;
}

void webhook_secret_write(struct buffer *out, const struct webhook_secret *secret)
{
	buffer_add_string(out, "whsec_");
	buffer_add_base64(out, secret->bytes, secret->length);
}

void webhook_secret_fini(struct webhook_secret *secret)
{
	wipe(secret, sizeof *secret);
}

static void add_signature(struct buffer *out, const struct webhook_secret *secret, struct text id, struct text timestamp,
	struct text body)
{
	const struct digest_part parts[] = {
		{ id.bytes, id.length }, { ".", 1 }, { timestamp.bytes, timestamp.length }, { ".", 1 }, { body.bytes, body.length },
	};
	unsigned char mac[SHA256_SIZE];

	hmac_sha256(mac, (struct text){ (const char *)secret->bytes, secret->length }, parts, sizeof parts / sizeof *parts);
	buffer_add_base64(out, mac, sizeof mac);
}

void webhook_signature(struct buffer *out, const struct webhook_secret *secrets, size_t count, struct text id,
	int64_t timestamp_s, struct text body)
{
	char timestamp[24];

	assert(count >= 1 && count <= WEBHOOK_SECRETS_MAX);
	(void)snprintf(timestamp, sizeof timestamp, "%lld", (long long)timestamp_s);
	for (size_t i = 0; i < count; i++) {
		buffer_add_string(out, i > 0 ? " v1," : "v1,");
		add_signature(out, &secrets[i], id, text_of(timestamp), body);
	}
}

// Bytes of the well-formed character at the beginning; 0: there is none.
static size_t character(struct text t)
{
	for (size_t length = 1; length <= 4 && length <= t.length; length++) {
		if (text_is_utf8((struct text){ t.bytes, length })) {
			return length;
		}
	}
	return 0;
}

void webhook_excerpt(struct buffer *out, struct text answer)
{
	for (size_t at = 0; at < answer.length; ) {
		const size_t length = character((struct text){ answer.bytes + at, answer.length - at });
		const unsigned char first = (unsigned char)answer.bytes[at];
		const bool is_control = first < ' ' || first == 0x7f || (first == 0xc2 && length == 2 && (unsigned char)answer.bytes[at + 1] < 0xa0);

		if (out->length + (length > 0 ? length : 1) > WEBHOOK_EXCERPT_MAX) {
			return;
		}
		if (is_control) {
			buffer_add_string(out, " ");
		} else if (length == 0) {
			buffer_add_string(out, "?");
		} else {
			buffer_add(out, answer.bytes + at, length);
		}
		at += length > 0 ? length : 1;
	}
}

static bool refuse(struct fault *fault, const char *why)
{
	(void)fault_set(fault, ERR_REFUSED, "%s", why);
	return false;
}

static bool check_timestamp(struct text timestamp, int64_t now_s, struct fault *fault)
{
	int64_t seconds = 0;

	if (timestamp.length == 0 || timestamp.length > 15) {
		return refuse(fault, "webhook-timestamp is missing or is not a number of seconds");
	}
	for (size_t i = 0; i < timestamp.length; i++) {
		if (timestamp.bytes[i] < '0' || timestamp.bytes[i] > '9') {
			return refuse(fault, "webhook-timestamp is missing or is not a number of seconds");
		}
		seconds = seconds * 10 + (timestamp.bytes[i] - '0');
	}
	if (seconds < now_s - WEBHOOK_TOLERANCE_S || seconds > now_s + WEBHOOK_TOLERANCE_S) {
		return refuse(fault, "webhook-timestamp is too far from now");
	}
	return true;
}

static bool is_item(struct text item)
{
	const char *comma = item.length > 0 ? memchr(item.bytes, ',', item.length) : NULL;

	return comma != NULL && memchr(comma + 1, ',', item.length - (size_t)(comma + 1 - item.bytes)) == NULL;
}

bool webhook_verify(const struct webhook_secret *secret, const struct webhook_headers *headers, struct text body,
	int64_t now_s, struct fault *fault)
{
	struct buffer expected CLEANUP(buffer_fini) = BUFFER(64);
	struct text rest = headers->signature, item;
	bool found = false;

	if (headers->id.length == 0 || headers->signature.length == 0) {
		return refuse(fault, "webhook-id or webhook-signature is missing");
	}
	if (!check_timestamp(headers->timestamp, now_s, fault)) {
		return false;
	}
	buffer_add_string(&expected, "v1,");
	add_signature(&expected, secret, headers->id, headers->timestamp, body);
	while (rest.length > 0) {
		(void)text_next(&rest, ' ', &item);
		if (!is_item(item)) { // also what two header lines joined by a comma look like
			return refuse(fault, "webhook-signature is not a list of \"version,value\"");
		}
		if (item.length == expected.length && equal_in_constant_time(item.bytes, expected.bytes, expected.length)) {
			found = true; // the rest must be well-formed, too
		}
	}
	return found ? true : refuse(fault, "no signature fits");
}
