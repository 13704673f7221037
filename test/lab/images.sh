#!/usr/bin/env bash
# Makes the container images that the tests run, of what this machine has, and pushes them to a registry.
# usage: images.sh PROGRAMS REGISTRY
# Each has a shell, and works for any user without rights: HOME and /tmp are anybody's. Only ssh wants more, a user that
# /etc/passwd knows: 1000, 65532 or 65534.
set -euo pipefail

programs=$1
registry=$2
millrace=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/images.XXXXXX")
trap 'rm -rf "$work"' EXIT

crane() { timeout 120 "$programs/crane" --insecure "$@"; }

# push makes an image of one layer, the same bytes each time.
push() { # IMAGE CRANE-MUTATE-ARGS...
	local root=$work/${1%%:*} tar=$work/layer.tar
	tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${stamp:-0}" -cf "$tar" .
	crane append -f "$tar" -t "$registry/$1" --oci-empty-base >/dev/null
	crane mutate "$registry/$1" -t "$registry/$1" --set-platform "linux/$(dpkg --print-architecture)" "${@:2}" >/dev/null
	echo "pushed $registry/$1 ($(du -sh "$root" | cut -f1))"
}

# base is what every root file system has: users, a home, name service, certificates.
base() { # ROOT
	mkdir -p "$1"/{etc/ssl/certs,tmp,root,home,var/tmp,usr/bin}
	chmod 1777 "$1"/{tmp,home,var/tmp}
	cat >"$1/etc/passwd" <<-END
		root:x:0:0:root:/root:/bin/sh
		user:x:1000:1000:user:/home:/bin/sh
		nonroot:x:65532:65532:nonroot:/home:/bin/sh
		nobody:x:65534:65534:nobody:/home:/bin/sh
	END
	printf '%s\n' root:x:0: user:x:1000: nonroot:x:65532: nogroup:x:65534: >"$1/etc/group"
	echo 'hosts: files dns' >"$1/etc/nsswitch.conf"
	cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
}

# applets puts a static busybox and a link for each of its commands into a folder.
applets() { # FOLDER
	local name
	mkdir -p "$1"
	cp /bin/busybox "$1/busybox"
	for name in $("$1/busybox" --list); do
		[ "$name" = busybox ] || ln -sf busybox "$1/$name"
	done
}

# debian is a root file system of installed packages and all that they need, without downloading or debootstrap.
debian() { # ROOT PACKAGE...
	local root=$1 dir
	for dir in bin sbin lib lib64; do
		mkdir -p "$root/usr/$dir"
		ln -sfn "usr/$dir" "$root/$dir"
	done
	files "${@:2}" >"$work/files"
	tar -C / -cf - --no-recursion -T "$work/files" | tar -C "$root" -xf - --keep-directory-symlink
}

files() { # PACKAGE...
	local package name
	apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
		--no-enhances "$@" | grep -E '^[a-z0-9]' | cut -d: -f1 | sort -u | while read -r package; do
		dpkg -L "$package" 2>/dev/null || true
	done | grep -vE '^/(usr/share/(doc|man|locale|info|lintian|bug)|usr/lib/python3/dist-packages/ansible_test)(/|$)' \
		| sed -E 's,^/(bin|sbin|lib|lib64|lib32)(/|$),/usr/\1\2,' | grep -v '^/\.$' | sort -u | while read -r name; do
		if [ -e "$name" ] || [ -L "$name" ]; then
			echo "${name#/}"
		fi
	done
}

pause() {
	mkdir -p "$work/pause"
	cp "$programs/pause" "$work/pause/pause"
	push pause:1 --entrypoint /pause
}

busybox() {
	base "$work/busybox"
	applets "$work/busybox/bin"
	push busybox:1.35 --cmd sh --env PATH=/bin:/usr/bin --env HOME=/home
}

