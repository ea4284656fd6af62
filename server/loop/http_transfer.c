// SPDX-License-Identifier: Apache-2.0
#include "loop/http_transfer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECTION_LIFE_S INT64_C(300)
#define NAME_LIFE_S       INT64_C(300)

enum { LINE_TOO_LARGE = 100 }; // CURLE_TOO_LARGE of curl 8.6
enum { ROOM_AT_ONCE = 1 << 20, ROOM_BEHIND = 64 }; // whoever reads the answer in its place wants some bytes behind it

// As buffer_add, but memory that is given up for larger is wiped: answers hold session tokens. False: beyond the limit.
static bool add_secret(struct buffer *buffer, const void *bytes, size_t length)
{
	if (length > buffer->limit - buffer->length) {
		return false;
	}
	if (buffer->length + length + 1 > buffer->capacity) {
		const size_t twice = buffer->capacity < 1024 ? 1024 : buffer->capacity * 2;
		const size_t needed = buffer->length + length + 1;
		struct buffer larger = BUFFER(buffer->limit);

		larger.capacity = twice > needed ? twice : needed;
		larger.bytes = allocate(larger.capacity);
		buffer_add(&larger, buffer->bytes, buffer->length);
		buffer_fini_wiped(buffer);
		*buffer = larger;
	}
	buffer_add(buffer, bytes, length);
	return true;
}

// What the answer says of its length is believed as far as the limit: memory that is not written costs nothing.
static void make_room(const struct http_transfer *transfer, int64_t length)
{
	if (length > 0 && length < ROOM_AT_ONCE) {
		buffer_reserve(&transfer->call->answer, (size_t)length + ROOM_BEHIND);
	}
}

static void begin_body(struct http_transfer *transfer)
{
	struct http_call *call = transfer->call;
	curl_off_t length = -1;
	long status = 0;

	(void)curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	(void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	call->status = (unsigned)status;
	transfer->body_has_begun = true;
	transfer->passes_by = call->passing != NULL && call->passing->begins != NULL && call->passing->begins(call, (int64_t)length);
	if (!transfer->passes_by) {
		make_room(transfer, (int64_t)length);
	}
}

static size_t pass_on(struct http_transfer *transfer, struct text bytes)
{
	const struct http_passing *passing = transfer->call->passing;

	if (bytes.length > passing->take_limit - transfer->passed_length) {
		transfer->answer_is_too_large = true;
		return 0;
	}
	switch (passing->take(transfer->call, bytes)) {
	case HTTP_TAKEN: transfer->passed_length += bytes.length; return bytes.length;
	case HTTP_TAKE_LATER: return CURL_WRITEFUNC_PAUSE;
	case HTTP_TAKE_NO_MORE: break;
	}
	return 0;
}

static size_t on_body(char *bytes, size_t one, size_t length, void *argument)
{
	struct http_transfer *transfer = argument;

	(void)one;
	if (!transfer->body_has_begun) {
		begin_body(transfer);
	}
	if (transfer->passes_by && length > 0) {
		return pass_on(transfer, (struct text){ bytes, length });
	}
	if (length > 0 && !add_secret(&transfer->call->answer, bytes, length)) {
		transfer->answer_is_too_large = true;
		return 0;
	}
	return length;
}

// Lines of interim answers (1xx, a proxy's) give way to those of the next head; trailers, after the body, are dropped.
static size_t on_head(char *line, size_t one, size_t length, void *argument)
{
	struct http_transfer *transfer = argument;

	(void)one;
	transfer->heads_length += length;
	if (transfer->heads_length > HTTP_HEADS_MAX) {
		transfer->answer_is_too_large = true;
		return 0;
	}
	if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		buffer_wipe(&transfer->head);
		transfer->head_is_complete = false;
	}
	if (!transfer->head_is_complete && !add_secret(&transfer->head, line, length)) {
		return 0;
	}
	if (length > 0 && (line[0] == '\r' || line[0] == '\n')) {
		transfer->head_is_complete = true;
	}
	return length;
}

static size_t on_give(char *to, size_t one, size_t space, void *argument)
{
	struct http_transfer *transfer = argument;
	const ptrdiff_t given = transfer->call->passing->give(transfer->call, to, one * space);

	return given == HTTP_GIVE_LATER ? CURL_READFUNC_PAUSE : given == HTTP_GIVE_BROKEN ? CURL_READFUNC_ABORT : (size_t)given;
}

