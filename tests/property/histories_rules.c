// SPDX-License-Identifier: Apache-2.0
//
// histories_rules.c - rules by chance, as the core reads them and as this file understands them; profiles and their digests.
#include "property/histories.h"
#include "tenants/profile_compose.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const char *const serials[DEVICES] = { "ALPHA0", "ALPHA1", "ALPHA2", "ALPHA3", "BRAVO4", "BRAVO5", "BRAVO6", "BRAVO7" };
const char *const models[MODELS] = { "iPad", "iPhone 17", "MacBook Air" };

static const char *const names[PLACES + 1] = { "", "one", "two", "three" };

enum { FIRST_HALF = (1 << DEVICES / 2) - 1, EVERY_DEVICE = (1 << DEVICES) - 1 };

size_t device_of(struct text serial)
{
	return (size_t)(serial.bytes[5] - '0');
}

int64_t instance_of(size_t client, size_t place)
{
	return place == 0 ? INSTANCE_NONE : (int64_t)(client + 1) * 10 + (int64_t)place;
}

size_t place_of(int64_t instance_id)
{
	return (size_t)(instance_id % 10);
}

// --- rules ---

static struct rule any_rule(void)
{
	struct rule rule = { .place = random_below(PLACES + 1), .override = random_chance(25) };

	switch (random_below(3)) {
	case 0: rule.model = random_below(MODELS); break;
	case 1: rule.serials = random_chance(50) ? FIRST_HALF : EVERY_DEVICE & ~FIRST_HALF; break;
	default: rule.serials = 1 + (unsigned)random_below(EVERY_DEVICE); break;
	}
	rule.override = rule.override && rule.place != 0;
	return rule;
}

struct rules rules_any(void)
{
	struct rules rules = { .count = 1 + random_below(RULES_MAX + 1) };

	for (size_t i = 0; i + 1 < rules.count; i++) {
		rules.rules[i] = any_rule();
	}
	rules.rules[rules.count - 1] = (struct rule){ .serials = EVERY_DEVICE, .place = random_below(PLACES + 1) };
	return rules;
}

static void write_serials(struct buffer *out, unsigned devices)
{
	const char *comma = "";

	if (devices == FIRST_HALF) {
		buffer_add_string(out, "{\"prefix\":\"ALPHA\"}");
		return;
	}
	if (devices == (EVERY_DEVICE & ~FIRST_HALF)) {
		buffer_add_string(out, "{\"range\":{\"from\":\"BRAVO0\",\"to\":\"BRAVO9\"}}");
		return;
	}
	buffer_add_string(out, "[");
	for (size_t i = 0; i < DEVICES; i++) {
		if (devices >> i & 1) {
			buffer_add_format(out, "%s\"%s\"", comma, serials[i]);
			comma = ",";
		}
	}
	buffer_add_string(out, "]");
}

static void write_target(struct buffer *out, const struct rule *rule)
{
	if (rule->place == 0) {
		buffer_add_string(out, "{\"hold\":\"a person decides\"}");
	} else {
		buffer_add_format(out, "{\"instance\":\"%s\"%s}", names[rule->place], rule->override ? ",\"profile\":{\"department\":\"Library\"}" : "");
	}
}

static void write_rules(struct buffer *out, const struct rules *rules)
{
	buffer_add_string(out, "{\"rules\":[");
	for (size_t i = 0; i + 1 < rules->count; i++) {
		const struct rule *rule = &rules->rules[i];

		buffer_add_format(out, "%s{\"id\":\"r%zu\",\"when\":{\"%s\":", i > 0 ? "," : "", i, rule->serials != 0 ? "serial" : "model");
		if (rule->serials != 0) {
			write_serials(out, rule->serials);
		} else {
			buffer_add_format(out, "\"%s\"", models[rule->model]);
		}
		buffer_add_string(out, "},\"then\":");
		write_target(out, rule);
		buffer_add_string(out, "}");
	}
	buffer_add_string(out, "],\"otherwise\":");
	write_target(out, &rules->rules[rules->count - 1]);
	buffer_add_string(out, "}");
}

