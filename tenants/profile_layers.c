// SPDX-License-Identifier: Apache-2.0
#include "tenants/profile_layers.h"

#include <assert.h>
#include <string.h>

enum { POINTER_SIZE_MAX = 4 * PROFILE_LAYER_SIZE_MAX }; // each byte of a name may be escaped, at more than one depth

static const struct finding_kind not_json = { FINDING_ERROR, "not_json", NULL };
static const struct finding_kind bad_addition = { FINDING_ERROR, "addition", NULL };
static const struct finding_kind too_large = { FINDING_ERROR, "too_large", NULL };

static bool is_addition(struct text name)
{
	return name.length > 0 && name.bytes[name.length - 1] == '+';
}

static void add_finding(struct findings *findings, struct finding_kind kind, size_t layer, struct text name,
	const char *sentence)
{
	struct buffer pointer CLEANUP(buffer_fini) = BUFFER(POINTER_SIZE_MAX);

	finding_pointer_add(&pointer, name);
	finding_add(findings, kind, (struct finding_place){ buffer_text(&pointer), layer }, "%s", sentence);
}

// The change of this name, which is the last one if it is there at all: "key" and "key+" are not always neighbours in the
// order of names ("key", "key ", "key+"), so all are looked at.
static struct profile_change *change_of(struct profile_changes *changes, struct text name)
{
	for (size_t i = 0; i < changes->count; i++) {
		if (text_equal(changes->items[i].name, name)) {
			return &changes->items[i];
		}
	}
	changes->items[changes->count] = (struct profile_change){ .name = name };
	return &changes->items[changes->count++];
}

static enum err read_addition(struct profile_changes *out, const struct tree_member *member, size_t layer,
	struct findings *findings, struct arena *arena)
{
	const struct text name = { member->name.bytes, member->name.length - 1 };
	struct profile_change *change;

	if (name.length == 0 || is_addition(name)) {
		add_finding(findings, bad_addition, layer, member->name, "a key has at most one + at its end, and a name before it");
		return OK;
	}
	if (member->value.kind != TREE_ARRAY) {
		add_finding(findings, bad_addition, layer, member->name, "what is added with + is a list");
		return OK;
	}
	change = change_of(out, name);
	change->additions = arena_take(arena, sizeof *change->additions);
	if (change->additions == NULL) {
		return ERR_BUDGET;
	}
	change->additions[0] = (struct profile_addition){ member->value, layer };
	change->addition_count = 1;
	return OK;
}

static void read_base(struct profile_changes *out, const struct tree_member *member, size_t layer)
{
	struct profile_change *change = change_of(out, member->name);

	change->base = member->value.kind == TREE_NULL ? PROFILE_BASE_REMOVED : PROFILE_BASE_VALUE;
	change->value = member->value;
	change->layer = layer;
}

static int compare_changes(const struct profile_change *a, const struct profile_change *b)
{
	return tree_name_compare(a->name, b->name);
}

// By insertion: the names came sorted, only those with + may stand in a wrong place.
static void sort_changes(struct profile_changes *changes)
{
	for (size_t i = 1; i < changes->count; i++) {
		const struct profile_change moved = changes->items[i];
		size_t at = i;

		for (; at > 0 && compare_changes(&changes->items[at - 1], &moved) > 0; at--) {
			changes->items[at] = changes->items[at - 1];
		}
		changes->items[at] = moved;
	}
}

static enum err read_object(struct profile_changes *out, const struct tree_value *object, size_t layer,
	struct findings *findings, struct arena *arena)
{
	out->items = object->count > 0 ? arena_take(arena, object->count * sizeof *out->items) : NULL;
	if (out->items == NULL && object->count > 0) {
		return ERR_BUDGET;
	}
	for (size_t i = 0; i < object->count; i++) {
		if (is_addition(object->members[i].name)) {
			TRY(read_addition(out, &object->members[i], layer, findings, arena));
		} else {
			read_base(out, &object->members[i], layer);
		}
	}
	sort_changes(out);
	return OK;
}

enum err profile_changes_read(struct profile_changes *out, struct text json, size_t layer, struct findings *findings,
	struct arena *arena)
{
	const struct finding_place whole = { TEXT(""), layer };
	struct tree_value object;
	struct fault fault = { "" };
	char *copy;
	enum err rc;

	*out = (struct profile_changes){ 0 };
	if (json.length == 0) {
		return OK;
	}
	if (json.length > PROFILE_LAYER_SIZE_MAX) {
		finding_add(findings, too_large, whole, "the layer is larger than %d bytes", PROFILE_LAYER_SIZE_MAX);
		return OK;
	}
	copy = arena_copy(arena, json);
	if (copy == NULL) {
		return ERR_BUDGET;
	}
	rc = tree_value_read(&object, copy, json.length, arena, &fault);
	if (rc == ERR_BUDGET) {
		return rc;
	}
	if (rc != OK) {
		finding_add(findings, not_json, whole, "%s", fault.text);
		return OK;
	}
	if (object.kind != TREE_OBJECT || object.count > PROFILE_ELEMENTS_MAX) {
		finding_add(findings, not_json, whole, "a layer is a JSON object of at most %d keys", PROFILE_ELEMENTS_MAX);
		return OK;
	}
	return read_object(out, &object, layer, findings, arena);
}

