// SPDX-License-Identifier: Apache-2.0
//
// apple.h - Apple's device assignment service as calls (dep-api.md, sections 1, 4, 5, 12). The only room that knows
// Apple's paths, headers and words.
//
// Ownership  the caller embeds struct apple_call, inits it once, and keeps it, the session and everything it passes in until
//            op.done; then it may start the next call with it, and in the end apple_call_fini. What a call gives is the
//            caller's: apple_page_fini, apple_account_fini, apple_assignment_fini (each is harmless on a zeroed struct).
// Thread     loop thread only; apple_page_parse and apple_details_parse are pure.
// Laws       1. op.done is called exactly once, never from inside the call that starts
//            2. a session is got when there is none, and once more when Apple refuses it; then the request is repeated once.
//               Never a loop. A session that several calls share is renewed by the first of them only. A call that keeps its
//               session (keeps_session) gets none: ERR_SESSION, and whoever started it sees to the next one
//            3. op.rc says what to do (section 12): ERR_TERMS, ERR_TOKEN_DEAD, ERR_SESSION (refused twice although /session
//               accepts the token), ERR_CURSOR_LOST, ERR_CURSOR_END, ERR_PROFILE_GONE, ERR_THROTTLED (429), ERR_UNAVAILABLE,
//               ERR_REFUSED (any other refusal), ERR_BAD_ANSWER, ERR_BUDGET (answer too large), ERR_TIMEOUT, ERR_NETWORK,
//               ERR_CANCELLED, ERR_HELD_BACK (the breaker let nothing out). After ERR_TIMEOUT and ERR_NETWORK Apple may have done what was asked: read back
//            4. no token, session or answer body is ever part of a fault; Apple's own word (80 bytes of ASCII) is
#pragma once

#include "depbroker/arena.h"
#include "depbroker/device.h"
#include "loop/http_client.h"
#include "tenants/assign.h"
#include "tenants/breaker.h"
#include "tenants/known.h"
#include "tenants/token.h"

enum {
	APPLE_PROTOCOL_VERSION = 10,
	APPLE_SESSION_TOKEN_MAX = 1024,
	APPLE_CURSOR_MAX = 4096,
	APPLE_SERIALS_MAX = 1000,       // a call (section 5.8)
	APPLE_PAGE_LIMIT_MAX = 1000,    // devices asked for in one page
	APPLE_PAGE_RECORDS_MAX = 10000, // and taken from one answer, whatever was asked for
	APPLE_PROFILE_UUID_MAX = 64,
	APPLE_ERROR_MAX = 80,
	APPLE_TEXT_MAX = 1000,       // bytes of a text field of a device; a longer one counts as absent
	APPLE_EXTRA_MAX = 8192,      // bytes of device_record.extra; beyond it the record comes without
	APPLE_REJECTS_KEPT = 100,    // the others are only counted
	APPLE_REJECT_MAX = 2000,     // bytes that are kept of one
	APPLE_ANSWER_MAX = 4 << 20,  // bytes of any answer
	APPLE_DIGEST_SIZE = 32,
};

struct apple_server { // where, and on whose behalf; borrowed by sessions
	struct loop *loop;
	struct http_client *client;
	const char *base_url;  // "https://mdmenrollment.apple.com"; a slash at its end is ignored
	int protocol_version;  // 0: APPLE_PROTOCOL_VERSION
	int64_t lane_key;      // the tenant, see http_client.h
	size_t answer_limit;   // bytes, at most APPLE_ANSWER_MAX; 0: that
	struct breaker *breaker; // asked before each request, and told of each outcome; NULL: none
};

struct apple_session { // one a server token
	const struct apple_server *server;
	const struct server_token *server_token;
	char token[APPLE_SESSION_TOKEN_MAX + 1]; // empty: none yet. Whoever stores it seals it
	unsigned generation;  // grows with every new token
	bool signed_in_anew;  // set by each GET /session that worked; the caller who checks the identity then clears it
	// Inside
	struct apple_call *signing_in; // whose GET /session is out; NULL: nobody's
	struct list waiting;           // calls that go on with what it brings
};

void apple_session_init(struct apple_session *session, const struct apple_server *server, const struct server_token *token);
void apple_session_fini(struct apple_session *session); // wipes

struct apple_call {
	struct op op;
	bool keeps_session; // input, false after apple_call_init; stays as it is set
	struct buffer *refusal; // input, likewise: where the body of a last answer other than 200 goes; NULL: nowhere

	// Output, valid from op.done to the next start
	unsigned status;                        // of Apple's last answer; 0: none
	char apple_error[APPLE_ERROR_MAX + 1];  // Apple's word, printable ASCII; empty when there is none
	int64_t retry_after_s;                  // Retry-After of the last answer; -1: none
	int64_t clock_difference_s;             // Apple's clock minus ours, from the last answer's Date; 0 when unknown
	int64_t took_ms;                        // of the last request

