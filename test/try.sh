#!/usr/bin/env bash
# Runs tests and counts them: try.sh 'PACKAGES' GO-TEST-ARGUMENTS... With RETRIES=1 what failed is tried once more, unless it is
# much: CI's machines do other things too, and then something misses a time that it keeps as a rule. Both tries are shown,
# and what fails twice has failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
read -ra packages <<<"$1"
shift

if [ "${RETRIES:-0}" = 0 ]; then
	go test -json "$@" "${packages[@]}" | go run ./test/tally
	exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go tool -modfile=tools/go.mod gotestsum --format standard-quiet --jsonfile "$work/events" \
	--rerun-fails="$RETRIES" --rerun-fails-max-failures=4 --packages "${packages[*]}" -- "$@" >"$work/said" || true
go run ./test/tally <"$work/events"