static enum err join_change(struct profile_change *out, const struct profile_change *lower,
	const struct profile_change *upper, struct arena *arena)
{
	if (upper->base != PROFILE_BASE_BELOW) {
		*out = *upper;
		return OK;
	}
	*out = *lower;
	out->addition_count = lower->addition_count + upper->addition_count;
	if (out->addition_count == 0) {
		return OK;
	}
	out->additions = arena_take(arena, out->addition_count * sizeof *out->additions);
	if (out->additions == NULL) {
		return ERR_BUDGET;
	}
	if (lower->addition_count > 0) {
		memcpy(out->additions, lower->additions, lower->addition_count * sizeof *out->additions);
	}
	if (upper->addition_count > 0) {
		memcpy(out->additions + lower->addition_count, upper->additions, upper->addition_count * sizeof *out->additions);
	}
	return OK;
}

enum err profile_changes_join(struct profile_changes *out, const struct profile_changes *lower,
	const struct profile_changes *upper, struct arena *arena)
{
	const size_t most = lower->count + upper->count;
	struct profile_changes joined = { .items = most > 0 ? arena_take(arena, most * sizeof *joined.items) : NULL };
	size_t i = 0, j = 0;

	if (joined.items == NULL && most > 0) {
		return ERR_BUDGET;
	}
	while (i < lower->count || j < upper->count) {
		const int order = i == lower->count ? 1 : j == upper->count ? -1
			: compare_changes(&lower->items[i], &upper->items[j]);
		struct profile_change *change = &joined.items[joined.count++];

		if (order == 0) {
			TRY(join_change(change, &lower->items[i++], &upper->items[j++], arena));
		} else {
			*change = order < 0 ? lower->items[i++] : upper->items[j++];
		}
	}
	*out = joined;
	return OK;
}

struct applying {
	const struct profile_variables *variables;
	struct findings *findings;
	struct arena *arena;
};

// Where a value stands, innermost first: a pointer is made of it when there is something to be said.
struct place {
	const struct place *up;
	const struct profile_key *key; // of the outermost one
	struct text name;              // of a member; bytes NULL: an element
	size_t index;
};

static void add_place(struct buffer *pointer, const struct place *place)
{
	if (place->up == NULL) {
		profile_pointer_of_key(pointer, place->key);
		return;
	}
	add_place(pointer, place->up);
	if (place->name.bytes != NULL) {
		finding_pointer_add(pointer, place->name);
	} else {
		buffer_add_format(pointer, "/%zu", place->index);
	}
}

static void refuse_variable(const struct applying *applying, const struct place *place, const struct fault *fault)
{
	static const struct finding_kind kind = { FINDING_ERROR, "variable", NULL };
	struct buffer pointer CLEANUP(buffer_fini) = BUFFER(POINTER_SIZE_MAX);
	const struct place *outermost = place;

	while (outermost->up != NULL) {
		outermost = outermost->up;
	}
	add_place(&pointer, place);
	finding_add(applying->findings, kind, (struct finding_place){ buffer_text(&pointer), outermost->key->origin.layer }, "%s", fault->text);
}

static enum err expand(const struct applying *applying, struct tree_value *value, const struct place *place);

static enum err expand_members(const struct applying *applying, struct tree_value *value, const struct place *place)
{
	struct tree_member *members = arena_take(applying->arena, value->count * sizeof *members);

	if (members == NULL) {
		return ERR_BUDGET;
	}
	memcpy(members, value->members, value->count * sizeof *members);
	value->members = members;
	for (size_t i = 0; i < value->count; i++) {
		const struct place inside = { .up = place, .name = value->kind == TREE_OBJECT ? members[i].name : TEXT_NONE, .index = i };

		TRY(expand(applying, &members[i].value, &inside));
	}
	return OK;
}

// In a copy: what the layers hold is not touched, so that they can be applied again with other variables.
static enum err expand(const struct applying *applying, struct tree_value *value, const struct place *place)
{
	struct fault fault;

	if (value->count > 0) {
		return expand_members(applying, value, place);
	}
	if (value->kind == TREE_STRING &&
		profile_variables_expand(&value->text, value->text, applying->variables, applying->arena, &fault) != OK) {
		refuse_variable(applying, place, &fault);
	}
	return OK;
}

static enum err expand_value(const struct applying *applying, struct tree_value *value, const struct profile_key *key)
{
	return expand(applying, value, &(struct place){ .key = key });
}

static bool holds(const struct tree_value *array, const struct tree_value *element)
{
	for (size_t i = 0; i < array->count; i++) {
		if (tree_value_equal(&array->members[i].value, element)) {
			return true;
		}
	}
	return false;
}

static void append(struct profile_key *key, struct profile_origin *origins, const struct tree_value *array,
	struct profile_origin origin)
{
	for (origin.index = 0; origin.index < array->count; origin.index++) {
		if (!origin.is_addition || !holds(&key->value, &array->members[origin.index].value)) {
			origins[key->value.count] = origin;
			key->value.members[key->value.count++] = array->members[origin.index];
		}
	}
}

