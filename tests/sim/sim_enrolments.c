// SPDX-License-Identifier: Apache-2.0
//
// sim_enrolments.c - what MDM servers tell of enrolments: the inbox as the API fills it, the rows that the owner makes of it (store/enrolments.h),
// and what must be true of them. A device has the same enrolment id wherever it enrols.
#include "sim/sim_transaction.h"

#include "store/enrolments.h"

#include <assert.h>
#include <string.h>

enum { MESSAGES_MAX = 400, NEWS_AT_ONCE = 4 };

struct message {
	struct enrolment_message message;
	size_t device;
	bool is_done;
};

struct known { // a row of enrolments
	bool is_there;
	struct enrolment_row row;
};

static struct inbox { // of a client
	struct message messages[MESSAGES_MAX]; // [message_id - 1]
	size_t count, first_waiting;
	struct known known[SIM_INSTANCES + 1][SIM_DEVICES];
	bool alert; // that devices enrol where they are not wanted
} *inboxes;

static struct inbox *inbox_of(const struct sim_tenant *tenant)
{
	return &inboxes[tenant->id - 1];
}

static bool is_live(enum enrolment_state state)
{
	return state == ENROLMENT_ENROLLING || state == ENROLMENT_ENROLLED;
}

// The client has the device, and wants it at another instance than this one.
static bool is_wanted_elsewhere(const struct sim_tenant *tenant, size_t device, int64_t instance_id)
{
	const struct sim_device *row = &tenant->devices[device];

	return row->used && row->row.gone_at_us == INSTANT_NONE && row->row.instance_id != 0 && row->row.instance_id != instance_id;
}

// --- the API's side ---

static void hear(struct sim_tenant *tenant, size_t device, int64_t instance_id, enum enrolment_word word)
{
	struct inbox *inbox = inbox_of(tenant);
	const struct known *known = &inbox->known[instance_id][device];
	const int64_t at_us = sim.now_us - (sim_chance(30) ? sim_between(0, HOUR_US) : 0);

	if (inbox->count == MESSAGES_MAX) {
		return;
	}
	inbox->messages[inbox->count] = (struct message){
		.message = { .message_id = (int64_t)inbox->count + 1, .instance_id = instance_id, .enrolment_id = sim_numbered('U', (int64_t)device),
			.serial_number = tenant->serials[device], .word = word, .at_us = at_us },
		.device = device,
	};
	inbox->count++;
	if (word != ENROLMENT_WORD_CHECK_OUT && is_wanted_elsewhere(tenant, device, instance_id) &&
		(!known->is_there || (at_us > known->row.enrolment.at_us && !known->row.enrolment.is_misrouted))) {
		inbox->alert = true;
	}
	sim_trace("tells", tenant->id * 100 + (int64_t)device, instance_id, word);
}

// One device, at one instance or at several; in the order in which it happens, or not.
void sim_enrolments_fault(struct sim_tenant *tenant)
{
	const size_t device = (size_t)sim_between(0, SIM_DEVICES - 1);
	const int64_t count = sim_between(1, NEWS_AT_ONCE);
	int64_t instance_id = sim_between(1, SIM_INSTANCES);

	for (int64_t i = 0; i < count; i++) {
		hear(tenant, device, instance_id, (enum enrolment_word)sim_between(ENROLMENT_WORD_AUTHENTICATE, ENROLMENT_WORD_CHECK_OUT));
		instance_id = sim_chance(30) ? sim_between(1, SIM_INSTANCES) : instance_id;
	}
	sim_wake(tenant);
}

// --- reads ---

static void skip_done(struct inbox *inbox)
{
	while (inbox->first_waiting < inbox->count && inbox->messages[inbox->first_waiting].is_done) {
		inbox->first_waiting++;
	}
}

static struct known *nth(struct inbox *inbox, size_t n)
{
	return &inbox->known[1 + n / SIM_DEVICES][n % SIM_DEVICES];
}

static void read_work(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct inbox *inbox = inbox_of(tenant);
	struct enrolment_work *work = sim_answer_rows(op, 1, sizeof *work);

	skip_done(inbox);
	*work = (struct enrolment_work){ .heard = inbox->first_waiting < inbox->count, .next_due_us = INSTANT_NONE };
	for (size_t i = 0; i < SIM_INSTANCES * SIM_DEVICES; i++) {
		const struct enrolment *enrolment = &nth(inbox, i)->row.enrolment;

		work->unsettled = work->unsettled || enrolment->is_orphan || enrolment->is_misrouted;
	}
}

