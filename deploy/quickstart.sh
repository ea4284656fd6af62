#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# See it work: a simulated Apple, three MDM servers and depbroker between them, on this machine.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
	cat <<'END'
usage: deploy/quickstart.sh [--once] [--fresh]

Installs what is missing (as root or with sudo, on Debian 12 or 13), builds the release, and starts a simulated Apple, three
receivers of webhooks in the place of MDM servers, and depbroker with its own PostgreSQL. Three clients with 1,000, 250 and 40
devices are onboarded by the public API; when every device is where it belongs, a table says so. Then devices come, move and go
until Ctrl-C, which stops everything.

  --once    stop after the table; the exit code is 0 only when all numbers agree with what is true at Apple
  --fresh   forget an earlier run; without it, this one goes on from there

Everything it makes is in build/ and var/; logs are in var/quickstart/logs. Default ports are used when they are free.
END
}

once=no
fresh=no
while [ $# -gt 0 ]; do
	case "$1" in
	--once) once=yes ;;
	--fresh) fresh=yes ;;
	--help | -h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done

clients=(acme birch cedar)
declare -A organisation=([acme]="Acme Ltd" [birch]="Birch Grammar School" [cedar]="Cedar Clinics")
declare -A organisation_type=([acme]=org [birch]=edu [cedar]=org)
declare -A device_count=([acme]=1000 [birch]=250 [cedar]=40)
declare -A server_kind=([acme]=nanomdm [birch]=fleet [cedar]=jamf)

ports_wanted=(api=8080 admin=9090 apple=7000 control=7002 acme=7001 birch=7003 cedar=7004)
declare -A port=()

build_limit_s=3600
start_limit_s=120
stop_limit_s=60
stall_limit_s=180
live_every_s=10

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

# One more thing done for the client.
step() {
	if [ "$line_is_open" = no ]; then
		printf '   %-7s%s' "$client" "$1"
	else
		printf ', %s' "$1"
	fi
	line_is_open=yes
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

# Each part is a session of its own, so that Ctrl-C is told to this script alone, and it ends when this script does, however that ends.
declare -A pid=()

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

# depbroker first: nothing that it still does shall fail because the others have gone.
stop_all() {
	local code=$? part
	trap '' INT TERM HUP
	trap - EXIT
	close_line
	for part in build depbroker "${clients[@]}" apple; do
		stop "$part"
	done
	if [ "$code" -ne 0 ] && [ "$code" -ne 130 ] && [ -n "${logs:-}" ]; then
		echo "quickstart.sh: stopped; logs are in $logs, and --fresh starts over" >&2
	fi
	exit "$code"
}
trap stop_all EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- where things are ---

# PostgreSQL never runs as root, so its user must be able to enter the folder that the cluster is in.
postgres_can_enter() {
	[ "$(id -u)" -ne 0 ] || setpriv --reuid=postgres --regid=postgres --init-groups test -x "$1"
}

choose_folders() {
	state=$PWD/var
	if ! postgres_can_enter "$PWD"; then
		state=/var/lib/depbroker-quickstart-$(printf '%s' "$PWD" | cksum | cut -d ' ' -f 1)
		say "the user postgres may not enter $PWD, so what belongs into var/ is in $state"
	fi
	work=$state/quickstart
	logs=$work/logs
	if [ ! -d "$state" ]; then
		mkdir "$state"
		[ "$(id -u)" -ne 0 ] || chmod 0711 "$state"
	fi
	exec 8>"$state/quickstart.lock"
	flock -n 8 || die "another quickstart.sh runs here; stop it first"
	exec 7>>"$state/serve.lock"
	flock -w 30 7 || die "a depbroker serve uses $state; stop it first"
	exec 7>&-
	if [ -e "$state/postgres" ] && [ ! -d "$work" ]; then
		die "$state holds a database that this script did not make; move it away first"
	fi
}

forget_earlier_run() {
	local name
	for name in postgres postgres.new postgres-socket master.key quickstart; do
		rm -rf "${state:?}/$name"
	done
}

make_folders() {
	[ -d "$work" ] || mkdir -m 0700 "$work"
	mkdir -p "$logs" "$work/secrets"
}

# --- dependencies, build ---

# Options of somebody else's depbroker, and proxies, are for other machines than this one.
forget_environment() {
	local name
	for name in $(compgen -e); do
		case "${name,,}" in
		depbroker_* | http_proxy | https_proxy | all_proxy) unset "$name" ;;
		esac
	done
}

