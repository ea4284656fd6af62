// SPDX-License-Identifier: Apache-2.0
#include "worker/tell.h"

#include "depbroker/log.h"
#include "store/alerts.h"
#include "worker/wanted_profile.h"

#include <inttypes.h>
#include <stdio.h>

enum { DETAIL_MAX = 400, JSON_MAX = 4096, FAILURES_TOLD = 3, USUAL_INTERVAL_S = 1800 };

// The first one; NULL: none.
static const struct tenant_endpoint *disabled_endpoint(const struct tenant *tenant)
{
	for (size_t i = 0; i < tenant->endpoint_count; i++) {
		if (tenant->endpoints[i].disabled_reason.length > 0) {
			return &tenant->endpoints[i];
		}
	}
	return NULL;
}

static void describe(char out[DETAIL_MAX + 1], enum alert_kind kind, const struct tenant *tenant, const struct token_facts *facts)
{
	char when[INSTANT_TEXT_SIZE];

	switch (kind) {
	case ALERT_TOKEN_EXPIRING:
		(void)snprintf(out, DETAIL_MAX + 1, "The server token expires in %" PRId64 " days, at %s.",
			token_days_left(facts->expires_at_us, tenant_now_us(tenant)), instant_format(when, facts->expires_at_us, false));
		break;
	case ALERT_TOKEN_EXPIRED:
		(void)snprintf(out, DETAIL_MAX + 1, "The server token expired at %s.", instant_format(when, facts->expires_at_us, false));
		break;
	case ALERT_TOKEN_REJECTED:
		(void)snprintf(out, DETAIL_MAX + 1, "Apple refuses the server token (%s).", tenant->apple_error);
		break;
	case ALERT_TERMS_UNSIGNED:
		(void)snprintf(out, DETAIL_MAX + 1, "The client's administrator has not accepted Apple's new terms yet.");
		break;
	case ALERT_SYNC_FAILING:
	case ALERT_QUARANTINED: (void)snprintf(out, DETAIL_MAX + 1, "%s", tenant->error_text); break;
	case ALERT_PROFILE_UNUSABLE:
		(void)snprintf(out, DETAIL_MAX + 1, "%s", wanted_profile_unusable(tenant)->why);
		break;
	case ALERT_PROFILE_UNDEFINED:
		(void)snprintf(out, DETAIL_MAX + 1, "The same profile was defined %" PRId64 " times, and no answer came. It is tried more and more rarely, at last once a day.",
			wanted_profile_undefined(tenant)->attempts);
		break;
	case ALERT_PROFILE_DRIFTED:
		(void)snprintf(out, DETAIL_MAX + 1, "Apple has the profile %s otherwise than it was meant. GET .../instances/{instance}/profile shows it.",
			wanted_profile_drifting(tenant)->uuid);
		break;
	case ALERT_ENDPOINT_DISABLED:
		(void)snprintf(out, DETAIL_MAX + 1, "Endpoint %" PRId64 " is sent nothing any more: %.*s. Nothing is lost; POST .../endpoints/%" PRId64
			"/enable goes on where it was.", disabled_endpoint(tenant)->endpoint_id, TEXT_ARGS(disabled_endpoint(tenant)->disabled_reason),
			disabled_endpoint(tenant)->endpoint_id);
		break;
	case ALERT_TOKEN_RENEWED:
		(void)snprintf(out, DETAIL_MAX + 1, "The client's administrator renewed the server token by a link.");
		break;
	case ALERT_ADMIN_CHANGED:
		(void)snprintf(out, DETAIL_MAX + 1, "The server token is of another administrator at Apple now: %.*s.", TEXT_ARGS(tenant->admin_id));
		break;
	case ALERT_TOKEN_REFUSED: (void)snprintf(out, DETAIL_MAX + 1, "%s", tenant->refused_text); break;
	case ALERT_KINDS: break;
	}
}

static struct text event_json(struct tenant *tenant, enum alert_kind kind, int days, struct text detail)
{
	struct buffer json CLEANUP(buffer_fini) = BUFFER(JSON_MAX);

	buffer_add_string(&json, "{\"text\":");
	buffer_add_json(&json, detail);
	if (kind == ALERT_TOKEN_EXPIRING) {
		buffer_add_format(&json, ",\"days\":%d", days);
	}
	buffer_add_string(&json, "}");
	return (struct text){ tenant_scratch_copy(tenant, buffer_text(&json)), json.length };
}

static void add_raised(struct tell *tell, struct tenant *tenant, enum alert_kind kind, const struct token_facts *facts)
{
	char detail[DETAIL_MAX + 1] = "";

	describe(detail, kind, tenant, facts);
	tell->details[kind] = text_of(tenant_scratch_copy(tenant, text_of(detail)));
	log_event(LOG_WARNING, "alert.raised", LOG_STRING("tenant", tenant->slug), LOG_STRING("kind", alert_name(kind)),
		LOG_STRING("detail", detail));
	if (tenant_is_everybody(tenant)) {
		return; // in its log are alerts, this one, too
	}
	tell->events[tell->event_count] = (struct stored_event){
		.event = {
			.seq = tenant->stream.event_seq + 1 + (int64_t)tell->event_count,
			.at_us = tenant_now_us(tenant),
			.type = alert_event(kind),
			.device_json = event_json(tenant, kind, tell->outcome.next.days, tell->details[kind]),
		},
	};
	tell->event_count++;
}

