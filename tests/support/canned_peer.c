// SPDX-License-Identifier: Apache-2.0
#include "support/canned_peer.h"

static bool is_at(const struct raw_connection *connection, const char *path)
{
	return text_equal_string(connection->path, path);
}

static void answer_with_request(struct raw_connection *connection)
{
	struct buffer answer CLEANUP(buffer_fini) = BUFFER((size_t)16 * 1024 * 1024);

	buffer_add_format(&answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
		connection->head.length + connection->body.length);
	buffer_add_text(&answer, connection->head);
	buffer_add_text(&answer, connection->body);
	raw_send(connection, buffer_text(&answer));
}

// What the peer sends for a path, and whether it closes then.
static const struct canned {
	const char *path;
	const char *bytes;
	enum { KEEP, CLOSE, REPEAT, DRIP } then;
	const char *more;
} canned[] = {
	{ "/ok", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", KEEP, NULL },
	{ "/headers", "HTTP/1.1 201 Created\r\nX-One: first\r\nx-one:  last \r\nX-Empty:\r\nX-One-More: 3\r\n"
		"Content-Length: 0\r\n\r\n", KEEP, NULL },
	{ "/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: head\r\n\r\n"
		"3\r\nhel\r\n2\r\nlo\r\n0\r\nX-A: trailer\r\n\r\n", KEEP, NULL },
	{ "/until-close", "HTTP/1.0 200 OK\r\n\r\nhello", CLOSE, NULL },
	{ "/no-content", "HTTP/1.1 204 No Content\r\n\r\n", KEEP, NULL },
	{ "/error", "HTTP/1.1 503 Out of Service\r\nRetry-After: 7\r\nContent-Length: 5\r\n\r\nhello", KEEP, NULL },
	{ "/interim", "HTTP/1.1 100 Continue\r\nX-A: interim\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-A: hint\r\nX-B: hint\r\n\r\n"
		"HTTP/1.1 200 OK\r\nX-A: final\r\nContent-Length: 5\r\n\r\nhello", KEEP, NULL },
	{ "/redirect", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", KEEP, NULL },
	{ "/cookie", "HTTP/1.1 200 OK\r\nSet-Cookie: secret=1; Path=/\r\nContent-Length: 0\r\n\r\n", KEEP, NULL },
	{ "/401", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n", KEEP, NULL },
	{ "/hang", "", KEEP, NULL },
	{ "/hang-in-head", "HTTP/1.1 200 OK\r\nContent-", KEEP, NULL },
	{ "/hang-in-body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", KEEP, NULL },
	{ "/drip-head", "HTTP/1.1 200 OK\r\n", DRIP, "X-A: b\r\n" },
	{ "/drip-body", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", DRIP, "x" },
	{ "/drip-interim", "", DRIP, "HTTP/1.1 102 Processing\r\n\r\n" },
	{ "/cut-in-head", "HTTP/1.1 200 OK\r\nContent-", CLOSE, NULL },
	{ "/cut-in-body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", CLOSE, NULL },
	{ "/cut-in-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", CLOSE, NULL },
	{ "/cut-between-chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", CLOSE, NULL },
	{ "/cut-at-once", "", CLOSE, NULL },
	{ "/bad-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\nhello\r\n", KEEP, NULL },
	{ "/bad-length", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello", KEEP, NULL },
	{ "/nul-in-head", NULL, KEEP, NULL },
	{ "/not-http", "SSH-2.0-OpenSSH_9.2\r\n", KEEP, NULL },
	{ "/endless-body", "HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n", REPEAT, "0123456789abcdef0123456789" },
	{ "/endless-chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", REPEAT, "a\r\n0123456789\r\na\r\n0123456789\r\n" },
	{ "/endless-head", "HTTP/1.1 200 OK\r\n", REPEAT, "X-A: b\r\nX-A: b\r\nX-A: b\r\nX-A: b\r\nX-A: b\r\nX-A: b\r\nX-A: b\r\n" },
	{ "/endless-line", "HTTP/1.1 200 OK\r\nX-A: ", REPEAT, "0123456789abcdef0123456789" },
	{ "/endless-interim", "", REPEAT, "HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" },
	{ "/endless-trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", REPEAT, "X-A: b\r\nX-A: b\r\nX-A: b\r\n" },
};

static void send_canned(struct raw_connection *connection, const struct canned *answer)
{
	if (answer->bytes == NULL) {
		raw_send(connection, TEXT("HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 0\r\n\r\n"));
	} else if (answer->bytes[0] != '\0') {
		raw_send_string(connection, answer->bytes);
	}
	if (answer->then == CLOSE) {
		raw_finish(connection);
	} else if (answer->then != KEEP) {
		raw_repeat(connection, answer->more, answer->then == DRIP ? 5 : 0);
	}
}

unsigned canned_hanging;

void canned_answer(struct raw_peer *peer, struct raw_connection *connection)
{
	(void)peer;
	canned_hanging += is_at(connection, "/hang") ? 1 : 0;
	for (size_t i = 0; i < sizeof canned / sizeof *canned; i++) {
		if (is_at(connection, canned[i].path)) {
			send_canned(connection, &canned[i]);
			return;
		}
	}
	answer_with_request(connection);
}
