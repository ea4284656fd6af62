#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Ten minutes of 20 clients with 60 instances and 40,000 devices, whose rules change under faults: nobody goes astray.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
DEPBROKER_TEST_SCALE=${DEPBROKER_TEST_SCALE:-20,2000,600} exec tests/e2e/nobody_goes_astray.py
