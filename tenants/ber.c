// SPDX-License-Identifier: Apache-2.0
#include "tenants/ber.h"

enum { LENGTH_OCTETS_MAX = 4, INDEFINITE = 0x80, CONSTRUCTED = 0x20, LONG_TAG = 0x1f };

struct header {
	unsigned char tag;
	bool indefinite;
	size_t size;   // of the header itself
	size_t length; // of the content
};

// Tags of one octet only: CMS has no others.
static enum ber_verdict read_header(struct header *header, struct text in)
{
	const unsigned char *bytes = (const unsigned char *)in.bytes;
	size_t octets;

	if (in.length < 2) {
		return BER_CUT;
	}
	octets = bytes[1] > INDEFINITE ? bytes[1] & 0x7fu : 0;
	if ((bytes[0] & LONG_TAG) == LONG_TAG || octets > LENGTH_OCTETS_MAX) {
		return BER_DAMAGED;
	}
	*header = (struct header){ .tag = bytes[0], .indefinite = bytes[1] == INDEFINITE, .size = 2 + octets };
	if (header->indefinite && (header->tag & CONSTRUCTED) == 0) {
		return BER_DAMAGED;
	}
	if (in.length < header->size) {
		return BER_CUT;
	}
	header->length = octets == 0 && !header->indefinite ? bytes[1] : 0;
	for (size_t i = 0; i < octets; i++) {
		header->length = header->length << 8 | bytes[2 + i];
	}
	return BER_WHOLE;
}

// Elements of indefinite length end with an empty one of tag 0. Those of definite length are stepped over whole.
enum ber_verdict ber_measure(size_t *length, struct text in)
{
	size_t at = 0;
	int open = 0;

	do {
		struct header header;
		const enum ber_verdict verdict = read_header(&header, (struct text){ in.bytes + at, in.length - at });

		if (verdict != BER_WHOLE) {
			return verdict;
		}
		at += header.size;
		if (header.indefinite) {
			open++;
		} else if (header.length > in.length - at) {
			return BER_CUT;
		} else if (header.tag == 0 && header.length == 0 && open > 0) {
			open--;
		}
		if (open > BER_DEPTH_MAX) {
			return BER_DAMAGED;
		}
		at += header.length;
	} while (open > 0);
	*length = at;
	return BER_WHOLE;
}

bool ber_enter(struct text *in)
{
	struct header header;

	if (read_header(&header, *in) != BER_WHOLE) {
		return false;
	}
	*in = (struct text){ in->bytes + header.size, in->length - header.size };
	return true;
}
