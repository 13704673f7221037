#!/usr/bin/env bash
# Fuzzes every target of the module, one after the other, each for $1. What a target finds, go test writes to its
# testdata/fuzz: commit that file with the mend.
set -euo pipefail
time=${1:?usage: test/fuzz.sh 10s}

grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do
	grep -oE '^func Fuzz\w+' "$file" | while read -r _ target; do
		echo "$target in $(dirname "$file")"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$(dirname "$file")" </dev/null
	done
done
