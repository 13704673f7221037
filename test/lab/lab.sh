#!/usr/bin/env bash
# A real Kubernetes on this machine, for tests: no Docker, no systemd, no kubeadm.
#   lab.sh up           build what is missing, start every part, wait until the node is ready; when the lab is up, say so
#   lab.sh down         end all of it; no process, mount, cgroup or kernel setting is left behind
#   lab.sh status       what runs, with its memory
#   lab.sh kubeconfig   where its kubeconfig is; fails unless every part runs
#   lab.sh kill|start|pause|resume PART   for tests of what breaks: SIGKILL, start again, SIGSTOP, SIGCONT
#   lab.sh mend         make every part run again
# A machine has room for one lab. It keeps its state under $K8S_RUN (by default millrace-lab in TMPDIR); whoever starts a
# second one is shown the first. It listens on 127.0.0.1 only.
set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=test/lab/parts.sh
. "$here/parts.sh"
# shellcheck source=test/lab/clean.sh
. "$here/clean.sh"

pointer=/run/millrace-lab # says where this machine's lab is
RUN=${K8S_RUN:-${TMPDIR:-/tmp}/millrace-lab}
[ ! -s "$pointer" ] || RUN=$(cat "$pointer")
BIN=$(cat "$RUN/bin" 2>/dev/null || true)
export KUBECONFIG=$RUN/admin.kubeconfig

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }

fail() {
	echo "lab: $*" >&2
	exit 1
}

# Two that bring it up at once would trip over each other. The parts must not inherit the lock: see spawn.
lock() {
	[ "$(id -u)" = 0 ] || fail "containerd, cgroups and mounts need root: try again with sudo"
	exec 9>"$pointer.lock"
	flock -w 3600 9 || fail "another lab.sh has been at work for an hour; $pointer.lock is its lock"
}

complete() {
	local part
	for part in "${parts[@]}"; do
		running "$part" || return 1
	done
}

# left tells whether there is a lab, or what one left behind.
left() { [ -s "$pointer" ] || [ -L "$RUN/lab.sh" ]; }

up() {
	if complete; then
		say "The lab is up."
	else
		! left || down # What is left half is not mended.
		"$here/packages.sh"
		BIN=$("$here/build.sh")
		free_ports
		prepare
		mend
		cluster
		say "The lab is up."
	fi
	echo "export KUBECONFIG=$KUBECONFIG"
}

free_ports() {
	local at name
	for at in "${ports[@]}"; do
		name=${at#*:}
		if (exec 3<>"/dev/tcp/127.0.0.1/${at%:*}") 2>/dev/null; then
			fail "port ${at%:*}, which $name needs, is taken by somebody else: 'ss -ltnp sport = :${at%:*}' says by whom"
		fi
	done
}

prepare() {
	[ -z "$(ls -A "$RUN" 2>/dev/null)" ] || fail "$RUN is not empty, and would be removed by lab-down: choose another K8S_RUN"
	mkdir -p "$RUN"/{pids,logs,pki}
	RUN=$(cd "$RUN" && pwd)
	echo "$RUN" >"$pointer"
	echo "$BIN" >"$RUN/bin"
	ln -sfn "$here/lab.sh" "$RUN/lab.sh" # labtest kills and starts parts by it.
	before
	pki
	identities
}

# mend starts what does not run: the control plane, then the node.
mend() {
	local part
	for part in "${parts[@]}"; do
		signal CONT "$part"
	done
	start "${parts[@]:0:4}"
	start "${parts[@]:4}"
}

# start starts the parts at once, then waits for each.
start() {
	local part
	for part in "$@"; do
		running "$part" || "run_${part//-/_}"
	done
	for part in "$@"; do
		await 60 "$part" "ready_${part//-/_}"
	done
	say "${*} answer"
}

cluster() {
	"$BIN/kube" kubectl apply -f "$here/cluster.yaml" >"$RUN/logs/cluster.log"
	await 60 'the node' node_ready
	await 60 'the policy of cluster.yaml' policy_works
}

await() { # SECONDS WHAT COMMAND...
	local limit=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $limit ] || fail "$what: not ready after its time; the logs are in $RUN/logs"
		sleep 0.1
	done
}

status() {
	local part
	for part in "${parts[@]}"; do
		if running "$part"; then
			printf '%-24s pid %-8s %5d MiB\n' "$part" "$(pid "$part")" \
				"$(($(awk '/^VmRSS/ {print $2}' "/proc/$(pid "$part")/status") / 1024))"
		else
			printf '%-24s not running\n' "$part"
		fi
	done
}

# signal sends a part a signal; one that does not run needs none.
signal() { # SIGNAL PART
	[[ " ${parts[*]} " == *" $2 "* ]] || fail "there is no part $2; there are: ${parts[*]}"
	! running "$2" || kill "-$1" "$(pid "$2")"
}

gone() { ! running "$1"; }

case "${1:-} $#" in
'up 1') lock && up ;;
'down 1') lock && down ;;
'status 1') status ;;
'kubeconfig 1') complete && echo "$KUBECONFIG" ;;
'kill 2') signal KILL "$2" && await 10 "the end of $2" gone "$2" ;;
'start 2') signal CONT "$2" && start "$2" ;;
'pause 2') signal STOP "$2" ;;
'resume 2') signal CONT "$2" ;;
'mend 1') mend ;;
*) sed -n '2,10s/^# \{0,1\}//p' "$here/lab.sh" >&2 && exit 2 ;;
esac
