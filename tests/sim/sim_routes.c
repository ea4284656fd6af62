// SPDX-License-Identifier: Apache-2.0
//
// sim_routes.c - where devices go, decided here once more: rules, pins by hand, instances that are retired, devices that came in another
// one's place. And the rows about it (store/routing.h, store/replacements.h).
#include "sim/sim_transaction.h"

#include "store/replacements.h"
#include "store/routing.h"

#include <string.h>

static struct replaced { // rows of replacements, of a client
	struct sim_replacement {
		bool is_noted;
		struct replacement_row row;
	} devices[SIM_DEVICES];
} *replaced;

// --- where a device is to go ---

struct text sim_rules_document(int rules)
{
	static const char *const documents[SIM_RULES] = {
		"{\"default\":null}",
		"{\"default\":\"i1\"}",
		"{\"otherwise\":{\"instance\":\"i2\"},\"rules\":[]}",
		"{\"otherwise\":{\"instance\":\"i2\"},\"rules\":[{\"name\":\"some\",\"when\":{\"serial\":[\"*D1\",\"*D4\",\"*D7\"]},"
			"\"then\":{\"instance\":\"i1\"}}]}",
		"{\"otherwise\":{\"instance\":\"i1\"},\"rules\":[{\"name\":\"old\",\"when\":{\"model\":\"M0\"},\"then\":{\"hold\":\"too old\"}},"
			"{\"name\":\"new\",\"when\":{\"model\":\"M3\"},\"then\":{\"instance\":\"i2\"}}]}",
		"{\"otherwise\":{\"instance\":\"i2\"},\"rules\":[{\"name\":\"replacements\",\"when\":{\"is_replacement_device\":true},"
			"\"then\":{\"inherit\":true}},{\"name\":\"some\",\"when\":{\"model\":[\"M1\",\"M2\"]},\"then\":{\"instance\":\"i1\"}}]}",
	};

	return text_of(documents[rules]);
}

static const struct sim_replacement *replacement_of(const struct sim_tenant *tenant, size_t device)
{
	return &replaced[tenant->id - 1].devices[device];
}

static const struct sim_device *original_of(const struct sim_tenant *tenant, size_t device)
{
	const struct text serial = replacement_of(tenant, device)->row.original_serial_number;
	const int64_t number = serial.length > 0 ? sim_device_of(tenant, serial) : -1;

	return number >= 0 && tenant->devices[number].used ? &tenant->devices[number] : NULL;
}

static bool is_asked_about(const struct sim_replacement *replacement)
{
	return replacement->row.original_serial_number.length == 0 && replacement->row.ask_at_us != INSTANT_NONE;
}

static int64_t place_of(const struct sim_device *device)
{
	return device->row.gone_at_us == INSTANT_NONE ? device->row.instance_id : device->last_instance_id;
}

static bool is_one_of(struct text text, const char *a, const char *b)
{
	return text_equal_string(text, a) || text_equal_string(text, b);
}

static int64_t want_without_original(const struct device_record *apple)
{
	return is_one_of(apple->model, "M1", "M2") ? 1 : 2;
}

static int64_t rules_want(const struct sim_tenant *tenant, int rules, size_t device, const struct device_record *apple)
{
	const bool is_replacement = device >= SIM_REPLACES_FROM;
	const struct sim_replacement *replacement = replacement_of(tenant, device);

	switch (rules) {
	case 1:
	case 2: return rules;
	case 3: return device == 1 || device == 4 || device == 7 ? 1 : 2;
	case 4: return text_equal_string(apple->model, "M0") ? 0 : text_equal_string(apple->model, "M3") ? 2 : 1;
	case 5:
		if (is_replacement && (!replacement->is_noted || is_asked_about(replacement))) {
			return 0;
		}
		if (is_replacement && original_of(tenant, device) != NULL) {
			return place_of(original_of(tenant, device));
		}
		return want_without_original(apple);
	default: return 0;
	}
}

// A pin is before any rule; nothing goes to what is retired.
int64_t sim_want(const struct sim_tenant *tenant, const struct sim_route *route, size_t device, const struct device_record *apple)
{
	const struct sim_pin *pin = &route->pins[device];
	const int64_t instance_id = pin->is_there ? pin->instance_id : rules_want(tenant, route->rules, device, apple);
	const int64_t expected_at = pin->is_there || route->retired[instance_id] ? 0 : sim_expected_at(tenant, device);

	return route->retired[instance_id] || (expected_at != 0 && expected_at != instance_id) ? 0 : instance_id;
}

