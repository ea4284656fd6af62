// SPDX-License-Identifier: Apache-2.0
//
// Both layers of a server token file, as Apple writes them (dep-api.md, sections 3.2 and 3.4).
#include "tenants/token.h"

enum { LINE_MAX_LENGTH = 76 };

void token_message_write(struct buffer *out, const struct server_token *token)
{
	char expiry[INSTANT_TEXT_SIZE];

	buffer_add_string(out, "Content-Type: text/plain;charset=UTF-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
						   "-----BEGIN MESSAGE-----\n{\"consumer_key\":");
	buffer_add_json(out, token->consumer_key);
	buffer_add_string(out, ",\"consumer_secret\":");
	buffer_add_json(out, token->consumer_secret);
	buffer_add_string(out, ",\"access_token\":");
	buffer_add_json(out, token->access_token);
	buffer_add_string(out, ",\"access_secret\":");
	buffer_add_json(out, token->access_secret);
	buffer_add_string(out, ",\"access_token_expiry\":");
	buffer_add_json(out, text_of(instant_format(expiry, token->expires_at_us, false)));
	buffer_add_string(out, "}\n-----END MESSAGE-----\n");
}

void token_file_write(struct buffer *out, struct text cms)
{
	struct buffer base64 CLEANUP(buffer_fini) = BUFFER(TOKEN_FILE_MAX);

	buffer_add_string(out, "Content-Type: application/pkcs7-mime; name=\"smime.p7m\"; smime-type=enveloped-data\n"
						   "Content-Transfer-Encoding: base64\n"
						   "Content-Disposition: attachment; filename=\"smime.p7m\"\n"
						   "Content-Description: S/MIME Encrypted Message\n\n");
	buffer_add_base64(&base64, cms.bytes, cms.length);
	for (size_t at = 0; at < base64.length; at += LINE_MAX_LENGTH) {
		const size_t left = base64.length - at;

		buffer_add(out, base64.bytes + at, left < LINE_MAX_LENGTH ? left : LINE_MAX_LENGTH);
		buffer_add_string(out, "\n");
	}
}
