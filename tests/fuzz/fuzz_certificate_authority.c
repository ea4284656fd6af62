// SPDX-License-Identifier: Apache-2.0
//
// Hostile PEM: what is taken is taken again as the same, and can be described.
#include "crypto/certificate_authority.h"

#include <assert.h>

enum { NOW_S = 1764000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct text given = { (const char *)data, size };
	struct buffer pem CLEANUP(buffer_fini) = BUFFER(AUTHORITY_PEM_MAX);
	struct buffer again CLEANUP(buffer_fini) = BUFFER(AUTHORITY_PEM_MAX);
	struct authority_facts facts[AUTHORITY_CERTIFICATES_MAX];
	struct fault fault = { 0 };
	const enum err rc = certificate_authority_read(&pem, given, NOW_S * INT64_C(1000000), &fault);

	assert(rc == OK || rc == ERR_BAD_INPUT);
	assert((rc == OK) == (fault.text[0] == '\0'));
	if (rc == OK) {
		assert(certificate_authority_read(&again, buffer_text(&pem), NOW_S * INT64_C(1000000), &fault) == OK);
		assert(text_equal(buffer_text(&pem), buffer_text(&again)));
		assert(certificate_authority_describe(facts, buffer_text(&pem)) > 0);
	}
	return 0;
}
