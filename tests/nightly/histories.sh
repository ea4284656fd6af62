#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# 100,000 histories of the core (tests/property), from the seed of this run, in at most 60 seconds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
DEPBROKER_HISTORIES=100000 exec timeout 60 "${BUILD_DIR:-build/dev}/test_histories"
