#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the image and starts docker/compose.yaml for real, as the README says, then looks at what came up.
#
# A Docker engine that runs is used; otherwise one is started with its data in a temporary folder. Where no image registry
# can be reached the base image is made by debootstrap, and PostgreSQL's from that. Everything that was made is removed.
# Exit code 77: this kernel does not allow a Docker engine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folder=$(mktemp -d)
engine_pid=
compose=
export COMPOSE_PROJECT_NAME=depbroker-test-$$
export DEPBROKER_IMAGE=depbroker-test:$$
export BASE_IMAGE=debian:13-slim
export POSTGRES_IMAGE=postgres:17
export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0 # images that only this engine has are found
made_images=("$DEPBROKER_IMAGE")

step() { printf '\n-- %s\n' "$*"; }

cleanup() {
	local code=$?
	set +e
	if [ -n "$compose" ]; then
		[ "$code" -eq 0 ] || $compose -f docker/compose.yaml logs --tail=50
		$compose -f docker/compose.yaml down -v --timeout 30 >/dev/null 2>&1
		docker rmi -f "${made_images[@]}" >/dev/null 2>&1
	fi
	if [ -n "$engine_pid" ]; then
		kill "$engine_pid"
		wait "$engine_pid"
		umount -R "$folder"/engine/data/overlay2/*/merged 2>/dev/null
	fi
	rm -rf "$folder"
	exit "$code"
}
trap cleanup EXIT

skip() {
	echo "SKIP: $*"
	exit 77
}

start_engine() {
	local tries
	[ "$(id -u)" -eq 0 ] || skip "no Docker engine runs for this user, and only root can start one"
	mkdir "$folder/engine"
	export DOCKER_HOST=unix://$folder/engine/docker.sock
	dockerd --data-root "$folder/engine/data" --exec-root "$folder/engine/exec" -H "$DOCKER_HOST" \
		--pidfile "$folder/engine/pid" >"$folder/engine/log" 2>&1 &
	engine_pid=$!
	for tries in $(seq 60); do
		! docker info >/dev/null 2>&1 || return 0
		kill -0 "$engine_pid" 2>/dev/null || break
		sleep 1
	done
	tail -n 30 "$folder/engine/log"
	if grep -qiE 'operation not permitted|permission denied|not supported|no such device|cgroup.* not mounted' "$folder/engine/log"; then
		skip "the kernel does not allow a Docker engine: $(grep -iE 'not permitted|denied|not supported|no such device|cgroup' "$folder/engine/log" | tail -n 1)"
	fi
	echo "the Docker engine did not start after $tries tries"
	exit 1
}

# The Debian mirror that this machine uses.
mirror() {
	apt-get indextargets --format '$(IDENTIFIER) $(CODENAME) $(REPO_URI)' |
		awk '$1 == "Packages" && $2 ~ /^(bookworm|trixie)$/ && !found++ { print $3 }'
}

make_images_without_registry() {
	export BASE_IMAGE=depbroker-test-base:$$ POSTGRES_IMAGE=depbroker-test-postgres:$$
	made_images+=("$POSTGRES_IMAGE" "$BASE_IMAGE")
	debootstrap --variant=minbase --include=ca-certificates trixie "$folder/base" "$(mirror)" >"$folder/debootstrap.log" 2>&1 || {
		tail -n 20 "$folder/debootstrap.log"
		exit 1
	}
	tar -C "$folder/base" -c . | docker import - "$BASE_IMAGE" >/dev/null
	rm -rf "$folder/base"
	docker build -q --build-arg BASE="$BASE_IMAGE" -t "$POSTGRES_IMAGE" tests/nightly/postgres-image
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

wait_until_healthy() {
	local container tries health=
	container=$($compose -f docker/compose.yaml ps -q depbroker)
	for tries in $(seq 120); do
		health=$(docker inspect -f '{{.State.Health.Status}}' "$container")
		[ "$health" != healthy ] || return 0
		sleep 1
	done
	echo "depbroker is $health after $tries s"
	return 1
}

expect() { # expect WHAT WANTED GOT
	if [ "$2" != "$3" ]; then
		echo "WRONG: $1: wanted \"$2\", got \"$3\""
		exit 1
	fi
	echo "ok: $1"
}

status_of() { curl -sS -o "$folder/answer" -w '%{http_code}' "$@"; }

step "tools"
deploy/dependencies.sh image
docker info >/dev/null 2>&1 || start_engine
if docker compose version >/dev/null 2>&1; then compose="docker compose"; else compose=docker-compose; fi

step "base images"
if ! { docker pull -q "$BASE_IMAGE" && docker pull -q "$POSTGRES_IMAGE"; } >/dev/null 2>&1; then
	echo "no image registry can be reached: making them from Debian's packages"
	make_images_without_registry
fi

step "one command"
DEPBROKER_PORT=$(free_port)
DEPBROKER_ADMIN_PORT=$(free_port)
export DEPBROKER_PORT DEPBROKER_ADMIN_PORT
$compose -f docker/compose.yaml up -d --build
wait_until_healthy

step "what came up"
in_container() { $compose -f docker/compose.yaml exec -T depbroker "$@"; }
expect "user" 65532 "$(in_container id -u)"
expect "no compiler" absent "$(in_container sh -c 'command -v gcc cc ld || echo absent')"
expect "read-only root" refused "$(in_container sh -c 'touch /usr/x 2>/dev/null && echo written || echo refused')"
api=http://127.0.0.1:$DEPBROKER_PORT
admin=http://127.0.0.1:$DEPBROKER_ADMIN_PORT
expect "/livez" 200 "$(status_of "$admin/livez")"
expect "/readyz" 200 "$(status_of "$admin/readyz")"
expect "/openapi.json" 200 "$(status_of "$api/openapi.json")"
expect "without a key" 401 "$(status_of "$api/api/v1/tenants")"
key=$(in_container depbroker admin create-key | grep -o 'depb_[0-9A-Za-z_]*')
header="Authorization: Bearer $key"
expect "with the key" 200 "$(status_of -H "$header" "$api/api/v1/tenants")"
expect "a tenant is made" 201 "$(status_of -H "$header" -H 'Content-Type: application/json' -d '{"slug":"acme","display_name":"Acme"}' "$api/api/v1/tenants")"
expect "its key pair is made, so the master key works" 201 "$(status_of -X POST -H "$header" "$api/api/v1/tenants/acme/token/keys")"

step "again, from its volumes"
$compose -f docker/compose.yaml down --timeout 30
$compose -f docker/compose.yaml up -d
wait_until_healthy
expect "the key and the tenant are still there" 200 "$(status_of -H "$header" "$api/api/v1/tenants/acme")"
echo "image: $(docker image inspect -f '{{.Size}}' "$DEPBROKER_IMAGE") bytes"
