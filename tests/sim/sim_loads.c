// SPDX-License-Identifier: Apache-2.0
//
// sim_loads.c - a client is taken, and read: what a run knows of it from then on.
#include "sim/sim_transaction.h"

#include "store/run_row.h"

#include <stdlib.h>
#include <string.h>

// What a run knows from now on: laws about what it does compare with it.
static void note_load(struct sim_life *life, struct sim_tenant *tenant)
{
	const size_t at = (size_t)tenant->id - 1;

	life->loaded[at].epoch = tenant->stream.epoch;
	life->loaded[at].config = tenant->stream.config_version;
	life->loaded[at].route = tenant->route;
	for (int i = 0; i < SIM_INSTANCES; i++) {
		life->loaded[at].version[i + 1] = tenant->instances[i].version;
	}
	life->loaded[at].active = tenant->active;
	life->loaded[at].guard_is_over = tenant->active && sim_guard_any_is_over(tenant);
	life->loaded[at].stale_calls = 0;
	sim_wait_loaded(tenant);
}

// Drawn, as it were: none comes again.
int64_t sim_new_load_id(void)
{
	return ++sim.load_ids;
}

void sim_read_stream(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct stream_row row = tenant->stream;

	row.sync.has_cursor = row.cursor.length > 0;
	row.now_us = sim.now_us;
	sim_answer_row(op, &row, sizeof row);
}

void sim_take_news(struct sim_op *op, struct sim_tenant *tenant)
{
	if (tenant->has_news && text_equal(tenant->stream.owner, op->text)) {
		tenant->has_news = false;
		tenant->stream.load_id = sim_new_load_id();
	}
	op->number = tenant->stream.load_id;
	op->out_count = 1;
}

void sim_take_stream(struct sim_transaction *transaction, struct sim_op *op, struct sim_tenant *tenant)
{
	struct stream_row *stream = &tenant->stream;

	if (stream->owner.length > 0 && !text_equal(stream->owner, op->text) && sim_is_alive(stream->owner)) {
		return;
	}
	LAW(tenant->crash_count < CRASHES_MAX || transaction->life->loaded[tenant->id - 1].claimed_at_us < tenant->crashes_us[0],
		"client %lld runs again after %zu crashes", (long long)tenant->id, tenant->crash_count);
	stream->epoch++;
	stream->owner = op->text;
	stream->run_started_at_us = sim.now_us;
	stream->run_pages = 0;
	stream->run_devices = 0;
	tenant->owner_life = transaction->life->number;
	note_load(transaction->life, tenant);
	sim_read_stream(op, tenant);
}

void sim_take_due_stream(struct sim_transaction *transaction, struct sim_op *op, struct sim_tenant *tenant)
{
	if (tenant->active && tenant->due_at_us <= sim.now_us && tenant->crash_count == 0 &&
		(text_equal(tenant->claimed_by, op->text) || !sim_is_alive(tenant->claimed_by))) {
		sim_take_stream(transaction, op, tenant);
		if (op->out_count > 0) {
			transaction->life->loaded[tenant->id - 1].claimed_at_us = sim.now_us;
			tenant->claimed_by = op->text;
			tenant->due_at_us = sim.now_us + FORGOTTEN_AFTER_S * SECOND_US;
			sim_due_changed();
		}
	}
}

// What this transaction has claimed. Some are locked by somebody.
void sim_take_claimed(struct sim_transaction *transaction, struct sim_op *op)
{
	struct taken_row *rows = sim_answer_rows(op, (size_t)sim.shape->tenants, sizeof *rows);

	op->out_count = 0;
	for (int i = 0; i < sim.shape->tenants; i++) {
		struct sim_tenant *tenant = &sim.tenants[i];

		if (tenant->due_at_us == sim.now_us + FORGOTTEN_AFTER_S * SECOND_US && text_equal(tenant->claimed_by, op->text) &&
			tenant->crash_count == 0 && tenant->stream.owner.length == 0 && !tenant->has_news && !sim_chance(LOCKED_PERCENT)) {
			struct sim_op take = { .kind = OP_STREAM_TAKE, .text = op->text };

			sim_take_stream(transaction, &take, tenant);
			rows[op->out_count++] = (struct taken_row){ *(const struct stream_row *)take.out, tenant->id };
			free(take.out);
		}
	}
}

