#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# quickstart-parts.sh - for quickstart.sh: what the reader sees, processes that start, are waited for and stop, and free ports.
# It goes by the variables work, logs and parts (in the order to stop them), and by port, which it fills.

start_limit_s=120
stop_limit_s=60

# --- what the reader sees ---

started=$SECONDS
line_is_open=no
shown=
shown_at=0

close_line() {
	[ "$line_is_open" = no ] || echo
	line_is_open=no
}

section() {
	close_line
	printf '\n== %s (%d s)\n' "$1" "$((SECONDS - started))"
}

say() {
	close_line
	printf '   %s\n' "$*"
}

# A line that takes the place of the one before; in a file a new one, and only now and then.
progress() {
	if [ -t 1 ]; then
		printf '\r\033[K   %s' "$1"
		line_is_open=yes
	elif [ "$1" != "$shown" ] && [ $((SECONDS - shown_at)) -ge 5 ]; then
		printf '   %s\n' "$1"
		shown=$1
		shown_at=$SECONDS
	fi
}

progress_end() {
	if [ -t 1 ]; then
		progress "$1"
		close_line
	elif [ "$1" != "$shown" ]; then
		say "$1"
	fi
}

die() {
	close_line
	printf 'quickstart.sh: %s\n' "$*" >&2
	exit 1
}

# die_of PART MESSAGE: with the last lines of the part's log.
die_of() {
	local part=$1
	shift
	close_line
	echo "the last lines of $logs/$part.log:" >&2
	tail -n 20 "$logs/$part.log" | cut -c 1-400 | sed 's/^/    | /' >&2
	die "$*"
}

# --- processes ---

# Each part is a session of its own, so that Ctrl-C is told to this script alone. It ends when this script does, however
# that ends.
declare -A pid=() port=()

start() {
	local part=$1
	shift
	setsid setpriv --pdeathsig TERM "$@" >"$logs/$part.log" 2>&1 </dev/null 8>&- &
	pid[$part]=$!
}

is_running() {
	kill -0 "${pid[$1]}" 2>/dev/null
}

# await PART SECONDS COMMAND...: until the command succeeds.
await() {
	local part=$1 limit=$2 deadline=$((SECONDS + $2))
	shift 2
	until "$@" >/dev/null 2>&1; do
		is_running "$part" || die_of "$part" "$part ended before it was ready"
		[ "$SECONDS" -lt "$deadline" ] || die_of "$part" "$part was not ready after $limit s"
		sleep 0.1
	done
}

# stop PART: as it asks for, by SIGTERM; after a while by force, with all that it started.
stop() {
	local part=$1 deadline=$((SECONDS + stop_limit_s))
	[ -n "${pid[$part]:-}" ] || return 0
	if [ "$part" = build ]; then
		kill -TERM -- "-${pid[$part]}" 2>/dev/null || :
	else
		kill -TERM "${pid[$part]}" 2>/dev/null || :
	fi
	while is_running "$part"; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			echo "quickstart.sh: $part did not end in $stop_limit_s s, and is killed" >&2
			kill -KILL -- "-${pid[$part]}" 2>/dev/null || :
			break
		fi
		sleep 0.05
	done
	unset "pid[$part]"
}

stop_all() {
	local code=$? part
	trap '' INT TERM HUP
	trap - EXIT
	close_line
	for part in "${parts[@]}"; do
		stop "$part"
	done
	if [ "$code" -eq 1 ] && [ -n "${logs:-}" ]; then
		echo "quickstart.sh: stopped; logs are in $logs, and --fresh starts over" >&2
	fi
	exit "$code"
}
trap stop_all EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- ports ---

port_is_free() {
	local other
	for other in "${port[@]}"; do
		[ "$other" != "$1" ] || return 1
	done
	! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# The one of the earlier run, the default, or any below those that the kernel hands out.
choose_port() {
	local name=$1 default=$2 candidate
	for candidate in "$(sed -n "s/^$name=//p" "$work/ports" 2>/dev/null)" "$default"; do
		if [ -n "$candidate" ] && port_is_free "$candidate"; then
			port[$name]=$candidate
			return
		fi
	done
	for _ in $(seq 100); do
		candidate=$((20000 + RANDOM % 10000))
		if port_is_free "$candidate"; then
			port[$name]=$candidate
			say "port $default is taken; $name gets $candidate"
			return
		fi
	done
	die "no free port found"
}

choose_ports() {
	local wanted
	for wanted in "${ports_wanted[@]}"; do
		choose_port "${wanted%=*}" "${wanted#*=}"
	done
	for wanted in "${ports_wanted[@]}"; do
		echo "${wanted%=*}=${port[${wanted%=*}]}"
	done >"$work/ports"
}
