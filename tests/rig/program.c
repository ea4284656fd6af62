// SPDX-License-Identifier: Apache-2.0
#include "rig/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void print_help(const char *program, const char *purpose, const struct rig_option *options, size_t count)
{
	(void)printf("usage: %s [options]\n\n%s\n\n", program, purpose);
	for (size_t i = 0; i < count; i++) {
		char left[64];

		(void)snprintf(left, sizeof left, "%s %s", options[i].name, options[i].value != NULL ? options[i].value : "");
		(void)printf("  %-28s %s\n", left, options[i].help);
	}
	(void)printf("  %-28s %s\n", "--help", "this text");
}

void rig_options(int argc, char **argv, const char *purpose, const struct rig_option *options, size_t count)
{
	for (int i = 1; i < argc; i++) {
		const struct rig_option *found = NULL;

		if (strcmp(argv[i], "--help") == 0) {
			print_help(argv[0], purpose, options, count);
			exit(0);
		}
		for (size_t j = 0; j < count; j++) {
			found = strcmp(argv[i], options[j].name) == 0 ? &options[j] : found;
		}
		if (found == NULL || (found->value != NULL && i + 1 == argc)) {
			(void)fprintf(stderr, "%s: %s: %s\n", argv[0], argv[i], found == NULL ? "no such option" : "needs a value");
			exit(2);
		}
		*found->text = found->value != NULL ? argv[++i] : "";
	}
}

bool rig_number(const char *text, int64_t *out)
{
	char *end = NULL;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && end != text && *end == '\0';
}

static void stop_once(struct rig_program *program)
{
	if (program->is_stopping) {
		return;
	}
	program->is_stopping = true;
	stop_signals_close(&program->signals);
	if (program->has_parent) {
		uv_close((uv_handle_t *)&program->parent, NULL);
	}
	program->stop(program);
}

static void on_signal(struct stop_signals *signals)
{
	stop_once(signals->owner);
}

static void on_parent_ended(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	stop_once(poll->data);
}

enum err rig_program_start(struct rig_program *program, const char *parent, struct fault *fault)
{
	int64_t id = 0;

	loop_init(&program->loop);
	if (parent != NULL) {
		const int process = rig_number(parent, &id) && id > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)id, 0) : -1;

		if (process < 0 || uv_poll_init(&program->loop.uv, &program->parent, process) != 0) {
			return fault_set(fault, ERR_BAD_INPUT, "--parent %s: there is no such process", parent);
		}
		program->has_parent = true;
		program->parent.data = program;
		(void)uv_poll_start(&program->parent, UV_READABLE, on_parent_ended);
		uv_unref((uv_handle_t *)&program->parent);
	}
	program->signals.stop = on_signal;
	program->signals.owner = program;
	stop_signals_open(&program->signals, &program->loop);
	return OK;
}

void rig_program_run(struct rig_program *program)
{
	loop_run(&program->loop);
	loop_fini(&program->loop);
}

static bool write_all(int file, struct text content)
{
	while (content.length > 0) {
		const ssize_t written = write(file, content.bytes, content.length);

		if (written < 0 && errno != EINTR) {
			return false;
		}
		if (written > 0) {
			content.bytes += written;
			content.length -= (size_t)written;
		}
	}
	return fsync(file) == 0;
}

enum err rig_file_write(const char *path, struct text content, struct fault *fault)
{
	char fresh[4096];
	const bool fits = (size_t)snprintf(fresh, sizeof fresh, "%s.new", path) < sizeof fresh;
	const int file = fits ? open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	bool written;

	if (file < 0) {
		return fault_set(fault, ERR_SYSTEM, "%s: cannot be opened for writing", path);
	}
	written = write_all(file, content);
	written = close(file) == 0 && written;
	if (!written || rename(fresh, path) != 0) {
		return fault_set(fault, ERR_SYSTEM, "%s: cannot be written: %s", path, strerror(errno));
	}
	return OK;
}

static void close_file(FILE **file)
{
	if (*file != NULL) {
		(void)fclose(*file);
	}
}

enum err rig_file_read(struct buffer *out, const char *path, struct fault *fault)
{
	FILE *file CLEANUP(close_file) = fopen(path, "rbe");
	char part[64 * 1024];
	size_t length;

	if (file == NULL) {
		return errno == ENOENT ? OK : fault_set(fault, ERR_SYSTEM, "%s: %s", path, strerror(errno));
	}
	while ((length = fread(part, 1, sizeof part, file)) > 0) {
		buffer_add(out, part, length);
	}
	return ferror(file) || out->overflow ? fault_set(fault, ERR_SYSTEM, "%s: cannot be read", path) : OK;
}
