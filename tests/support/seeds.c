// SPDX-License-Identifier: Apache-2.0
#include "support/seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t seeds_number(const char *variable, uint64_t otherwise)
{
	const char *value = getenv(variable);

	return value != NULL && value[0] != '\0' ? strtoull(value, NULL, 10) : otherwise;
}

static bool start(uint64_t first, uint64_t end, uint64_t step, void (*run)(uint64_t seed))
{
	const pid_t pid = fork();

	if (pid == 0) {
		for (uint64_t seed = first; seed < end; seed += step) {
			run(seed);
		}
		fflush(NULL);
		_exit(0);
	}
	return pid > 0;
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double children_s(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

bool seeds_run(const char *what, uint64_t first, uint64_t count, void (*run)(uint64_t seed))
{
	const uint64_t processes = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	const double started_s = seconds_now(), spent_s = children_s();
	uint64_t started = 0;
	bool held = true;

	printf("%llu %s from seed %llu\n", (unsigned long long)count, what, (unsigned long long)first);
	fflush(NULL);
	while (started < processes && start(first + started, first + count, processes, run)) {
		started++;
	}
	held = started == processes;
	for (; started > 0; started--) {
		int status;

		held = wait(&status) > 0 && status == 0 && held;
	}
	printf("%llu %s in %.1f s, %.0f a second of processor time\n", (unsigned long long)count, what, seconds_now() - started_s,
		(double)count / (children_s() - spent_s));
	return held;
}
