// SPDX-License-Identifier: Apache-2.0
//
// Which addresses a guarded client may connect to, and how lists of them are read.
#include "loop/http_client.h"
#include "support/cmocka_all.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static struct sockaddr_storage address_of(const char *spelling)
{
	struct sockaddr_storage storage = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;

	if (inet_pton(AF_INET, spelling, &v4->sin_addr) == 1) {
		storage.ss_family = AF_INET;
	} else {
		assert_int_equal(inet_pton(AF_INET6, spelling, &v6->sin6_addr), 1);
		storage.ss_family = AF_INET6;
	}
	return storage;
}

static bool is_allowed(enum http_address_guard guard, const char *list, const char *spelling)
{
	const struct sockaddr_storage address = address_of(spelling);
	struct address_range *ranges;
	size_t count;
	bool allowed;

	assert_int_equal(address_ranges_parse(&ranges, &count, text_of(list), NULL), OK);
	allowed = address_is_allowed(guard, ranges, count, (const struct sockaddr *)&address);
	free(ranges);
	return allowed;
}

static void only_public_unicast_may_be_reached(void **state)
{
	static const struct {
		const char *address;
		bool allowed;
	} cases[] = {
		{ "0.0.0.0", false }, { "0.1.2.3", false }, { "0.255.255.255", false }, { "1.0.0.0", true }, { "1.1.1.1", true },
		{ "8.8.8.8", true }, { "9.255.255.255", true }, { "10.0.0.0", false }, { "10.255.255.255", false },
		{ "11.0.0.0", true }, { "17.253.144.10", true }, { "100.63.255.255", true }, { "100.64.0.0", false },
		{ "100.127.255.255", false }, { "100.128.0.0", true }, { "126.255.255.255", true }, { "127.0.0.0", false },
		{ "127.0.0.1", false }, { "127.255.255.255", false }, { "128.0.0.0", true }, { "169.253.255.255", true },
		{ "169.254.0.0", false }, { "169.254.169.254", false }, { "169.255.0.0", true }, { "172.15.255.255", true },
		{ "172.16.0.0", false }, { "172.31.255.255", false }, { "172.32.0.0", true }, { "191.255.255.255", true },
		{ "192.0.0.0", false }, { "192.0.0.9", false }, { "192.0.0.170", false }, { "192.0.1.0", true },
		{ "192.0.2.1", false }, { "192.0.3.0", true }, { "192.31.196.1", false }, { "192.52.193.1", false },
		{ "192.88.98.255", true }, { "192.88.99.1", false }, { "192.88.100.0", true }, { "192.167.255.255", true },
		{ "192.168.0.0", false }, { "192.168.255.255", false }, { "192.169.0.0", true }, { "192.175.48.6", false },
		{ "198.17.255.255", true }, { "198.18.0.0", false }, { "198.19.255.255", false }, { "198.20.0.0", true },
		{ "198.51.100.7", false }, { "198.51.101.0", true }, { "203.0.113.9", false }, { "203.0.114.0", true },
		{ "223.255.255.255", true }, { "224.0.0.1", false }, { "239.255.255.255", false }, { "240.0.0.0", false },
		{ "255.255.255.255", false },

		{ "::", false }, { "::1", false }, { "::2", false }, { "::127.0.0.1", false }, { "::8.8.8.8", false },
		{ "::ffff:127.0.0.1", false }, { "::ffff:8.8.8.8", false }, { "::ffff:0:8.8.8.8", false },
		{ "64:ff9b::127.0.0.1", false }, { "64:ff9b::8.8.8.8", false }, { "64:ff9b:1::1", false }, { "100::1", false },
		{ "100:0:0:1::1", false }, { "1fff:ffff::1", false }, { "2000::1", true }, { "2001::1", false },
		{ "2001:0:4136:e378:8000:63bf:3fff:fdd2", false }, { "2001:1::1", false }, { "2001:2::1", false },
		{ "2001:10::1", false }, { "2001:20::1", false }, { "2001:1ff:ffff::1", false }, { "2001:200::1", true },
		{ "2001:4860:4860::8888", true }, { "2001:db7:ffff::1", true }, { "2001:db8::1", false },
		{ "2001:db8:ffff::1", false }, { "2001:db9::1", true }, { "2002::1", false }, { "2002:7f00:1::1", false },
		{ "2002:808:808::1", false }, { "2003::1", true }, { "2620:4f:8000::1", false }, { "2620:4f:8001::1", true },
		{ "2620:149:af0::10", true }, { "3ffe:ffff::1", true }, { "3fff::1", false }, { "3fff:fff:ffff::1", false },
		{ "3fff:1000::1", true }, { "4000::1", false }, { "5f00::1", false }, { "fbff::1", false }, { "fc00::1", false },
		{ "fd00:ec2::254", false }, { "fe80::1", false }, { "fec0::1", false }, { "ff02::1", false },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (is_allowed(HTTP_ADDRESS_PUBLIC_ONLY, "", cases[i].address) != cases[i].allowed) {
			fail_msg("%s should be %s", cases[i].address, cases[i].allowed ? "allowed" : "refused");
		}
		assert_true(is_allowed(HTTP_ADDRESS_ANY, "", cases[i].address));
	}
}

