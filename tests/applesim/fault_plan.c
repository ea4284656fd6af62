// SPDX-License-Identifier: Apache-2.0
#include "applesim/fault_plan.h"

#include "rig/json.h"

#include <stdlib.h>
#include <string.h>

void fault_list_init(struct fault_list *list)
{
	list_init(&list->plans);
}

static void free_plan(struct fault_plan *plan)
{
	list_remove(&plan->link);
	for (size_t i = 0; i < plan->serial_count; i++) {
		free(plan->serials[i]);
	}
	free(plan->serials);
	free(plan->method);
	free(plan->path);
	free(plan->body);
	free(plan->content_type);
	free(plan->headers);
	free(plan);
}

void fault_list_clear(struct fault_list *list)
{
	LIST_EACH(at, after, &list->plans) {
		free_plan(CONTAINER_OF(at, struct fault_plan, link));
	}
}

bool fault_list_delete(struct fault_list *list, int64_t id)
{
	LIST_EACH(at, after, &list->plans) {
		struct fault_plan *plan = CONTAINER_OF(at, struct fault_plan, link);

		if (plan->id == id) {
			free_plan(plan);
			return true;
		}
	}
	return false;
}

// "POST /devices/sync", "/devices/sync", "*".
static void read_endpoint(struct fault_plan *plan, struct text endpoint)
{
	const char *blank = endpoint.length > 0 ? memchr(endpoint.bytes, ' ', endpoint.length) : NULL;

	if (endpoint.length == 0 || text_equal_string(endpoint, "*")) {
		return;
	}
	if (blank != NULL) {
		plan->method = duplicate((struct text){ endpoint.bytes, (size_t)(blank - endpoint.bytes) });
		endpoint.length -= (size_t)(blank + 1 - endpoint.bytes);
		endpoint.bytes = blank + 1;
	}
	plan->path = duplicate(endpoint);
}

static void read_place(struct fault_plan *plan, yyjson_val *json)
{
	const struct text word = json_text(json, "page");

	plan->page = json_number(json, "page", 0);
	plan->place = plan->page > 0 ? PAGE_NUMBER
		: text_equal_string(word, "first") ? PAGE_FIRST
		: text_equal_string(word, "middle") ? PAGE_MIDDLE
		: text_equal_string(word, "last") ? PAGE_LAST : PAGE_ANY;
}

static void read_devices(struct fault_plan *plan, yyjson_val *json, const char *result)
{
	yyjson_val *serials = yyjson_obj_get(json, "serials");
	yyjson_val *share = yyjson_obj_get(json, "share");
	yyjson_val *serial;
	size_t index, count;

	plan->result = result;
	plan->share = yyjson_is_num(share) ? yyjson_get_num(share) : -1;
	plan->retry_after_s = json_number(json, "retry_after_seconds", 86400);
	plan->serials = allocate_array(yyjson_arr_size(serials) + 1, sizeof(char *));
	yyjson_arr_foreach(serials, index, count, serial) {
		if (yyjson_is_str(serial)) {
			plan->serials[plan->serial_count++] = duplicate(text_of(yyjson_get_str(serial)));
		}
	}
}

static void read_results(struct fault_plan *plan, yyjson_val *json)
{
	static const struct {
		const char *member;
		const char *result;
	} kinds[] = {
		{ "throttle", "THROTTLED" }, { "fail", "FAILED" }, { "not_accessible", "NOT_ACCESSIBLE" }, { "missing", "MISSING" },
	};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		yyjson_val *object = yyjson_obj_get(json, kinds[i].member);

		if (yyjson_is_obj(object) && plan->result == NULL) {
			read_devices(plan, object, kinds[i].result);
		}
	}
}

static void read_headers(struct fault_plan *plan, yyjson_val *json)
{
	struct buffer lines CLEANUP(buffer_fini) = BUFFER(16 * 1024);
	yyjson_val *headers = yyjson_obj_get(json, "headers");
	yyjson_val *retry_after = yyjson_obj_get(json, "retry_after");
	yyjson_val *name, *value;
	size_t index, count;

	if (yyjson_is_int(retry_after)) {
		buffer_add_format(&lines, "Retry-After: %lld\r\n", (long long)yyjson_get_sint(retry_after));
	} else if (yyjson_is_str(retry_after)) {
		buffer_add_format(&lines, "Retry-After: %s\r\n", yyjson_get_str(retry_after));
	}
	yyjson_obj_foreach(headers, index, count, name, value) {
		if (yyjson_is_str(value)) {
			buffer_add_format(&lines, "%s: %s\r\n", yyjson_get_str(name), yyjson_get_str(value));
		}
	}
	plan->headers = lines.length > 0 ? duplicate(buffer_text(&lines)) : NULL;
}

static const char *reason_against(const struct fault_plan *plan, yyjson_val *json)
{
	if (plan->status != 0 && (plan->status < 200 || plan->status > 599)) {
		return "status is from 200 to 599";
	}
	if (yyjson_obj_get(json, "page") != NULL && plan->place == PAGE_ANY) {
		return "page is first, middle, last or a number from 1";
	}
	const bool answers = plan->status != 0 || plan->body != NULL || plan->headers != NULL || plan->terms_unsigned ||
		plan->token_rejected;
	const bool transfers = plan->delay_ms != 0 || plan->cut_after_bytes >= 0 || plan->drip_ms > 0 ||
		plan->pad_bytes > 0 || plan->reset;
	const bool contents = plan->stuck_cursor || plan->duplicates > 0 || plan->result != NULL;

	if (!answers && !transfers && !contents) {
		return "nothing is to go wrong";
	}
	return NULL;
}

