#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# 100,000 histories of the core (tests/property), from the seed of this run, in at most 60 seconds of processor time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
most=${DEPBROKER_HISTORIES_CPU_S:-60}
export DEPBROKER_HISTORIES=${DEPBROKER_HISTORIES:-100000}

spent=$(mktemp)
trap 'rm -f "$spent"' EXIT
"${BUILD_DIR:-build/dev}/test_histories"
times >"$spent" # the second line is of children: "0m33.120s 0m0.250s"
seconds=$(tail -n 1 "$spent" | tr ms '  ' | awk '{ print $1 * 60 + $2 + $3 * 60 + $4 }')
echo "$DEPBROKER_HISTORIES histories in $seconds s of processor time, allowed are $most s"
awk -v seconds="$seconds" -v most="$most" 'BEGIN { exit seconds > most }'
