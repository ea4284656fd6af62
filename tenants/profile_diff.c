// SPDX-License-Identifier: Apache-2.0
#include "tenants/profile_diff.h"

#include "tenants/profile_keys.h"

#include <stdlib.h>
#include <string.h>

enum { CONTENT_SIZE_MAX = 262144 };

const char *profile_difference_name(enum profile_difference_kind kind)
{
	static const char *const names[] = { "changed", "missing", "added" };

	return names[kind];
}

static enum err read_object(struct tree_value *out, struct text json, const char *whose, struct arena *arena,
	struct fault *fault)
{
	char *copy = json.length <= CONTENT_SIZE_MAX ? arena_copy(arena, json) : NULL;

	if (copy == NULL) {
		return fault_set(fault, ERR_BUDGET, "%s is too large to be compared", whose);
	}
	if (tree_value_read(out, copy, json.length, arena, fault) != OK) {
		return fault_wrap(fault, ERR_BAD_INPUT, "%s", whose);
	}
	return out->kind == TREE_OBJECT ? OK : fault_set(fault, ERR_BAD_INPUT, "%s is not a JSON object", whose);
}

static bool is_false(const struct tree_value *value)
{
	return value->kind == TREE_FALSE;
}

// Whether the value says nothing that its absence does not say.
static bool says_nothing(const struct profile_key_rule *rule, const struct tree_value *value)
{
	if (value == NULL || value->kind == TREE_NULL || rule == NULL) {
		return value == NULL || value->kind == TREE_NULL;
	}
	if (rule->type == PROFILE_KEY_REFUSED) {
		return true;
	}
	if (rule->type == PROFILE_KEY_FLAG) {
		return rule->is_on_by_default ? value->kind == TREE_TRUE : is_false(value);
	}
	return (value->kind == TREE_STRING && value->text.length == 0) ||
		(value->kind == TREE_ARRAY && value->count == 0);
}

static int compare_elements(const void *a, const void *b)
{
	const struct tree_value *x = *(const struct tree_value *const *)a, *y = *(const struct tree_value *const *)b;

	return tree_name_compare(x->text, y->text);
}

static const struct tree_value **sorted(const struct tree_value *array)
{
	const struct tree_value **elements = allocate_array(array->count + 1, sizeof *elements);

	for (size_t i = 0; i < array->count; i++) {
		elements[i] = &array->members[i].value;
	}
	qsort(elements, array->count, sizeof *elements, compare_elements);
	return elements;
}

static bool have_equal_elements(const struct tree_value *a, const struct tree_value *b)
{
	const struct tree_value **x, **y;
	bool equal = a->count == b->count;

	if (!equal) {
		return false;
	}
	x = sorted(a);
	y = sorted(b);
	for (size_t i = 0; i < a->count && equal; i++) {
		equal = tree_value_equal(x[i], y[i]);
	}
	free(x);
	free(y);
	return equal;
}

static bool is_equal(const struct profile_key_rule *rule, const struct tree_value *meant, const struct tree_value *found)
{
	const bool nothing_meant = says_nothing(rule, meant), nothing_found = says_nothing(rule, found);

	if (nothing_meant || nothing_found) {
		return nothing_meant == nothing_found;
	}
	return tree_value_equal(meant, found) || (rule != NULL && meant->kind == TREE_ARRAY &&
		found->kind == TREE_ARRAY && have_equal_elements(meant, found));
}

static enum err written(struct text *out, const struct tree_value *value, struct arena *arena, struct fault *fault)
{
	struct buffer json CLEANUP(buffer_fini) = BUFFER(2 * CONTENT_SIZE_MAX);

	*out = TEXT_NONE;
	if (value == NULL) {
		return OK;
	}
	tree_value_write(&json, value);
	out->bytes = json.overflow ? NULL : arena_copy(arena, buffer_text(&json));
	out->length = json.length;
	return out->bytes != NULL ? OK : fault_set(fault, ERR_BUDGET, "the profiles are too large to be compared");
}

static enum err compare(struct profile_differences *out, struct text name, const struct tree_value *meant,
	const struct tree_value *found, struct arena *arena, struct fault *fault)
{
	const struct profile_key_rule *rule = profile_key_rule_find(name);
	struct profile_difference *difference = &out->items[out->count];

	if (is_equal(rule, meant, found)) {
		return OK;
	}
	*difference = (struct profile_difference){ .name = name };
	difference->kind = meant == NULL ? PROFILE_DIFFERENCE_ADDED
		: found == NULL ? PROFILE_DIFFERENCE_MISSING : PROFILE_DIFFERENCE_CHANGED;
	difference->is_drift = rule != NULL;
	TRY(written(&difference->meant, meant, arena, fault));
	TRY(written(&difference->found, found, arena, fault));
	out->count++;
	out->drift_count += difference->is_drift ? 1 : 0;
	return OK;
}

static enum err compare_objects(struct profile_differences *out, const struct tree_value *meant,
	const struct tree_value *found, struct arena *arena, struct fault *fault)
{
	size_t i = 0, j = 0;

	while (i < meant->count || j < found->count) {
		const struct tree_member *ours = i < meant->count ? &meant->members[i] : NULL;
		const struct tree_member *theirs = j < found->count ? &found->members[j] : NULL;
		const int order = ours == NULL ? 1 : theirs == NULL ? -1 : tree_name_compare(ours->name, theirs->name);

		if (order <= 0) {
			i++;
		} else {
			ours = NULL;
		}
		if (order >= 0) {
			j++;
		} else {
			theirs = NULL;
		}
		TRY(compare(out, ours != NULL ? ours->name : theirs->name, ours != NULL ? &ours->value : NULL,
			theirs != NULL ? &theirs->value : NULL, arena, fault));
	}
	return OK;
}

enum err profile_diff(struct profile_differences *out, struct text meant, struct text found, struct arena *arena,
	struct fault *fault)
{
	struct tree_value ours, theirs;

	*out = (struct profile_differences){ 0 };
	TRY(read_object(&ours, meant, "the profile that was meant", arena, fault));
	TRY(read_object(&theirs, found, "Apple's profile", arena, fault));
	out->items = arena_take(arena, (ours.count + theirs.count + 1) * sizeof *out->items);
	if (out->items == NULL) {
		return fault_set(fault, ERR_BUDGET, "the profiles are too large to be compared");
	}
	return compare_objects(out, &ours, &theirs, arena, fault);
}
