// SPDX-License-Identifier: Apache-2.0
#include "depbroker/process.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_LEAK_CHECK 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_LEAK_CHECK 1
#endif
#endif
#ifndef UNDER_LEAK_CHECK
#define UNDER_LEAK_CHECK 0
#endif

void process_harden(void)
{
	const struct rlimit none = { 0, 0 };

	(void)umask(077);
	(void)unsetenv("SSLKEYLOGFILE"); // libcurl would write the keys of its connections there
	(void)signal(SIGPIPE, SIG_IGN); // a peer that goes away is an error of a call
	if (setrlimit(RLIMIT_CORE, &none) != 0) {
		abort();
	}
	// The leak check at exit attaches to us as a debugger does, and would fail.
	if (!UNDER_LEAK_CHECK && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
		abort();
	}
}