static void read_heard(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct inbox *inbox = inbox_of(tenant);
	struct heard_row *rows = sim_answer_rows(op, SIM_DEVICES, sizeof *rows);
	bool taken[SIM_DEVICES] = { false };

	op->out_count = 0;
	skip_done(inbox);
	for (size_t i = inbox->first_waiting; i < inbox->count; i++) {
		const struct message *message = &inbox->messages[i];
		const struct known *known = &inbox->known[message->message.instance_id][message->device];

		if (!message->is_done && !taken[message->device]) {
			taken[message->device] = true;
			rows[op->out_count++] = (struct heard_row){ message->message, known->is_there, known->row };
		}
	}
}

static bool is_to_settle(const struct sim_tenant *tenant, const struct known *known, size_t device)
{
	const struct sim_device *row = &tenant->devices[device];
	const bool is_present = row->used && row->row.gone_at_us == INSTANT_NONE;

	return known->is_there && ((known->row.enrolment.is_orphan && is_present) ||
		(!known->row.enrolment.is_orphan && known->row.enrolment.is_misrouted && !is_wanted_elsewhere(tenant, device, known->row.instance_id)));
}

static void read_to_settle(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct inbox *inbox = inbox_of(tenant);
	struct enrolment_row *rows = sim_answer_rows(op, SIM_INSTANCES * SIM_DEVICES, sizeof *rows);

	op->out_count = 0;
	for (size_t i = 0; i < SIM_INSTANCES * SIM_DEVICES; i++) {
		if (is_to_settle(tenant, nth(inbox, i), i % SIM_DEVICES)) {
			rows[op->out_count++] = nth(inbox, i)->row;
		}
	}
}

// --- writes, and their laws ---

static const struct sim_op *find(const struct sim_transaction *transaction, enum op_kind kind)
{
	for (size_t i = 0; i < transaction->count; i++) {
		if (transaction->ops[i].kind == kind) {
			return &transaction->ops[i];
		}
	}
	return NULL;
}

// That this transaction is about.
static const struct message *message_of(const struct sim_transaction *transaction, const struct inbox *inbox, int64_t instance_id, size_t device)
{
	const struct sim_op *done = find(transaction, OP_ENROLMENT_DONE);

	for (size_t i = 0; done != NULL && i < done->in_count; i++) {
		const struct message *message = &inbox->messages[((const int64_t *)done->in)[i] - 1];

		if (message->device == device && message->message.instance_id == instance_id) {
			return message;
		}
	}
	return NULL;
}

static enum enrolment_state said(enum enrolment_word word)
{
	return word == ENROLMENT_WORD_AUTHENTICATE ? ENROLMENT_ENROLLING
		: word == ENROLMENT_WORD_TOKEN_UPDATE ? ENROLMENT_ENROLLED : ENROLMENT_UNENROLLED;
}

static void check_row(const struct sim_transaction *transaction, const struct sim_tenant *tenant, const struct enrolment_row *row, size_t device)
{
	const struct inbox *inbox = inbox_of(tenant);
	const struct known *before = &inbox->known[row->instance_id][device];
	const struct message *message = message_of(transaction, inbox, row->instance_id, device);
	const bool elsewhere = is_live(row->enrolment.state) && is_wanted_elsewhere(tenant, device, row->instance_id);

	LAW(message != NULL || (before->is_there && row->enrolment.state == before->row.enrolment.state),
		"device %.*s changes at instance %lld, and nobody told of it", TEXT_ARGS(row->serial_number), (long long)row->instance_id);
	if (message == NULL) {
		LAW(!row->enrolment.is_misrouted || elsewhere, "device %.*s is where it is wanted, and counts as misrouted", TEXT_ARGS(row->serial_number));
		return;
	}
	LAW(!before->is_there || message->message.at_us > before->row.enrolment.at_us, "device %.*s takes old news for new ones",
		TEXT_ARGS(row->serial_number));
	LAW(row->enrolment.state == said(message->message.word) && row->enrolment.at_us == message->message.at_us,
		"device %.*s is told to be %d, and becomes %d", TEXT_ARGS(row->serial_number), said(message->message.word), row->enrolment.state);
	LAW(row->enrolment.is_misrouted == elsewhere, "device %.*s enrols at %lld, is wanted at %lld, and that is%s told", TEXT_ARGS(row->serial_number),
		(long long)row->instance_id, (long long)tenant->devices[device].row.instance_id, row->enrolment.is_misrouted ? "" : " not");
}

static size_t count_misrouted_told(const struct sim_transaction *transaction, struct text serial)
{
	const struct sim_op *inserted = find(transaction, OP_EVENT_INSERT);
	size_t told = 0;

	for (size_t i = 0; inserted != NULL && i < inserted->in_count; i++) {
		const struct event_row *event = &((const struct stored_event *)inserted->in)[i].event;

		told += event->type == EVENT_DEVICE_MISROUTED && text_equal(event->serial_number, serial);
	}
	return told;
}