static void set_port(struct sockaddr_storage *address, unsigned port)
{
	if (address->ss_family == AF_INET) {
		((struct sockaddr_in *)address)->sin_port = htons((uint16_t)port);
	} else {
		((struct sockaddr_in6 *)address)->sin6_port = htons((uint16_t)port);
	}
}

// Which ports and schemes, and what an operator's list adds to that, with ports of its own and without; and that what is refused stays so.
static void the_list_is_of_ranges_and_ports(void **state)
{
	static const struct {
		const char *allowed;
		const char *refused;
		const char *address;
		unsigned port;
		bool by_https, by_http;
	} cases[] = {
		{ "", "", "1.1.1.1", 443, true, false }, { "", "", "1.1.1.1", 8443, true, false }, { "", "", "1.1.1.1", 1024, true, false },
		{ "", "", "1.1.1.1", 65535, true, false }, { "", "", "1.1.1.1", 80, false, false }, { "", "", "1.1.1.1", 25, false, false },
		{ "", "", "1.1.1.1", 22, false, false }, { "", "", "1.1.1.1", 1023, false, false }, { "", "", "1.1.1.1", 442, false, false },
		{ "", "", "1.1.1.1", 444, false, false }, { "", "", "2606:4700::1111", 443, true, false }, { "", "", "2606:4700::1111", 25, false, false },
		{ "", "", "10.0.0.1", 443, false, false }, { "", "", "fd00::1", 443, false, false },
		{ "10.0.0.0/8", "", "10.0.0.1", 443, true, true }, { "10.0.0.0/8", "", "10.0.0.1", 25, true, true },
		{ "10.0.0.0/8:8443", "", "10.0.0.1", 8443, true, true }, { "10.0.0.0/8:8443", "", "10.0.0.1", 443, false, false },
		{ "10.0.0.0/8:8443, 10.0.0.1:443", "", "10.0.0.1", 443, true, true }, { "10.0.0.0/8:8443, 10.0.0.1:443", "", "10.0.0.2", 443, false, false },
		{ "10.0.0.0/8:8443", "", "11.0.0.1", 8443, true, false }, { "fd00::/8", "", "fd00::1", 80, true, true },
		{ "[fd00::/8]:443", "", "fd00::1", 443, true, true }, { "[fd00::/8]:443", "", "fd00::1", 444, false, false },
		{ "[fd00::1]:443", "", "fd00::1", 443, true, true }, { "[fd00::1]:443", "", "fd00::2", 443, false, false },
		{ "1.1.1.1:25", "", "1.1.1.1", 25, true, true }, { "1.1.1.1:25", "", "1.1.1.1", 443, true, false },
		{ "127.0.0.0/8", "127.0.0.0/8:8080", "127.0.0.1", 8080, false, false }, { "127.0.0.0/8", "127.0.0.0/8:8080", "127.0.0.1", 8081, true, true },
		{ "0.0.0.0/0, ::/0", "0.0.0.0/0:5432, [::/0]:5432", "192.0.2.7", 5432, false, false },
		{ "0.0.0.0/0, ::/0", "0.0.0.0/0:5432, [::/0]:5432", "fe80::7", 5432, false, false },
		{ "0.0.0.0/0, ::/0", "0.0.0.0/0:5432, [::/0]:5432", "fe80::7", 5433, true, true },
		{ "", "1.1.1.1", "1.1.1.1", 443, false, false }, { "", "0.0.0.0/0:5432", "1.1.1.1", 5432, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_client_config config = { .guard = HTTP_ADDRESS_PUBLIC_ONLY };
		struct sockaddr_storage address = address_of(cases[i].address);
		struct address_range *allowed, *refused;

		set_port(&address, cases[i].port);
		assert_int_equal(address_ranges_parse(&allowed, &config.allowed_count, text_of(cases[i].allowed), NULL), OK);
		assert_int_equal(address_ranges_parse(&refused, &config.refused_count, text_of(cases[i].refused), NULL), OK);
		config.allowed = allowed;
		config.refused = refused;
		if (address_may_be_reached(&config, (const struct sockaddr *)&address, false) != cases[i].by_https ||
			address_may_be_reached(&config, (const struct sockaddr *)&address, true) != cases[i].by_http) {
			fail_msg("\"%s\" without \"%s\": %s port %u", cases[i].allowed, cases[i].refused, cases[i].address, cases[i].port);
		}
		free(allowed);
		free(refused);
	}
}

static void what_is_not_an_ip_address_is_refused(void **state)
{
	static const sa_family_t families[] = { AF_UNSPEC, AF_UNIX, AF_NETLINK, AF_PACKET };

	(void)state;
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		const struct sockaddr_storage address = { .ss_family = families[i] };

		assert_false(address_is_allowed(HTTP_ADDRESS_PUBLIC_ONLY, NULL, 0, (const struct sockaddr *)&address));
		assert_false(address_is_allowed(HTTP_ADDRESS_ANY, NULL, 0, (const struct sockaddr *)&address));
	}
}