build() {
	local deadline=$((SECONDS + build_limit_s)) at
	start build sh -c "cmake --preset release -DDEPBROKER_TESTS=ON && \
		cmake --build --preset release -j '$(nproc)' --target depbroker applesim receiver"
	while is_running build; do
		[ "$SECONDS" -lt "$deadline" ] || die_of build "the build was not over after $build_limit_s s"
		at=$(grep -o '^\[[0-9]*/[0-9]*\]' "$logs/build.log" 2>/dev/null | tail -n 1) || :
		[ -z "$at" ] || progress "$at"
		sleep 0.2
	done
	wait "${pid[build]}" || die_of build "the build failed"
	unset "pid[build]"
	say "build/release/depbroker"
}

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

# --- who is asked ---

ask() {
	curl -sS --noproxy '*' --max-time 60 "$@"
}

# Apple's other side: where an administrator clicks.
apple() {
	ask --fail-with-body "http://127.0.0.1:${port[control]}$1" "${@:2}" || die "the simulated Apple refuses $1"
}

receiver() {
	ask --fail-with-body "http://127.0.0.1:${port[$1]}$2" "${@:3}" || die "the receiver of $1 refuses $2"
}

# call METHOD PATH [CURL OPTIONS]: sets `status` and `answer`.
call() {
	status=$(ask -o "$work/answer" -w '%{http_code}' -X "$1" -H "@$work/authorization" "${@:3}" "$api_url$2") ||
		die_of depbroker "the API does not answer: $1 $2"
	answer=$(cat "$work/answer")
}

# As call, and the answer must be a good one.
api() {
	call "$@"
	case "$status" in
	2??) ;;
	*) die "$1 $2: $status $(jq -r '"\(.detail // .title). \(.fix // "")"' <<<"$answer" 2>/dev/null || :)" ;;
	esac
}

exists() {
	call GET "$1"
	case "$status" in
	200) return 0 ;;
	404) return 1 ;;
	*) die "GET $1: $status $answer" ;;
	esac
}

field() {
	jq -r "$1" <<<"$answer"
}

# --- the parts ---

start_apple() {
	start apple build/release/applesim --listen "127.0.0.1:${port[apple]}" --control "127.0.0.1:${port[control]}" --seed 1 \
		--state "$work/apple.json"
	await apple "$start_limit_s" curl -fsS --noproxy '*' --max-time 5 "http://127.0.0.1:${port[control]}/stats"
	say "a simulated Apple: http://127.0.0.1:${port[apple]}, its administrators' side http://127.0.0.1:${port[control]}"
}

start_receivers() {
	local client
	for client in "${clients[@]}"; do
		start "$client" build/release/receiver --listen "127.0.0.1:${port[$client]}" --state "$work/receiver-$client.json"
	done
	for client in "${clients[@]}"; do
		await "$client" "$start_limit_s" curl -fsS --noproxy '*' --max-time 5 "http://127.0.0.1:${port[$client]}/stats"
		say "an MDM server of $client: http://127.0.0.1:${port[$client]}"
	done
}

start_depbroker() {
	export DEPBROKER_STATE_DIR=$state DEPBROKER_LISTEN=127.0.0.1:${port[api]} DEPBROKER_ADMIN_LISTEN=127.0.0.1:${port[admin]}
	export DEPBROKER_WEBHOOK_ALLOW=127.0.0.0/8 DEPBROKER_SYNC_INTERVAL=5
	start depbroker build/release/depbroker serve
	await depbroker "$start_limit_s" curl -fsS --noproxy '*' --max-time 5 "http://127.0.0.1:${port[admin]}/readyz"
	api_url=http://127.0.0.1:${port[api]}/api/v1
	say "depbroker: $api_url"
}