// What an MDM server tells changes no device; a misroute is told once, when it shows.
static void put(const struct sim_transaction *transaction, const struct sim_op *op, struct sim_tenant *tenant)
{
	const struct enrolment_row *rows = op->in;
	size_t misrouted[SIM_DEVICES] = { 0 };

	LAW(find(transaction, OP_DEVICE_PUT) == NULL, "client %lld: a device changes by what an MDM server tells", (long long)tenant->id);
	for (size_t i = 0; i < op->in_count; i++) {
		const int64_t device = sim_device_of(tenant, rows[i].serial_number);
		struct known *known;

		LAW(device >= 0, "client %lld hears of device %.*s", (long long)tenant->id, TEXT_ARGS(rows[i].serial_number));
		check_row(transaction, tenant, &rows[i], (size_t)device);
		known = &inbox_of(tenant)->known[rows[i].instance_id][device];
		misrouted[device] += rows[i].enrolment.is_misrouted && !known->row.enrolment.is_misrouted;
		*known = (struct known){ true, rows[i] };
		sim_trace("enrolment", tenant->id * 100 + device, rows[i].instance_id, rows[i].enrolment.state);
	}
	for (size_t i = 0; i < SIM_DEVICES; i++) {
		LAW(count_misrouted_told(transaction, tenant->serials[i]) == misrouted[i], "device %.*s is misrouted %zu times, and that is told %zu times",
			TEXT_ARGS(tenant->serials[i]), misrouted[i], count_misrouted_told(transaction, tenant->serials[i]));
	}
}

static void supersede(const struct sim_op *op, struct sim_tenant *tenant)
{
	const struct enrolment_row *rows = op->in;

	for (size_t i = 0; i < op->in_count; i++) {
		const int64_t device = sim_device_of(tenant, rows[i].serial_number);

		for (int64_t instance_id = 1; instance_id <= SIM_INSTANCES; instance_id++) {
			struct enrolment *other = &inbox_of(tenant)->known[instance_id][device].row.enrolment;

			if (instance_id != rows[i].instance_id && inbox_of(tenant)->known[instance_id][device].is_there &&
				other->at_us < rows[i].enrolment.at_us && other->state != ENROLMENT_UNENROLLED) {
				other->state = ENROLMENT_UNENROLLED;
				other->is_misrouted = false;
			}
		}
	}
}

static void note_done(const struct sim_op *op, struct sim_tenant *tenant)
{
	const int64_t *ids = op->in;

	for (size_t i = 0; i < op->in_count; i++) {
		struct message *message = &inbox_of(tenant)->messages[ids[i] - 1];

		LAW(!message->is_done, "client %lld: message %lld is taken twice", (long long)tenant->id, (long long)ids[i]);
		message->is_done = true;
	}
}

static bool any_misrouted(const struct sim_tenant *tenant)
{
	for (size_t i = 0; i < SIM_INSTANCES * SIM_DEVICES; i++) {
		const struct known *known = nth(inbox_of(tenant), i);
		const struct sim_device *row = &tenant->devices[i % SIM_DEVICES];

		if (known->is_there && known->row.enrolment.is_misrouted && is_live(known->row.enrolment.state) && row->used && row->row.instance_id != 0) {
			return true;
		}
	}
	return false;
}

void sim_enrolments_execute(struct sim_transaction *transaction, struct sim_op *op, struct sim_tenant *tenant)
{
	static void (*const reads[])(struct sim_op *op, const struct sim_tenant *tenant) = {
		[OP_ENROLMENT_WORK] = read_work, [OP_ENROLMENT_HEARD] = read_heard, [OP_ENROLMENT_TO_SETTLE] = read_to_settle,
	};

	if (op->kind <= OP_ENROLMENT_TO_SETTLE) {
		reads[op->kind](op, tenant);
	} else if (op->kind == OP_ENROLMENT_PUT) {
		put(transaction, op, tenant);
	} else if (op->kind == OP_ENROLMENT_SUPERSEDE) {
		supersede(op, tenant);
	} else if (op->kind == OP_ENROLMENT_DONE) {
		note_done(op, tenant);
	} else {
		inbox_of(tenant)->alert = any_misrouted(tenant);
	}
}

// --- the statements ---

unsigned store_enrolment_work(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	(void)sim_add(t, OP_ENROLMENT_WORK);
	return sim_added(t);
}

void store_enrolment_work_read(const struct pg_transaction *t, unsigned statement, struct enrolment_work *out)
{
	memcpy(out, sim_row_of(t, statement, 0), sizeof *out);
}

unsigned store_enrolment_heard(struct pg_transaction *t, int64_t tenant_id, int limit)
{
	(void)tenant_id;
	assert(limit >= SIM_DEVICES);
	(void)sim_add(t, OP_ENROLMENT_HEARD);
	return sim_added(t);
}