static void the_list_allows_exactly_its_ranges(void **state)
{
	static const struct {
		const char *list;
		const char *address;
		bool allowed;
	} cases[] = {
		{ "127.0.0.1", "127.0.0.1", true },
		{ "127.0.0.1", "127.0.0.2", false },
		{ "127.0.0.1", "::ffff:127.0.0.1", false },
		{ "127.0.0.1", "::1", false },
		{ "::1", "::1", true },
		{ "::ffff:127.0.0.1", "::ffff:127.0.0.1", true },
		{ "10.0.0.0/8,fd00::/8", "10.255.0.1", true },
		{ "10.0.0.0/8,fd00::/8", "fd12:3456::1", true },
		{ "10.0.0.0/8,fd00::/8", "fc00::1", false },
		{ "10.0.0.0/8,fd00::/8", "11.0.0.1", true }, // public anyway
		{ "10.20.30.64/26", "10.20.30.63", false },
		{ "10.20.30.64/26", "10.20.30.64", true },
		{ "10.20.30.64/26", "10.20.30.127", true },
		{ "10.20.30.64/26", "10.20.30.128", false },
		{ "10.20.30.41/32", "10.20.30.41", true },
		{ "10.20.30.41/32", "10.20.30.40", false },
		{ "fd00:0:0:8000::/49", "fd00:0:0:8000::1", true },
		{ "fd00:0:0:8000::/49", "fd00:0:0:7fff::1", false },
		{ "0.0.0.0/0", "192.168.1.1", true },
		{ "0.0.0.0/0", "fe80::1", false },
		{ "::/0", "fe80::1", true },
		{ "192.168.1.0/31", "192.168.1.1", true },
		{ "192.168.1.0/31", "192.168.1.2", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (is_allowed(HTTP_ADDRESS_PUBLIC_ONLY, cases[i].list, cases[i].address) != cases[i].allowed) {
			fail_msg("with \"%s\" %s should be %s", cases[i].list, cases[i].address, cases[i].allowed ? "allowed" : "refused");
		}
	}
}

static void a_list_is_read_with_commas_and_blanks(void **state)
{
	struct address_range *ranges;
	size_t count;

	(void)state;
	assert_int_equal(address_ranges_parse(&ranges, &count, TEXT(" 10.0.0.0/8, 127.0.0.1 ,,\tfd00::/8 "), NULL), OK);
	assert_int_equal(count, 3);
	assert_int_equal(ranges[0].family, AF_INET);
	assert_int_equal(ranges[0].prefix_bits, 8);
	assert_int_equal(ranges[1].prefix_bits, 32);
	assert_int_equal(ranges[2].family, AF_INET6);
	assert_int_equal(ranges[2].prefix_bits, 8);
	assert_int_equal(ranges[2].bytes[0], 0xfd);
	free(ranges);
	assert_int_equal(address_ranges_parse(&ranges, &count, TEXT_NONE, NULL), OK);
	assert_int_equal(count, 0);
	assert_null(ranges);
}

static void what_is_written_is_read_as_the_same(void **state)
{
	static const struct {
		const char *list;
		const char *written;
	} cases[] = {
		{ "10.0.0.0/8", "10.0.0.0/8" }, { "127.0.0.1/32", "127.0.0.1" }, { "10.0.0.0/8:443", "10.0.0.0/8:443" }, { "0.0.0.0/0", "0.0.0.0/0" },
		{ "FD00:0:0::/8", "fd00::/8" }, { "::1/128", "::1" }, { "[::1]:8443", "[::1]:8443" }, { "[fd00::/8]:443", "[fd00::/8]:443" },
		{ "10.1.2.3:8443", "10.1.2.3:8443" }, { "::/0", "::/0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct address_range *ranges, *again;
		struct buffer written CLEANUP(buffer_fini) = BUFFER(128);
		size_t count;

		assert_int_equal(address_ranges_parse(&ranges, &count, text_of(cases[i].list), NULL), OK);
		assert_int_equal(count, 1);
		address_range_write(&written, ranges);
		assert_string_equal(written.bytes, cases[i].written);
		assert_int_equal(address_ranges_parse(&again, &count, buffer_text(&written), NULL), OK);
		assert_int_equal(count, 1);
		assert_memory_equal(ranges, again, sizeof *ranges);
		free(ranges);
		free(again);
	}
}

static void a_word_that_is_no_range_is_named(void **state)
{
	static const char *const words[] = {
		"localhost", "10", "10.0.0", "010.0.0.1", "0x7f.1", "2130706433", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
		"10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.0/ 8", "10.0.0.0/0008", "10.0.0.1/8", "256.0.0.1", "::/129", "fd00::1/8",
		"fe80::1%lo", "[::1]", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:080", "127.0.0.1:+80",
		"127.0.0.1:80:80", "[::1]:", "[::1:443", "::1]:443", "[127.0.0.1]:80", "[fd00::/8]:443x", "10.0.0.0:80/8", ":443", ":::", "/8", "10.0.0.0/8;10.1.0.0/16", "fd00::/99999999999999999999",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee:ffff:0000",
	};
	struct address_range *ranges;
	struct fault fault;
	size_t count;

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		struct buffer list CLEANUP(buffer_fini) = BUFFER(1024);

		buffer_add_format(&list, "192.168.0.0/16, %s, 127.0.0.1", words[i]);
		if (address_ranges_parse(&ranges, &count, buffer_text(&list), &fault) != ERR_BAD_INPUT) {
			fail_msg("\"%s\" was taken for a range", words[i]);
		}
		assert_null(ranges);
		assert_int_equal(count, 0);
		assert_memory_equal(fault.text + 1, words[i], strcspn(words[i], " ") < 60 ? strcspn(words[i], " ") : 60);
	}
	assert_int_equal(address_ranges_parse(&ranges, &count, (struct text){ "10.0.0.1\0", 9 }, &fault), ERR_BAD_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_public_unicast_may_be_reached),
		cmocka_unit_test(the_list_is_of_ranges_and_ports),
		cmocka_unit_test(what_is_not_an_ip_address_is_refused),
		cmocka_unit_test(the_list_allows_exactly_its_ranges),
		cmocka_unit_test(a_list_is_read_with_commas_and_blanks),
		cmocka_unit_test(what_is_written_is_read_as_the_same),
		cmocka_unit_test(a_word_that_is_no_range_is_named),
	};

	return cmocka_run_group_tests_name("address_guard", tests, NULL, NULL);
}