void rules_compile(struct config *config, size_t client)
{
	struct buffer document CLEANUP(buffer_fini) = BUFFER(4096);
	struct ruleset_instance instances[PLACES];
	struct ruleset *ruleset;

	for (size_t place = 1; place <= PLACES; place++) {
		instances[place - 1] = (struct ruleset_instance){
			instance_of(client, place), text_of(names[place]), config->retired[place] ? RULESET_INSTANCE_RETIRED : RULESET_INSTANCE_ACTIVE,
		};
	}
	write_rules(&document, &config->rules);
	ruleset = ruleset_read(buffer_text(&document), instances, PLACES, RULESET_IN_FORCE);
	LAW(ruleset_is_valid(ruleset), "the list of rules %.*s has errors", TEXT_ARGS(buffer_text(&document)));
	assert(world.ruleset_count < RULESETS_MAX);
	world.rulesets[world.ruleset_count++] = ruleset; // rows borrow from it
	config->ruleset = ruleset;
	trace("client %zu: rules %.*s", client, TEXT_ARGS(buffer_text(&document)));
}

static const struct rule *rule_of(const struct config *config, size_t device, struct text model)
{
	const struct rule *rule = config->rules.rules;

	while (rule->serials != 0 ? (rule->serials >> device & 1) == 0 : !text_equal_string(model, models[rule->model])) {
		rule++; // the last one holds for every device
	}
	return rule;
}

size_t rules_want(const struct config *config, size_t device, struct text model)
{
	const size_t place = config->pins[device] >= 0 ? (size_t)config->pins[device] : rule_of(config, device, model)->place;

	return config->retired[place] ? 0 : place;
}

bool rules_override(const struct config *config, size_t device, struct text model)
{
	return config->pins[device] < 0 && rule_of(config, device, model)->override;
}

// --- profiles ---

struct known_digest {
	bool known;
	unsigned char bytes[SHA256_SIZE];
};

static void compose(unsigned char digest[SHA256_SIZE], size_t client, size_t place, unsigned version, bool override)
{
	static const char *const slugs[CLIENTS] = { "acme", "birch", "cedar" };
	struct arena arena CLEANUP(arena_fini) = ARENA(PROFILE_ARENA_BUDGET);
	char url[64], members[64];
	struct profile_rendered rendered;
	enum err rc;

	(void)snprintf(url, sizeof url, "https://mdm.example/%s/%s", slugs[client], names[place]);
	(void)snprintf(members, sizeof members, "{\"support_phone_number\":\"%u\"}", version);
	rc = profile_compose(&rendered, &(struct profile_parts){
		.tenant_slug = text_of(slugs[client]), .tenant_name = text_of(slugs[client]), .instance_name = text_of(names[place]),
		.enrolment_url = text_of(url), .allowed_hosts = &TEXT("mdm.example"), .allowed_host_count = 1, .instance_layer = text_of(members),
		.rule_name = TEXT("r0"), .rule_layer = override ? TEXT("{\"department\":\"Library\"}") : TEXT_NONE,
	}, &arena, NULL);
	LAW(rc == OK && rendered.content.bytes != NULL, "a profile cannot be made");
	memcpy(digest, rendered.digest, SHA256_SIZE);
}

// The core is pure: what is asked for again and again is kept, over all histories, and compared now and then.
const unsigned char *profile_digest_of(size_t client, size_t place, unsigned version, bool override)
{
	static struct known_digest kept[CLIENTS * (PLACES + 1) * VERSIONS * 2];
	struct known_digest *const digest = &kept[((client * (PLACES + 1) + place) * VERSIONS + version) * 2 + override];
	unsigned char again[SHA256_SIZE];

	if (digest->known && !world.verbose && world.seed % 500 != 0) {
		return digest->bytes;
	}
	compose(again, client, place, version, override);
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
		LAW(!kept[i].known || (memcmp(kept[i].bytes, again, SHA256_SIZE) == 0) == (&kept[i] == digest),
			"two different profiles have one digest, or one has two");
	}
	memcpy(digest->bytes, again, SHA256_SIZE);
	digest->known = true;
	return digest->bytes;
}
