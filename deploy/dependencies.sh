#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs from Debian what depbroker needs, and nothing when nothing is missing.
#
#   deploy/dependencies.sh compile  compilers and libraries
#   deploy/dependencies.sh build    the above and PostgreSQL: to build and to run
#   deploy/dependencies.sh demo     the above and what deploy/quickstart.sh uses
#   deploy/dependencies.sh test     the above and what tests/run.sh uses
#   deploy/dependencies.sh browser  what the test in a browser needs (tests/run.sh --nightly); node only when there is none
#   deploy/dependencies.sh node     node and npm, only when there are none: tests with other people's programs in JavaScript
#   deploy/dependencies.sh image    what the image test needs (tests/run.sh --nightly)
#
# Works as root or with sudo, on Debian 12 and 13. Quiet unless something has to be installed.
set -euo pipefail

compile_packages=(
	gcc libc6-dev cmake ninja-build pkg-config ca-certificates
	libmicrohttpd-dev libcurl4-openssl-dev libssl-dev libpq-dev libjansson-dev libuv1-dev
)
build_packages=("${compile_packages[@]}" postgresql)
demo_packages=(libcmocka-dev curl jq)
test_packages=(patch pgbouncer clang libclang-rt-dev binutils openssl procps python3 spin)
node_packages=()
command -v npm >/dev/null 2>&1 || node_packages+=(nodejs npm)
browser_packages=(chromium "${node_packages[@]}")
image_packages=(docker.io docker-compose debootstrap curl jq)

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo "$@"
	else
		echo "dependencies.sh: needs root or sudo to install packages: $*" >&2
		exit 1
	fi
}

is_installed() {
	[ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" = "install ok installed" ]
}

# One question for all of them: a machine that has everything waits for nothing.
missing_of() {
	local installed package
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null) || :
	for package in "$@"; do
		grep -qx "installed $package" <<<"$installed" || printf '%s\n' "$package"
	done
}

lists_are_fresh=no
refresh_lists() {
	[ "$lists_are_fresh" = yes ] || as_root apt-get -o DPkg::Lock::Timeout=300 update -q
	lists_are_fresh=yes
}

install_packages() {
	refresh_lists
	echo "dependencies.sh: installing $*"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends "$@"
}

# Debian's postgresql package would start a cluster of its own on the machine; depbroker and its tests
# start private ones, so a machine that had no PostgreSQL before does not get a running one from us.
without_default_cluster() {
	if ! is_installed postgresql-common; then
		as_root mkdir -p /etc/postgresql-common/createcluster.d
		echo 'create_main_cluster = false' |
			as_root tee /etc/postgresql-common/createcluster.d/depbroker.conf >/dev/null
	fi
}

# Debian 12 has no yyjson. Its two packages come from Debian 13's suite on the mirror that this machine
# already uses; the pin keeps every other package of that suite out.
install_yyjson() {
	local mirror
	is_installed libyyjson-dev && return
	refresh_lists
	if ! grep -q 'Candidate: [0-9]' <<<"$(apt-cache policy libyyjson-dev)"; then
		mirror=$(apt-get indextargets --format '$(IDENTIFIER) $(CODENAME) $(SUITE) $(REPO_URI)' 2>/dev/null |
			awk '$1 == "Packages" && ($2 == "bookworm" || $3 == "bookworm") && !found++ { print $4 }')
		if [ -z "$mirror" ]; then
			echo "dependencies.sh: no Debian mirror found among this machine's apt sources" >&2
			exit 1
		fi
		printf '%s\n' 'Package: *' 'Pin: release n=trixie' 'Pin-Priority: -1' '' \
			'Package: libyyjson0 libyyjson-dev' 'Pin: release n=trixie' 'Pin-Priority: 500' |
			as_root tee /etc/apt/preferences.d/depbroker-yyjson >/dev/null
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" |
			as_root tee /etc/apt/sources.list.d/depbroker-yyjson.list >/dev/null
		as_root apt-get update -q
	fi
	install_packages libyyjson-dev
}

case "${1:-}" in
compile) wanted=("${compile_packages[@]}") ;;
build) wanted=("${build_packages[@]}") ;;
demo) wanted=("${build_packages[@]}" "${demo_packages[@]}") ;;
test) wanted=("${build_packages[@]}" "${demo_packages[@]}" "${test_packages[@]}") ;;
browser) wanted=("${browser_packages[@]}") ;;
node) wanted=("${node_packages[@]}") ;;
image) wanted=("${image_packages[@]}") ;;
*)
	echo "usage: deploy/dependencies.sh compile|build|demo|test|browser|node|image" >&2
	exit 2
	;;
esac

mapfile -t missing < <(missing_of "${wanted[@]}")
if [ "${#missing[@]}" -gt 0 ]; then
	without_default_cluster
	install_packages "${missing[@]}"
fi
case "$1" in
image | browser | node) ;;
*) install_yyjson ;;
esac
