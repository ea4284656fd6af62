// SPDX-License-Identifier: Apache-2.0
//
// control_truth.c - what is true: every tenant, device, assignment, change and request.
#include "applesim/control.h"

#include "applesim/device_json.h"

#include <stdlib.h>
#include <string.h>

void add_tenant(struct buffer *out, const struct tenant *tenant)
{
	buffer_add_format(out, "{\"id\":%lld,\"name\":", (long long)tenant->id);
	buffer_add_json(out, text_of(tenant->name));
	buffer_add_format(out, ",\"server_uuid\":\"%s\",\"devices\":%zu,\"changes\":%zu,\"profiles\":%zu", tenant->server_uuid,
		tenant->device_count, tenant->change_count, tenant->profile_count);
	buffer_add_format(out, ",\"has_certificate\":%s,\"has_token\":%s,\"texts\":%s}",
		tenant->certificate != NULL ? "true" : "false", tenant->token.consumer_key != NULL ? "true" : "false",
		tenant->texts);
}

void control_tenants(struct control_call *call)
{
	buffer_add_string(call->out, "{\"tenants\":[");
	for (size_t i = 0; i < call->world->tenant_count; i++) {
		buffer_add_string(call->out, i > 0 ? "," : "");
		add_tenant(call->out, call->world->tenants[i]);
	}
	buffer_add_string(call->out, "]}");
}

void control_tenant(struct control_call *call)
{
	add_tenant(call->out, call->tenant);
}

static void add_text_or_null(struct buffer *out, const char *name, const char *value)
{
	buffer_add_format(out, ",\"%s\":", name);
	if (value != NULL) {
		buffer_add_json(out, text_of(value));
	} else {
		buffer_add_string(out, "null");
	}
}

static void add_device(struct buffer *out, const struct device *device)
{
	buffer_add_string(out, "{\"serial_number\":");
	buffer_add_json(out, text_of(device->serial));
	add_text_or_null(out, "profile_status", profile_status_words[device->status]);
	add_text_or_null(out, "profile_uuid", device->profile != NULL ? device->profile->uuid : NULL);
	add_text_or_null(out, "profile_url", device->profile != NULL ? device->profile->url : NULL);
	buffer_add_format(out, ",\"assigned_at_s\":%lld,\"profile_assigned_at_s\":%lld}", (long long)device->assigned_at_s,
		(long long)device->profile_assigned_at_s);
}

static void add_counters(struct buffer *out, const struct tenant_counters *counters)
{
	buffer_add_format(out, "\"requests\":%llu,\"sessions\":%llu,\"fetch_pages\":%llu,\"sync_pages\":%llu,\"assigned\":%llu,"
		"\"assigned_needlessly\":%llu,\"assigned_too_early\":%llu,\"nonces_reused\":%llu",
		(unsigned long long)counters->requests, (unsigned long long)counters->sessions,
		(unsigned long long)counters->fetch_pages, (unsigned long long)counters->sync_pages,
		(unsigned long long)counters->assigned, (unsigned long long)counters->assigned_needlessly,
		(unsigned long long)counters->assigned_too_early, (unsigned long long)counters->nonces_reused);
}

void control_truth(struct control_call *call)
{
	const struct tenant *tenant = call->tenant;
	size_t with_profile = 0;
	size_t listed = 0;

	buffer_add_string(call->out, "{\"devices\":[");
	for (size_t i = 0; i < tenant->slot_count; i++) {
		if (tenant->slots[i] != NULL) {
			buffer_add_string(call->out, listed++ > 0 ? "," : "");
			add_device(call->out, tenant->slots[i]);
			with_profile += tenant->slots[i]->profile != NULL;
		}
	}
	buffer_add_format(call->out, "],\"counts\":{\"devices\":%zu,\"with_profile\":%zu,\"changes\":%zu,\"profiles\":%zu,",
		listed, with_profile, tenant->change_count, tenant->profile_count);
	add_counters(call->out, &tenant->counters);
	buffer_add_string(call->out, "}}");
}

void control_changes(struct control_call *call)
{
	const struct tenant *tenant = call->tenant;
	size_t at = (size_t)web_query_number(call->request, "after", 0);
	const size_t limit = (size_t)web_query_number(call->request, "limit", 100000);
	const char *between = "";

	buffer_add_string(call->out, "{\"changes\":[");
	for (size_t listed = 0; at < tenant->change_count && listed < limit; at++, listed++) {
		const struct change *change = &tenant->changes[at];

		buffer_add_format(call->out, "%s{\"seq\":%zu,\"serial_number\":", between, at + 1);
		buffer_add_json(call->out, text_of(change->device->serial));
		buffer_add_format(call->out, ",\"op_type\":\"%s\",\"cause\":\"%s\",\"op_date\":\"",
			operation_words[change->operation], cause_words[change->cause]);
		add_time(call->out, change->at_s);
		buffer_add_string(call->out, "\"}");
		between = ",";
	}
	buffer_add_format(call->out, "],\"last\":%zu}", tenant->change_count);
}

