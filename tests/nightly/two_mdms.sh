#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# 10,000 devices are sent to and fro between two MDM servers of one token.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
DEPBROKER_TEST_REROUTES=${DEPBROKER_TEST_REROUTES:-10000} tests/e2e/two_mdms_one_token.py
