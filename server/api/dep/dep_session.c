// SPDX-License-Identifier: Apache-2.0
#include "api/dep/dep_session.h"

#include <string.h>

// tenant be64 | instance be64 | second it was issued be64 | random | MAC of these
enum { NUMBERS = 24, RANDOM = 8, SIGNED = NUMBERS + RANDOM, TAG = 16, BYTES = SIGNED + TAG };
_Static_assert(DEP_SESSION_SIZE == 2 * BYTES, "written in hexadecimal");

static void put_number(unsigned char *at, int64_t number)
{
	for (int i = 7; i >= 0; i--) {
		at[i] = (unsigned char)((uint64_t)number >> 8 * (7 - i));
	}
}

static int64_t take_number(const unsigned char *at)
{
	uint64_t number = 0;

	for (size_t i = 0; i < 8; i++) {
		number = number << 8 | at[i];
	}
	return (int64_t)number;
}

static void make_tag(unsigned char out[SHA256_SIZE], const unsigned char *bytes, const struct dep_secret *secret)
{
	static const char purpose[] = "depbroker session 1";
	const struct digest_part parts[] = { { purpose, sizeof purpose }, { bytes, SIGNED } };

	hmac_sha256(out, secret->token.access_secret, parts, sizeof parts / sizeof *parts);
}

void dep_session_write(struct buffer *out, struct dep_place place, const struct dep_secret *secret, int64_t now_us)
{
	unsigned char bytes[BYTES];
	unsigned char tag[SHA256_SIZE];

	put_number(bytes, place.tenant_id);
	put_number(bytes + 8, place.instance_id);
	put_number(bytes + 16, now_us / SECOND_US);
	random_bytes(bytes + NUMBERS, RANDOM);
	make_tag(tag, bytes, secret);
	memcpy(bytes + SIGNED, tag, TAG);
	buffer_add_hex(out, bytes, sizeof bytes);
}

static bool read_bytes(unsigned char out[BYTES], struct text session)
{
	struct buffer bytes CLEANUP(buffer_fini) = BUFFER(BYTES);

	if (session.length != DEP_SESSION_SIZE || !hex_decode(&bytes, session) || bytes.length != BYTES) {
		return false;
	}
	memcpy(out, bytes.bytes, BYTES);
	return true;
}

bool dep_session_place(struct dep_place *out, struct text session)
{
	unsigned char bytes[BYTES];

	if (!read_bytes(bytes, session)) {
		return false;
	}
	*out = (struct dep_place){ take_number(bytes), take_number(bytes + 8) };
	return out->tenant_id > 0 && out->instance_id > 0;
}

enum dep_session_state dep_session_check(struct text session, const struct dep_secret *secret, int64_t now_us)
{
	unsigned char bytes[BYTES];
	unsigned char tag[SHA256_SIZE];

	if (!read_bytes(bytes, session)) {
		return DEP_SESSION_REFUSED;
	}
	const int64_t age_s = now_us / SECOND_US - take_number(bytes + 16);

	make_tag(tag, bytes, secret);
	if (!equal_in_constant_time(tag, bytes + SIGNED, TAG) || age_s >= DEP_SESSION_LIFE_S) {
		return DEP_SESSION_REFUSED;
	}
	return age_s >= DEP_SESSION_RENEW_S ? DEP_SESSION_AGEING : DEP_SESSION_GOOD;
}
