#!/usr/bin/env bash
# Installs the Debian packages of the lab that are missing: those of the node, and those that its images are made of.
set -euo pipefail

packages=(
	containerd runc containernetworking-plugins docker-registry
	busybox-static git openssh-client ansible-core dash libc-bin ca-certificates redis-server
	curl openssl procps util-linux
)
missing=()
for p in "${packages[@]}"; do
	dpkg -s "$p" >/dev/null 2>&1 || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "The lab is made of Debian packages and needs Debian or Ubuntu." >&2
	exit 1
fi
echo "Installing ${missing[*]} for the lab." >&2
# containerd and docker-registry would be started as services, and the registry would take our port.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
timeout 300 apt-get update -qq
timeout 900 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
