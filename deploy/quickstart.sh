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

Everything it makes is in build/ and var/; logs are in var/quickstart/logs. PostgreSQL never runs as root: in a folder that its
user may not enter, such as one in /root, what belongs into var/ is in /var/lib/depbroker-quickstart-NUMBER instead.
Ports are the usual ones when they are free.
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

# depbroker stops before the others: nothing that it still does shall fail because they have gone.
parts=(build depbroker "${clients[@]}" apple)

build_limit_s=3600
stall_limit_s=180
live_every_s=10

source deploy/quickstart-parts.sh

# --- where things are ---

# PostgreSQL never runs as root, so its user must be able to enter the folder that the cluster is in.
postgres_can_enter() {
	[ "$(id -u)" -ne 0 ] || setpriv --reuid=postgres --regid=postgres --init-groups test -x "$1"
}

choose_folders() {
	local mode=0700
	state=$PWD/var
	if ! postgres_can_enter "$PWD"; then
		state=/var/lib/depbroker-quickstart-$(printf '%s' "$PWD" | cksum | cut -d ' ' -f 1)
		say "the user postgres may not enter $PWD, so what belongs into var/ is in $state"
	fi
	work=$state/quickstart
	[ "$(id -u)" -ne 0 ] || mode=0711
	[ -d "$state" ] || mkdir -m "$mode" "$state"
	exec 8>"$state/quickstart.lock"
	flock -n 8 || die "another quickstart.sh runs here; stop it first"
	exec 7>>"$state/serve.lock"
	flock -w 30 7 || die "a depbroker serve uses $state; stop it first"
	exec 7>&-
	if [ -e "$state/postgres" ] && [ ! -d "$work" ]; then
		die "$state holds a database that this script did not make; move it away first"
	fi
}

# When it is interrupted, the next run completes it: old notes on a new database would make no sense.
forget_earlier_run() {
	local name
	if [ -d "$work" ]; then
		touch "$work/forget"
		for name in postgres postgres.new postgres-socket master.key; do
			rm -rf "${state:?}/$name"
		done
		mv -T "$work" "$state/forgotten"
	fi
	rm -rf "$state/forgotten"
}

make_folders() {
	[ -d "$work" ] || mkdir -m 0700 "$work"
	logs=$work/logs
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
	export DEPBROKER_DEP_LISTEN=127.0.0.1:0 # any: nobody is shown it
	export DEPBROKER_WEBHOOK_ALLOW=127.0.0.0/8 DEPBROKER_SYNC_INTERVAL=5
	start depbroker build/release/depbroker serve
	await depbroker "$start_limit_s" curl -fsS --noproxy '*' --max-time 5 "http://127.0.0.1:${port[admin]}/readyz"
	api_url=http://127.0.0.1:${port[api]}/api/v1
	say "depbroker: $api_url"
}

make_key() {
	(
		umask 077
		timeout 60 build/release/depbroker admin create-key --name quickstart >"$work/key.new" 2>"$logs/create-key.log"
	) || die_of create-key "no API key could be made"
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

# One more thing done for the client.
step() {
	if [ "$line_is_open" = no ]; then
		printf '   %-7s%s' "$client" "$1"
	else
		printf ', %s' "$1"
	fi
	line_is_open=yes
}

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

# One line a client: its name, then devices at Apple, stored, assigned by Apple's word, assigned by ours, known at the MDM
# server, and told there to be assigned. At rest all are the same.
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
if [ "$fresh" = yes ] || [ -e "$work/forget" ]; then
	forget_earlier_run
fi
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
