// SPDX-License-Identifier: Apache-2.0
//
// /tenants/{tenant}/jobs/{id}/results: what became of each row, streamed as NDJSON or CSV.
#include "api/json_out.h"
#include "api/resources.h"
#include "store/jobs.h"

#include <inttypes.h>
#include <string.h>

enum { PAGE_BYTES_MAX = 4 << 20 };

struct results {
	struct http_stream stream;
	struct buffer page;
	int64_t job_id;
	int64_t after;
	bool as_csv;
	bool is_begun;   // the head is out
	bool is_reading; // a transaction is under way
	bool is_gone;    // nobody takes more
};

static void finish(struct call *call)
{
	buffer_fini(&((struct results *)call->own)->page);
}

static bool read_request(struct call *call)
{
	struct results *results = call_own(call, sizeof *results);
	const struct text format = http_request_query(call->request, "format");

	results->page = BUFFER(PAGE_BYTES_MAX);
	call_on_finish(call, finish);
	if (!call_parameter_id(call, 1, &results->job_id)) {
		call_problem(call, PROBLEM_JOB_NOT_FOUND, "%s", "");
		return false;
	}
	results->as_csv = text_equal(format, TEXT("csv"));
	if (format.bytes != NULL && !results->as_csv && !text_equal(format, TEXT("ndjson"))) {
		call_problem(call, PROBLEM_BAD_PARAMETER, "format is ndjson or csv");
		return false;
	}
	return true;
}

// --- lines ---

// Spreadsheets take a field that begins like a formula for one.
static void add_field(struct buffer *out, struct text value)
{
	buffer_add_string(out, "\"");
	if (value.length > 0 && strchr("=+-@\t\r", value.bytes[0]) != NULL) {
		buffer_add_string(out, "'");
	}
	for (size_t i = 0; i < value.length; i++) {
		buffer_add(out, value.bytes[i] == '"' ? "\"\"" : &value.bytes[i], value.bytes[i] == '"' ? 2 : 1);
	}
	buffer_add_string(out, "\"");
}

static void csv_line(struct buffer *out, const struct job_line *line)
{
	const struct text fields[] = { line->serial_number, line->instance, line->result, line->detail, line->from, line->to };

	buffer_add_format(out, "%" PRId64, line->row_number);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		buffer_add_string(out, ",");
		add_field(out, fields[i]);
	}
	buffer_add_string(out, line->moves ? ",true\r\n" : ",false\r\n");
}

static void json_line(struct buffer *out, const struct job_line *line)
{
	struct json_out json = { .out = out };

	put_object(&json, NULL);
	put_int(&json, "row", line->row_number);
	put_text(&json, "serial_number", line->serial_number);
	put_text(&json, "instance", line->instance);
	put_text(&json, "result", line->result);
	put_text(&json, "detail", line->detail);
	put_text(&json, "from", line->from);
	put_text(&json, "to", line->to);
	put_bool(&json, "moves", line->moves);
	put_object_end(&json);
	buffer_add_string(out, "\n");
}

// --- the stream ---

static void on_drained(struct http_stream *stream)
{
	struct call *call = stream->owner;

	call->endpoint->step(call);
}

static void on_gone(struct http_stream *stream)
{
	struct call *call = stream->owner;
	struct results *results = call->own;

	results->is_gone = true;
	if (!results->is_reading) {
		http_stream_end(stream);
	}
}

static void begin(struct call *call)
{
	struct results *results = call->own;

	results->is_begun = true;
	results->stream = (struct http_stream){ .buffer_limit = PAGE_BYTES_MAX, .drained = on_drained, .gone = on_gone, .owner = call };
	http_answer_stream(call->request, 200, results->as_csv ? "text/csv; charset=utf-8" : "application/x-ndjson", &results->stream);
	if (results->as_csv) {
		buffer_add_string(&results->page, "row,serial_number,instance,result,detail,from,to,moves\r\n");
	}
}

static void ask(struct call *call)
{
	struct results *results = call->own;
	const int64_t tenant_id = call->tenant.tenant_id;
	struct pg_transaction *transaction = call_transaction(call, store_api(tenant_id));

	results->is_reading = true;
	(void)store_job_by_id(transaction, tenant_id, results->job_id);
	(void)store_job_lines(transaction, tenant_id, results->job_id, results->after, STORE_LIST_MAX);
	call_start(call);
}

// False: that was the last page.
static bool take_page(struct call *call)
{
	struct results *results = call->own;
	const size_t count = pg_row_count(&call->transaction, 1);

	for (size_t i = 0; i < count; i++) {
		struct job_line line;

		store_job_line_read(&call->transaction, 1, i, &line);
		if (results->as_csv) {
			csv_line(&results->page, &line);
		} else {
			json_line(&results->page, &line);
		}
		results->after = line.row_number;
	}
	return count == STORE_LIST_MAX;
}

// False: nobody takes more, and the stream has ended.
static bool send_page(struct results *results)
{
	const bool is_taken = !results->is_gone && !results->page.overflow && http_stream_write(&results->stream, buffer_text(&results->page));

	buffer_clear(&results->page);
	if (!is_taken) {
		http_stream_end(&results->stream);
	}
	return is_taken;
}

// The head has said 200 already: the last line says that it is not all.
static void break_off(struct results *results)
{
	buffer_add_string(&results->page, results->as_csv ? "error: the list is not complete\r\n" : "{\"error\":\"the list is not complete\"}\n");
	if (send_page(results)) {
		http_stream_end(&results->stream);
	}
}

void job_results(struct call *call)
{
	enum { NEW, READING, DRAINING };
	struct results *results = call->own;
	bool more;

	switch (call->state) {
	case NEW:
		if (!read_request(call)) {
			return;
		}
		do {
			AWAIT(call, READING, ask(call));
			results->is_reading = false;
			if (results->is_begun && call->transaction.op.rc != OK) {
				break_off(results);
				return;
			}
			if (call_failed(call)) {
				return;
			}
			if (pg_row_count(&call->transaction, 0) == 0) {
				call_problem(call, PROBLEM_JOB_NOT_FOUND, "%s", "");
				return;
			}
			if (!results->is_begun) {
				begin(call);
			}
			more = take_page(call);
			if (!send_page(results)) {
				return;
			}
			if (more) {
				AWAIT(call, DRAINING, (void)0);
			}
			more = pg_row_count(&call->transaction, 1) == STORE_LIST_MAX;
		} while (more);
		http_stream_end(&results->stream);
	}
}