bool sim_inherits(const struct sim_route *route, size_t device)
{
	return route->rules == 5 && device >= SIM_REPLACES_FROM && !route->pins[device].is_there;
}

// One that inherits is where its original was, if that one was known, when it came; since then the original may have moved.
bool sim_may_stay(const struct sim_tenant *tenant, size_t device, const struct device_row *row)
{
	const int64_t at = row->instance_id;

	if (row->decider == ROUTE_BY_GUARD) {
		return at == 0 && !sim_guard_is_over(tenant, device);
	}
	if (at == sim_want(tenant, &tenant->route, device, &row->apple)) {
		return true;
	}
	return sim_inherits(&tenant->route, device) &&
		((at == 0 && tenant->was_retired) || at == want_without_original(&row->apple) || tenant->devices[device - SIM_REPLACES_FROM].was_at[at]);
}

// --- what people do ---

// Of one device, or no pin any more.
static void pin(struct sim_tenant *tenant)
{
	const size_t device = (size_t)sim_between(0, SIM_DEVICES - 1);
	struct sim_pin *pin = &tenant->route.pins[device];

	*pin = pin->is_there && sim_chance(60) ? (struct sim_pin){ 0 } : (struct sim_pin){ true, sim_between(0, SIM_INSTANCES) };
	tenant->devices[device].rerouted = true;
	sim_trace("pin", tenant->id * 100 + (int64_t)device, pin->is_there, pin->instance_id);
	sim_start_over(tenant, false);
}

static void retire(struct sim_tenant *tenant)
{
	const int64_t instance_id = sim_between(1, SIM_INSTANCES);

	tenant->route.retired[instance_id] = !tenant->route.retired[instance_id];
	tenant->was_retired = true;
	tenant->instances[instance_id - 1].retired = tenant->route.retired[instance_id];
	sim_trace("retire", tenant->id, instance_id, tenant->route.retired[instance_id]);
	sim_start_over(tenant, true);
}

// Its devices stay, and what rules name it goes there, too: only new rules do not name it.
static void drain(struct sim_tenant *tenant)
{
	struct sim_instance *instance = &tenant->instances[sim_between(0, SIM_INSTANCES - 1)];

	instance->draining = !instance->draining;
	sim_trace("drain", tenant->id, instance->id, instance->draining);
	sim_start_over(tenant, true);
}

void sim_routes_fault(enum fault_kind kind, struct sim_tenant *tenant)
{
	if (kind == FAULT_PIN) {
		pin(tenant);
	} else if (kind == FAULT_RETIRES) {
		retire(tenant);
	} else if (kind == FAULT_DRAINS) {
		drain(tenant);
	}
}

// --- facts ---

static bool has_fact(const struct sim_tenant *tenant, size_t device)
{
	return tenant->route.pins[device].is_there || replacement_of(tenant, device)->is_noted || sim_expected_at(tenant, device) != 0;
}

struct routing_fact sim_fact_of(const struct sim_tenant *tenant, size_t device)
{
	const struct sim_pin *pin = &tenant->route.pins[device];
	const struct sim_replacement *replacement = replacement_of(tenant, device);
	const struct sim_device *original = replacement->is_noted ? original_of(tenant, device) : NULL;

	return (struct routing_fact){
		.serial_number = tenant->serials[device],
		.is_pinned = pin->is_there,
		.pin_instance_id = pin->instance_id,
		.pin_reason = TEXT("by hand"),
		.is_replacement = replacement->is_noted,
		.original_is_asked_for = replacement->is_noted && is_asked_about(replacement),
		.original_is_known = original != NULL,
		.original_instance_id = original != NULL ? place_of(original) : 0,
		.expected_instance_id = sim_expected_at(tenant, device),
	};
}

static void read_facts(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct routing_fact *facts = sim_answer_rows(op, SIM_DEVICES, sizeof *facts);

	op->out_count = 0;
	for (size_t i = 0; i < SIM_DEVICES; i++) {
		if (has_fact(tenant, i)) {
			facts[op->out_count++] = sim_fact_of(tenant, i);
		}
	}
}

