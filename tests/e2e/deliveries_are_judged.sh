#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# 8 schedules about webhooks: receivers fail, processes and PostgreSQL are killed, and a judge compares what arrived with the log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec tests/faults/run.py --deliveries --schedules "${DEPBROKER_TEST_DELIVERY_SCHEDULES:-8}"
