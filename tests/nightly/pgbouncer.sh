#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every end-to-end test again, its programs behind PgBouncer in transaction mode with four connections (tests/support/pooler.py).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export DEPBROKER_TEST_PGBOUNCER=1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
for script in tests/e2e/*.py; do
	if timeout -k 30 900 "$script" >"$log" 2>&1 </dev/null; then
		echo "ok      $script"
	else
		tail -n 60 "$log"
		echo "FAILED  $script"
		failed=$((failed + 1))
	fi
done
echo "$failed failed through PgBouncer"
[ "$failed" -eq 0 ]
