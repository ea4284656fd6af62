// SPDX-License-Identifier: Apache-2.0
#include "api/hook_body.h"

#include "api/body.h"
#include "store/enrolments.h"
#include "tenants/plist.h"

enum { SERIAL_MAX = 64 };

static struct text member(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) ? (struct text){ json_string_value(value), json_string_length(value) } : TEXT_NONE;
}

static bool keep(struct arena *arena, struct text value, struct text *out)
{
	const char *copy = arena_copy(arena, value);

	*out = (struct text){ copy, value.length };
	return copy != NULL;
}

// Shown to people and stored: no blanks, no control characters, nothing beyond ASCII.
static bool is_plain(struct text value, size_t limit)
{
	for (size_t i = 0; i < value.length; i++) {
		if (value.bytes[i] <= ' ' || value.bytes[i] > '~') {
			return false;
		}
	}
	return value.length <= limit;
}

static enum hook_verdict unusable(struct fault *fault, const char *why)
{
	(void)fault_set(fault, ERR_BAD_INPUT, "%s", why);
	return HOOK_UNUSABLE;
}

static enum hook_verdict finish(struct hook_news *news, struct arena *arena, struct text id, struct text serial, struct fault *fault)
{
	if (id.length == 0 && serial.length == 0) {
		return unusable(fault, "it names no device");
	}
	if (!is_plain(id, ENROLMENT_ID_MAX) || !is_plain(serial, SERIAL_MAX)) {
		return unusable(fault, "a name of the device is too long, or has other characters than such names have");
	}
	return keep(arena, id, &news->enrolment_id) && keep(arena, serial, &news->serial_number) ? HOOK_NEWS : unusable(fault, "it is too large");
}

// --- MicroMDM and NanoMDM ---

enum { SERIAL, UDID, ENROLMENT, USER, AWAITING, MEMBERS };

static bool read_payload(struct plist_member members[MEMBERS], const json_t *event, struct arena *arena, struct fault *fault)
{
	struct buffer plist CLEANUP(buffer_fini) = BUFFER(PLIST_BYTES_MAX);
	static const char *const names[MEMBERS] = {
		[SERIAL] = "SerialNumber", [UDID] = "UDID", [ENROLMENT] = "EnrollmentID", [USER] = "UserID", [AWAITING] = "AwaitingConfiguration",
	};

	for (size_t i = 0; i < MEMBERS; i++) {
		members[i] = (struct plist_member){ .name = names[i] };
	}
	if (member(event, "raw_payload").length == 0) {
		return true;
	}
	if (!base64_decode(&plist, member(event, "raw_payload")) || plist.overflow) {
		(void)fault_set(fault, ERR_BAD_INPUT, "raw_payload is not base64, or too long");
		return false;
	}
	return plist_read(members, MEMBERS, buffer_text(&plist), arena, fault) == OK;
}

// Channels of users on a device: their enrolment is not the device's.
static bool is_of_user(const json_t *ids, const struct plist_member members[MEMBERS])
{
	const struct text type = member(ids, "type");

	return text_equal(type, TEXT("User")) || text_equal(type, TEXT("User Enrollment")) || text_equal(type, TEXT("Shared iPad")) ||
		member(ids, "parent_id").length > 0 || members[USER].kind != PLIST_ABSENT;
}

static struct text first_of(const struct text *candidates, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (candidates[i].length > 0) {
			return candidates[i];
		}
	}
	return TEXT_NONE;
}

static bool word_of(struct text topic, enum enrolment_word *out)
{
	static const struct {
		const char *topic;
		enum enrolment_word word;
	} topics[] = {
		{ "mdm.Authenticate", ENROLMENT_WORD_AUTHENTICATE },
		{ "mdm.TokenUpdate", ENROLMENT_WORD_TOKEN_UPDATE },
		{ "mdm.CheckOut", ENROLMENT_WORD_CHECK_OUT },
	};

	for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
		if (text_equal_string(topic, topics[i].topic)) {
			*out = topics[i].word;
			return true;
		}
	}
	return false;
}

static enum hook_verdict read_event(struct hook_news *news, const json_t *body, struct arena *arena, struct fault *fault)
{
	const json_t *event = json_object_get(body, "checkin_event");
	const json_t *ids = json_object_get(event, "ids");
	struct plist_member members[MEMBERS];

	if (!word_of(member(body, "topic"), &news->word)) {
		return HOOK_NOTHING;
	}
	if (!json_is_object(event)) {
		return unusable(fault, "it has no checkin_event");
	}
	if (!read_payload(members, event, arena, fault)) {
		return HOOK_UNUSABLE;
	}
	if (is_of_user(ids, members)) {
		return HOOK_NOTHING;
	}
	const struct text candidates[] = {
		member(ids, "id"), member(event, "udid"), member(event, "enrollment_id"), members[UDID].text, members[ENROLMENT].text,
	};

	news->awaiting = members[AWAITING].kind == PLIST_TRUE;
	news->at_us = instant_parse(member(body, "created_at"));
	news->is_marked = news->at_us != INSTANT_NONE || member(body, "event_id").length > 0;
	return finish(news, arena, first_of(candidates, sizeof candidates / sizeof *candidates), members[SERIAL].text, fault);
}

// --- the plain form ---

static enum hook_verdict read_plain(struct hook_news *news, const json_t *body, struct arena *arena, struct fault *fault)
{
	static const enum enrolment_word words[] = {
		[ENROLMENT_ENROLLING] = ENROLMENT_WORD_AUTHENTICATE,
		[ENROLMENT_ENROLLED] = ENROLMENT_WORD_TOKEN_UPDATE,
		[ENROLMENT_UNENROLLED] = ENROLMENT_WORD_CHECK_OUT,
	};
	const struct text at = member(body, "at");

	for (enum enrolment_state state = ENROLMENT_ENROLLING; state <= ENROLMENT_UNENROLLED; state++) {
		if (text_equal_string(member(body, "state"), enrolment_state_name(state))) {
			news->word = words[state];
		}
	}
	if (news->word == 0) {
		return unusable(fault, "state is not enrolling, enrolled or unenrolled");
	}
	news->at_us = instant_parse(at);
	news->is_marked = news->at_us != INSTANT_NONE;
	if (at.bytes != NULL && news->at_us == INSTANT_NONE) {
		return unusable(fault, "at is no date and time of RFC 3339");
	}
	return finish(news, arena, member(body, "udid"), member(body, "serial_number"), fault);
}

enum hook_verdict hook_body_read(struct hook_news *out, struct text body, struct arena *arena, struct fault *fault)
{
	enum hook_verdict verdict = HOOK_MALFORMED;

	*out = (struct hook_news){ .at_us = INSTANT_NONE };
	if (!body_is_modest(body)) {
		return verdict;
	}
	json_t *json = json_loadb(body.bytes != NULL ? body.bytes : "", body.length, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(json)) {
		verdict = (json_object_get(json, "topic") != NULL ? read_event : read_plain)(out, json, arena, fault);
	}
	json_decref(json);
	return verdict;
}
