#!/usr/bin/env bash
# Rewrites what tests compare with: golden files, stories, and the diagrams drawn from code. Every package whose tests
# have the -update flag is run with it. Read the diff before you commit it.
set -euo pipefail

grep -rlE 'flag\.Bool\("update"' --include='*_test.go' . | xargs -r -n 1 dirname | sort -u | while read -r package; do
	go test "$package" -update
done