make_key() {
	(umask 077 && timeout 60 build/release/depbroker admin create-key --name quickstart >"$work/key.new" 2>"$logs/create-key.log") ||
		die_of create-key "no API key could be made"
	mv "$work/key.new" "$work/key"
	use_key
}

use_key() {
	(umask 077 && echo "Authorization: Bearer $(cat "$work/key")" >"$work/authorization")
}

find_key() {
	if [ -s "$work/key" ]; then
		use_key
		call GET /status
		[ "$status" = 401 ] || return 0
	fi
	make_key
}

# --- onboarding, as a technician does it: docs/tutorial.md ---

buy_devices() {
	local list
	list=$(apple /tenants)
	if ! jq -e --arg name "$client" 'any(.tenants[]; .name == $name)' <<<"$list" >/dev/null; then
		apple /tenants -d "$(jq -n --arg name "$client" --arg org "${organisation[$client]}" --arg type "${organisation_type[$client]}" \
			--argjson devices "${device_count[$client]}" '{name: $name, org_name: $org, org_type: $type, devices: $devices}')" >/dev/null
	fi
}

make_tenant() {
	local url=http://127.0.0.1:${port[apple]}
	if ! exists "/tenants/$client"; then
		api POST /tenants -d "$(jq -n --arg slug "$client" --arg name "${organisation[$client]}" --arg url "$url" \
			'{slug: $slug, display_name: $name, apple_url: $url}')"
		step "client created"
	elif [ "$(field .apple_url)" != "$url" ]; then
		api PATCH "/tenants/$client" -d "{\"apple_url\":\"$url\"}"
		step "Apple has moved to $url"
	fi
}

upload_token() {
	local id
	exists "/tenants/$client" || die "the client $client is gone"
	[ "$(field .token.state)" = none ] || return 0
	api POST "/tenants/$client/token/keys"
	id=$(field .id)
	api GET "/tenants/$client/token/keys/$id/certificate"
	step "key pair"
	apple "/tenants/$client/token" --data-binary "@$work/answer" >"$work/token.p7m"
	api PUT "/tenants/$client/token" --data-binary "@$work/token.p7m"
	rm "$work/token.p7m"
	step "token taken"
}

# The secret is shown once; it goes to a file first, so that an interruption costs nothing.
make_instance() {
	local url=http://127.0.0.1:${port[$client]}/webhook host=mdm.$client.example secret=$work/secrets/$client
	if ! exists "/tenants/$client/instances/main"; then
		api POST "/tenants/$client/instances" -d "$(jq -n --arg kind "${server_kind[$client]}" --arg host "$host" --arg url "$url" \
			'{name: "main", kind: $kind, enrolment_url: "https://\($host)/enroll", allowed_hosts: [$host], webhook_url: $url}')"
		field .webhook_secret >"$secret"
		step "MDM server"
	elif [ "$(field .webhook_url)" != "$url" ]; then
		api PATCH "/tenants/$client/instances/main" -d "{\"webhook_url\":\"$url\"}"
		api POST "/tenants/$client/instances/main/enable"
		step "its MDM server has moved to $url"
	fi
	[ -s "$secret" ] || die "the webhook secret of $client was lost in an interrupted run; start over with --fresh"
	receiver "$client" /secret -X PUT --data-binary "@$secret" >/dev/null
}

set_rule() {
	api GET "/tenants/$client/rules"
	if [ "$(field .default)" != main ]; then
		api PUT "/tenants/$client/rules" -d '{"default":"main"}'
		step "every device goes to it"
	fi
}

onboard() {
	local client
	for client in "${clients[@]}"; do
		buy_devices
		make_tenant
		upload_token
		make_instance
		set_rule
		[ "$line_is_open" = yes ] || step "is there already"
		close_line
	done
}

# --- the numbers ---

