#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests: installs what they need, builds with sanitizers (and with clang), runs everything.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

usage() {
	cat <<'END'
usage: tests/run.sh [--nightly] [--only NAME] [--seed N]

  --nightly     also the long forms: the container image, a minute of fuzzing for each target
  --only NAME   only the tests whose names match this regular expression
  --seed N      the seed of the randomised tests (otherwise a new one each time; it is printed)

Each test program and each check counts as one. The last line is "N passed, N failed"; the exit code is 0 only when
nothing failed. Logs of the last run are in build/test-logs.
END
}

nightly=no
only=
seed=
while [ $# -gt 0 ]; do
	case "$1" in
	--nightly) nightly=yes ;;
	--only) only=${2:?--only needs a name}; shift ;;
	--seed) seed=${2:?--seed needs a number}; shift ;;
	--help | -h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
[ -n "$seed" ] || seed=$((RANDOM * 32768 + RANDOM))
case "$seed" in
*[!0-9]*) echo "tests/run.sh: --seed needs a number" >&2; exit 2 ;;
esac

export DEPBROKER_TEST_SEED=$seed
export BUILD_DIR=$PWD/build/dev
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
logs=$PWD/build/test-logs
jobs=2
passed=0
failed=0
skipped=0
started=$SECONDS

section() { printf '\n== %s (%d s)\n' "$1" "$((SECONDS - started))"; }

wanted() { [ -z "$only" ] || [[ $1 =~ $only ]]; }

finish() {
	section "result"
	[ "$skipped" -eq 0 ] || echo "skipped: $skipped (counted neither as passed nor as failed)"
	if [ $((passed + failed)) -eq 0 ]; then
		echo "nothing ran: no test matches '$only'"
		failed=1
	fi
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
	exit
}

note_passed() {
	passed=$((passed + 1))
	printf 'ok       %s\n' "$1"
}

note_failed() {
	failed=$((failed + 1))
	printf 'FAILED   %s\n' "$1"
	printf "         replay: tests/run.sh --only '^%s\$' --seed %s\n" "$1" "$seed"
}

# conclude NAME CODE: what became of a test that was a command. Its output is shown when it failed; exit code 77 says that this
# machine cannot run it, and the last line why.
conclude() {
	local name=$1 code=$2
	case "$code" in
	0) note_passed "$name" ;;
	77)
		skipped=$((skipped + 1))
		printf 'SKIPPED  %s: %s\n' "$name" "$(tail -n 1 "$logs/$name.log")"
		;;
	*)
		tail -n 200 "$logs/$name.log" | sed 's/^/    | /'
		note_failed "$name"
		;;
	esac
}

# check NAME COMMAND...: one test that is a command.
check() {
	local name=$1 code=0
	shift
	wanted "$name" || return 0
	"$@" >"$logs/$name.log" 2>&1 </dev/null || code=$?
	conclude "$name" "$code"
}

build() {
	cmake --preset "$1" && cmake --build --preset "$1" -j "$jobs"
}

# "passed NAME" or "failed NAME" for each test in the report that ctest wrote. A test that did not run has not passed.
outcomes_of() {
	python3 - "$1" <<'END'
import sys
import xml.etree.ElementTree
for case in xml.etree.ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
    print("passed" if case.get("status") == "run" else "failed", case.get("name"))
END
}

run_ctest() {
	local outcome name report=$logs/ctest.xml
	rm -f "$report"
	ctest --test-dir "$BUILD_DIR" -j "$jobs" --output-on-failure --output-junit "$report" ${only:+-R "$only"} </dev/null 2>&1
	if [ ! -s "$report" ]; then
		note_failed ctest
		return
	fi
	while read -r outcome name; do
		"note_$outcome" "$name"
	done < <(outcomes_of "$report")
}

# run_scripts FOLDER SECONDS: each executable script there is one test; as many at a time as there are cores for them.
run_scripts() {
	local script name names=()
	for script in "$1"/*.sh "$1"/*.py; do
		name=$(basename "${script%.*}")
		if [ -x "$script" ] && wanted "$name"; then
			while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
				wait -n || :
			done
			(
				code=0
				timeout -k 30 "$2" "$script" >"$logs/$name.log" 2>&1 </dev/null || code=$?
				echo "$code" >"$logs/$name.code"
			) &
			names+=("$name")
		fi
	done
	wait
	for name in "${names[@]}"; do
		conclude "$name" "$(cat "$logs/$name.code" 2>/dev/null || echo 1)"
	done
}

run_fuzzers() {
	local program name
	build fuzz >"$logs/build-fuzz.log" 2>&1 || { tail -n 50 "$logs/build-fuzz.log"; note_failed build-fuzz; return; }
	for program in build/fuzz/fuzz_*; do
		[ -x "$program" ] || continue
		name=$(basename "$program")
		mkdir -p "build/fuzz-found/$name" "tests/fuzz/corpus/$name"
		check "$name-60s" "$program" -max_total_time=60 -timeout=10 -seed="$seed" \
			-artifact_prefix="build/fuzz-found/$name/" "build/fuzz-found/$name" "tests/fuzz/corpus/$name"
	done
}

mkdir -p "$logs"
rm -f "$logs"/*
echo "seed $seed"

section "dependencies"
if ! deploy/dependencies.sh test; then
	note_failed dependencies
	finish
fi

section "build with sanitizers"
if ! build dev >"$logs/build-dev.log" 2>&1; then
	tail -n 60 "$logs/build-dev.log"
	note_failed build-dev
	finish
fi
! wanted build-dev || note_passed build-dev

section "checks of the sources"
check check-layers tests/check-layers.py --build "$BUILD_DIR"
check check-layers-self-test tests/check-layers.py --self-test
check check-sources tests/check-sources.py
check check-sources-self-test tests/check-sources.py --self-test
check check-docs tests/check-docs.py
check check-docs-self-test tests/check-docs.py --self-test
check check-planted tests/check-planted.py
check check-planted-self-test tests/check-planted.py --self-test
for script in tests/*.sh tests/*/*.sh deploy/*.sh .ci/run; do
	[ ! -f "$script" ] || check "syntax-of-$(basename "$script")" bash -n "$script"
done

section "test programs"
run_ctest

section "end to end"
run_scripts tests/e2e 600

section "build with clang"
check build-clang build clang

if [ "$nightly" = yes ]; then
	section "nightly"
	run_scripts tests/nightly 14400
	run_fuzzers
fi
finish
