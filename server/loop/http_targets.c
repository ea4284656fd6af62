// SPDX-License-Identifier: Apache-2.0
//
// Targets that were judged, by the origin of the URL, until they are too old.
#include "loop/http_target.h"

#include "depbroker/clock.h"

#include <stdlib.h>

struct http_targets {
	int64_t kept_ms;
	struct list buckets[HTTP_TARGET_BUCKETS];
	struct list by_age; // the oldest first
	unsigned count;
};

static struct list *bucket_of(struct http_targets *targets, struct text origin)
{
	uint32_t hash = UINT32_C(2166136261);

	for (size_t i = 0; i < origin.length; i++) {
		hash = (hash ^ (unsigned char)origin.bytes[i]) * UINT32_C(16777619);
	}
	return &targets->buckets[hash % HTTP_TARGET_BUCKETS];
}

static struct http_target *find(struct http_targets *targets, struct text origin)
{
	LIST_EACH(at, after, bucket_of(targets, origin)) {
		struct http_target *target = CONTAINER_OF(at, struct http_target, in_bucket);

		if (text_equal_string(origin, target->origin)) {
			return target;
		}
	}
	return NULL;
}

static void forget(struct http_targets *targets, struct http_target *target)
{
	list_remove(&target->in_bucket);
	list_remove(&target->by_age);
	targets->count--;
	http_target_let_go(target);
}

static bool is_old(const struct http_targets *targets, const struct http_target *target)
{
	return clock_monotonic_ms() - target->judged_at_ms >= targets->kept_ms;
}

struct http_target *http_targets_find(struct http_targets *targets, const char *url)
{
	struct http_target *target = find(targets, http_target_origin(url));

	if (target == NULL || is_old(targets, target)) {
		return NULL;
	}
	target->holders++;
	return target;
}

void http_targets_keep(struct http_targets *targets, struct http_target *target)
{
	struct http_target *former = find(targets, text_of(target->origin));

	if (former != NULL) {
		forget(targets, former);
	}
	while (!list_is_empty(&targets->by_age)) {
		struct http_target *oldest = LIST_FIRST(&targets->by_age, struct http_target, by_age);

		if (targets->count < HTTP_TARGETS_MAX && !is_old(targets, oldest)) {
			break;
		}
		forget(targets, oldest);
	}
	target->judged_at_ms = clock_monotonic_ms();
	target->holders++;
	list_add_last(bucket_of(targets, text_of(target->origin)), &target->in_bucket);
	list_add_last(&targets->by_age, &target->by_age);
	targets->count++;
}

struct http_targets *http_targets_new(int64_t kept_ms)
{
	struct http_targets *targets = allocate(sizeof *targets);

	targets->kept_ms = kept_ms;
	list_init(&targets->by_age);
	for (size_t i = 0; i < HTTP_TARGET_BUCKETS; i++) {
		list_init(&targets->buckets[i]);
	}
	return targets;
}

void http_targets_free(struct http_targets *targets)
{
	LIST_EACH(at, after, &targets->by_age) {
		forget(targets, CONTAINER_OF(at, struct http_target, by_age));
	}
	free(targets);
}