static int on_seek(void *argument, curl_off_t offset, int origin)
{
	struct http_transfer *transfer = argument;

	return offset == 0 && origin == SEEK_SET && transfer->call->passing->give_again(transfer->call) ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

// The only place where sockets come from: to what was judged, whatever libcurl takes for the host's addresses.
static curl_socket_t on_open_socket(void *argument, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct http_transfer *transfer = argument;

	(void)purpose;
	if (!transfer->address_is_refused && !http_target_admits(transfer->target, transfer->config, &address->addr)) {
		transfer->address_is_refused = true;
		(*transfer->refused_addresses)++;
	}
	return transfer->address_is_refused ? CURL_SOCKET_BAD : curl_loop_socket(transfer->curl, address);
}

static bool is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		(c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

// "Name: value" in visible ASCII. Anything else could end the line early, or mean something special to curl.
static bool is_header(const char *line)
{
	const char *value;
	size_t name = 0;

	while (is_token_char(line[name])) {
		name++;
	}
	if (name == 0 || line[name] != ':') {
		return false;
	}
	for (value = line + name + 1; *value != '\0'; value++) {
		if ((*value < ' ' && *value != '\t') || *value > '~') {
			return false;
		}
	}
	return text_trim(text_of(line + name + 1)).length > 0;
}

static bool is_named(const char *line, const char *name)
{
	const size_t length = strlen(name);

	return strncasecmp(line, name, length) == 0 && line[length] == ':';
}

static void add_header(struct http_transfer *transfer, size_t *count, const char *line)
{
	struct curl_slist *node = &transfer->headers[*count];

	node->next = NULL;
	memcpy(&node->data, &line, sizeof node->data); // curl's interface is not const, but it only reads
	if (*count > 0) {
		transfer->headers[*count - 1].next = node;
	}
	++*count;
}

static enum err make_headers(struct http_transfer *transfer, struct fault *fault)
{
	const struct http_call *call = transfer->call;
	bool has_type = false;
	size_t count = 0;

	for (size_t i = 0; i < HTTP_CALL_HEADERS_MAX && call->headers[i] != NULL; i++) {
		if (!is_header(call->headers[i])) {
			return fault_set(fault, ERR_BAD_INPUT, "header %zu is not \"Name: value\" in visible ASCII", i + 1);
		}
		has_type = has_type || is_named(call->headers[i], "Content-Type");
		add_header(transfer, &count, call->headers[i]);
	}
	add_header(transfer, &count, "Expect:"); // curl's own are left out this way: no waiting for "100 Continue",
	if (!has_type) {
		add_header(transfer, &count, "Content-Type:"); // and a body is not a form unless somebody says so
	}
	return OK;
}

static void set_body(struct http_transfer *transfer, CURL *easy)
{
	const struct http_call *call = transfer->call;

	if (call->passing != NULL && call->passing->give != NULL) {
		CURL_SET(easy, CURLOPT_POST, 1L);
		CURL_SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_length);
		CURL_SET(easy, CURLOPT_READFUNCTION, on_give);
		CURL_SET(easy, CURLOPT_READDATA, transfer);
		CURL_SET(easy, CURLOPT_SEEKFUNCTION, on_seek);
		CURL_SET(easy, CURLOPT_SEEKDATA, transfer);
	} else if (call->body.length > 0 || strcmp(call->method, "POST") == 0 || strcmp(call->method, "PUT") == 0) {
		CURL_SET(easy, CURLOPT_POSTFIELDS, call->body.length > 0 ? call->body.bytes : "");
		CURL_SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.length);
	}
}