static void read_routing(struct sim_op *op, const struct sim_tenant *tenant)
{
	bool *has = sim_answer_rows(op, 3, sizeof *has);

	has[0] = has[1] = false;
	has[2] = sim_guard_has_any(tenant);
	for (size_t i = 0; i < SIM_DEVICES; i++) {
		has[0] = has[0] || has_fact(tenant, i) || sim_expects_at(tenant, i) != 0; // which may come to count during the run
		has[1] = has[1] || tenant->devices[i].rerouted || sim_guard_is_over(tenant, i);
	}
}

static void read_reroutes(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct text *serials = sim_answer_rows(op, SIM_DEVICES, sizeof *serials);

	op->out_count = 0;
	for (size_t i = 0; i < SIM_DEVICES; i++) {
		if (tenant->devices[i].rerouted || sim_guard_is_over(tenant, i)) {
			serials[op->out_count++] = tenant->serials[i];
		}
	}
}

static void put_reroutes(const struct sim_op *op, struct sim_tenant *tenant)
{
	const struct text *serials = op->in;

	for (size_t i = 0; i < op->in_count; i++) {
		const int64_t device = sim_device_of(tenant, serials[i]);

		LAW(device >= 0, "client %lld looks at device %.*s", (long long)tenant->id, TEXT_ARGS(serials[i]));
		tenant->devices[device].rerouted = op->kind == OP_REROUTE_PUT;
	}
}

// --- replacements ---

static void note_replacements(const struct sim_op *op, struct sim_tenant *tenant)
{
	const struct text *serials = op->in;

	for (size_t i = 0; i < op->in_count; i++) {
		const int64_t device = sim_device_of(tenant, serials[i]);
		struct sim_replacement *replacement = &replaced[tenant->id - 1].devices[device];

		LAW(device >= SIM_REPLACES_FROM, "device %.*s replaces none", TEXT_ARGS(serials[i]));
		if (!replacement->is_noted) {
			*replacement = (struct sim_replacement){ true, { .serial_number = tenant->serials[device], .ask_at_us = sim.now_us,
				.resolved_at_us = INSTANT_NONE } };
		}
	}
}

static void put_replacement(const struct sim_op *op, struct sim_tenant *tenant)
{
	const struct replacement_row *row = op->in;
	const int64_t device = sim_device_of(tenant, row->serial_number);
	struct sim_replacement *replacement = &replaced[tenant->id - 1].devices[device];

	LAW(replacement->is_noted && replacement->row.original_serial_number.length == 0, "device %.*s is asked about for no reason",
		TEXT_ARGS(row->serial_number));
	LAW(row->original_serial_number.length == 0 || text_equal(row->original_serial_number, tenant->serials[device - SIM_REPLACES_FROM]),
		"device %.*s replaces %.*s, which Apple did not say", TEXT_ARGS(row->serial_number), TEXT_ARGS(row->original_serial_number));
	replacement->row = *row;
	sim_trace("replaces", tenant->id * 100 + device, row->original_serial_number.length > 0, row->attempts);
}

static void read_replacements(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct replacement_row *rows = sim_answer_rows(op, SIM_DEVICES, sizeof *rows);
	int64_t next_us = INSTANT_NONE;

	op->out_count = 0;
	for (size_t i = SIM_REPLACES_FROM; i < SIM_DEVICES; i++) {
		const struct sim_replacement *replacement = replacement_of(tenant, i);
		const int64_t at_us = replacement->is_noted ? replacement->row.ask_at_us : INSTANT_NONE;

		if (at_us != INSTANT_NONE && (next_us == INSTANT_NONE || at_us < next_us)) {
			next_us = at_us;
		}
		if (at_us != INSTANT_NONE && at_us <= op->number && (int64_t)op->out_count < op->other) {
			rows[op->out_count++] = replacement->row;
		}
	}
	op->number = next_us;
}

// --- the statements ---

void sim_routes_execute(struct sim_op *op, struct sim_tenant *tenant)
{
	static void (*const reads[])(struct sim_op *op, const struct sim_tenant *tenant) = {
		[OP_ROUTING] = read_routing, [OP_FACTS] = read_facts, [OP_REROUTES] = read_reroutes, [OP_REPLACEMENTS] = read_replacements,
	};
	static void (*const writes[])(const struct sim_op *op, struct sim_tenant *tenant) = {
		[OP_REROUTE_PUT] = put_reroutes, [OP_REROUTE_DELETE] = put_reroutes, [OP_REPLACEMENT_NOTE] = note_replacements,
		[OP_REPLACEMENT_PUT] = put_replacement,
	};

	if (reads[op->kind] != NULL) {
		reads[op->kind](op, tenant);
	} else {
		writes[op->kind](op, tenant);
	}
}