void control_assignments(struct control_call *call)
{
	const struct tenant *tenant = call->tenant;
	const size_t after = (size_t)web_query_number(call->request, "after", 0);

	buffer_add_string(call->out, "{\"assignments\":[");
	for (size_t at = after; at < tenant->assignment_count; at++) {
		const struct assignment *assignment = &tenant->assignments[at];

		buffer_add_string(call->out, at > after ? ",{\"serial_number\":" : "{\"serial_number\":");
		buffer_add_json(call->out, text_of(assignment->device->serial));
		buffer_add_format(call->out, ",\"profile_uuid\":\"%s\",\"at_ms\":%lld}", assignment->profile->uuid, (long long)assignment->at_ms);
	}
	buffer_add_format(call->out, "],\"last\":%zu}", tenant->assignment_count);
}

void control_profiles(struct control_call *call)
{
	buffer_add_string(call->out, "{\"profiles\":[");
	for (size_t i = 0; i < call->tenant->profile_count; i++) {
		buffer_add_string(call->out, i > 0 ? "," : "");
		buffer_add_string(call->out, call->tenant->profiles[i]->json);
	}
	buffer_add_string(call->out, "]}");
}

// What Apple is not known to do, and what must be noticed all the same: a profile that is another one now. null takes a member away.
void control_change_profile(struct control_call *call)
{
	struct profile *profile = tenant_profile(call->tenant, call->request->parameters[1]);
	yyjson_doc *before;
	yyjson_mut_doc *after;

	if (profile == NULL) {
		refuse_control(call, 404, "there is no such profile");
		return;
	}
	before = yyjson_read(profile->json, strlen(profile->json), 0);
	after = yyjson_mut_doc_new(NULL);
	yyjson_mut_doc_set_root(after, yyjson_mut_merge_patch(after, yyjson_val_mut_copy(after, yyjson_doc_get_root(before)),
		yyjson_val_mut_copy(after, call->body)));
	free(profile->json);
	profile->json = yyjson_mut_write(after, 0, NULL);
	yyjson_mut_doc_free(after);
	yyjson_doc_free(before);
	call->world->is_changed = true;
	buffer_add_string(call->out, profile->json);
}

void control_where(struct control_call *call)
{
	const struct device *device = world_device(call->world, call->request->parameters[0]);

	if (device == NULL) {
		refuse_control(call, 404, "there is no such device anywhere");
		return;
	}
	buffer_add_format(call->out, "{\"tenant\":%lld,\"device\":", device->tenant != NULL ? (long long)device->tenant->id : 0);
	add_device(call->out, device);
	buffer_add_string(call->out, "}");
}

static void add_served(struct buffer *out, const struct served *served)
{
	buffer_add_format(out, "{\"number\":%llu,\"tenant\":%lld,\"at_ms\":%lld,\"method\":\"%s\",\"path\":\"%s\"",
		(unsigned long long)served->number, (long long)served->tenant, (long long)served->at_ms, served->method, served->path);
	buffer_add_format(out, ",\"status\":%u,\"version\":%d,\"devices\":%u,\"fault\":%s,\"word\":", served->status,
		served->version, served->devices, served->was_faulty ? "true" : "false");
	buffer_add_json(out, text_of(served->word));
	buffer_add_string(out, "}");
}

void control_requests(struct control_call *call)
{
	const struct apple *apple = call->control->apple;
	const int64_t tenant = web_query_number(call->request, "tenant", 0);
	const uint64_t after = (uint64_t)web_query_number(call->request, "after", 0);
	const uint64_t oldest = apple->served_count > SERVED_MAX ? apple->served_count - SERVED_MAX : 0;
	const char *between = "";

	buffer_add_string(call->out, "{\"requests\":[");
	for (uint64_t at = after > oldest ? after : oldest; at < apple->served_count; at++) {
		const struct served *served = &apple->served[at % SERVED_MAX];

		if (tenant != 0 && served->tenant != tenant) {
			continue;
		}
		buffer_add_string(call->out, between);
		add_served(call->out, served);
		between = ",";
	}
	buffer_add_format(call->out, "],\"last\":%llu}", (unsigned long long)apple->served_count);
}

void control_stats(struct control_call *call)
{
	const struct apple *apple = call->control->apple;
	struct tenant_counters sum = { 0 };
	const char *between = "";

	for (size_t i = 0; i < call->world->tenant_count; i++) {
		const struct tenant_counters *one = &call->world->tenants[i]->counters;

		sum.requests += one->requests;
		sum.sessions += one->sessions;
		sum.fetch_pages += one->fetch_pages;
		sum.sync_pages += one->sync_pages;
		sum.assigned += one->assigned;
		sum.assigned_needlessly += one->assigned_needlessly;
		sum.assigned_too_early += one->assigned_too_early;
		sum.nonces_reused += one->nonces_reused;
	}
	buffer_add_format(call->out, "{\"tenants\":%zu,\"devices\":%zu,", call->world->tenant_count, call->world->device_count);
	add_counters(call->out, &sum);
	buffer_add_string(call->out, ",\"by_status\":{");
	for (size_t i = 0; i < 600; i++) {
		if (apple->by_status[i] > 0) {
			buffer_add_format(call->out, "%s\"%zu\":%llu", between, i, (unsigned long long)apple->by_status[i]);
			between = ",";
		}
	}
	buffer_add_string(call->out, "}}");
}
