// SPDX-License-Identifier: Apache-2.0
#include "worker/tenant.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { MEMORY_BYTES = 64 << 20 };

static void set_up(struct tenant *tenant, struct worker_process *process, struct fenced_write *write, const struct due_row *due)
{
	*tenant = (struct tenant){
		.process = process,
		.write = write,
		.due = *due,
		.memory = ARENA(MEMORY_BYTES),
		.scratch = ARENA(TENANT_ARENA_BYTES),
		.cursor_text = BUFFER(APPLE_CURSOR_MAX + 1),
	};
}

void tenant_init(struct tenant *tenant, struct worker_process *process, struct fenced_write *write, const struct due_row *due)
{
	set_up(tenant, process, write, due);
	tenant_set_due(tenant, due);
}

void tenant_set_due(struct tenant *tenant, const struct due_row *due)
{
	tenant->due = *due;
	text_put(tenant->slug, sizeof tenant->slug, due->slug);
	tenant->due.slug = text_of(tenant->slug);
}

void tenant_clear(struct tenant *tenant)
{
	const struct due_row due = tenant->due;
	char slug[sizeof tenant->slug];

	memcpy(slug, tenant->slug, sizeof slug);
	if (tenant->session_is_open) {
		apple_session_fini(&tenant->session);
	}
	if (tenant->has_token) {
		server_token_fini(&tenant->token);
	}
	if (tenant->has_pending) {
		server_token_fini(&tenant->pending_token);
	}
	if (tenant->has_data_key) {
		data_key_fini(&tenant->data_key);
	}
	for (size_t i = 0; i < tenant->endpoint_count; i++) {
		for (size_t at = 0; at < WEBHOOK_SECRETS_MAX; at++) {
			webhook_secret_fini(&tenant->endpoints[i].secrets[at]);
		}
		for (size_t at = 0; at < tenant->endpoints[i].key_count; at++) {
			webhook_key_fini(&tenant->endpoints[i].keys[at]);
		}
	}
	arena_fini(&tenant->memory);
	arena_fini(&tenant->scratch);
	buffer_fini(&tenant->cursor_text);
	ruleset_free(tenant->rules);
	set_up(tenant, tenant->process, tenant->write, &due);
	memcpy(tenant->slug, slug, sizeof slug);
}

int64_t tenant_now_us(const struct tenant *tenant)
{
	return clock_wall_us() + tenant->clock_offset_us;
}

struct sync_occasion tenant_occasion(const struct tenant *tenant)
{
	struct sync_occasion occasion = { .now_us = tenant_now_us(tenant) };

	random_bytes(&occasion.random, sizeof occasion.random);
	return occasion;
}

struct stream_fence tenant_fence(const struct tenant *tenant)
{
	return (struct stream_fence){
		.tenant_id = tenant->due.tenant_id,
		.node_id = text_of(tenant->process->node_id),
		.epoch = tenant->stream.epoch,
		.write_seq = tenant->stream.write_seq,
		.event_seq = tenant->stream.event_seq,
		.config_version = tenant->stream.config_version,
	};
}

const struct tenant_instance *tenant_instance_by_id(const struct tenant *tenant, int64_t instance_id)
{
	for (size_t i = 0; i < tenant->instance_count; i++) {
		if (tenant->instances[i].instance_id == instance_id) {
			return &tenant->instances[i];
		}
	}
	return NULL;
}

void tenant_take_stream(struct tenant *tenant, const struct stream_row *next)
{
	tenant->stream = *next;
	if (next->cursor.length > 0 && next->cursor.bytes != tenant->cursor_text.bytes) {
		buffer_clear(&tenant->cursor_text);
		buffer_add_text(&tenant->cursor_text, next->cursor);
		tenant->stream.cursor = buffer_text(&tenant->cursor_text);
	}
}

void tenant_note_error(struct tenant *tenant, const struct fault *fault, const char *apple_error)
{
	text_put(tenant->error_text, sizeof tenant->error_text, text_of(fault->text));
	text_put(tenant->apple_error, sizeof tenant->apple_error, text_of(apple_error));
}

void tenant_forget_error(struct tenant *tenant)
{
	tenant->error_text[0] = '\0';
	tenant->apple_error[0] = '\0';
}

size_t tenant_budget(const struct tenant *tenant)
{
	return (size_t)tenant->process->config->tenant_memory_mib << 20;
}

bool tenant_is_over_budget(const struct tenant *tenant)
{
	return tenant->memory.taken_bytes + tenant->scratch.taken_bytes > tenant_budget(tenant) / 4;
}

void *tenant_scratch(struct tenant *tenant, size_t size)
{
	void *memory = arena_take(&tenant->scratch, size);

	assert(memory != NULL);
	return memory;
}

// 200 instances (STORE_INSTANCES_MAX) with all that they may have do not fill it.
struct text tenant_keep(struct tenant *tenant, struct text t)
{
	const char *copy;

	if (t.length == 0) {
		return TEXT_NONE;
	}
	copy = arena_copy(&tenant->memory, t);
	assert(copy != NULL);
	return (struct text){ copy, t.length };
}

char *tenant_scratch_copy(struct tenant *tenant, struct text t)
{
	char *copy = arena_copy(&tenant->scratch, t);

	assert(copy != NULL);
	return copy;
}
