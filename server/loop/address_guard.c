// SPDX-License-Identifier: Apache-2.0
//
// address_guard.c - which addresses a client may connect to: IANA's registries of special-purpose addresses as tables.
#include "loop/http_client.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define V4(a, b, c, d, bits) { AF_INET, { a, b, c, d }, bits }
#define V6(a, b, c, d, e, f, bits)                                                                                     \
	{ AF_INET6, { (a) >> 8, (a) & 0xff, (b) >> 8, (b) & 0xff, (c) >> 8, (c) & 0xff, (d) >> 8, (d) & 0xff,              \
		(e) >> 8, (e) & 0xff, (f) >> 8, (f) & 0xff }, bits }

static const struct address_range special[] = {
	V4(0, 0, 0, 0, 8),       // this network
	V4(10, 0, 0, 0, 8),      // private use
	V4(100, 64, 0, 0, 10),   // shared by carriers
	V4(127, 0, 0, 0, 8),     // loopback
	V4(169, 254, 0, 0, 16),  // link local, and the metadata of clouds
	V4(172, 16, 0, 0, 12),   // private use
	V4(192, 0, 0, 0, 24),    // protocol assignments
	V4(192, 0, 2, 0, 24),    // documentation
	V4(192, 31, 196, 0, 24), // AS112
	V4(192, 52, 193, 0, 24), // AMT
	V4(192, 88, 99, 0, 24),  // 6to4 relays, deprecated
	V4(192, 168, 0, 0, 16),  // private use
	V4(192, 175, 48, 0, 24), // AS112, direct delegation
	V4(198, 18, 0, 0, 15),   // benchmarks
	V4(198, 51, 100, 0, 24), // documentation
	V4(203, 0, 113, 0, 24),  // documentation
	V4(224, 0, 0, 0, 4),     // multicast
	V4(240, 0, 0, 0, 4),     // reserved, limited broadcast
	// Within the global unicast addresses of IPv6; everything outside of these is refused anyway.
	V6(0x2001, 0, 0, 0, 0, 0, 23),           // protocol assignments: Teredo, benchmarks, ORCHID, ...
	V6(0x2001, 0x0db8, 0, 0, 0, 0, 32),      // documentation
	V6(0x2002, 0, 0, 0, 0, 0, 16),           // 6to4
	V6(0x2620, 0x004f, 0x8000, 0, 0, 0, 48), // AS112, direct delegation
	V6(0x3fff, 0, 0, 0, 0, 0, 20),           // documentation
};

static const struct address_range global_unicast_v6 = V6(0x2000, 0, 0, 0, 0, 0, 3);

static bool is_within(const struct address_range *range, int family, const unsigned char *bytes)
{
	const unsigned whole = range->prefix_bits / 8;
	const unsigned rest = range->prefix_bits % 8;

	return range->family == family && memcmp(range->bytes, bytes, whole) == 0 &&
		(rest == 0 || ((range->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0);
}

static bool is_within_any(const struct address_range *ranges, size_t count, int family, const unsigned char *bytes)
{
	for (size_t i = 0; i < count; i++) {
		if (is_within(&ranges[i], family, bytes)) {
			return true;
		}
	}
	return false;
}

bool address_is_allowed(enum http_address_guard guard, const struct address_range *allowed, size_t allowed_count,
	const struct sockaddr *address)
{
	const int family = address->sa_family;
	unsigned char bytes[16] = { 0 };

	if (family == AF_INET) {
		memcpy(bytes, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
	} else if (family == AF_INET6) {
		memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
	} else {
		return false;
	}
	if (guard == HTTP_ADDRESS_ANY || is_within_any(allowed, allowed_count, family, bytes)) {
		return true;
	}
	if (family == AF_INET6 && !is_within(&global_unicast_v6, family, bytes)) {
		return false;
	}
	return !is_within_any(special, sizeof special / sizeof *special, family, bytes);
}

// At most three digits, so that it cannot overflow.
static bool parse_prefix(unsigned *out, const char *digits, unsigned most)
{
	unsigned value = 0;

	if (digits[0] == '\0' || strlen(digits) > 3) {
		return false;
	}
	for (; *digits != '\0'; digits++) {
		if (*digits < '0' || *digits > '9') {
			return false;
		}
		value = value * 10 + (unsigned)(*digits - '0');
	}
	*out = value;
	return value <= most;
}

static bool has_bits_beyond_its_prefix(const struct address_range *range)
{
	for (unsigned bit = range->prefix_bits; bit < 128; bit++) {
		if ((range->bytes[bit / 8] >> (7 - bit % 8) & 1) != 0) {
			return true;
		}
	}
	return false;
}

static bool parse_range(struct address_range *out, struct text word)
{
	char spelling[INET6_ADDRSTRLEN + 8];

	*out = (struct address_range){ .family = AF_INET };
	if (word.length >= sizeof spelling || memchr(word.bytes, '\0', word.length) != NULL) {
		return false;
	}
	memcpy(spelling, word.bytes, word.length);
	spelling[word.length] = '\0';
	char *slash = strchr(spelling, '/');

	if (slash != NULL) {
		*slash = '\0';
	}
	if (strchr(spelling, ':') != NULL) {
		out->family = AF_INET6;
	}
	out->prefix_bits = out->family == AF_INET6 ? 128 : 32;
	return inet_pton(out->family, spelling, out->bytes) == 1 &&
		(slash == NULL || parse_prefix(&out->prefix_bits, slash + 1, out->prefix_bits)) &&
		!has_bits_beyond_its_prefix(out); // "10.1.2.3/8" may mean the host or the net, and we do not guess
}

static bool is_separator(char c)
{
	return c == ',' || c == ' ' || c == '\t';
}

static struct text take_word(struct text *rest)
{
	struct text word;

	while (rest->length > 0 && is_separator(rest->bytes[0])) {
		*rest = (struct text){ rest->bytes + 1, rest->length - 1 };
	}
	word = (struct text){ rest->bytes, 0 };
	while (word.length < rest->length && !is_separator(rest->bytes[word.length])) {
		word.length++;
	}
	*rest = (struct text){ rest->bytes + word.length, rest->length - word.length };
	return word;
}

enum err address_ranges_parse(struct address_range **out, size_t *count, struct text list, struct fault *fault)
{
	struct address_range *ranges = NULL;
	struct text word;
	size_t found = 0;

	*out = NULL;
	*count = 0;
	while ((word = take_word(&list)).length > 0) {
		ranges = reallocate(ranges, (found + 1) * sizeof *ranges);
		if (!parse_range(&ranges[found], word)) {
			free(ranges);
			return fault_set(fault, ERR_BAD_INPUT, "\"%.*s\" is not an address or a range like 10.0.0.0/8",
				word.length < 64 ? (int)word.length : 64, word.bytes);
		}
		found++;
	}
	*out = ranges;
	*count = found;
	return OK;
}
