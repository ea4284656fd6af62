// SPDX-License-Identifier: Apache-2.0
//
// address_guard.c - which addresses a client may connect to: IANA's registries of special-purpose addresses as tables.
#include "loop/http_client.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { HTTPS_PORT = 443, FIRST_FREE_PORT = 1024, PORT_MAX = 65535 };

#define V4(a, b, c, d, bits) { AF_INET, { a, b, c, d }, bits, 0 }
#define V6(a, b, c, d, e, f, bits)                                                                                     \
	{ AF_INET6, { (a) >> 8, (a) & 0xff, (b) >> 8, (b) & 0xff, (c) >> 8, (c) & 0xff, (d) >> 8, (d) & 0xff,              \
		(e) >> 8, (e) & 0xff, (f) >> 8, (f) & 0xff }, bits, 0 }

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

struct target {
	int family;
	unsigned char bytes[16];
	unsigned port;
};

static struct target target_of(const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;
	struct target target = { .family = address->sa_family };

	if (target.family == AF_INET) {
		memcpy(target.bytes, &v4->sin_addr, 4);
		target.port = ntohs(v4->sin_port);
	} else if (target.family == AF_INET6) {
		memcpy(target.bytes, &v6->sin6_addr, 16);
		target.port = ntohs(v6->sin6_port);
	}
	return target;
}

static bool is_ip(const struct target *target)
{
	return target->family == AF_INET || target->family == AF_INET6;
}

static bool is_among(const struct address_range *ranges, size_t count, const struct target *target)
{
	for (size_t i = 0; i < count; i++) {
		if ((ranges[i].port == 0 || ranges[i].port == target->port) && is_within(&ranges[i], target->family, target->bytes)) {
			return true;
		}
	}
	return false;
}

static bool is_public(const struct target *target)
{
	return (target->family == AF_INET || is_within(&global_unicast_v6, target->family, target->bytes)) &&
		!is_among(special, sizeof special / sizeof *special, target);
}

bool address_is_allowed(enum http_address_guard guard, const struct address_range *allowed, size_t allowed_count,
	const struct sockaddr *address)
{
	const struct target target = target_of(address);

	return is_ip(&target) && (guard == HTTP_ADDRESS_ANY || is_among(allowed, allowed_count, &target) || is_public(&target));
}

// Those below belong to services of old, which would read a request as something else.
static bool is_port_of_webhooks(unsigned port)
{
	return port == HTTPS_PORT || port >= FIRST_FREE_PORT;
}

bool address_may_be_reached(const struct http_client_config *config, const struct sockaddr *address, bool is_plain_http)
{
	const struct target target = target_of(address);

	if (!is_ip(&target) || is_among(config->refused, config->refused_count, &target)) {
		return false;
	}
	return config->guard == HTTP_ADDRESS_ANY || is_among(config->allowed, config->allowed_count, &target) ||
		(!is_plain_http && is_port_of_webhooks(target.port) && is_public(&target));
}

// At most five digits, so that it cannot overflow.
static bool parse_number(unsigned *out, const char *digits, size_t digits_max, unsigned most)
{
	unsigned value = 0;

	if (digits[0] == '\0' || strlen(digits) > digits_max) {
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

// "10.0.0.0/8:443" and "[fd00::/8]:443": takes the port off. False: it is none.
static bool take_port(unsigned *out, char **spelling)
{
	char *colon = strrchr(*spelling, ':');
	const bool is_v6 = strchr(*spelling, ':') != colon;

	if (colon == NULL || (is_v6 && (*spelling)[0] != '[')) {
		return true;
	}
	*colon = '\0';
	if (is_v6) {
		if (colon[-1] != ']') {
			return false;
		}
		colon[-1] = '\0';
		++*spelling;
	}
	return parse_number(out, colon + 1, 5, PORT_MAX) && *out > 0 && colon[1] != '0';
}

static bool parse_range(struct address_range *out, struct text word)
{
	char copy[INET6_ADDRSTRLEN + 16];
	char *spelling = copy;

	*out = (struct address_range){ .family = AF_INET };
	if (word.length >= sizeof copy || memchr(word.bytes, '\0', word.length) != NULL) {
		return false;
	}
	memcpy(copy, word.bytes, word.length);
	copy[word.length] = '\0';
	if (!take_port(&out->port, &spelling)) {
		return false;
	}
	char *slash = strchr(spelling, '/');

	if (slash != NULL) {
		*slash = '\0';
	}
	if (strchr(spelling, ':') != NULL) {
		out->family = AF_INET6;
	}
	out->prefix_bits = out->family == AF_INET6 ? 128 : 32;
	return inet_pton(out->family, spelling, out->bytes) == 1 &&
		(slash == NULL || parse_number(&out->prefix_bits, slash + 1, 3, out->prefix_bits)) &&
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

void address_range_write(struct buffer *out, const struct address_range *range)
{
	const bool is_v6 = range->family == AF_INET6;
	const bool has_brackets = is_v6 && range->port != 0;
	char spelling[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(range->family, range->bytes, spelling, sizeof spelling);
	buffer_add_format(out, "%s%s", has_brackets ? "[" : "", spelling);
	if (range->prefix_bits < (is_v6 ? 128 : 32)) {
		buffer_add_format(out, "/%u", range->prefix_bits);
	}
	buffer_add_string(out, has_brackets ? "]" : "");
	if (range->port != 0) {
		buffer_add_format(out, ":%u", range->port);
	}
}
