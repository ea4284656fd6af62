// SPDX-License-Identifier: Apache-2.0
//
// shifted_clock.c - a library for LD_PRELOAD (tests/support/shifted_clock.py): the time of day is later by the seconds, an int64_t, in the
// file that SHIFTED_CLOCK names. What measures how long something takes is not shifted.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift_s;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("SHIFTED_CLOCK");
	const int file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *found = file >= 0 ? mmap(NULL, sizeof *shift_s, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;

	if (file >= 0) {
		(void)close(file);
	}
	shift_s = found != MAP_FAILED ? found : NULL;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	const long rc = syscall(SYS_clock_gettime, clock, now);

	if (rc == 0 && shift_s != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		now->tv_sec += *shift_s;
	}
	return (int)rc;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &precise) != 0) {
		return -1;
	}
	*now = (struct timeval){ .tv_sec = precise.tv_sec, .tv_usec = precise.tv_nsec / 1000 };
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (out != NULL) {
		*out = now.tv_sec;
	}
	return now.tv_sec;
}