unsigned store_routing_select(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	(void)sim_add(t, OP_ROUTING);
	return sim_added(t);
}

void store_routing_read(const struct pg_transaction *t, unsigned statement, bool *has_facts, bool *has_reroutes)
{
	*has_facts = *(const bool *)sim_row_of(t, statement, 0);
	*has_reroutes = *(const bool *)sim_row_of(t, statement, 1);
}

bool store_routing_has_guarded(const struct pg_transaction *t, unsigned statement)
{
	return *(const bool *)sim_row_of(t, statement, 2);
}

// More than asked for: whoever decides takes what it needs.
static unsigned add_facts(struct pg_transaction *t)
{
	(void)sim_add(t, OP_FACTS);
	return sim_added(t);
}

unsigned store_fact_by_serials(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	(void)tenant_id;
	(void)serials;
	(void)count;
	return add_facts(t);
}

unsigned store_fact_list(struct pg_transaction *t, int64_t tenant_id, struct text after, int limit)
{
	(void)tenant_id;
	(void)after;
	(void)limit;
	return add_facts(t);
}

unsigned store_fact_to_assign(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit)
{
	(void)tenant_id;
	(void)now_us;
	(void)limit;
	return add_facts(t);
}

void store_fact_read(const struct pg_transaction *t, unsigned statement, size_t row, struct routing_fact *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

static void add_serials(struct pg_transaction *t, enum op_kind kind, const struct text *serials, size_t count)
{
	struct sim_op *op = sim_add(t, kind);

	op->in = sim_copy_texts(serials, count);
	op->in_count = count;
}

unsigned store_reroute_list(struct pg_transaction *t, int64_t tenant_id, int limit)
{
	(void)tenant_id;
	(void)limit;
	(void)sim_add(t, OP_REROUTES);
	return sim_added(t);
}

struct text store_reroute_read(const struct pg_transaction *t, unsigned statement, size_t row)
{
	return *(const struct text *)sim_row_of(t, statement, row);
}

void store_reroute_insert(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	(void)tenant_id;
	add_serials(t, OP_REROUTE_PUT, serials, count);
}

void store_reroute_delete(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	(void)tenant_id;
	add_serials(t, OP_REROUTE_DELETE, serials, count);
}

void store_replacement_note(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count)
{
	(void)tenant_id;
	add_serials(t, OP_REPLACEMENT_NOTE, serials, count);
}

void store_replacement_put(struct pg_transaction *t, int64_t tenant_id, const struct replacement_row *row)
{
	struct replacement_row *copy = sim_take(sizeof *copy);

	(void)tenant_id;
	*copy = *row;
	copy->serial_number = sim_keep(row->serial_number);
	copy->original_serial_number = sim_keep(row->original_serial_number);
	copy->replacement_date = sim_keep(row->replacement_date);
	copy->apple_word = sim_keep(row->apple_word);
	sim_add(t, OP_REPLACEMENT_PUT)->in = copy;
}

unsigned store_replacement_due(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit)
{
	struct sim_op *op = sim_add(t, OP_REPLACEMENTS);

	(void)tenant_id;
	op->number = now_us;
	op->other = limit;
	return sim_added(t);
}

unsigned store_replacement_next(struct pg_transaction *t, int64_t tenant_id)
{
	return store_replacement_due(t, tenant_id, INSTANT_NONE, 0);
}

int64_t store_replacement_next_read(const struct pg_transaction *t, unsigned statement)
{
	return sim_number_of(t, statement);
}

void store_replacement_read(const struct pg_transaction *t, unsigned statement, size_t row, struct replacement_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

// --- the end ---

const char *sim_routes_unfinished(const struct sim_tenant *tenant)
{
	for (size_t i = 0; i < SIM_DEVICES; i++) {
		const struct sim_replacement *replacement = replacement_of(tenant, i);

		if (tenant->devices[i].rerouted) {
			return "a device is to be decided about once more";
		}
		if (replacement->is_noted && replacement->row.ask_at_us != INSTANT_NONE && replacement->row.attempts == 0) {
			return "nobody has asked which device one replaces";
		}
	}
	return NULL;
}

void sim_routes_begin(void)
{
	replaced = sim_take((size_t)sim.shape->tenants * sizeof *replaced);
}
