// SPDX-License-Identifier: Apache-2.0
#include "worker/rules_load.h"

#include "worker/wanted_profile.h"

#include <assert.h>
#include <stdlib.h>

enum { INPUT_MAX = 64 << 20 };

// --- what rules and profiles are made from ---

// With their lengths, so that different inputs are different bytes.
static void add_text(struct buffer *input, struct text t)
{
	buffer_add(input, &t.length, sizeof t.length);
	buffer_add_text(input, t);
}

static void add_number(struct buffer *input, int64_t number)
{
	buffer_add(input, &number, sizeof number);
}

static void add_parts(struct buffer *input, const struct profile_parts *parts)
{
	const struct text texts[] = {
		parts->tenant_slug, parts->tenant_name, parts->technical_contact, parts->apple_contact, parts->labels, parts->template_name,
		parts->template_layer, parts->tenant_layer,
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		add_text(input, texts[i]);
	}
	add_number(input, parts->protocol_version);
}

static void add_instance(struct buffer *input, const struct tenant_instance *instance)
{
	add_number(input, instance->instance_id);
	add_number(input, instance->state);
	add_text(input, instance->name);
	add_text(input, instance->enrolment_url);
	add_text(input, instance->members);
	add_number(input, (int64_t)instance->allowed_host_count);
	for (size_t i = 0; i < instance->allowed_host_count; i++) {
		add_text(input, instance->allowed_hosts[i]);
	}
}

static void add_at_apple(struct buffer *input, const struct tenant *tenant)
{
	add_number(input, (int64_t)tenant->defined_count);
	for (size_t i = 0; i < tenant->defined_count; i++) {
		const struct defined_profile *defined = &tenant->defined[i];

		add_number(input, defined->instance_id);
		buffer_add(input, defined->digest, SHA256_SIZE);
		add_text(input, defined->uuid);
		add_text(input, defined->refused);
		add_number(input, defined->drifts);
	}
	for (size_t i = 0; i < tenant->definition_count; i++) {
		add_number(input, tenant->definitions[i].instance_id);
		buffer_add(input, tenant->definitions[i].digest, SHA256_SIZE);
		add_number(input, tenant->definitions[i].attempts);
	}
}

static void digest_input(unsigned char out[SHA256_SIZE], const struct tenant *tenant, struct text document)
{
	struct buffer input CLEANUP(buffer_fini) = BUFFER(INPUT_MAX);

	add_number(&input, tenant->rules_version);
	add_parts(&input, &tenant->profile_parts);
	add_number(&input, (int64_t)tenant->instance_count);
	for (size_t i = 0; i < tenant->instance_count; i++) {
		add_instance(&input, &tenant->instances[i]);
	}
	add_at_apple(&input, tenant);
	sha256(out, (struct digest_part[]){ { input.bytes, input.length }, { document.bytes, document.length } }, 2);
}

// --- reading them ---

static enum err read_rules(struct tenant *tenant, struct text document, struct fault *fault)
{
	struct ruleset_instance *instances = allocate_array(tenant->instance_count + 1, sizeof *instances);

	for (size_t i = 0; i < tenant->instance_count; i++) {
		instances[i] = (struct ruleset_instance){ .instance_id = tenant->instances[i].instance_id, .name = tenant->instances[i].name,
			.state = tenant->instances[i].state };
	}
	tenant->rules = ruleset_read(document, instances, tenant->instance_count, RULESET_IN_FORCE);
	free(instances);
	if (!ruleset_is_valid(tenant->rules)) {
		return fault_set(fault, ERR_BUG, "the stored rules of version %lld cannot be read", (long long)tenant->rules_version);
	}
	tenant->label_count = ruleset_labels_read(tenant->labels, tenant->profile_parts.labels);
	return OK;
}

static bool is_settled(const struct tenant *tenant)
{
	return wanted_profile_unusable(tenant) == NULL && wanted_profile_undefined(tenant) == NULL && wanted_profile_drifting(tenant) == NULL;
}

enum err rules_load(struct tenant *tenant, struct text document, struct fault *fault)
{
	unsigned char digest[SHA256_SIZE];

	if (tenant->rules_version == 0) {
		return OK;
	}
	digest_input(digest, tenant, document);
	if (settled_is(&tenant->process->settled, tenant->due.tenant_id, digest)) {
		tenant->rules_document = duplicate(document);
		tenant->rules_document_length = document.length;
		return OK;
	}
	TRY(read_rules(tenant, document, fault));
	wanted_profile_all(tenant);
	if (is_settled(tenant)) {
		settled_note(&tenant->process->settled, tenant->due.tenant_id, digest);
	}
	return OK;
}

void rules_need(struct tenant *tenant)
{
	char *document = tenant->rules_document;
	enum err rc;

	if (document == NULL) {
		return;
	}
	tenant->rules_document = NULL;
	rc = read_rules(tenant, (struct text){ document, tenant->rules_document_length }, NULL);
	assert(rc == OK);
	free(document);
	wanted_profile_all(tenant);
	assert(is_settled(tenant));
}