	// Inside
	struct http_call http;
	struct deferred early; // completes what is decided before anything is sent
	struct apple_session *session;
	struct list link; // in session->waiting
	struct breaker_answer admission; // of the request that is out
	const struct apple_endpoint *endpoint;
	const char *method;
	struct buffer url;
	struct buffer session_url;
	struct buffer body;
	struct buffer credentials; // the header line with the session or the OAuth signature; wiped
	enum apple_call_state {
		APPLE_IDLE,
		APPLE_ENDING,     // waits for the deferred completion with op.rc
		APPLE_WAITING,    // another call's GET /session is out
		APPLE_SIGNING_IN, // GET /session is out
		APPLE_ASKING,     // the request itself is out
	} state;
	unsigned sent_generation; // of the session that the request went out with
	bool renewed;             // the session was refused once already
	bool nonce_renewed;       // GET /session was refused once already
	bool cancelled;
	bool once; // Apple counts it: whoever carries it must not repeat it
	const struct apple_passed *passed; // somebody else's request; NULL: one of this room's
	int64_t timeout_ms; // of each request; apple_call_init sets it
	enum err (*read)(struct apple_call *call); // turns the answer into the output
	void *output;
	struct text asked_uuid;
	const struct text *asked_serials;
	struct text asked_serial; // where there is only one
	struct apple_listing *listing; // of a page of a list
	size_t asked_count;
	char version_header[48];
};

void apple_call_init(struct apple_call *call, void (*done)(struct op *op));
void apple_call_fini(struct apple_call *call);   // not while it is running
void apple_call_go_on(struct apple_call *call);  // http_call_go_on
void apple_call_cancel(struct apple_call *call); // completes later with ERR_CANCELLED; harmless when it is not running
bool apple_call_is_running(const struct apple_call *call);

// What a page that was read tells. Texts live until apple_page_fini.
struct apple_rejected {
	struct text serial; // as far as it can be printed; empty when there is none
	struct text record; // as JSON, cut at APPLE_REJECT_MAX bytes
	const char *why;    // a literal
};

struct apple_page {
	struct device_record *devices; // in Apple's order; law 2 of device.h holds for each
	size_t count;
	struct text cursor; // of a details answer: empty
	int64_t fetched_until_us;
	bool more_to_follow;
	struct apple_rejected *rejects; // the first APPLE_REJECTS_KEPT records without a usable serial number
	size_t rejects_kept;
	unsigned rejected;        // records
	unsigned fields_ignored;  // of a wrong type, malformed, too long, or not to be stored: taken as absent
	unsigned extras_dropped;  // records whose further members are too large or too deep
	size_t unchanged;         // devices that are stored as they are listed, and were not read: the listing has them
	unsigned char digest[APPLE_DIGEST_SIZE]; // SHA-256 that names the page in the ledger: of the answer as received; see apple_list_parse. Of a page
	                                         // that apple_page_parse or apple_details_parse has read alone: zeros
	size_t bytes;                            // of the answer, as far as it was read
	// Where everything lives
	char *memory;
	struct buffer extras;
	struct buffer rejected_records;
};

// Pure. Both take `bytes` (malloc'ed), which lives on in the page, also after an error; apple_page_fini in any case.
// ERR_BAD_ANSWER: not a page of devices; ERR_BUDGET: more than the limits above, or far too many values.
MUST_USE enum err apple_page_parse(struct apple_page *page, char *bytes, size_t length, struct fault *fault);
MUST_USE enum err apple_details_parse(struct apple_page *page, char *bytes, size_t length, struct fault *fault);
void apple_page_fini(struct apple_page *page);

// How a list is read: devices that are listed with the bytes that they were stored from are not read at all, and records get the hash of theirs.
struct apple_listing {
	struct known *known; // what is stored, all of it; those that were not read are its page at hand
	uint64_t key[2];     // of the hashes
};
void apple_listing_init(struct apple_listing *listing, struct known *known, int64_t tenant_id);
// As apple_page_parse. What was not read counts in page->unchanged, each device once. page->digest is of the devices' hashes and of what
// stands around them; of a page in which the devices are not found, of the answer.
MUST_USE enum err apple_list_parse(struct apple_page *page, char *bytes, size_t length, const struct apple_listing *listing, struct fault *fault);

struct apple_account { // absent members are empty
	struct text server_name, server_uuid, admin_id, facilitator_id;
	struct text org_name, org_email, org_phone, org_address, org_id, org_id_hash, org_type, org_version;
	unsigned fetch_limit; // the page sizes that Apple advertises as the maximum; 0: it does not
	unsigned sync_limit;
	char *memory;
};
void apple_account_fini(struct apple_account *account);

struct apple_assignment { // results[i] is for the i-th serial that was asked for
	enum assign_result *results;
	size_t count;
	int64_t retry_after_s; // of the throttled ones; -1: not given
};
void apple_assignment_fini(struct apple_assignment *assignment);

