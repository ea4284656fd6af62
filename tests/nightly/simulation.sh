#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A million simulated worlds (tests/sim), from the seed of this run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
DEPBROKER_SIM_SCHEDULES=${DEPBROKER_SIM_SCHEDULES:-1000000} exec "${BUILD_DIR:-build/dev}/test_sim"