void store_enrolment_heard_read(const struct pg_transaction *t, unsigned statement, size_t row, struct heard_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

unsigned store_enrolment_to_settle(struct pg_transaction *t, int64_t tenant_id, int limit)
{
	(void)tenant_id;
	assert(limit >= SIM_INSTANCES * SIM_DEVICES);
	(void)sim_add(t, OP_ENROLMENT_TO_SETTLE);
	return sim_added(t);
}

void store_enrolment_read(const struct pg_transaction *t, unsigned statement, size_t row, struct enrolment_row *out)
{
	memcpy(out, sim_row_of(t, statement, row), sizeof *out);
}

static void add_rows(struct pg_transaction *t, enum op_kind kind, const struct enrolment_row *rows, size_t count)
{
	struct sim_op *op = sim_add(t, kind);
	struct enrolment_row *copies = sim_copy(rows, count, sizeof *rows);

	for (size_t i = 0; i < count; i++) {
		copies[i].instance = sim_keep(copies[i].instance);
		copies[i].enrolment_id = sim_keep(copies[i].enrolment_id);
		copies[i].serial_number = sim_keep(copies[i].serial_number);
	}
	op->in = copies;
	op->in_count = count;
}

void store_enrolment_put(struct pg_transaction *t, int64_t tenant_id, const struct enrolment_row *rows, size_t count)
{
	(void)tenant_id;
	add_rows(t, OP_ENROLMENT_PUT, rows, count);
}

void store_enrolment_supersede(struct pg_transaction *t, int64_t tenant_id, const struct enrolment_row *sole, size_t count)
{
	(void)tenant_id;
	add_rows(t, OP_ENROLMENT_SUPERSEDE, sole, count);
}

void store_enrolment_done(struct pg_transaction *t, int64_t tenant_id, const int64_t *message_ids, size_t count)
{
	struct sim_op *op = sim_add(t, OP_ENROLMENT_DONE);

	(void)tenant_id;
	op->in = sim_copy(message_ids, count, sizeof *message_ids);
	op->in_count = count;
}

void store_enrolment_review(struct pg_transaction *t, int64_t tenant_id)
{
	(void)tenant_id;
	(void)sim_add(t, OP_ENROLMENT_REVIEW);
}

// --- the end ---

// Told last, of this device at this instance; NULL: nothing was.
static const struct enrolment_message *newest(const struct inbox *inbox, int64_t instance_id, size_t device)
{
	const struct enrolment_message *newest = NULL;

	for (size_t i = 0; i < inbox->count; i++) {
		const struct enrolment_message *message = &inbox->messages[i].message;

		if (inbox->messages[i].device == device && message->instance_id == instance_id && (newest == NULL || message->at_us > newest->at_us)) {
			newest = message;
		}
	}
	return newest;
}

static const char *differs(const struct sim_tenant *tenant, int64_t instance_id, size_t device)
{
	const struct inbox *inbox = inbox_of(tenant);
	const struct enrolment *enrolment = &inbox->known[instance_id][device].row.enrolment;
	const struct enrolment_message *message = newest(inbox, instance_id, device);

	if (message == NULL) {
		return NULL;
	}
	if (enrolment->at_us != message->at_us || (enrolment->state != said(message->word) && enrolment->state != ENROLMENT_UNENROLLED)) {
		return "an enrolment is not as the MDM server told last";
	}
	return is_to_settle(tenant, &inbox->known[instance_id][device], device) ? "an enrolment is to be looked at once more" : NULL;
}

const char *sim_enrolments_unfinished(const struct sim_tenant *tenant)
{
	struct inbox *inbox = inbox_of(tenant);

	skip_done(inbox);
	if (inbox->first_waiting < inbox->count) {
		return "a message of an MDM server waits";
	}
	if (inbox->alert != any_misrouted(tenant)) {
		return "the alert about misrouted devices is not as they are";
	}
	for (size_t i = 0; i < SIM_INSTANCES * SIM_DEVICES; i++) {
		const char *difference = differs(tenant, 1 + (int64_t)(i / SIM_DEVICES), i % SIM_DEVICES);

		if (difference != NULL) {
			return difference;
		}
	}
	return NULL;
}

void sim_enrolments_begin(void)
{
	inboxes = sim_take_unset((size_t)sim.shape->tenants * sizeof *inboxes); // messages are set as they come
	for (int i = 0; i < sim.shape->tenants; i++) {
		inboxes[i].count = inboxes[i].first_waiting = 0;
		inboxes[i].alert = false;
		memset(inboxes[i].known, 0, sizeof inboxes[i].known);
	}
}
