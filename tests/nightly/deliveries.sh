#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# 300 schedules about webhooks from the seed of this run, and some with so many devices that 2,000,000 deliveries are made.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seed=${DEPBROKER_TEST_SEED:-$RANDOM}
tests/faults/run.py --deliveries --seed "$seed" --schedules "${DEPBROKER_TEST_SCHEDULES:-300}"
tests/faults/run.py --deliveries --seed "$((seed + 1000000))" --schedules "${DEPBROKER_TEST_LARGE_SCHEDULES:-17}" --devices 5000 --side-by-side 3
