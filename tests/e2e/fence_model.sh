#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every state of the fence's model (tests/model/fence.pml) keeps its laws; and the model is able to find what the fence is for.
set -euo pipefail
model=$(cd "$(dirname "${BASH_SOURCE[0]}")/../model" && pwd)/fence.pml

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# errors_of OPTION...: how many errors spin finds in all states of the model.
errors_of() {
	local report
	rm -f pan.c
	spin -a "$@" "$model" >spin.log
	[ -s pan.c ] || { cat spin.log >&2; exit 1; }
	gcc -O2 -w -DSAFETY -DCOLLAPSE -DNOFAIR -o pan pan.c
	report=$(./pan -m100000 -w24 -E)
	grep -q 'error: max search depth too small' <<<"$report" && { echo "the search was cut off" >&2; exit 1; }
	sed -n 's/.*errors: \([0-9]*\).*/\1/p' <<<"$report"
	grep -E 'states, stored|depth reached' <<<"$report" >&2
}

[ "$(errors_of)" = 0 ] || { echo "the fence lets something through"; exit 1; }
for broken in TIME_CHECK SPLIT NEVER_DONE; do
	[ "$(errors_of "-D$broken")" != 0 ] || { echo "-D$broken should have failed"; exit 1; }
done
echo "the fence holds in every state; both broken variants fail"