enum apple_lock {
	APPLE_LOCK_SUCCESS,
	APPLE_LOCK_NOT_ACCESSIBLE,
	APPLE_LOCK_ORG_NOT_SUPPORTED,
	APPLE_LOCK_DEVICE_NOT_SUPPORTED,
	APPLE_LOCK_DEVICE_ALREADY_LOCKED,
	APPLE_LOCK_FAILED,
};
const char *apple_lock_word(enum apple_lock result); // "SUCCESS": Apple's

// The calls. `out` is zeroed at the start.
void apple_sign_in(struct apple_call *call, struct apple_session *session);                            // GET /session
void apple_account(struct apple_call *call, struct apple_session *session, struct apple_account *out); // GET /account
// POST /server/devices; an empty cursor starts from the beginning. `limit` 1 to APPLE_PAGE_LIMIT_MAX. `listing` NULL: all are read.
void apple_fetch_devices(struct apple_call *call, struct apple_session *session, struct text cursor, unsigned limit,
	struct apple_listing *listing, struct apple_page *out);
void apple_sync_devices(struct apple_call *call, struct apple_session *session, struct text cursor, unsigned limit,
	struct apple_page *out); // POST /devices/sync
// POST /devices: device_record.response_status is "SUCCESS", or "NOT_ACCESSIBLE" with little else.
void apple_device_details(struct apple_call *call, struct apple_session *session, const struct text *serials, size_t count,
	struct apple_page *out);
// POST /profile. `profile_json` is sent as it is. A request whose answer is lost may have made a profile: it is not repeated here.
void apple_define_profile(struct apple_call *call, struct apple_session *session, struct text profile_json,
	char profile_uuid_out[APPLE_PROFILE_UUID_MAX + 1]);
// GET /profile: Apple's JSON object, appended to `out`, which the caller has emptied and limited.
void apple_get_profile(struct apple_call *call, struct apple_session *session, struct text profile_uuid, struct buffer *out);
// POST /profile/devices, or PUT where POST is not allowed. OK says nothing about devices: walk the results.
void apple_assign_profile(struct apple_call *call, struct apple_session *session, struct text profile_uuid,
	const struct text *serials, size_t count, struct apple_assignment *out);
// DELETE /profile/devices
void apple_remove_profile(struct apple_call *call, struct apple_session *session, const struct text *serials, size_t count,
	struct apple_assignment *out);
// POST /devices/disown: they leave the organisation, for good. OK says nothing about devices: walk the results.
void apple_disown_devices(struct apple_call *call, struct apple_session *session, const struct text *serials, size_t count,
	struct apple_assignment *out);
// POST /device/activationlock. `escrow_key`: 64 hexadecimal digits, or empty: the lock is the organisation's; `lost_message` may be empty.
// OK: Apple answered about this device, and *out says what.
void apple_activation_lock(struct apple_call *call, struct apple_session *session, struct text serial,
	struct text escrow_key, struct text lost_message, enum apple_lock *out);

enum { APPLE_REPLACEMENT_SINCE = 10 }; // the protocol version

struct apple_replacement {
	char original_serial_number[65];
	char date[11]; // "2026-11-24"; empty: Apple does not say
};
// GET /device/replacementDetails, only of a device that says that it is a replacement. ERR_REFUSED with DEVICE_NOT_FOUND: Apple knows of none.
void apple_replacement_details(struct apple_call *call, struct apple_session *session, struct text serial,
	struct apple_replacement *out);

// --- a request of somebody else's, passed on with our session ---

enum { APPLE_PASSED_FIELDS_MAX = 8, APPLE_PASSED_TYPE_MAX = 127 };

struct apple_passed {
	const char *method;
	struct text target; // path and query, from the slash on
	struct text body;
	const struct http_passing *passing; // of the request and its answer; NULL: both are held whole
	int64_t body_length;                // http_client.h
	bool once;          // it must not reach Apple twice
	bool takes_refusal; // of the session: it is an answer like others
	bool is_spent;      // it cannot be sent again: a refusal of the session is the answer, and the next one gets a new session
	const char *fields[APPLE_PASSED_FIELDS_MAX]; // lines, by apple_passed_field
	size_t field_count;

	// Output
	struct buffer answer;
	char content_type[APPLE_PASSED_TYPE_MAX + 1]; // empty: none
};

// Takes a header field of the other one's request when it is one that Apple may see; the others are dropped. Lines live in the arena.
void apple_passed_field(struct apple_passed *passed, struct arena *arena, struct text name, struct text value);
// OK: Apple has answered, with whatever status; call->status. A refused session is renewed once, and the request repeated, unless the call
// keeps its session (law 2).
void apple_pass(struct apple_call *call, struct apple_session *session, struct apple_passed *passed);
// In http_passing.begins: false when the answer may be a refusal of the session, which has to be read. True: call->status,
// call->retry_after_s and content_type are those of the answer that begins.
MUST_USE bool apple_pass_begins(struct apple_call *call);
void apple_passed_fini(struct apple_passed *passed); // wipes
