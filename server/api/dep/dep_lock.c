// SPDX-License-Identifier: Apache-2.0
//
// POST /device/activationlock: Apple locks a device of the instance with the MDM server's own escrow key.
//
//   is it ours -> the client's token, proven -> is it still ours, and the audit -> Apple
//
// Laws  1. what is sent is what was read here, not the bytes that came
//       2. nothing is sent before the audit is committed
//       3. the code that unlocks it is the MDM server's: depbroker never sees it, and its own stored codes are not touched
#include "api/dep/dep_apple.h"
#include "api/json_out.h"
#include "depbroker/log.h"
#include "store/devices.h"

enum { ESCROW_KEY_DIGITS = 64, LOST_MESSAGE_MAX = 1000, SERIAL_MAX = 64, ANSWER_MAX = 4096 };

struct locking {
	struct dep_apple apple;
	struct text serial, escrow_key, lost_message;
	enum apple_lock result;
};

static void release(struct dep_call *dep)
{
	dep_apple_fini(&((struct locking *)dep->state)->apple);
}

// Absent, or a text of at most `maximum` bytes.
static bool take_optional(const struct call *call, const char *name, size_t maximum, struct text *out)
{
	const json_t *value = json_object_get(call->body, name);

	*out = dep_member(call, name);
	return (value == NULL || json_is_string(value)) && out->length <= maximum;
}

// Apple takes either case; absent: the lock is the organisation's, and an administrator opens it.
static bool is_escrow_key(struct text key)
{
	struct buffer raw CLEANUP(buffer_fini_wiped) = BUFFER(ESCROW_KEY_DIGITS);

	return key.bytes == NULL || (key.length == ESCROW_KEY_DIGITS && hex_decode(&raw, key));
}

static bool begin(struct call *call)
{
	struct locking *locking = dep_state(dep_of(call), sizeof *locking, release);
	const bool is_good = take_optional(call, "device", SERIAL_MAX, &locking->serial) && locking->serial.length > 0 &&
		take_optional(call, "escrow_key", ESCROW_KEY_DIGITS, &locking->escrow_key) && is_escrow_key(locking->escrow_key) &&
		take_optional(call, "lost_message", LOST_MESSAGE_MAX, &locking->lost_message);

	if (!is_good) {
		dep_answer_word(call, 400, "MALFORMED_REQUEST_BODY");
	}
	return is_good;
}

static void read_device(struct call *call, bool with_audit)
{
	const struct locking *locking = dep_of(call)->state;
	struct pg_transaction *transaction = call_transaction(call, store_api(call->tenant.tenant_id));

	(void)store_device_by_serials(transaction, call->tenant.tenant_id, &locking->serial, 1);
	if (with_audit) {
		dep_audit(call, transaction, locking->serial);
	}
	call_start(call);
}

static void answer(struct call *call, enum apple_lock result)
{
	const struct locking *locking = dep_of(call)->state;
	struct buffer body = BUFFER(ANSWER_MAX);
	struct json_out json = { .out = &body };

	put_object(&json, NULL);
	put_text(&json, "serial_number", locking->serial);
	put_string(&json, "response_status", apple_lock_word(result));
	put_object_end(&json);
	dep_answer_json(call, &body);
}

static bool is_ours(struct call *call)
{
	struct device_row row;

	if (call_failed(call)) {
		return false;
	}
	if (pg_row_count(&call->transaction, 0) > 0) {
		store_device_read(&call->transaction, 0, 0, &row);
		if (row.gone_at_us == INSTANT_NONE && row.instance_id == dep_of(call)->place.instance_id) {
			return true;
		}
	}
	answer(call, APPLE_LOCK_NOT_ACCESSIBLE);
	return false;
}

static void lock(struct call *call)
{
	struct locking *locking = dep_of(call)->state;

	apple_activation_lock(&locking->apple.apple, &locking->apple.session, locking->serial, locking->escrow_key, locking->lost_message,
		&locking->result);
}

static void answer_what_apple_said(struct call *call)
{
	const struct locking *locking = dep_of(call)->state;

	log_event(LOG_INFO, "dep.activation_lock", LOG_TEXT("tenant", call->tenant.slug), LOG_TEXT("instance", dep_of(call)->server.instance),
		LOG_TEXT("serial_number", locking->serial), LOG_STRING("status", apple_lock_word(locking->result)));
	answer(call, locking->result);
}

void dep_lock(struct call *call)
{
	enum { NEW, READING, ASKING_TOKEN, ASKING_ACCOUNT, NOTING, LOCKING };
	struct locking *locking = dep_of(call)->state;

	switch (call->state) {
	case NEW:
		if (!begin(call)) {
			return;
		}
		AWAIT(call, READING, read_device(call, false));
		if (!is_ours(call)) {
			return;
		}
		AWAIT(call, ASKING_TOKEN, dep_apple_ask_token(call));
		if (call_failed(call) || !dep_apple_take_token(&locking->apple, call)) {
			return;
		}
		AWAIT(call, ASKING_ACCOUNT, dep_apple_ask_account(&locking->apple));
		if (!dep_apple_is_ours(&locking->apple)) {
			return;
		}
		AWAIT(call, NOTING, read_device(call, true));
		if (!is_ours(call)) {
			return;
		}
		AWAIT(call, LOCKING, lock(call));
		if (dep_apple_worked(&locking->apple)) {
			answer_what_apple_said(call);
		}
	}
}
