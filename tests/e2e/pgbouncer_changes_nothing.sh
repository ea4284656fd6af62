#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Through PgBouncer in transaction mode with four connections (tests/support/pooler.py) the outcome is the same: deliveries arrive, and workers that are killed lose
# nothing. tests/nightly/pgbouncer.sh runs everything so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export DEPBROKER_TEST_PGBOUNCER=1
./deliveries_arrive.py
DEPBROKER_TEST_KILLS=50 ./worker_survives_kills.py