struct text tell_token_state(const struct tenant *tenant)
{
	switch (tenant->reason) {
	case SYNC_REASON_UP_TO_DATE: return TEXT("active");
	case SYNC_REASON_TOKEN_DEAD: return TEXT("rejected");
	case SYNC_REASON_TERMS: return TEXT("terms_unsigned");
	case SYNC_REASON_NONE:
	case SYNC_REASON_STUCK_CURSOR:
	case SYNC_REASON_EXHAUSTED_CURSOR:
	case SYNC_REASON_CURSOR_LOST_TWICE:
	case SYNC_REASON_PAGE_LIMIT:
	case SYNC_REASON_IDENTITY:
	case SYNC_REASON_THROTTLED:
	case SYNC_REASON_BACKOFF:
	case SYNC_REASON_HELD_BACK:
	case SYNC_REASON_INTERRUPTED: break;
	}
	return TEXT_NONE;
}

static struct token_facts facts_now(const struct tenant *tenant)
{
	struct token_facts facts = tenant->token_facts;
	const struct text state = tell_token_state(tenant);

	if (state.length > 0) {
		facts.word = text_equal(state, TEXT("rejected")) ? TOKEN_WORD_REJECTED
			: text_equal(state, TEXT("terms_unsigned")) ? TOKEN_WORD_TERMS : TOKEN_WORD_GOOD;
	}
	return facts;
}

// Three times in a row, or for longer than one interval that should have brought a sync.
static bool sync_fails(const struct tenant *tenant)
{
	const struct stream_row *stream = &tenant->stream;
	const int64_t interval_us = (tenant->settings.interval_s > 0 ? tenant->settings.interval_s : USUAL_INTERVAL_S) * SECOND_US;
	const bool is_late = stream->synced_at_us != INSTANT_NONE && tenant_now_us(tenant) > stream->synced_at_us + 2 * interval_us;

	switch (tenant->reason) {
	case SYNC_REASON_BACKOFF:
	case SYNC_REASON_THROTTLED: return stream->sync.failures >= FAILURES_TOLD || (stream->sync.failures > 0 && is_late);
	case SYNC_REASON_HELD_BACK: return is_late || tenant->told.open[ALERT_SYNC_FAILING];
	case SYNC_REASON_CURSOR_LOST_TWICE: return true;
	case SYNC_REASON_INTERRUPTED:
	case SYNC_REASON_PAGE_LIMIT: return tenant->told.open[ALERT_SYNC_FAILING];
	case SYNC_REASON_NONE:
	case SYNC_REASON_UP_TO_DATE:
	case SYNC_REASON_STUCK_CURSOR:
	case SYNC_REASON_EXHAUSTED_CURSOR:
	case SYNC_REASON_TERMS:
	case SYNC_REASON_TOKEN_DEAD:
	case SYNC_REASON_IDENTITY: break;
	}
	return false;
}

bool tell_prepare(struct tell *tell, struct tenant *tenant)
{
	const struct token_facts facts = facts_now(tenant);
	const struct alert_facts now = {
		.state = token_view(&facts, tenant_now_us(tenant)).state,
		.threshold = token_threshold(&facts, tenant_now_us(tenant)),
		.token_id = tenant->has_token ? tenant->token_id : 0,
		.renewed_by_link = text_starts_with(tenant->taken_by, TEXT("link:")),
		.admin_id = tenant->has_token ? tenant->admin_id : TEXT_NONE,
		.sync_fails = tenant->has_token && sync_fails(tenant),
		.profile_unusable = wanted_profile_unusable(tenant) != NULL,
		.profile_undefined = wanted_profile_undefined(tenant) != NULL,
		.profile_drifts = wanted_profile_drifting(tenant) != NULL,
		.endpoint_disabled = disabled_endpoint(tenant) != NULL,
		.pending_refused = tenant->pending_refused,
	};

	*tell = (struct tell){ .drop_pending = tenant->pending_refused };
	arena_reset(&tenant->scratch);
	alert_decide(&tell->outcome, &now, &tenant->told);
	for (enum alert_kind kind = 0; kind < ALERT_KINDS; kind++) {
		if (tell->outcome.raise[kind]) {
			add_raised(tell, tenant, kind, &facts);
		}
	}
	return tell->outcome.changed || tenant->admin_is_news;
}

void tell_build(const struct tell *tell, struct tenant *tenant, struct pg_transaction *t)
{
	const struct stream_fence fence = tenant_fence(tenant);
	const struct ledger_entry entry = { .kind = "told", .generation = tenant->stream.sync.generation };
	const struct alert_told *next = &tell->outcome.next;

	for (enum alert_kind kind = 0; kind < ALERT_KINDS; kind++) {
		if (tell->outcome.raise[kind]) {
			(void)store_alert_raise(t, fence.tenant_id, text_of(alert_name(kind)), tell->details[kind]);
		} else if (tell->outcome.clear[kind]) {
			(void)store_alert_clear(t, fence.tenant_id, text_of(alert_name(kind)));
		}
	}
	if (tell->event_count > 0) {
		(void)store_event_insert(t, fence.tenant_id, tell->events, tell->event_count);
		(void)store_ledger_insert(t, &fence, (int64_t)tell->event_count, &entry);
	}
	if (tell->drop_pending) {
		store_pending_drop(t, fence.tenant_id, tenant->pending.token_id);
	}
	if (tenant->admin_is_news) {
		(void)store_token_set_admin(t, fence.tenant_id, tenant->token_id, tenant->admin_id);
	}
	(void)store_tenant_status_told(t, fence.tenant_id, next->token_id, next->days, next->admin_id);
}

void tell_done(const struct tell *tell, struct tenant *tenant)
{
	tenant->told = tell->outcome.next;
	tenant->admin_is_news = false;
	if (tell->drop_pending) {
		server_token_fini(&tenant->pending_token);
		tenant->has_pending = false;
		tenant->pending_refused = false;
	}
}
