// SPDX-License-Identifier: Apache-2.0
//
// certificates.h - certificate authorities and certificates for tests, good and bad ones.
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>

struct authority {
	EVP_PKEY *key;
	X509 *certificate;
	char path[256]; // of its certificate as PEM
};

struct certificate_wish {
	const char *alternative_names; // "DNS:localhost"
	long valid_from_s;             // from now; 0 and 0: from an hour ago for a day
	long valid_until_s;
	const char *purpose; // "serverAuth" when NULL
	int rsa_bits;        // 0: P-256
	bool sha1;
	bool tampered;    // its signature does not fit
	bool self_signed; // instead of by the authority
};

void authority_open(struct authority *authority, const char *folder, const char *name, const struct authority *issuer,
	bool may_sign);
void authority_close(struct authority *authority);
// Writes certificate and key as PEM into one file.
void certificate_write(const struct authority *authority, const struct certificate_wish *wish, const char *path);
