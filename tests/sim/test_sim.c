// SPDX-License-Identifier: Apache-2.0
#include "sim/sim.h"
#include <stdlib.h>
int main(int argc, char **argv)
{
	const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	const unsigned faults = argc > 3 ? (unsigned)atol(argv[3]) : 200;
	const uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	for (uint64_t s = seed; s < seed + (n ? n : 1); s++) {
	sim_begin(s, n == 0);
	const int64_t end_us = sim.now_us + 6 * HOUR_US;
	sim_rows_begin();
	sim_apple_begin();
	sim_hooks_begin();
	sim_plan_begin(faults);
	sim_nodes_begin();
	while (sim_step(end_us)) {
	}
	sim_settles();
	if (n<20) printf("seed %llu hash %016llx events %llu tx %llu calls %llu hooks %llu inj %llu met %llu\n",
		(unsigned long long)s, (unsigned long long)sim.hash, (unsigned long long)sim.events, (unsigned long long)sim.transactions,
		(unsigned long long)sim.calls, (unsigned long long)sim.hooks, (unsigned long long)sim.injected, (unsigned long long)sim.met);
	sim_end();
	}
	return 0;
}
