// SPDX-License-Identifier: Apache-2.0
//
// POST /profile: an enrolment profile of the MDM server's own, checked, defined at Apple with the client's token, and noted as the
// instance's; then assigned, when devices are named.
//
// Law  what is sent to Apple is what the check and the URL guard have read, not the bytes that came
#include "api/dep/dep_apple.h"
#include "api/dep/dep_assigning.h"
#include "store/dep_profiles.h"
#include "store/instances.h"
#include "tenants/profile_check.h"
#include "tenants/profile_keys.h"
#include "tenants/profile_render.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_MAX = 8 << 20 };

struct defining {
	struct dep_apple apple;
	struct dep_assigning assigning;
	struct buffer content;
	char profile_uuid[APPLE_PROFILE_UUID_MAX + 1];
};

static struct defining *defining_of(struct call *call)
{
	return dep_of(call)->state;
}

static void release(struct dep_call *dep)
{
	struct defining *defining = dep->state;

	dep_apple_fini(&defining->apple);
	dep_assigning_fini(&defining->assigning);
	buffer_fini(&defining->content);
}

// --- the check ---

static void ask_instance(struct call *call)
{
	const struct dep_call *dep = dep_of(call);

	(void)store_instance_by_name(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, dep->server.instance);
	call_start(call);
}

// Apple's word for an error, where it has one. Those of the URL guard are depbroker's own; what Apple does not mind passes.
static const char *word_of_error(const struct finding *finding)
{
	static const char *const minded_by_nobody = "certificate";

	if (finding->apple_word != NULL) {
		return finding->apple_word;
	}
	if (strcmp(finding->code, "host") == 0 || strcmp(finding->code, "look_alike") == 0) {
		return "CONFIG_URL_INVALID";
	}
	return strcmp(finding->code, minded_by_nobody) == 0 ? NULL : "MALFORMED_REQUEST_BODY";
}

static const char *word_of(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];
		const char *word = finding->severity == FINDING_ERROR ? word_of_error(finding) : NULL;

		if (word != NULL) {
			return word;
		}
	}
	return findings->not_kept > 0 ? "MALFORMED_REQUEST_BODY" : NULL;
}

static void write_content(struct buffer *out, const struct profile_merged *merged)
{
	buffer_add_string(out, "{");
	for (size_t i = 0; i < merged->count; i++) {
		buffer_add_string(out, i > 0 ? "," : "");
		buffer_add_json(out, merged->keys[i].name);
		buffer_add_string(out, ":");
		tree_value_write(out, &merged->keys[i].value);
	}
	buffer_add_string(out, "}");
}

// The word of the first mistake, or NULL: then the content is written.
static const char *check(struct call *call, const struct instance_row *instance, struct text json)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(ARENA_MAX);
	struct findings findings = FINDINGS(&arena);
	struct profile_changes changes;
	struct profile_merged merged;
	const struct profile_variables none = { 0 };
	const struct profile_conditions conditions = {
		.allowed_hosts = instance->allowed_hosts, .allowed_host_count = instance->allowed_host_count,
		.protocol_version = (int)call->tenant.protocol_version, .broker_layer = 0,
	};

	if (profile_changes_read(&changes, json, 0, &findings, &arena) != OK ||
		profile_changes_apply(&merged, &changes, &none, &findings, &arena) != OK) {
		return "MALFORMED_REQUEST_BODY";
	}
	profile_check(&merged, &conditions, &findings);
	write_content(&defining_of(call)->content, &merged);
	return defining_of(call)->content.overflow ? "MALFORMED_REQUEST_BODY" : word_of(&findings);
}

// Clients that always write a member, as NanoDEP does with org_magic, mean by "" that there is none; to Apple it goes without.
static void leave_out_empty_texts(json_t *profile)
{
	for (size_t i = 0; i < profile_key_rule_count; i++) {
		const struct profile_key_rule *rule = &profile_key_rules[i];
		const json_t *value = json_object_get(profile, rule->name.bytes);

		if (rule->type == PROFILE_KEY_TEXT && rule->missing == NULL && json_is_string(value) && json_string_length(value) == 0) {
			(void)json_object_del(profile, rule->name.bytes);
		}
	}
}

static bool check_body(struct call *call)
{
	struct instance_row instance;

	if (pg_row_count(&call->transaction, 0) == 0) {
		dep_answer_word(call, 401, "UNAUTHORIZED");
		return false;
	}
	store_instance_read(&call->transaction, 0, 0, &instance);
	(void)json_object_del(call->body, "devices");
	(void)json_object_del(call->body, "profile_uuid");
	leave_out_empty_texts(call->body);
	char *json = json_dumps(call->body, JSON_COMPACT);
	const char *word = json != NULL ? check(call, &instance, text_of(json)) : "MALFORMED_REQUEST_BODY";

	free(json);
	if (word != NULL) {
		dep_answer_word(call, 400, word);
	}
	return word == NULL;
}

// --- Apple ---

static void define(struct call *call)
{
	struct defining *defining = defining_of(call);

	apple_define_profile(&defining->apple.apple, &defining->apple.session, buffer_text(&defining->content), defining->profile_uuid);
}

static void store(struct call *call)
{
	const struct defining *defining = defining_of(call);

	store_dep_profile_put(call_transaction(call, store_api(call->tenant.tenant_id)), call->tenant.tenant_id, dep_of(call)->place.instance_id,
		text_of(defining->profile_uuid), buffer_text(&defining->content));
	call_start(call);
}

// The devices are optional here, and read before the body is changed.
static bool take_devices(struct call *call)
{
	const json_t *devices = json_object_get(call->body, "devices");
	struct defining *defining = defining_of(call);

	return json_array_size(devices) == 0 || dep_take_serials(call, &defining->assigning.serials);
}

static bool begin(struct call *call)
{
	struct defining *defining = dep_state(dep_of(call), sizeof *defining, release);

	defining->content = BUFFER(PROFILE_SIZE_MAX);
	json_incref(json_object_get(call->body, "devices")); // its texts outlive the member
	defining->assigning.kept = json_object_get(call->body, "devices");
	return take_devices(call);
}

void dep_define(struct call *call)
{
	enum { NEW, READING, ASKING_TOKEN, ASKING_ACCOUNT, DEFINING, STORING, ASSIGNING };

	switch (call->state) {
	case NEW:
		if (!begin(call)) {
			return;
		}
		AWAIT(call, READING, ask_instance(call));
		if (call_failed(call) || !check_body(call)) {
			return;
		}
		AWAIT(call, ASKING_TOKEN, dep_apple_ask_token(call));
		if (call_failed(call) || !dep_apple_take_token(&defining_of(call)->apple, call)) {
			return;
		}
		AWAIT(call, ASKING_ACCOUNT, dep_apple_ask_account(&defining_of(call)->apple));
		if (!dep_apple_is_ours(&defining_of(call)->apple)) {
			return;
		}
		AWAIT(call, DEFINING, define(call));
		if (!dep_apple_worked(&defining_of(call)->apple)) {
			return;
		}
		AWAIT(call, STORING, store(call));
		if (call->transaction.op.rc == ERR_FENCED) {
			dep_answer_word(call, 400, "TOO_MANY_PROFILES");
			return;
		}
		if (call_failed(call)) {
			return;
		}
		call->state = ASSIGNING;
		dep_assigning_start(&defining_of(call)->assigning, call, text_of(defining_of(call)->profile_uuid));
		return;
	case ASSIGNING: dep_assigning_step(&defining_of(call)->assigning);
	}
}
