// SPDX-License-Identifier: Apache-2.0
#include "tenants/ruleset_inner.h"

#include <assert.h>
#include <stdlib.h>

struct ruleset_preview {
	const struct ruleset *before, *after;
	struct arena arena; // serial numbers
	struct ruleset_move *moves;
	size_t move_count, move_capacity;
	struct ruleset_moved_device *moved;
	size_t moved_count, moved_capacity;
	size_t device_count;
	size_t *hits;
};

struct ruleset_preview *ruleset_preview_new(const struct ruleset *before, const struct ruleset *after)
{
	struct ruleset_preview *preview = allocate(sizeof *preview);

	assert((before == NULL || ruleset_is_valid(before)) && ruleset_is_valid(after));
	*preview = (struct ruleset_preview){ .before = before, .after = after, .arena = ARENA(SIZE_MAX / 2) };
	preview->hits = allocate_array(after->rule_count + 1, sizeof *preview->hits);
	return preview;
}

void ruleset_preview_free(struct ruleset_preview *preview)
{
	if (preview != NULL) {
		arena_fini(&preview->arena);
		free(preview->moves);
		free(preview->moved);
		free(preview->hits);
		free(preview);
	}
}

static void *make_room(void *list, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity) {
		return list;
	}
	*capacity = *capacity == 0 ? 16 : *capacity * 2;
	return reallocate(list, *capacity * size);
}

static size_t move_of(struct ruleset_preview *preview, int64_t from, int64_t to)
{
	size_t at = 0;

	while (at < preview->move_count &&
		(preview->moves[at].from_instance_id != from || preview->moves[at].to_instance_id != to)) {
		at++;
	}
	if (at == preview->move_count) {
		preview->moves = make_room(preview->moves, at, &preview->move_capacity, sizeof *preview->moves);
		preview->moves[preview->move_count++] = (struct ruleset_move){ from, to, 0 };
	}
	return at;
}

static struct text copy_of(struct ruleset_preview *preview, struct text text)
{
	char *copy = arena_copy(&preview->arena, text);

	assert(copy != NULL);
	return (struct text){ copy, text.length };
}

static struct ruleset_target decide_before(const struct ruleset_preview *preview, const struct ruleset_device *device)
{
	if (preview->before != NULL) {
		return ruleset_decide(preview->before, device);
	}
	if (device->is_pinned || device->guard_reason.length > 0) {
		return ruleset_decide(preview->after, device);
	}
	return (struct ruleset_target){
		.decider = RULESET_BY_OTHERWISE, .rule = RULESET_NO_RULE, .hold_reason = TEXT("no rule chose an instance"),
	};
}

void ruleset_preview_add(struct ruleset_preview *preview, const struct ruleset_device *device)
{
	ruleset_preview_add_changed(preview, device, device);
}

void ruleset_preview_add_changed(struct ruleset_preview *preview, const struct ruleset_device *old_device, const struct ruleset_device *device)
{
	const struct ruleset_target before = decide_before(preview, old_device);
	const struct ruleset_target after = ruleset_decide(preview->after, device);

	preview->device_count++;
	if (after.rule != RULESET_NO_RULE) {
		preview->hits[after.rule]++;
	}
	if (ruleset_target_equal(&before, &after)) {
		return;
	}
	const size_t move = move_of(preview, before.instance_id, after.instance_id);

	preview->moves[move].count++;
	preview->moved = make_room(preview->moved, preview->moved_count, &preview->moved_capacity, sizeof *preview->moved);
	preview->moved[preview->moved_count++] =
		(struct ruleset_moved_device){ copy_of(preview, device->apple->serial_number), move, before.rule, after.rule };
}

size_t ruleset_preview_devices(const struct ruleset_preview *preview)
{
	return preview->device_count;
}

const struct ruleset_move *ruleset_preview_moves(const struct ruleset_preview *preview, size_t *count)
{
	*count = preview->move_count;
	return preview->moves;
}

const struct ruleset_moved_device *ruleset_preview_moved(const struct ruleset_preview *preview, size_t *count)
{
	*count = preview->moved_count;
	return preview->moved;
}

size_t ruleset_preview_hits(const struct ruleset_preview *preview, size_t rule)
{
	assert(rule <= preview->after->rule_count);
	return preview->hits[rule];
}
