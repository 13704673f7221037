#!/usr/bin/env bash
# Runs the tests that need a Kubernetes: those in files that begin with `//go:build lab`, and no others of their packages.
# A lab that it had to bring up it takes down again. PKG and ARGS narrow what is run, as for `make test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

mapfile -t files < <(grep -rlx --include='*_test.go' '//go:build lab' . | sort)
tests=$(sed -n 's/^func \(Test[A-Za-z0-9_]*\)(t \*testing\.T) {$/\1/p' "${files[@]}" | paste -sd'|')
mapfile -t packages < <(printf '%s\n' "${files[@]%/*}" | sort -u)
[ -z "${PKG:-}" ] || read -ra packages <<<"$PKG"
read -ra args <<<"${ARGS:-}"

test/lab/lab.sh kubeconfig >/dev/null 2>&1 || trap test/lab/lab.sh\ down EXIT
test/lab/lab.sh up
KUBECONFIG=$(test/lab/lab.sh kubeconfig)
export KUBECONFIG
# One package at a time: some tests kill parts of the cluster. Many tests of one at once: they wait for the cluster.
test/try.sh "${packages[*]}" -tags lab -race -p 1 -parallel 8 -count=1 -shuffle=on -timeout 25m -run "^($tests)\$" "${args[@]}"
