// SPDX-License-Identifier: Apache-2.0
//
// OAuth 1.0a: the vectors of the protocol notes and RFC 5849's own examples.
#include "support/cmocka_all.h"
#include "support/vectors.h"
#include "tenants/oauth.h"

#include <jansson.h>
#include <stdlib.h>

static struct text member(const json_t *object, const char *name)
{
	return text_of(json_string_value(json_object_get(object, name)));
}

static void check_vector(const json_t *vector)
{
	const struct server_token token = {
		.consumer_key = member(vector, "consumer_key"),
		.consumer_secret = member(vector, "consumer_secret"),
		.access_token = member(vector, "access_token"),
		.access_secret = member(vector, "access_secret"),
	};
	const struct oauth_parameter parameters[] = { // deliberately not in order
		{ TEXT("oauth_version"), TEXT("1.0") },
		{ TEXT("oauth_nonce"), member(vector, "nonce") },
		{ TEXT("oauth_token"), token.access_token },
		{ TEXT("oauth_timestamp"), member(vector, "timestamp") },
		{ TEXT("oauth_consumer_key"), token.consumer_key },
		{ TEXT("oauth_signature_method"), TEXT("HMAC-SHA1") },
	};
	const struct oauth_request request = {
		.method = TEXT("GET"),
		.url = member(vector, "url"),
		.consumer_secret = token.consumer_secret,
		.token_secret = token.access_secret,
		.parameters = parameters,
		.count = sizeof parameters / sizeof *parameters,
	};
	struct buffer base CLEANUP(buffer_fini) = BUFFER(10000);
	struct buffer signature CLEANUP(buffer_fini) = BUFFER(100);
	struct buffer header CLEANUP(buffer_fini) = BUFFER(10000);

	assert_int_equal(oauth_base_string(&base, &request), OK);
	assert_string_equal(base.bytes, member(vector, "signature_base_string").bytes);
	assert_int_equal(oauth_signature(&signature, &request), OK);
	assert_string_equal(signature.bytes, member(vector, "oauth_signature").bytes);
	assert_int_equal(oauth_authorization(&header, &token, request.url, member(vector, "nonce"),
		strtoll(member(vector, "timestamp").bytes, NULL, 10)), OK);
	assert_string_equal(header.bytes, member(vector, "authorization_header").bytes);
}

static void the_vectors_of_the_session_request_are_reproduced(void **state)
{
	char *content = shared_read(SOURCE_DIRECTORY, "protocol/vectors/oauth1/oauth1-session.json", NULL);
	json_t *document = json_loads(content, 0, NULL);
	const json_t *vectors = json_object_get(document, "vectors");

	(void)state;
	assert_true(json_array_size(vectors) >= 4);
	for (size_t i = 0; i < json_array_size(vectors); i++) {
		check_vector(json_array_get(vectors, i));
	}
	json_decref(document);
	free(content);
}

static void the_examples_of_rfc_5849_are_reproduced(void **state)
{
	static const struct oauth_parameter initiate[] = {
		{ { "oauth_consumer_key", 18 }, { "dpf43f3p2l4k3l03", 16 } },
		{ { "oauth_signature_method", 22 }, { "HMAC-SHA1", 9 } },
		{ { "oauth_timestamp", 15 }, { "137131200", 9 } },
		{ { "oauth_nonce", 11 }, { "wIjqwg", 6 } },
		{ { "oauth_callback", 14 }, { "http://printer.example.com/ready", 32 } },
	};
	static const struct oauth_parameter photo[] = {
		{ { "size", 4 }, { "original", 8 } },
		{ { "file", 4 }, { "vacation.jpg", 12 } },
		{ { "oauth_consumer_key", 18 }, { "dpf43f3p2l4k3l03", 16 } },
		{ { "oauth_token", 11 }, { "nnch734d00sl2jdk", 16 } },
		{ { "oauth_signature_method", 22 }, { "HMAC-SHA1", 9 } },
		{ { "oauth_timestamp", 15 }, { "137131202", 9 } },
		{ { "oauth_nonce", 11 }, { "chapoH", 6 } },
	};
	struct oauth_request request = {
		.method = TEXT("GET"),
		.url = TEXT("http://photos.example.net/photos"),
		.consumer_secret = TEXT("kd94hf93k423kf44"),
		.token_secret = TEXT("pfkkdhi9sl3r4s00"),
		.parameters = photo,
		.count = sizeof photo / sizeof *photo,
	};
	struct buffer signature CLEANUP(buffer_fini) = BUFFER(100);
	struct buffer base CLEANUP(buffer_fini) = BUFFER(10000);

	(void)state;
	assert_int_equal(oauth_signature(&signature, &request), OK);
	assert_string_equal(signature.bytes, "MdpQcU8iPSUjWoN/UDMsK2sui9I=");
	request.method = TEXT("POST");
	request.url = TEXT("https://photos.example.net/initiate");
	request.token_secret = TEXT_NONE;
	request.parameters = initiate;
	request.count = sizeof initiate / sizeof *initiate;
	assert_int_equal(oauth_base_string(&base, &request), OK);
	assert_string_equal(base.bytes, "POST&https%3A%2F%2Fphotos.example.net%2Finitiate&oauth_callback%3Dhttp%253A%252F%252F"
		"printer.example.com%252Fready%26oauth_consumer_key%3Ddpf43f3p2l4k3l03%26oauth_nonce%3DwIjqwg%26"
		"oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131200");
}

