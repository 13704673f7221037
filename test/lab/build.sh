#!/usr/bin/env bash
# Builds the lab's programs from their Go modules and prints the folder they are in. The folder is outside of the tree, and
# its name says what they were built from, so a second call only prints it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${MILLRACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace}/lab
limit=2400 # seconds for one step; the longest took 350 on 2 cores
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false

key() {
	cd "$here"
	{
		go -C kube env GOVERSION GOARCH
		find build.sh kube kaniko -type f | LC_ALL=C sort | xargs sha256sum
	} | sha256sum | cut -c1-16
}

step() { # NAME COMMAND...
	local began=$SECONDS
	timeout "$limit" "${@:2}" >&2
	echo "$1: $((SECONDS - began)) s" >&2
}

# An unstamped kube-apiserver does not know which version's API it serves.
stamp() {
	local version major minor p
	version=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' "$here/kube/go.mod")
	IFS=. read -r major minor _ <<<"${version#v}"
	printf '%s' '-s -w'
	for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		printf ' -X %s=%s' $p.gitVersion "$version" $p.gitMajor "$major" $p.gitMinor "$minor" \
			$p.gitTreeState clean $p.gitCommit unknown $p.buildDate 1970-01-01T00:00:00Z
	done
}

build() { # FOLDER
	local kaniko=github.com/GoogleContainerTools/kaniko version
	version=$(sed -n "s,^\t$kaniko \(v[0-9.]*\).*,\1,p" "$here/kaniko/go.mod")
	step 'build kube' go build -C "$here/kube" -trimpath -ldflags "$(stamp)" -o "$1/kube" .
	step 'build kubectl' go build -C "$here/kube" -trimpath -ldflags "$(stamp)" -o "$1/kubectl" k8s.io/kubernetes/cmd/kubectl
	step 'build pause' go build -C "$here/kube" -trimpath -ldflags '-s -w' -o "$1/pause" ./pause
	step 'build kaniko and crane' go build -C "$here/kaniko" -trimpath -ldflags "-s -w -X $kaniko/pkg/version.version=$version" \
		-o "$1/" $kaniko/cmd/executor github.com/google/go-containerregistry/cmd/crane
}

to=$cache/$(key)
if [ ! -d "$to/bin" ]; then
	echo "Building the lab into $to; from nothing this takes about eight minutes on 2 cores." >&2
	rm -rf "$to.new"
	mkdir -p "$to.new/bin"
	build "$to.new/bin"
	mv "$to.new" "$to"
fi
touch "$to"
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} + # Of versions that nobody uses any more.
echo "$to/bin"
