#!/usr/bin/env bash
# Builds Millrace as it was at commit $1, has it leave runs, deliveries, a spool and logs behind, and keeps these in
# cmd/millrace/testdata/upgrade, where TestUpgrade finds them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=${1:?usage: test/record.sh COMMIT}
then=$(mktemp -d)
trap 'chmod -R u+w "$then" && rm -rf "$then"' EXIT
git archive "$name" | tar -x -C "$then"
(cd "$then" && CGO_ENABLED=0 go build -ldflags "-X main.version=$name" -o bin/millrace ./cmd/millrace)
go test ./cmd/millrace -run '^TestUpgrade$' -count=1 -record "$then/bin/millrace"