static size_t count_elements(const struct profile_change *change)
{
	size_t count = change->base == PROFILE_BASE_VALUE ? change->value.count : 0;

	for (size_t i = 0; i < change->addition_count; i++) {
		count += change->additions[i].array.count;
	}
	return count;
}

static enum err apply_array(const struct applying *applying, struct profile_key *key, const struct profile_change *change)
{
	const size_t most = count_elements(change);
	struct profile_origin *origins = arena_take(applying->arena, (most + 1) * sizeof *origins);

	key->value = (struct tree_value){ .kind = TREE_ARRAY };
	key->value.members = arena_take(applying->arena, (most + 1) * sizeof *key->value.members);
	key->elements = origins;
	if (origins == NULL || key->value.members == NULL) {
		return ERR_BUDGET;
	}
	if (most > PROFILE_ELEMENTS_MAX) {
		add_finding(applying->findings, too_large, key->origin.layer, change->name, "the list is too long");
		return OK;
	}
	if (change->base == PROFILE_BASE_VALUE) {
		struct tree_value value = change->value;

		TRY(expand_value(applying, &value, key));
		append(key, origins, &value, key->origin);
	}
	for (size_t i = 0; i < change->addition_count; i++) {
		struct tree_value value = change->additions[i].array;
		const struct profile_key place = { .name = key->name, .origin = { change->additions[i].layer, true, 0 } };

		TRY(expand_value(applying, &value, &place));
		append(key, origins, &value, place.origin);
	}
	return OK;
}

static enum err apply_change(const struct applying *applying, struct profile_merged *out, const struct profile_change *change)
{
	const bool has_value = change->base == PROFILE_BASE_VALUE;
	const bool is_array = has_value ? change->value.kind == TREE_ARRAY : change->addition_count > 0;
	struct profile_key *key = &out->keys[out->count];

	if (!has_value && change->addition_count == 0) {
		return OK;
	}
	out->count++;
	*key = (struct profile_key){ .name = change->name, .origin.layer = change->layer };
	if (!has_value) {
		key->origin = (struct profile_origin){ change->additions[0].layer, true, 0 };
	}
	if (is_array) {
		return apply_array(applying, key, change);
	}
	if (change->addition_count > 0) {
		const struct profile_key place = { .name = change->name, .origin = { change->additions[0].layer, true, 0 } };
		profile_find_at_key(applying->findings, &place, bad_addition,
			"nothing can be added: the layers below have set this key to something that is no list");
	}
	key->value = change->value;
	return expand_value(applying, &key->value, key);
}

enum err profile_changes_apply(struct profile_merged *out, const struct profile_changes *changes,
	const struct profile_variables *variables, struct findings *findings, struct arena *arena)
{
	const struct applying applying = { variables, findings, arena };

	*out = (struct profile_merged){ .keys = arena_take(arena, (changes->count + 1) * sizeof *out->keys) };
	if (out->keys == NULL) {
		return ERR_BUDGET;
	}
	for (size_t i = 0; i < changes->count; i++) {
		TRY(apply_change(&applying, out, &changes->items[i]));
	}
	return OK;
}

const struct profile_key *profile_merged_find(const struct profile_merged *merged, struct text name)
{
	for (size_t i = 0; i < merged->count; i++) {
		if (text_equal(merged->keys[i].name, name)) {
			return &merged->keys[i];
		}
	}
	return NULL;
}

static void add_origin(struct buffer *out, struct text name, struct profile_origin origin)
{
	finding_pointer_add(out, name);
	buffer_add_string(out, origin.is_addition ? "+" : "");
}

void profile_pointer_of_key(struct buffer *out, const struct profile_key *key)
{
	add_origin(out, key->name, key->origin);
}

void profile_pointer_of_element(struct buffer *out, const struct profile_key *key, size_t index)
{
	assert(key->elements != NULL && index < key->value.count);
	add_origin(out, key->name, key->elements[index]);
	buffer_add_format(out, "/%zu", key->elements[index].index);
}

void profile_find_at_key(struct findings *findings, const struct profile_key *key, struct finding_kind kind,
	const char *format, ...)
{
	struct buffer pointer CLEANUP(buffer_fini) = BUFFER(POINTER_SIZE_MAX);
	va_list arguments;

	profile_pointer_of_key(&pointer, key);
	va_start(arguments, format);
	finding_add_list(findings, kind, (struct finding_place){ buffer_text(&pointer), key->origin.layer }, format, arguments);
	va_end(arguments);
}

void profile_find_at_element(struct findings *findings, const struct profile_key *key, size_t index,
	struct finding_kind kind, const char *format, ...)
{
	struct buffer pointer CLEANUP(buffer_fini) = BUFFER(POINTER_SIZE_MAX);
	va_list arguments;

	profile_pointer_of_element(&pointer, key, index);
	va_start(arguments, format);
	finding_add_list(findings, kind, (struct finding_place){ buffer_text(&pointer), key->elements[index].layer }, format,
		arguments);
	va_end(arguments);
}
