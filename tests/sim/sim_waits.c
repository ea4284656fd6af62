// SPDX-License-Identifier: Apache-2.0
//
// sim_waits.c - how long a client may wait, and must, after it has failed: counted here once more, from what Apple has answered to the run.
#include "sim/sim.h"

enum { LEAST_S = 60, MOST_S = 3600 };

int64_t sim_wait_least_us(int failures, int64_t retry_after_s)
{
	int64_t wait_s = LEAST_S;

	for (int i = 1; i < failures && wait_s < MOST_S; i++) {
		wait_s = 2 * wait_s < MOST_S ? 2 * wait_s : MOST_S;
	}
	return (retry_after_s > wait_s ? retry_after_s : wait_s) * SECOND_US;
}

void sim_wait_loaded(struct sim_tenant *tenant)
{
	tenant->failure_count = 0;
	tenant->page_heard = false;
	tenant->must_wait = false;
}

void sim_wait_asked(const struct sim_life *life, const struct sim_tenant *tenant)
{
	LAW(tenant->owner_life != life->number || !tenant->must_wait, "client %lld has failed, and asks Apple again in the same run",
		(long long)tenant->id);
}

static bool is_trouble(enum err rc)
{
	return rc == ERR_UNAVAILABLE || rc == ERR_THROTTLED || rc == ERR_TIMEOUT || rc == ERR_NETWORK || rc == ERR_BAD_ANSWER;
}

void sim_wait_heard(const struct sim_life *life, struct sim_tenant *tenant, enum err rc, int64_t retry_after_s, bool page, bool waits)
{
	if (tenant->owner_life != life->number) {
		return;
	}
	tenant->must_wait = tenant->must_wait || (waits && is_trouble(rc));
	if (rc == OK) {
		tenant->page_heard = tenant->page_heard || page;
	} else if (tenant->failure_count < SIM_FAILURES_MAX) {
		tenant->last_failure = (struct sim_failure){ sim.now_us, retry_after_s };
		tenant->failures[tenant->failure_count++] = tenant->last_failure;
		tenant->failures_heard++;
	}
}

// It was decided at some time between the failure and now: what the call was for may have had to be written first.
static bool follows_from(const struct sim_failure *failure, const struct stream_row *next, int64_t behind_us)
{
	const int64_t least_us = sim_wait_least_us(next->sync.failures, failure->retry_after_s);
	const int64_t at_us = next->sync_next_at_us + behind_us;

	return at_us >= failure->at_us + least_us && at_us <= sim.now_us + least_us + least_us / 2;
}

void sim_wait_stored(const struct sim_life *life, const struct sim_tenant *tenant, const struct stream_row *next)
{
	const int64_t behind_us = life->loaded[tenant->id - 1].behind_us;
	const int before = tenant->stream.sync.failures, after = next->sync.failures;
	bool follows = false;

	if (next->sync_next_at_us == tenant->stream.sync_next_at_us || after == 0 ||
		(!text_equal_string(next->reason, "backoff") && !text_equal_string(next->reason, "throttled"))) {
		return;
	}
	LAW(after > (tenant->page_heard ? 0 : before) && after <= before + (int)tenant->failure_count,
		"client %lld has failed %d times in a row, and %zu times in this run, and counts %d", (long long)tenant->id, before,
		tenant->failure_count, after);
	for (size_t i = 0; i < tenant->failure_count; i++) {
		follows = follows || follows_from(&tenant->failures[i], next, behind_us);
	}
	LAW(follows, "client %lld has failed %d times in a row, and asks again in %lld s", (long long)tenant->id, after,
		(long long)((next->sync_next_at_us - sim.now_us) / SECOND_US));
}
