#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A million simulated worlds (tests/sim) and their scenes, from the seed of this run, in portions. What is done is written down: a run that was
# interrupted goes on where it was, and says how far it is after each portion.
#
#   tests/nightly/simulation.sh           DEPBROKER_TEST_SEED: where they begin; DEPBROKER_SIM_SCHEDULES: how many
#   tests/nightly/simulation.sh --anew    from the first one
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=${BUILD_DIR:-build/dev}
count=${DEPBROKER_SIM_SCHEDULES:-1000000}
portion=${DEPBROKER_SIM_PORTION:-10000}
first=$((${DEPBROKER_TEST_SEED:-1} * 1000000))
progress=$build/simulation-$first.progress
[ "${1:-}" != --anew ] || rm -f "$progress"

# Of other code nothing is done yet.
sum=$(sha256sum "$build/test_sim" | cut -d ' ' -f 1)
done=0
if [ -f "$progress" ]; then
	read -r done_by done_so_far <"$progress"
	[ "$done_by" != "$sum" ] || done=$done_so_far
fi
while [ "$done" -lt "$count" ]; do
	now=$((count - done < portion ? count - done : portion))
	"$build/test_sim" --worlds $((first + done)) "$now" || { echo "a law was broken after $done worlds from seed $first"; exit 1; }
	done=$((done + now))
	echo "$sum $done" >"$progress"
	echo "$done of $count worlds from seed $first"
done
