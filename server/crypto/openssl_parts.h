// SPDX-License-Identifier: Apache-2.0
//
// openssl_parts.h - what the files of this room that speak to OpenSSL about certificates and keys share, and nobody else includes.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdint.h>

// For CLEANUP; NULL inside is harmless.
void bio_fini(BIO **bio);
void pkey_fini(EVP_PKEY **key);
void x509_fini(X509 **certificate);

// A callback for PEM that always refuses: who sends something encrypted is not asked for its password on our terminal.
int pem_no_password(char *out, int size, int writing, void *context);

int64_t asn1_instant_us(const ASN1_TIME *time); // INSTANT_NONE: it is none