# One line a client: its name, then devices at Apple, stored, assigned by Apple's word, assigned by ours, known at the MDM server, and told
# there to be assigned. "at rest" is when all are the same.
count() {
	local client truth stats
	api GET /tenants
	for client in "${clients[@]}"; do
		truth=$(apple "/tenants/$client/truth")
		stats=$(receiver "$client" /stats)
		jq -rn --arg client "$client" --argjson ours "$answer" --argjson stats "$stats" --slurpfile truth <(echo "$truth") '
			($ours.items[] | select(.slug == $client).devices) as $devices |
			[$client, $truth[0].counts.devices, $devices.present, $truth[0].counts.with_profile, $devices.assigned,
			$stats.present, $stats.assigned] | join(" ")'
	done
}

is_at_rest() {
	awk '{ for (i = 3; i <= NF; i++) if ($i != $2) apart = 1 } END { exit apart || NR != 3 }' <<<"$1"
}

totals() {
	awk '{ apple += $2; stored += $3; assigned += $4; announced += $7 }
		END { printf "%d devices at Apple: %d stored, %d assigned, %d announced\n", apple, stored, assigned, announced }' <<<"$1"
}

must_run() {
	local part
	for part in "${!pid[@]}"; do
		is_running "$part" || die_of "$part" "$part has ended"
	done
}

wait_for_all() {
	local now=none before='' since=$SECONDS
	while :; do
		now=$(count)
		progress "$(totals "$now")"
		! is_at_rest "$now" || break
		must_run
		if [ "$now" != "$before" ]; then
			before=$now
			since=$SECONDS
		elif [ $((SECONDS - since)) -ge "$stall_limit_s" ]; then
			close_line
			echo "client, at Apple, stored, assigned at Apple, assigned, announced, announced as assigned:" >&2
			echo "$now" >&2
			jq -r '.items[] | "\(.slug): sync \(.sync | tojson)"' <"$work/answer" >&2
			die_of depbroker "nothing has changed for $stall_limit_s s"
		fi
		sleep 0.3
	done
	progress_end "$(totals "$now")"
}

# --- the same, device by device ---

# Serial numbers with their profiles.
true_devices() {
	apple "/tenants/$1/truth" | jq -r --arg url "https://mdm.$1.example/enroll" \
		'.devices[] | select(.profile_url == $url) | "\(.serial_number) \(.profile_uuid)"' | sort
}

stored_devices() {
	local cursor=
	while :; do
		api GET "/tenants/$1/devices?limit=500${cursor:+&cursor=$cursor}"
		field '.items[] | select(.instance == "main" and .assignment.state == "settled") |
			"\(.serial_number) \(.assignment.profile_uuid)"'
		cursor=$(field '.cursor // ""')
		[ -n "$cursor" ] || break
	done | sort
}

announced_serials() {
	receiver "$1" /devices | jq -r '.devices[] | select(.present and .assigned and .instance == "main").serial_number' | sort
}

must_be_same() {
	local apart
	apart=$(comm -3 <(echo "$2") <(echo "$3") | wc -l)
	[ "$apart" -eq 0 ] || die "$client: at Apple and $1 differ in $apart lines"
}

compare() {
	local client truth stored announced
	for client in "${clients[@]}"; do
		truth=$(true_devices "$client")
		stored=$(stored_devices "$client")
		announced=$(announced_serials "$client")
		must_be_same stored "$truth" "$stored"
		must_be_same announced "$(cut -d ' ' -f 1 <<<"$truth")" "$announced"
		receiver "$client" /stats | jq -e '[.conflicts, .inversions, .foreign, .malformed] == [0, 0, 0, 0]' >/dev/null ||
			die "the MDM server of $client was told what it must not be told: $(receiver "$client" /stats)"
		apple "/tenants/$client/truth" | jq -e '.counts | [.nonces_reused, .assigned_too_early] == [0, 0]' >/dev/null ||
			die "$client: Apple was asked what it must not be asked: $(apple "/tenants/$client/truth" | jq -c .counts)"
	done
	say "every single device has the profile of its client's MDM server, and that MDM server knows it"
}

# --- the table ---

of_tenant() {
	jq -r --arg slug "$1" ".items[] | select(.slug == \$slug) | $2" <<<"$answer"
}