static void read_webhook_secrets(struct secret_row *rows, struct sim_op *op, const struct sim_tenant *tenant)
{
	for (int64_t i = 1; i <= SIM_INSTANCES; i++) {
		rows[op->out_count++] = (struct secret_row){ SECRET_WEBHOOK, i, 1, TEXT("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="),
			tenant->instances[i - 1] };
	}
}

void sim_read_secrets(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct secret_row *rows = sim_answer_rows(op, SIM_INSTANCES + 2, sizeof *rows);

	op->out_count = 0;
	if (op->number == SECRET_WEBHOOK) {
		read_webhook_secrets(rows, op, tenant);
		return;
	}
	rows[op->out_count++] = (struct secret_row){ SECRET_SERVER_TOKEN, tenant->token_id, 1,
		TEXT("{\"consumer_key\":\"CK_1\",\"consumer_secret\":\"CS_1\","
			"\"access_token\":\"AT_1\",\"access_secret\":\"AS_1\",\"access_token_expiry\":\"2028-01-01T00:00:00Z\"}"), { 0 } };
	if (tenant->session.length > 0) {
		rows[op->out_count++] = (struct secret_row){ SECRET_APPLE_SESSION, tenant->token_id, tenant->session_version, tenant->session, { 0 } };
	}
}

bool sim_has_pending(const struct sim_tenant *tenant, const struct position_row *position)
{
	return tenant->newest[position - tenant->positions] > position->acked_seq;
}

void sim_read_positions(struct sim_op *op, const struct sim_tenant *tenant)
{
	struct position_row *rows = sim_answer_rows(op, SIM_LANES, sizeof *rows);

	memcpy(rows, tenant->positions, SIM_LANES * sizeof *rows);
	for (size_t i = 0; i < SIM_LANES; i++) {
		rows[i].pending = sim_has_pending(tenant, &tenant->positions[i]);
	}
}

static struct text open_alerts(const struct sim_tenant *tenant)
{
	struct buffer names CLEANUP(buffer_fini) = BUFFER(ALERT_KINDS * 40);

	for (enum alert_kind kind = 0; kind < ALERT_KINDS; kind++) {
		if (tenant->alerts[kind]) {
			buffer_add_string(&names, names.length > 0 ? "," : "");
			buffer_add_string(&names, alert_name(kind));
		}
	}
	return sim_keep(buffer_text(&names));
}

void sim_read_run_row(struct sim_op *op, const struct sim_tenant *tenant)
{
	const struct run_row row = {
		.tenant = {
			.tenant_id = tenant->id,
			.state = tenant->active ? TEXT("active") : tenant->quarantined ? TEXT("quarantined") : TEXT("paused"),
			.server_uuid = text_of(tenant->server_uuid),
			.brake_devices = SIM_BRAKE_DEVICES,
			.brake_percent = SIM_BRAKE_PERCENT,
		},
		.status = {
			.token_state = tenant->token_state,
			.event_seq = tenant->counted_seq,
			.announced_seq = tenant->announced_seq,
			.told_token_id = tenant->told_token_id,
			.told_days = tenant->told_days,
		},
		.token = { .token_id = tenant->token_id },
		.rules = { .version = tenant->stream.rules_version, .document = sim_rules_document(tenant->route.rules) },
		.next_assign_us = sim_next_assign(tenant),
		.open_alerts = open_alerts(tenant),
		.incarnation = 1,
	};

	sim_answer_row(op, &row, sizeof row);
}

void sim_read_profiles(struct sim_op *op, const struct sim_tenant *tenant)
{
	memcpy(sim_answer_rows(op, tenant->profile_count, sizeof *tenant->profiles), tenant->profiles,
		tenant->profile_count * sizeof *tenant->profiles);
}
