#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# 100 schedules of faults on every link and at every node (tests/faults) from the seed of this run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec tests/faults/run.py --schedules "${DEPBROKER_TEST_SCHEDULES:-100}"