// RFC 5849, section 3.4.1.3.2: the same name twice, names that are prefixes of others, values that need encoding.
static void parameters_are_sorted_by_encoded_name_and_then_by_encoded_value(void **state)
{
	static const struct oauth_parameter parameters[] = {
		{ { "b5", 2 }, { "=%3D", 4 } },
		{ { "a3", 2 }, { "a", 1 } },
		{ { "c@", 2 }, { "", 0 } },
		{ { "a2", 2 }, { "r b", 3 } },
		{ { "a3", 2 }, { "2 q", 3 } },
		{ { "c2", 2 }, { "", 0 } },
		{ { "c", 1 }, { "x", 1 } },
	};
	const struct oauth_request request = {
		.method = TEXT("GET"),
		.url = TEXT("HTTP://EXAMPLE.com:80/r%20v/X"),
		.parameters = parameters,
		.count = sizeof parameters / sizeof *parameters,
	};
	struct buffer base CLEANUP(buffer_fini) = BUFFER(10000);

	(void)state;
	assert_int_equal(oauth_base_string(&base, &request), OK);
	assert_string_equal(base.bytes, "GET&http%3A%2F%2Fexample.com%2Fr%2520v%2FX&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26"
		"b5%3D%253D%25253D%26c%3Dx%26c%2540%3D%26c2%3D");
}

static void addresses_are_normalised_or_refused(void **state)
{
	static const struct {
		const char *url;
		const char *base; // NULL: refused
	} cases[] = {
		{ "https://h/session", "GET&https%3A%2F%2Fh%2Fsession&" },
		{ "https://H:443/session", "GET&https%3A%2F%2Fh%2Fsession&" },
		{ "https://h:80/session", "GET&https%3A%2F%2Fh%3A80%2Fsession&" },
		{ "http://h:443/session", "GET&http%3A%2F%2Fh%3A443%2Fsession&" },
		{ "HTTP://h:80/Session", "GET&http%3A%2F%2Fh%2FSession&" },
		{ "http://h", "GET&http%3A%2F%2Fh%2F&" },
		{ "http://[::1]:8080/s", "GET&http%3A%2F%2F%5B%3A%3A1%5D%3A8080%2Fs&" },
		{ "http://[::1]/s", "GET&http%3A%2F%2F%5B%3A%3A1%5D%2Fs&" },
		{ "http://[::1]:80", "GET&http%3A%2F%2F%5B%3A%3A1%5D%2F&" },
		{ "", NULL },
		{ "ftp://h/", NULL },
		{ "https://", NULL },
		{ "https:///session", NULL },
		{ "https://:443/session", NULL },
		{ "https://h:/session", NULL },
		{ "https://h:0/session", NULL },
		{ "https://h:65536/session", NULL },
		{ "https://h:44x/session", NULL },
		{ "https://u:p@h/session", NULL },
		{ "https://u@h/session", NULL },
		{ "https://h/session?a=b", NULL },
		{ "https://h/session#a", NULL },
		{ "https://h/ses sion", NULL },
		{ "https://h/session\r\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct oauth_request request = { .method = TEXT("GET"), .url = text_of(cases[i].url) };
		struct buffer base CLEANUP(buffer_fini) = BUFFER(1000);

		assert_int_equal(oauth_base_string(&base, &request), cases[i].base != NULL ? OK : ERR_BAD_INPUT);
		if (cases[i].base != NULL) {
			assert_string_equal(base.bytes, cases[i].base);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_the_session_request_are_reproduced),
		cmocka_unit_test(the_examples_of_rfc_5849_are_reproduced),
		cmocka_unit_test(parameters_are_sorted_by_encoded_name_and_then_by_encoded_value),
		cmocka_unit_test(addresses_are_normalised_or_refused),
	};

	return cmocka_run_group_tests_name("oauth", tests, NULL, NULL);
}