print_table() {
	local now name apple stored assigned announced row='   %-7s %-21s %-11s %9s %7s %9s %10s  %s\n'
	now=$(count)
	api GET /tenants
	echo
	# shellcheck disable=SC2059
	printf "$row" client organisation "token until" "at Apple" stored assigned announced instance
	while read -r name apple stored assigned _ _ announced; do
		# shellcheck disable=SC2059
		printf "$row" "$name" "$(of_tenant "$name" .identity.org_name)" "$(of_tenant "$name" '.token.expires_at[:10]')" \
			"$apple" "$stored" "$assigned" "$announced" "main (${server_kind[$name]}), http://127.0.0.1:${port[$name]}"
	done <<<"$now"
}

print_invitation() {
	local serial
	serial=$(some_serial acme)
	cat <<END

   The API listens at $api_url
   The key, kept in $work/key: $(cat "$work/key")

   Try:

   KEY=\$(cat $work/key)
   curl -sH "Authorization: Bearer \$KEY" $api_url/status | jq
   curl -sH "Authorization: Bearer \$KEY" "$api_url/tenants/acme/devices?limit=3" | jq
   curl -sH "Authorization: Bearer \$KEY" $api_url/tenants/acme/devices/$serial/history | jq
END
}

# --- live ---

declare -A heard=()

at_random() {
	echo "${clients[RANDOM % ${#clients[@]}]}"
}

report() {
	printf '   %s  %-9s %s\n' "$(date +%H:%M:%S)" "$1" "$2"
}

some_serial() {
	apple "/tenants/$1/truth" | jq -r --argjson at "$RANDOM" '.devices | .[$at % length].serial_number'
}

add_devices() {
	local client serials
	client=$(at_random)
	serials=$(apple "/tenants/$client/devices" -d "{\"count\":$((1 + RANDOM % 3))}" | jq -r '.serials | join(", ")')
	report "at Apple" "$client buys $serials"
}

remove_device() {
	local client serial
	client=$(at_random)
	serial=$(some_serial "$client")
	apple "/tenants/$client/devices/$serial" -X DELETE >/dev/null
	report "at Apple" "$client releases $serial"
}

move_device() {
	local from to serial id
	from=$(at_random)
	to=$(at_random)
	[ "$from" != "$to" ] || return 0
	serial=$(some_serial "$from")
	id=$(apple "/tenants/$to" | jq .id)
	apple "/tenants/$from/devices/$serial/move" -d "{\"to\":$id}" >/dev/null
	report "at Apple" "$serial moves from $from to $to"
}

# What the MDM servers were told since the last time.
print_routed() {
	local client events kind serial
	for client in "${clients[@]}"; do
		events=$(receiver "$client" "/events?after=${heard[$client]}")
		heard[$client]=$(jq .last <<<"$events")
		while read -r kind serial; do
			[ -z "$kind" ] || report "$client" "$(printf '%-15s  %s -> %s' "$kind" "$serial" "${server_kind[$client]}")"
		done < <(jq -r '.events[].body | fromjson | "\(.type) \(.data.serial_number)"' <<<"$events")
	done
}

live() {
	local client next=$SECONDS
	section "live: devices come, move and go every $live_every_s seconds, until Ctrl-C"
	for client in "${clients[@]}"; do
		heard[$client]=$(receiver "$client" "/stats" | jq .events)
	done
	trap 'exit 0' INT
	while :; do
		if [ "$SECONDS" -ge "$next" ]; then
			next=$((SECONDS + live_every_s))
			add_devices
			move_device
			remove_device
		fi
		print_routed
		must_run
		sleep 1
	done
}

# --- all of it ---

section "what is needed"
timeout --foreground "$build_limit_s" deploy/dependencies.sh demo || die "not everything that is needed could be installed"
forget_environment
choose_folders
[ "$fresh" = no ] || forget_earlier_run
make_folders
say "all there"

section "build"
build

section "start"
choose_ports
start_apple
start_receivers
start_depbroker
find_key

section "onboard three clients"
onboard

section "wait until every device is assigned and announced"
wait_for_all
compare
print_table
print_invitation

[ "$once" = yes ] || live