git() {
	debian "$work/git" git openssh-client ca-certificates
	base "$work/git"
	applets "$work/git/usr/local/busybox"
	ln -sf /usr/local/busybox/busybox "$work/git/usr/bin/sh"
	push git:1 --entrypoint git --env PATH=/usr/bin:/bin:/usr/local/busybox --env HOME=/home
}

# kaniko is laid out as upstream's deploy/Dockerfile does it; its -debug variant has a shell besides.
kaniko() {
	local root to=kaniko-executor
	local settings=(--env HOME=/root --env USER=root --env SSL_CERT_DIR=/kaniko/ssl/certs
		--env DOCKER_CONFIG=/kaniko/.docker/ --workdir /workspace --entrypoint /kaniko/executor)
	root=$work/$to
	mkdir -p "$root"/{kaniko/.docker,kaniko/ssl/certs,workspace,etc}
	chmod 777 "$root/kaniko"
	cp "$programs/executor" "$root/kaniko/executor"
	cp /etc/ssl/certs/ca-certificates.crt "$root/kaniko/ssl/certs/"
	echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
	push "$to:v1.24.0" "${settings[@]}" --env PATH=/usr/local/bin:/kaniko
	applets "$root/busybox"
	mkdir -p "$root/bin"
	ln -s /busybox/sh "$root/bin/sh"
	push "$to:v1.24.0-debug" "${settings[@]}" --env PATH=/usr/local/bin:/kaniko:/busybox
}

kubectl() {
	base "$work/kubectl"
	applets "$work/kubectl/bin"
	mkdir -p "$work/kubectl/usr/local/bin"
	cp "$programs/kubectl" "$work/kubectl/usr/local/bin/kubectl"
	push kubectl:1.34 --entrypoint kubectl --env PATH=/usr/local/bin:/bin --env HOME=/home
}

# Without libc-bin (C.UTF-8) ansible stops with "could not initialize the preferred locale".
ansible() {
	debian "$work/ansible" ansible-core openssh-client dash libc-bin
	base "$work/ansible"
	applets "$work/ansible/usr/local/busybox"
	ln -sf dash "$work/ansible/usr/bin/sh"
	ln -sf "$(basename "$(readlink -f /usr/bin/python3)")" "$work/ansible/usr/bin/python3"
	push ansible:2.14 --cmd ansible-playbook --env PATH=/usr/bin:/bin:/usr/local/busybox --env HOME=/home \
		--env LC_ALL=C.UTF-8 --env LANG=C.UTF-8
}

redis() {
	debian "$work/redis" redis-server
	base "$work/redis"
	push redis:7.0 --cmd redis-server --env PATH=/usr/bin:/bin
}

# golang is this machine's Go, laid out as upstream's image is, and named so that a mirror of Docker Hub has it. It brings
# along what compiling Millrace leaves behind, so that a build in a pod compiles what has changed since: all of it took
# minutes. Its files are of the year 2100, since Go touches what it uses of an old cache, and removes the rest.
golang() {
	local root=$work/library/golang cache=/usr/local/go-build stamp=4102444800 version
	version=$(go env GOVERSION | sed -E 's/^go([0-9]+\.[0-9]+).*/\1/')
	base "$root"
	applets "$root/bin"
	mkdir -p "$root/usr/local/go" "$root/go"
	tar -C "$(go env GOROOT)" --exclude=./test --exclude=testdata --exclude='*_test.go' -cf - . | tar -C "$root/usr/local/go" -xf -
	(cd "$millrace" && GOCACHE=$root$cache CGO_ENABLED=0 go build -trimpath -o "$work/millrace" ./cmd/millrace)
	push "library/golang:$version" --cmd sh --workdir /go --env PATH=/go/bin:/usr/local/go/bin:/bin:/usr/bin --env GOPATH=/go \
		--env GOTOOLCHAIN=local --env GOCACHE=$cache
}

pause
busybox
git
kaniko
kubectl
ansible
redis
golang
