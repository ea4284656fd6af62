#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Plants each bug of tests/planted in a copy of the sources, one after the other: the test that its patch names must turn red.
#
#   tests/nightly/planted_bugs.sh [NAME...]   only these
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$copy"
cd "$copy"
cmake --preset release -DDEPBROKER_WERROR=OFF >configure.log
export DEPBROKER_SIM_SCHEDULES=300 DEPBROKER_HISTORIES=5000 DEPBROKER_TEST_SEED=1

# A test is a program of its name; "faults" and "deliveries" are schedules of tests/faults; "e2e/NAME" is tests/e2e/NAME.py.
programs_of() {
	case $1 in
	faults | deliveries) echo depbroker applesim receiver wire ;;
	e2e/*) echo depbroker applesim receiver ;;
	*) echo "$1" ;;
	esac
}
run_test() {
	case $1 in
	faults) BUILD_DIR=$copy/build/release timeout 1200 tests/faults/run.py --seed 500 --schedules 60 --stop-early ;;
	deliveries) BUILD_DIR=$copy/build/release timeout 1200 tests/faults/run.py --deliveries --seed 500 --schedules 12 --stop-early ;;
	e2e/*) BUILD_DIR=$copy/build/release timeout 600 "tests/$1.py" ;;
	*) timeout 300 "build/release/$1" ;;
	esac
}

# outcome_of TEST: green, red, or broken when it cannot be built.
outcome_of() {
	local programs
	read -ra programs < <(programs_of "$1")
	cmake --build --preset release -j 2 --target "${programs[@]}" >build.log 2>&1 || { tail -n 20 build.log >&2; echo broken; return; }
	if (cd "$copy" && run_test "$1") >run.log 2>&1; then echo green; else echo red; fi
}

patches=("$root"/tests/planted/*.patch)
[ $# -eq 0 ] || patches=("${@/#/$root/tests/planted/}") && [ $# -eq 0 ] || patches=("${patches[@]/%/.patch}")
for test in $(sed -n 's/^Red: //p' "${patches[@]}" | sort -u); do
	outcome=$(outcome_of "$test")
	[ "$outcome" = green ] || { tail -n 20 run.log; echo "$test is $outcome without any planted bug"; exit 1; }
done

failed=0
for patch in "${patches[@]}"; do
	test=$(sed -n 's/^Red: //p' "$patch")
	patch --quiet --fuzz=0 -p1 <"$patch"
	outcome=$(outcome_of "$test")
	patch --quiet -R -p1 <"$patch"
	printf '%-40s %-20s %s\n' "$(basename "${patch%.patch}")" "$test" "$outcome"
	[ "$outcome" = red ] || failed=$((failed + 1))
done
echo "${#patches[@]} bugs planted, $failed not found"
[ "$failed" -eq 0 ]
