// SPDX-License-Identifier: Apache-2.0
#include "tenants/token.h"

#include "tenants/flat_json.h"

#include <string.h>

// All of the memory at once: a buffer that grows leaves copies of secrets behind.
static void reserve(struct buffer *buffer)
{
	buffer->bytes = allocate(buffer->limit + 1);
	buffer->capacity = buffer->limit + 1;
}

static struct text text_from(struct text t, size_t start)
{
	return (struct text){ t.bytes + start, t.length - start };
}

// The position after the first empty line, 0 when there is none.
static size_t after_empty_line(struct text t)
{
	size_t line = 0;

	for (size_t i = 0; i < t.length; i++) {
		if (t.bytes[i] != '\n') {
			continue;
		}
		if (text_trim((struct text){ t.bytes + line, i - line }).length == 0) {
			return i + 1;
		}
		line = i + 1;
	}
	return 0;
}

// What is left are the JSON's bytes, perhaps with line breaks in it.
static struct text unwrap(struct text plain)
{
	const struct text begin = TEXT("-----BEGIN MESSAGE-----");
	const struct text end = TEXT("-----END MESSAGE-----");

	if (text_starts_with(plain, TEXT("\xef\xbb\xbf"))) {
		plain = text_from(plain, 3);
	}
	plain = text_trim(plain);
	if (plain.length > 0 && plain.bytes[0] != '{' && plain.bytes[0] != '-') {
		plain = text_trim(text_from(plain, after_empty_line(plain)));
	}
	if (text_starts_with(plain, begin)) {
		plain = text_from(plain, begin.length);
	}
	plain = text_trim(plain);
	if (plain.length >= end.length && text_equal(text_from(plain, plain.length - end.length), end)) {
		plain.length -= end.length;
	}
	return text_trim(plain);
}

// Line breaks may fall into the middle of a string (dep-api.md, 3.4): they are no part of the JSON.
static void add_without_line_breaks(struct buffer *out, struct text t)
{
	while (t.length > 0) {
		size_t line = 0;

		while (line < t.length && t.bytes[line] != '\r' && t.bytes[line] != '\n') {
			line++;
		}
		buffer_add(out, t.bytes, line);
		t = text_from(t, line < t.length ? line + 1 : line);
	}
}

static enum err read_members(struct server_token *token, struct fault *fault)
{
	enum { CONSUMER_KEY, CONSUMER_SECRET, ACCESS_TOKEN, ACCESS_SECRET, EXPIRY, COUNT };
	struct flat_json_member members[COUNT] = {
		[CONSUMER_KEY] = { .name = "consumer_key" },
		[CONSUMER_SECRET] = { .name = "consumer_secret" },
		[ACCESS_TOKEN] = { .name = "access_token" },
		[ACCESS_SECRET] = { .name = "access_secret" },
		[EXPIRY] = { .name = "access_token_expiry" },
	};

	if (token->memory.length == 0 || token->memory.bytes[0] != '{') {
		return fault_set(fault, ERR_BAD_INPUT, "the content is not a server token: it was made for another key, or is damaged");
	}
	TRY(flat_json_read(members, COUNT, token->memory.bytes, token->memory.length, fault));
	for (size_t i = CONSUMER_KEY; i <= ACCESS_SECRET; i++) {
		if (members[i].value.length == 0) {
			return fault_set(fault, ERR_BAD_INPUT, "the server token has no %s", members[i].name);
		}
	}
	token->consumer_key = members[CONSUMER_KEY].value;
	token->consumer_secret = members[CONSUMER_SECRET].value;
	token->access_token = members[ACCESS_TOKEN].value;
	token->access_secret = members[ACCESS_SECRET].value;
	token->expires_at_us = instant_parse(members[EXPIRY].value);
	return OK;
}

enum err token_parse(struct server_token *token, struct text plain, struct fault *fault)
{
	*token = (struct server_token){ .expires_at_us = INSTANT_NONE, .memory = BUFFER(plain.length + 1) };
	if (plain.length > TOKEN_PLAIN_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "the content is too large for a server token");
	}
	reserve(&token->memory);
	add_without_line_breaks(&token->memory, unwrap(plain));

	const enum err rc = read_members(token, fault);

	if (rc != OK) {
		server_token_fini(token);
	}
	return rc;
}

static void add_member(struct buffer *out, const char *name, struct text value)
{
	buffer_add_string(out, out->length == 0 ? "{" : ",");
	buffer_add_json(out, text_of(name));
	buffer_add_string(out, ":");
	buffer_add_json(out, value);
}

void server_token_write(struct buffer *out, const struct server_token *token)
{
	enum { NAMES_SIZE = 256, ESCAPE_SIZE = 6 };
	const size_t values = token->consumer_key.length + token->consumer_secret.length + token->access_token.length +
		token->access_secret.length;
	struct buffer json CLEANUP(buffer_fini_wiped) = BUFFER(NAMES_SIZE + ESCAPE_SIZE * values);
	char expiry[INSTANT_TEXT_SIZE];

	reserve(&json);
	add_member(&json, "consumer_key", token->consumer_key);
	add_member(&json, "consumer_secret", token->consumer_secret);
	add_member(&json, "access_token", token->access_token);
	add_member(&json, "access_secret", token->access_secret);
	if (token->expires_at_us != INSTANT_NONE) {
		add_member(&json, "access_token_expiry", text_of(instant_format(expiry, token->expires_at_us, true)));
	}
	buffer_add_string(&json, "}");
	buffer_add_text(out, buffer_text(&json));
}

struct text server_token_key_end(const struct server_token *token)
{
	enum { SHOWN = 4, SHORTEST = 12 };
	const struct text key = token->consumer_key;
	const size_t shown = key.length < SHORTEST ? 0 : SHOWN;

	return (struct text){ key.bytes + key.length - shown, shown };
}

void server_token_fini(struct server_token *token)
{
	buffer_fini_wiped(&token->memory);
	*token = (struct server_token){ .expires_at_us = INSTANT_NONE, .memory = BUFFER(1) };
}
