#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The promise of the README's first lines: on a bare Debian 12 or 13 one command installs, builds and shows everything. Each is made by
# debootstrap in a temporary folder; once with a checkout of root's own that PostgreSQL's user may not enter, once as a user with sudo.
# Exit code 77: this machine does not let us make one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT # no mount is in it: those are in namespaces that have ended

step() { printf '\n-- %s\n' "$*"; }

skip() {
	echo "SKIP: $*"
	exit 77
}

mirror() {
	apt-get indextargets --format '$(IDENTIFIER) $(CODENAME) $(REPO_URI)' |
		awk '$1 == "Packages" && $2 ~ /^(bookworm|trixie)$/ && !found++ { print $3 }'
}

# How this machine gets to its mirror goes along.
make_debian() {
	local suite=$1 root=$2 file
	debootstrap --variant=minbase --include=ca-certificates,sudo "$suite" "$root" "$(mirror)" >"$folder/debootstrap.log" 2>&1 || {
		tail -n 20 "$folder/debootstrap.log"
		exit 1
	}
	cp /etc/resolv.conf /etc/hosts "$root/etc/"
	for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
		! grep -qis 'acquire::.*proxy' "$file" || cp "$file" "$root/etc/apt/apt.conf.d/"
	done
	mkdir -p "$root/dev/shm"
}

copy_sources() {
	mkdir -p "$1"
	tar -c --exclude=./build --exclude=./var --exclude=./.git . | tar -x --no-same-owner -C "$1"
}

# run ROOT COMMAND...: in a namespace of its own; with its end all its processes and mounts end.
run() {
	local root=$1
	shift
	unshare --mount --pid --fork --kill-child sh -euc '
		root=$1
		shift
		mount -t proc proc "$root/proc"
		mount -t tmpfs tmpfs "$root/dev/shm"
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin http_proxy="'"${http_proxy:-}"'" "$@"' sh "$root" "$@"
}

# The first run installs and builds, the second goes on from it; neither leaves a process.
twice='
	for run in first second; do
		echo "the $run run"
		"$1" --once
		for name in /proc/[0-9]*/comm; do
			case "$(cat "$name" 2>/dev/null)" in
			postgres | depbroker | applesim | receiver) echo "left behind: $name"; exit 1 ;;
			esac
		done
	done'

[ "$(id -u)" -eq 0 ] || skip "only root can make a Debian in a folder"
unshare --mount --pid --fork true 2>/dev/null || skip "this kernel gives us no namespaces"
deploy/dependencies.sh image

step "Debian 12, as root, in a folder that PostgreSQL's user may not enter"
make_debian bookworm "$folder/bookworm"
chmod 0700 "$folder/bookworm/root"
copy_sources "$folder/bookworm/root/depbroker"
run "$folder/bookworm" bash -euc "$twice" bash /root/depbroker/deploy/quickstart.sh
rm -rf "$folder/bookworm"

step "Debian 13, as a user with sudo"
make_debian trixie "$folder/trixie"
chroot "$folder/trixie" useradd --create-home --shell /bin/bash technician
echo 'technician ALL=(ALL) NOPASSWD: ALL' >"$folder/trixie/etc/sudoers.d/technician"
copy_sources "$folder/trixie/home/technician/depbroker"
chroot "$folder/trixie" chown -R technician: /home/technician
run "$folder/trixie" setpriv --reuid=technician --regid=technician --init-groups \
	bash -euc "$twice" bash /home/technician/depbroker/deploy/quickstart.sh
