// SPDX-License-Identifier: Apache-2.0
#include "api/job_input.h"

#include "api/body.h"
#include "api/call_work.h"
#include "api/labels.h"
#include "tenants/csv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SERIAL_MAX = 64, NAME_MAX_BYTES = 63, START_MAX_DAYS = 366, JSON_VALUES_MAX = 500000 };

static bool takes_instance(enum job_kind kind)
{
	return kind == JOB_ASSIGN || kind == JOB_PIN || kind == JOB_RETIRE;
}

// --- rows ---

static void refuse_row(struct job_input *input, size_t row, const char *why)
{
	const size_t line = input->lines[row];
	char *sentence = line > 0 ? arena_format(&input->arena, "line %zu: %s", line, why) : arena_format(&input->arena, "%s", why);

	input->rows[row].refused = sentence != NULL ? text_of(sentence) : TEXT("it cannot be meant");
}

// False: the arena is full.
static bool add_row(struct job_input *input, struct text serial, struct text instance, size_t line)
{
	char *copy = arena_copy(&input->arena, text_trim(serial.length <= 4 * SERIAL_MAX ? serial : (struct text){ serial.bytes, SERIAL_MAX + 1 }));
	bool is_good = copy != NULL && copy[0] != '\0';

	if (copy == NULL) {
		return false;
	}
	if (input->count == input->room) {
		input->room = input->room > 0 ? 2 * input->room : 256;
		input->rows = reallocate(input->rows, input->room * sizeof *input->rows);
		input->row_instances = reallocate(input->row_instances, input->room * sizeof *input->row_instances);
		input->lines = reallocate(input->lines, input->room * sizeof *input->lines);
	}
	for (char *at = copy; *at != '\0'; at++) {
		*at = (char)(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
		is_good = is_good && ((*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9'));
	}
	input->rows[input->count] = (struct job_wish){ .serial_number = text_of(copy) };
	input->row_instances[input->count] = instance;
	input->lines[input->count] = line;
	if (!is_good || input->rows[input->count].serial_number.length > SERIAL_MAX) {
		refuse_row(input, input->count, "a serial number is of letters and digits, at most 64");
	}
	input->count++;
	return true;
}

struct numbered {
	struct text serial;
	size_t row;
};

static int by_serial(const void *a, const void *b)
{
	const struct numbered *left = a, *right = b;
	const size_t common = left->serial.length < right->serial.length ? left->serial.length : right->serial.length;
	const int order = memcmp(left->serial.bytes, right->serial.bytes, common);

	if (order != 0) {
		return order;
	}
	if (left->serial.length != right->serial.length) {
		return left->serial.length < right->serial.length ? -1 : 1;
	}
	return left->row < right->row ? -1 : left->row > right->row;
}

// Law 2
static void refuse_repetitions(struct job_input *input)
{
	struct numbered *sorted = allocate_array(input->count + 1, sizeof *sorted);
	size_t count = 0;

	for (size_t i = 0; i < input->count; i++) {
		if (input->rows[i].refused.length == 0) {
			sorted[count++] = (struct numbered){ input->rows[i].serial_number, i };
		}
	}
	qsort(sorted, count, sizeof *sorted, by_serial);
	for (size_t i = 1; i < count; i++) {
		if (text_equal(sorted[i - 1].serial, sorted[i].serial)) {
			refuse_row(input, sorted[i].row, "the serial number stands in an earlier row already");
		}
	}
	free(sorted);
}

static bool too_many(struct call *call)
{
	call_problem(call, PROBLEM_JOB_TOO_LARGE, "it has more than %d rows", JOB_ROWS_MAX);
	return false;
}

// --- labels ---

static bool keep_labels(struct call *call, struct job_input *input, struct text lines)
{
	if (lines.bytes == NULL) {
		call_problem(call, PROBLEM_BAD_BODY, LABELS_LAW, LABELS_MAX, LABEL_MAX);
		return false;
	}
	input->has_labels = true;
	input->labels = lines;
	return true;
}

static bool takes_labels(enum job_kind kind)
{
	return kind == JOB_LABEL || kind == JOB_ASSIGN || kind == JOB_PIN;
}

// Of the row that was added last; `given` false: it names none, and those of the job are meant.
static void add_row_labels(struct job_input *input, struct text lines, bool given)
{
	struct job_wish *row = &input->rows[input->count - 1];

	if (given && lines.bytes == NULL) {
		refuse_row(input, input->count - 1, "its labels are too many, empty or too long, or have control characters");
	} else if (given && !takes_labels(input->kind)) {
		refuse_row(input, input->count - 1, "only label, assign and pin take labels");
	} else if (!given && input->kind == JOB_LABEL && !input->has_labels && row->refused.length == 0) {
		refuse_row(input, input->count - 1, "it names no labels");
	}
	row->has_labels = given && lines.bytes != NULL;
	row->labels = lines;
}

// --- CSV ---

enum { SERIAL, INSTANCE, ROW_LABELS, COLUMNS };

static const struct csv_column columns[COLUMNS] = {
	[SERIAL] = { { "serial_number", "serial", "serial_no", "serialnumber" }, true },
	[INSTANCE] = { { "instance", "mdm" }, false },
	[ROW_LABELS] = { { "labels", "label", "tags" }, false },
};

static enum err read_csv(struct job_input *input, struct text list, struct fault *fault)
{
	struct csv csv;
	struct csv_row row;
	int positions[COLUMNS];

	TRY(csv_begin(&csv, list, fault));
	TRY(csv_next(&csv, &row, &input->arena, fault));
	TRY(csv_find_columns(positions, columns, COLUMNS, &row, fault));
	TRY(csv_next(&csv, &row, &input->arena, fault));
	while (row.count > 0 && input->count <= JOB_ROWS_MAX) {
		if (!add_row(input, csv_field(&row, positions[SERIAL]), csv_field(&row, positions[INSTANCE]), row.line)) {
			return fault_set(fault, ERR_BUDGET, "the list is too long");
		}
		const struct text labels = text_trim(csv_field(&row, positions[ROW_LABELS]));

		add_row_labels(input, labels_split(&input->arena, labels, ",;"), labels.length > 0);
		TRY(csv_next(&csv, &row, &input->arena, fault));
	}
	return OK;
}

static bool take_instant(struct call *call, const char *name, struct text value, int64_t *out)
{
	*out = value.bytes != NULL ? instant_parse(value) : INSTANT_NONE;
	if (value.bytes == NULL || (*out != INSTANT_NONE && *out < clock_wall_us() + START_MAX_DAYS * DAY_S * SECOND_US)) {
		return true;
	}
	call_problem(call, PROBLEM_BAD_BODY, "%s is a date and time of RFC 3339, at most a year away", name);
	return false;
}

static bool take_count(struct call *call, struct text value, int64_t *out)
{
	*out = value.bytes != NULL ? 0 : -1;
	for (size_t i = 0; i < value.length; i++) {
		if (value.bytes[i] < '0' || value.bytes[i] > '9' || value.length > 9) {
			call_problem(call, PROBLEM_BAD_PARAMETER, "confirm_devices is a number");
			return false;
		}
		*out = *out * 10 + (value.bytes[i] - '0');
	}
	return true;
}

static bool read_list(struct call *call, struct job_input *input)
{
	const struct http_request *request = call->request;
	struct fault fault = { 0 };

	input->instance = http_request_query(request, "instance");
	input->hold = http_request_query(request, "hold");
	input->reason = http_request_query(request, "reason");
	if (!job_kind_parse(http_request_query(request, "kind"), &input->kind)) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "kind is one of assign, pin, unpin, remove_profile, reroute, label, retire, release");
		return false;
	}
	if (!take_instant(call, "start_at", http_request_query(request, "start_at"), &input->start_at_us) ||
		!take_count(call, http_request_query(request, "confirm_devices"), &input->confirm_devices)) {
		return false;
	}
	const struct text labels = http_request_query(request, "labels");

	if (labels.bytes != NULL && !keep_labels(call, input, labels_split(&input->arena, labels, ","))) {
		return false;
	}
	if (read_csv(input, request->body, &fault) != OK) {
		call_problem(call, PROBLEM_LIST_UNREADABLE, "%s", fault.text);
		return false;
	}
	return true;
}

// --- JSON ---

static const char *const kind_words[] = { "assign", "pin", "unpin", "remove_profile", "reroute", "label", "retire", "release", NULL };

enum { KIND, JOB_INSTANCE, HOLD, REASON, LABELS, START_AT, CONFIRM, FILTER, ROWS, MEMBERS };

static const struct body_member members[MEMBERS] = {
	[KIND] = { "kind", BODY_TEXT, .required = true, .words = kind_words },
	[JOB_INSTANCE] = { "instance", BODY_TEXT, .minimum = 1, .maximum = NAME_MAX_BYTES },
	[HOLD] = { "hold", BODY_TEXT, .minimum = 1, .maximum = JOB_REASON_MAX },
	[REASON] = { "reason", BODY_TEXT, .minimum = 1, .maximum = JOB_REASON_MAX },
	[LABELS] = { .name = "labels", .kind = BODY_TEXTS, .maximum = LABELS_MAX },
	[START_AT] = { "start_at", BODY_TEXT, .minimum = 1, .maximum = 40 },
	[CONFIRM] = { "confirm_devices", BODY_INTEGER, .minimum = 0, .maximum = JOB_ROWS_MAX },
	[FILTER] = { .name = "filter", .kind = BODY_OBJECT },
	[ROWS] = { .name = "rows", .kind = BODY_LIST },
};

static struct text text_of_json(const json_t *json)
{
	return json_is_string(json) ? (struct text){ json_string_value(json), json_string_length(json) } : TEXT_NONE;
}

// The labels of a row: a list of texts, or absent. False: it is something else.
static bool read_row_labels(struct job_input *input, const json_t *labels, struct text *lines)
{
	struct text texts[LABELS_MAX + 1];
	const size_t count = json_array_size(labels) <= LABELS_MAX ? json_array_size(labels) : LABELS_MAX + 1;

	for (size_t i = 0; i < count; i++) {
		texts[i] = text_of_json(json_array_get(labels, i));
	}
	*lines = labels_join(&input->arena, texts, count);
	return labels == NULL || json_is_array(labels);
}

// A serial number, or {"serial_number","instance","labels"}.
static bool read_row(struct call *call, struct job_input *input, const json_t *json, size_t number)
{
	const json_t *serial = json_is_object(json) ? json_object_get(json, "serial_number") : json;
	const json_t *instance = json_is_object(json) ? json_object_get(json, "instance") : NULL;
	const json_t *labels = json_is_object(json) ? json_object_get(json, "labels") : NULL;
	const size_t known = (serial != NULL ? 1u : 0u) + (instance != NULL ? 1u : 0u) + (labels != NULL ? 1u : 0u);
	struct text lines;

	if (!json_is_string(serial) || (instance != NULL && !json_is_string(instance)) || !read_row_labels(input, labels, &lines) ||
		(json_is_object(json) && json_object_size(json) != known)) {
		call_problem(call, PROBLEM_BAD_BODY, "rows[%zu] is a serial number, or an object with serial_number, instance and labels", number);
		return false;
	}
	if (!add_row(input, text_of_json(serial), text_of_json(instance), 0)) {
		call_problem(call, PROBLEM_LIST_UNREADABLE, "the list is too long");
		return false;
	}
	add_row_labels(input, lines, labels != NULL);
	return true;
}

static struct text member_of(const void *from, const char *name)
{
	return text_of_json(json_object_get(from, name));
}

// `instance` or `held`, and what lists of devices are filtered by.
static bool read_filter(struct call *call, struct job_input *input, const json_t *filter)
{
	const json_t *instance = json_object_get(filter, "instance");
	const json_t *held = json_object_get(filter, "held");
	const size_t known = (instance != NULL ? 1u : 0u) + (held != NULL ? 1u : 0u);

	input->has_filter = true;
	input->filter_instance = text_of_json(instance);
	input->filter_held = json_is_true(held);
	if (!device_filter_read(call, &input->filter, member_of, filter, PROBLEM_BAD_BODY)) {
		return false;
	}
	input->filter.filter.with_gone = false;
	if (json_object_size(filter) != known + input->filter.given || (instance != NULL && !json_is_string(instance)) || (held != NULL && !json_is_boolean(held)) ||
		(input->filter_held && instance != NULL)) {
		call_problem(call, PROBLEM_BAD_BODY, "filter has texts: instance or held (a flag), and others of the list of devices; nothing for all devices");
		return false;
	}
	return true;
}

static bool read_json(struct call *call, struct job_input *input)
{
	struct body_value values[MEMBERS];

	if (!body_read_large(call, members, values, MEMBERS, JSON_VALUES_MAX)) {
		return false;
	}
	if (!job_kind_parse(values[KIND].text, &input->kind) || values[FILTER].given == values[ROWS].given) {
		call_problem(call, PROBLEM_BAD_BODY, "either rows or filter is given");
		return false;
	}
	input->instance = values[JOB_INSTANCE].text;
	input->hold = values[HOLD].text;
	input->reason = values[REASON].text;
	input->confirm_devices = values[CONFIRM].given ? values[CONFIRM].number : -1;
	if (!take_instant(call, "start_at", values[START_AT].text, &input->start_at_us)) {
		return false;
	}
	if (values[LABELS].given && !keep_labels(call, input, labels_join(&input->arena, values[LABELS].texts, values[LABELS].count))) {
		return false;
	}
	if (values[FILTER].given) {
		return read_filter(call, input, values[FILTER].object);
	}
	if (json_array_size(values[ROWS].object) > JOB_ROWS_MAX) {
		return too_many(call);
	}
	for (size_t i = 0; i < json_array_size(values[ROWS].object); i++) {
		if (!read_row(call, input, json_array_get(values[ROWS].object, i), i)) {
			return false;
		}
	}
	return true;
}

// --- both ---

static bool has_row_labels(const struct job_input *input)
{
	for (size_t i = 0; i < input->count; i++) {
		if (input->rows[i].has_labels) {
			return true;
		}
	}
	return false;
}

static bool makes_sense(struct call *call, const struct job_input *input)
{
	const bool needs_instance = input->kind == JOB_ASSIGN || (input->kind == JOB_PIN && input->hold.bytes == NULL);

	if (!takes_instance(input->kind) && (input->instance.length > 0 || input->hold.bytes != NULL)) {
		call_problem(call, PROBLEM_BAD_BODY, "only assign, pin and retire take an instance, and only pin takes hold");
	} else if ((input->kind != JOB_PIN && input->hold.bytes != NULL) || (input->instance.length > 0 && input->hold.bytes != NULL)) {
		call_problem(call, PROBLEM_BAD_BODY, "hold is of pin, and without an instance");
	} else if (needs_instance && input->has_filter && input->instance.length == 0) {
		call_problem(call, PROBLEM_BAD_BODY, "instance is missing");
	} else if (input->has_labels && !takes_labels(input->kind)) {
		call_problem(call, PROBLEM_BAD_BODY, "only label, assign and pin take labels");
	} else if (input->kind == JOB_LABEL && !input->has_labels && !has_row_labels(input)) {
		call_problem(call, PROBLEM_BAD_BODY, "label needs labels; an empty list takes them away");
	} else if (input->kind == JOB_RETIRE && (input->filter.given > 0 || input->filter_instance.length == 0 || input->instance.length == 0 ||
			text_equal(input->filter_instance, input->instance))) {
		call_problem(call, PROBLEM_BAD_BODY, "retire takes a filter with the instance, and another instance");
	} else if (input->kind == JOB_RELEASE && input->has_filter) {
		call_problem(call, PROBLEM_BAD_BODY, "release takes rows, and no filter");
	} else if (input->reason.length > JOB_REASON_MAX || input->hold.length > JOB_REASON_MAX) {
		call_problem(call, PROBLEM_BAD_BODY, "a reason has at most %d bytes", JOB_REASON_MAX);
	} else if (!input->has_filter && input->count == 0) {
		call_problem(call, PROBLEM_LIST_UNREADABLE, "it has no rows");
	} else {
		return true;
	}
	return false;
}

static bool is_csv(const struct call *call)
{
	return text_contains_ignoring_case(http_request_header(call->request, "Content-Type"), "text/csv");
}

static bool has_no_stray_parameters(struct call *call)
{
	for (size_t i = 0; i < http_request_query_count(call->request); i++) {
		if (!text_equal_string(http_request_query_name(call->request, i), "dry_run")) {
			call_problem(call, PROBLEM_BAD_PARAMETER, "but for dry_run, parameters are of a CSV list; of JSON they are members");
			return false;
		}
	}
	return true;
}

bool job_input_read(struct call *call, struct job_input *input)
{
	assert(call_is_away(call));
	*input = (struct job_input){ .arena = ARENA(JOB_ARENA_BUDGET), .start_at_us = INSTANT_NONE, .confirm_devices = -1 };
	if (is_csv(call) ? !read_list(call, input) : !has_no_stray_parameters(call) || !read_json(call, input)) {
		return false;
	}
	if (input->count > JOB_ROWS_MAX) {
		return too_many(call);
	}
	if (!makes_sense(call, input)) {
		return false;
	}
	refuse_repetitions(input);
	return true;
}

void job_input_fini(struct job_input *input)
{
	free(input->rows);
	free(input->row_instances);
	free(input->lines);
	arena_fini(&input->arena);
	*input = (struct job_input){ .count = 0 };
}

const struct job_instance *job_instance_named(const struct job_instance *instances, size_t count, struct text name)
{
	for (size_t i = 0; i < count; i++) {
		if (text_equal(instances[i].name, name)) {
			return &instances[i];
		}
	}
	return NULL;
}

void job_input_resolve(struct job_input *input, const struct job_instance *instances, size_t count)
{
	for (size_t i = 0; i < input->count && takes_instance(input->kind); i++) {
		const struct text name = input->row_instances[i].length > 0 ? input->row_instances[i] : input->instance;
		const struct job_instance *instance = name.length > 0 ? job_instance_named(instances, count, name) : NULL;

		if (input->rows[i].refused.length > 0 || (name.length == 0 && input->hold.bytes != NULL)) {
			continue;
		}
		if (instance == NULL) {
			refuse_row(input, i, name.length == 0 ? "it names no instance" : "the client has no such instance");
		} else if (instance->is_retired) {
			refuse_row(input, i, "the instance is retired");
		} else {
			input->rows[i].instance_id = instance->instance_id;
		}
	}
}
