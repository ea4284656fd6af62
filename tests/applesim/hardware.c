// SPDX-License-Identifier: Apache-2.0
//
// hardware.c - what a device is made of, all of it from its seed: the mixture of models that a school or a company buys.
#include "applesim/world.h"

#include <stdio.h>

struct hardware {
	const char *facts[4]; // model, description, family, os
	const char *colours[4];
	bool is_cellular;
	bool has_ethernet;
};

static const struct hardware kinds[] = {
	{ { "MacBook Air", "MBA 13.6 MIDNIGHT/8C CPU/8C GPU/16GB/256GB-USA", "Mac", "OSX" },
		{ "MIDNIGHT", "STARLIGHT", "SILVER", "SKY BLUE" }, false, false },
	{ { "MacBook Pro", "MBP 14.2 SPACE BLACK/12C CPU/16C GPU/24GB/512GB-DEU", "Mac", "OSX" },
		{ "SPACE BLACK", "SILVER", "SPACE BLACK", "SILVER" }, false, false },
	{ { "iMac", "IMAC 24.0 BLUE/10C CPU/10C GPU/16GB/256GB-GBR", "Mac", "OSX" },
		{ "BLUE", "GREEN", "PINK", "SILVER" }, false, true },
	{ { "Mac mini", "MAC MINI SILVER/10C CPU/10C GPU/16GB/256GB-FRA", "Mac", "OSX" },
		{ "SILVER", "SILVER", "SILVER", "SILVER" }, false, true },
	{ { "iPad (A16)", "IPAD 11TH GEN WI-FI 128GB BLUE-USA", "iPad", "iPadOS" },
		{ "BLUE", "PINK", "YELLOW", "SILVER" }, false, false },
	{ { "iPad Air", "IPAD AIR 11 WI-FI + CELLULAR 128GB SPACE GRAY-GBR", "iPad", "iPadOS" },
		{ "SPACE GRAY", "STARLIGHT", "PURPLE", "BLUE" }, true, false },
	{ { "iPhone 16", "IPHONE 16 BLACK 128GB-DEU", "iPhone", "iOS" },
		{ "BLACK", "WHITE", "TEAL", "ULTRAMARINE" }, true, false },
	{ { "iPhone 16e", "IPHONE 16E WHITE 128GB-USA", "iPhone", "iOS" },
		{ "WHITE", "BLACK", "WHITE", "BLACK" }, true, false },
	{ { "Apple TV 4K", "APPLE TV 4K 128GB-USA", "AppleTV", "tvOS" },
		{ "BLACK", "BLACK", "BLACK", "BLACK" }, false, true },
	{ { "Apple Vision Pro", "APPLE VISION PRO 512GB-USA", "Vision", "visionOS" },
		{ "SILVER", "SILVER", "SILVER", "SILVER" }, false, false },
};
// Of 20 devices: indexes into `kinds`.
static const unsigned char mixture[20] = { 0, 0, 0, 0, 1, 1, 2, 3, 4, 4, 4, 4, 4, 5, 6, 6, 6, 7, 8, 9 };

static const struct hardware *kind_of(uint64_t seed)
{
	return &kinds[mixture[mixed(seed, 1) % sizeof mixture]];
}

const char *hardware_fact(uint64_t seed, enum hardware_fact fact)
{
	const struct hardware *kind = kind_of(seed);

	return fact == FACT_COLOUR ? kind->colours[mixed(seed, 2) % 4] : kind->facts[fact];
}

bool hardware_is_cellular(uint64_t seed)
{
	return kind_of(seed)->is_cellular;
}

bool hardware_has_ethernet(uint64_t seed)
{
	return kind_of(seed)->has_ethernet;
}

// Both kinds of serial numbers that are in use: twelve characters with a factory in front, and ten random ones.
void hardware_serial(char out[16], uint64_t seed)
{
	static const char letters[] = "0123456789CDFGHJKLMNPQRTVWXY";
	static const char *const factories[] = { "C02", "FVF", "DMP", "F4H", "H0J", "GG7" };
	const bool is_old = mixed(seed, 3) % 4 == 0;
	uint64_t number = mixed(seed, 4);
	size_t at = 0;

	if (is_old) {
		at = (size_t)snprintf(out, 4, "%s", factories[mixed(seed, 5) % 6]);
	}
	for (const size_t end = is_old ? 12 : 10; at < end; at++) {
		out[at] = letters[number % (sizeof letters - 1)];
		number /= sizeof letters - 1;
	}
	out[at] = '\0';
}

// By hand: every record of a page has several of these.
static void write_digits(char *at, uint64_t number, size_t count)
{
	while (count > 0) {
		at[--count] = (char)('0' + number % 10);
		number /= 10;
	}
}

void hardware_add_imei(struct buffer *out, uint64_t seed, unsigned slot)
{
	char digits[15] = "35";
	int sum = 0;

	write_digits(digits + 2, mixed(seed, 10 + slot), 12);
	for (int i = 0; i < 14; i++) { // Luhn
		const int digit = digits[i] - '0';
		const int twice = digit * 2;

		sum += i % 2 == 0 ? digit : twice / 10 + twice % 10;
	}
	digits[14] = (char)('0' + (10 - sum % 10) % 10);
	buffer_add(out, digits, sizeof digits);
}

void hardware_add_eid(struct buffer *out, uint64_t seed)
{
	char digits[32] = "89049032";

	write_digits(digits + 8, mixed(seed, 14), 12);
	write_digits(digits + 20, mixed(seed, 15), 12);
	buffer_add(out, digits, sizeof digits);
}

void hardware_add_mac(struct buffer *out, uint64_t seed, unsigned port)
{
	static const char hex[] = "0123456789abcdef";
	const uint64_t bits = mixed(seed, 20) + port;
	char text[17] = "3c:06:30:";

	for (unsigned i = 0; i < 3; i++) {
		const unsigned byte = (unsigned)(bits >> (16 - 8 * i)) & 255;

		text[9 + 3 * i] = hex[byte >> 4];
		text[10 + 3 * i] = hex[byte & 15];
		if (i < 2) {
			text[11 + 3 * i] = ':';
		}
	}
	buffer_add(out, text, sizeof text);
}
