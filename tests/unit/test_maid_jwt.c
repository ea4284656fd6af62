// SPDX-License-Identifier: Apache-2.0
//
// The published vector, byte for byte: this signature scheme is deterministic.
#include "crypto/maid_jwt.h"
#include "support/cmocka_all.h"
#include "support/vectors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void the_vector_is_reproduced(void **state)
{
	char *content = shared_read(SOURCE_DIRECTORY, "protocol/vectors/maid/maid-jwt.json", NULL);
	char *jwk = shared_read(SOURCE_DIRECTORY, "protocol/vectors/token/key.jwk.json", NULL);
	struct buffer key CLEANUP(buffer_fini) = BUFFER(16384);
	struct buffer jwt CLEANUP(buffer_fini) = BUFFER(MAID_JWT_MAX);
	json_t *vector = json_loads(content, 0, NULL);
	const json_t *claims = json_object_get(vector, "claims");

	(void)state;
	jwk_to_der(&key, jwk);
	assert_int_equal(maid_jwt_sign(&jwt, buffer_text(&key), text_of(json_string_value(json_object_get(claims, "iss"))),
		json_string_value(json_object_get(claims, "jti")), json_integer_value(json_object_get(claims, "iat")), NULL), OK);
	assert_string_equal(jwt.bytes, json_string_value(json_object_get(vector, "jwt")));
	assert_int_equal(jwt.length, 562);
	json_decref(vector);
	free(content);
	free(jwk);
}

static void what_is_no_key_signs_nothing(void **state)
{
	struct buffer jwt CLEANUP(buffer_fini) = BUFFER(MAID_JWT_MAX);

	(void)state;
	assert_int_equal(maid_jwt_sign(&jwt, TEXT("no key"), TEXT("uuid"), "jti", 1, NULL), ERR_CRYPTO);
	assert_int_equal(maid_jwt_sign(&jwt, TEXT_NONE, TEXT("uuid"), "jti", 1, NULL), ERR_CRYPTO);
	assert_int_equal(jwt.length, 0);
}

static void each_jti_is_another_random_uuid(void **state)
{
	char one[MAID_JTI_SIZE];
	char other[MAID_JTI_SIZE];

	(void)state;
	maid_jti_make(one);
	maid_jti_make(other);
	assert_string_not_equal(one, other);
	assert_int_equal(strlen(one), 36);
	assert_int_equal(one[14], '4');
	assert_non_null(strchr("89AB", one[19]));
	for (size_t i = 0; i < 36; i++) {
		assert_non_null(strchr(i == 8 || i == 13 || i == 18 || i == 23 ? "-" : "0123456789ABCDEF", one[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vector_is_reproduced),
		cmocka_unit_test(what_is_no_key_signs_nothing),
		cmocka_unit_test(each_jti_is_another_random_uuid),
	};

	return cmocka_run_group_tests_name("maid_jwt", tests, NULL, NULL);
}