struct fault_plan *fault_list_add(struct fault_list *list, yyjson_val *json, const char **reason)
{
	struct fault_plan *plan = allocate(sizeof *plan);

	plan->tenant = json_number(json, "tenant", 0);
	plan->skip = json_number(json, "skip", 0);
	plan->status = (unsigned)json_number(json, "status", 0);
	plan->body = json_duplicate(json, "body");
	plan->content_type = json_duplicate(json, "content_type");
	plan->perform = json_flag(json, "perform");
	plan->delay_ms = json_number(json, "delay_ms", 0);
	plan->cut_after_bytes = json_number(json, "cut_after_bytes", -1);
	plan->drip_ms = json_number(json, "drip_ms", 0);
	plan->pad_bytes = json_number(json, "pad_bytes", 0);
	plan->reset = json_flag(json, "reset");
	plan->stuck_cursor = json_flag(json, "stuck_cursor");
	plan->duplicates = json_flag(json, "duplicates") ? 1 : json_number(json, "duplicates", 0);
	plan->terms_unsigned = json_flag(json, "terms_unsigned");
	plan->token_rejected = json_flag(json, "token_rejected");
	plan->times = json_number(json, "times", plan->terms_unsigned || plan->token_rejected ? -1 : 1);
	plan->times = plan->times == 0 ? -1 : plan->times;
	plan->share = -1;
	read_endpoint(plan, json_text(json, "endpoint"));
	read_place(plan, json);
	read_headers(plan, json);
	read_results(plan, json);
	list_add_last(&list->plans, &plan->link);
	*reason = reason_against(plan, json);
	if (*reason != NULL) {
		free_plan(plan);
		return NULL;
	}
	plan->id = ++list->last_id;
	return plan;
}

static bool fits_place(const struct fault_plan *plan, const struct fault_page *page)
{
	if (page == NULL || plan->place == PAGE_ANY) {
		return page == NULL && plan->place == PAGE_ANY;
	}
	switch (plan->place) {
	case PAGE_FIRST: return page->number == 1;
	case PAGE_MIDDLE: return page->number > 1 && !page->is_last;
	case PAGE_LAST: return page->is_last;
	case PAGE_NUMBER: return page->number == plan->page;
	case PAGE_ANY:
	default: return true;
	}
}

static bool fits(const struct fault_plan *plan, const struct fault_target *target, const struct fault_page *page)
{
	if (plan->times == 0 || (plan->tenant != 0 && plan->tenant != target->tenant)) {
		return false;
	}
	if ((plan->method != NULL && strcmp(plan->method, target->method) != 0) ||
		(plan->path != NULL && strcmp(plan->path, target->path) != 0)) {
		return false;
	}
	if ((plan->result != NULL && !target->is_assignment) ||
		((plan->stuck_cursor || plan->duplicates > 0) && !target->is_listing)) {
		return false;
	}
	return fits_place(plan, page);
}

struct fault_plan *fault_list_take(struct fault_list *list, const struct fault_target *target,
	const struct fault_page *page)
{
	LIST_EACH(at, after, &list->plans) {
		struct fault_plan *plan = CONTAINER_OF(at, struct fault_plan, link);

		if (!fits(plan, target, page)) {
			continue;
		}
		if (plan->skip > 0) {
			plan->skip--;
			continue;
		}
		plan->hits++;
		plan->times -= plan->times > 0;
		return plan;
	}
	return NULL;
}

bool fault_plan_names(const struct fault_plan *plan, const char *serial)
{
	uint64_t hash = 0;

	if (plan->serial_count == 0 && plan->share < 0) {
		return true;
	}
	for (size_t i = 0; i < plan->serial_count; i++) {
		if (strcmp(plan->serials[i], serial) == 0) {
			return true;
		}
	}
	for (const char *at = serial; *at != '\0'; at++) {
		hash = mixed(hash, (unsigned char)*at);
	}
	return (double)(hash % 1000000) < plan->share * 1000000;
}

void fault_list_json(struct buffer *out, const struct fault_list *list)
{
	const char *between = "";

	buffer_add_string(out, "{\"faults\":[");
	LIST_EACH(at, after, &list->plans) {
		const struct fault_plan *plan = CONTAINER_OF(at, struct fault_plan, link);

		buffer_add_format(out, "%s{\"id\":%lld,\"tenant\":%lld,\"times\":%lld,\"hits\":%lld,\"status\":%u,\"path\":", between,
			(long long)plan->id, (long long)plan->tenant, (long long)plan->times, (long long)plan->hits, plan->status);
		buffer_add_json(out, plan->path != NULL ? text_of(plan->path) : TEXT("*"));
		buffer_add_string(out, "}");
		between = ",";
	}
	buffer_add_string(out, "]}");
}