static void set_request(struct http_transfer *transfer, CURL *easy)
{
	const struct http_call *call = transfer->call;

	CURL_SET(easy, CURLOPT_URL, call->url);
	CURL_SET(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	CURL_SET(easy, CURLOPT_PROTOCOLS_STR, transfer->config->allow_plain_http ? "http,https" : "https");
	set_body(transfer, easy);
	CURL_SET(easy, CURLOPT_CUSTOMREQUEST, call->method);
	CURL_SET(easy, CURLOPT_HTTPHEADER, transfer->headers);
	CURL_SET(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); // a proxy gets none of them
	CURL_SET(easy, CURLOPT_USERAGENT, transfer->config->user_agent);
	CURL_SET(easy, CURLOPT_HTTP_VERSION, (long)(transfer->config->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	CURL_SET(easy, CURLOPT_PIPEWAIT, transfer->config->http2 ? 1L : 0L);
}

// What curl would take from its environment or from the other side, if we let it.
static void set_isolation(const struct http_transfer *transfer, CURL *easy)
{
	CURL_SET(easy, CURLOPT_PROXY, transfer->config->proxy != NULL ? transfer->config->proxy : "");
	CURL_SET(easy, CURLOPT_NOPROXY, "");
	CURL_SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	CURL_SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
	CURL_SET(easy, CURLOPT_HTTP09_ALLOWED, 0L);
	CURL_SET(easy, CURLOPT_ACCEPT_ENCODING, NULL); // what is received is what is counted
}

// Connections and TLS sessions are kept with what was trusted when they began: curl uses them again for the same only.
static void set_trust(const struct http_transfer *transfer, CURL *easy)
{
	const struct text own = transfer->call->authorities;
	struct curl_blob blob = { .len = own.length, .flags = CURL_BLOB_NOCOPY };

	if (own.length > 0) {
		memcpy(&blob.data, &own.bytes, sizeof blob.data); // curl's interface is not const, but it only reads
		CURL_SET(easy, CURLOPT_CAINFO_BLOB, &blob);
	} else if (transfer->config->ca_file != NULL) {
		CURL_SET(easy, CURLOPT_CAINFO, transfer->config->ca_file);
	}
	CURL_SET(easy, CURLOPT_CAPATH, NULL); // no second store; with one, curl would read the file for each connection, too
}

static void set_connection(struct http_transfer *transfer, CURL *easy)
{
	CURL_SET(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	CURL_SET(easy, CURLOPT_OPENSOCKETDATA, transfer);
	CURL_SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	CURL_SET(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	CURL_SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	set_trust(transfer, easy);
	CURL_SET(easy, CURLOPT_FRESH_CONNECT, transfer->call->once ? 1L : 0L); // curl repeats only what went out on a kept one
	CURL_SET(easy, CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFE_S); // so that certificates are looked at again
	CURL_SET(easy, CURLOPT_DNS_CACHE_TIMEOUT, NAME_LIFE_S);
	http_target_set(transfer->target, easy, transfer->call->timeout_ms);
}

enum err http_transfer_prepare(struct http_transfer *transfer, CURL *easy, struct fault *fault)
{
	TRY(make_headers(transfer, fault));
	curl_loop_prepare(transfer->curl, easy);
	set_request(transfer, easy);
	set_isolation(transfer, easy);
	set_connection(transfer, easy);
	CURL_SET(easy, CURLOPT_PRIVATE, transfer);
	CURL_SET(easy, CURLOPT_ERRORBUFFER, transfer->reason);
	CURL_SET(easy, CURLOPT_WRITEFUNCTION, on_body);
	CURL_SET(easy, CURLOPT_WRITEDATA, transfer);
	CURL_SET(easy, CURLOPT_HEADERFUNCTION, on_head);
	CURL_SET(easy, CURLOPT_HEADERDATA, transfer);
	transfer->reason[0] = '\0';
	transfer->easy = easy;
	transfer->call->answer = BUFFER(transfer->call->answer_limit);
	transfer->head = BUFFER(HTTP_HEADS_MAX);
	return OK;
}

static enum err code_of(CURL *easy, CURLcode result)
{
	long sent = 0;

	switch ((int)result) { // of curl's many codes these mean something else than a bad network
	case CURLE_OK: return OK;
	case CURLE_OPERATION_TIMEDOUT: return ERR_TIMEOUT;
	case CURLE_URL_MALFORMAT:
	case CURLE_LOGIN_DENIED: return ERR_BAD_INPUT; // a user name in the URL
	case CURLE_OUT_OF_MEMORY: // what curl calls a line of a head that is longer than 100 kB; newer ones:
	case LINE_TOO_LARGE: return ERR_BUDGET;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM: return ERR_BAD_ANSWER;
	case CURLE_UNSUPPORTED_PROTOCOL: // of the URL, or an answer that is not HTTP
		(void)curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent);
		return sent > 0 ? ERR_BAD_ANSWER : ERR_BAD_INPUT;
	default: return ERR_NETWORK;
	}
}

enum err http_transfer_result(struct http_transfer *transfer, CURL *easy, CURLcode result, struct fault *fault)
{
	const enum err code = code_of(easy, result);
	long status = 0;

	if (result == CURLE_OK && !transfer->head_is_complete) { // curl does not mind
		return fault_set(fault, ERR_NETWORK, "the connection ended within the head of the answer");
	}
	if (transfer->answer_is_too_large) {
		return fault_set(fault, ERR_BUDGET, "the answer is larger than allowed (%zu bytes, %d of head)",
			transfer->passes_by ? transfer->call->passing->take_limit : transfer->call->answer_limit, (int)HTTP_HEADS_MAX);
	}
	transfer->call->certificate_is_refused = result == CURLE_PEER_FAILED_VERIFICATION;
	if (code == OK) {
		(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		transfer->call->status = (unsigned)status;
		return OK;
	}
	if (transfer->address_is_refused) {
		return fault_set(fault, ERR_FORBIDDEN_ADDRESS, "the host has an address that may not be reached");
	}
	return fault_set(fault, code, "%s", transfer->reason[0] != '\0' ? transfer->reason : curl_easy_strerror(result));
}

void http_transfer_wipe(struct http_transfer *transfer)
{
	buffer_fini_wiped(&transfer->head);
	buffer_fini_wiped(&transfer->call->answer);
	http_target_let_go(transfer->target);
	transfer->target = NULL;
	transfer->call->status = 0;
	transfer->heads_length = 0;
	transfer->head_is_complete = false;
	transfer->body_has_begun = false;
	transfer->passes_by = false;
	transfer->passed_length = 0;
	transfer->address_is_refused = false;
	transfer->answer_is_too_large = false;
}
