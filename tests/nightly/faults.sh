#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# 3,000 schedules of faults (tests/faults) from the seed of this run, and some that last longer than every deadline.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seed=${DEPBROKER_TEST_SEED:-$RANDOM}
tests/faults/run.py --seed "$seed" --schedules "${DEPBROKER_TEST_SCHEDULES:-3000}"
tests/faults/run.py --seed "$((seed + 1000000))" --schedules "${DEPBROKER_TEST_LONG_SCHEDULES:-60}" --seconds 25
