#!/usr/bin/env bash
# Installs what the tests need and a fresh Debian does not have: a Redis, git, ssh, and a C compiler for the race detector.
# Does nothing where all of it is there. Elsewhere than on Debian it says what is missing.
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); } # COMMAND PACKAGE
need redis-server redis-server
need git git
need ssh openssh-client
need cc gcc
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "The tests need ${missing[*]}: install them with your package manager (Redis 7.0 or later), then try again." >&2
	exit 1
fi
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
echo "Installing ${missing[*]} for the tests." >&2
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" libc6-dev >&2
