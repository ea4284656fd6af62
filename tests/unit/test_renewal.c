// SPDX-License-Identifier: Apache-2.0
//
// The pure parts behind a renewal link: the form, the page's text, the link's secret, how often somebody may come.
#include "api/html.h"
#include "api/multipart.h"
#include "api/rate_limit.h"
#include "api/renewal.h"
#include "support/cmocka_all.h"

#include <string.h>

#define TYPE TEXT("multipart/form-data; boundary=XX")
#define HEAD "--XX\r\nContent-Disposition: form-data; name=\"token\"; filename=\"a.p7m\"\r\nContent-Type: x/y\r\n\r\n"

static void the_one_file_of_a_form_is_read(void **state)
{
	static const struct text types[] = { { "multipart/form-data; boundary=XX", 32 }, { "Multipart/Form-Data;boundary=\"XX\"", 33 } };
	struct text file;

	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		assert_int_equal(multipart_file(&file, types[i], TEXT(HEAD "ab\r\n--X\0c\r\n--XX--\r\n"), "token", NULL), OK);
		assert_int_equal(file.length, 9);
		assert_memory_equal(file.bytes, "ab\r\n--X\0c", 9);
	}
	assert_int_equal(multipart_file(&file, TYPE, TEXT(HEAD "\r\n--XX--"), "token", NULL), OK);
	assert_int_equal(file.length, 0);
}

static void any_other_form_is_refused(void **state)
{
	static const struct { struct text type; struct text body; } cases[] = {
		{ { "application/x-www-form-urlencoded", 33 }, { "token=x", 7 } },
		{ { NULL, 0 }, { NULL, 0 } },
		{ { "multipart/form-data", 19 }, { HEAD "a\r\n--XX--", sizeof HEAD + 8 } },
		{ { "multipart/form-data; boundary=", 30 }, { HEAD "a\r\n--XX--", sizeof HEAD + 8 } },
		{ { "multipart/form-data; boundary=X X", 33 }, { HEAD "a\r\n--XX--", sizeof HEAD + 8 } },
		{ { "multipart/form-data; boundary=YY", 32 }, { HEAD "a\r\n--XX--", sizeof HEAD + 8 } },
		{ { "multipart/form-data; boundary=XX", 32 }, { "x" HEAD "a\r\n--XX--", sizeof HEAD + 9 } },
		{ { "multipart/form-data; boundary=XX", 32 }, { HEAD "a", sizeof HEAD } },
		{ { "multipart/form-data; boundary=XX", 32 }, { HEAD "a\r\n--XX\r\n", sizeof HEAD + 8 } },
		{ { "multipart/form-data; boundary=XX", 32 }, { HEAD "a\r\n--XX--\r\nmore", sizeof HEAD + 14 } },
		{ { "multipart/form-data; boundary=XX", 32 }, { "--XX\r\n\r\na\r\n--XX--", 18 } },
		{ { "multipart/form-data; boundary=XX", 32 }, { "--XX\r\nContent-Disposition: form-data; name=\"tokens\"\r\n\r\na\r\n--XX--", 65 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct text file;

		assert_int_equal(multipart_file(&file, cases[i].type, cases[i].body, "token", NULL), ERR_BAD_INPUT);
	}
}

static void text_means_itself_in_a_page(void **state)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(256);

	(void)state;
	html_text(&out, TEXT("<a href=\"x\" b='y'>&amp;\xc3\xbc"));
	assert_string_equal(out.bytes, "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;\xc3\xbc");
	buffer_clear(&out);
	html_text(&out, TEXT("\xff<"));
	assert_string_equal(out.bytes, "\xef\xbf\xbd");
}

static void a_link_is_found_by_its_hash(void **state)
{
	unsigned char made[SHA256_SIZE];
	unsigned char found[SHA256_SIZE];
	char secret[RENEWAL_SECRET_SIZE + 1];
	char other[RENEWAL_SECRET_SIZE + 1];

	(void)state;
	renewal_link_make(secret, made);
	assert_int_equal(strlen(secret), RENEWAL_SECRET_SIZE);
	assert_true(renewal_link_hash(found, text_of(secret)));
	assert_memory_equal(made, found, SHA256_SIZE);
	renewal_link_make(other, made);
	assert_string_not_equal(secret, other);
	secret[3] = 'g';
	assert_false(renewal_link_hash(found, text_of(secret)) || renewal_link_hash(found, TEXT("0123")) || renewal_link_hash(found, TEXT_NONE));
}

static void somebody_may_come_so_often_within_a_minute(void **state)
{
	struct rate_limit *limit = rate_limit_open(3);

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(rate_limit_take(limit, "a", 1, 1000 + i));
	}
	assert_false(rate_limit_take(limit, "a", 1, 2000));
	assert_false(rate_limit_take(limit, "a", 1, 60999));
	assert_true(rate_limit_take(limit, "a", 1, 61000));
	rate_limit_close(limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_one_file_of_a_form_is_read),
		cmocka_unit_test(any_other_form_is_refused),
		cmocka_unit_test(text_means_itself_in_a_page),
		cmocka_unit_test(a_link_is_found_by_its_hash),
		cmocka_unit_test(somebody_may_come_so_often_within_a_minute),
	};

	return cmocka_run_group_tests_name("renewal", tests, NULL, NULL);
}
