# How the lab goes, and what it notes before it comes. lab.sh sources this file.
# shellcheck shell=bash disable=SC2154
# (RUN, BIN, parts and pointer are lab.sh's and parts.sh's.)

# before notes what kubelet changes, and the network namespaces that are not ours.
before() {
	sysctl vm.overcommit_memory kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes \
		>"$RUN/sysctl.before" 2>/dev/null || true
	find /run/netns -name 'cni-*' >"$RUN/netns.before" 2>/dev/null || true
}

down() {
	if ! left; then
		say "There is no lab."
		return
	fi
	end_pods
	end_parts
	end_strays
	end_mounts
	end_cgroups
	[ ! -s "$RUN/sysctl.before" ] || sysctl -q -p "$RUN/sysctl.before" 2>/dev/null || true
	find /var/log/containers -lname "$RUN/*" -delete 2>/dev/null || true
	rm -rf "$RUN"
	rm -f "$pointer"
	say "The lab is down."
}

# Pods end best by kubelet, who gives them a second; then by containerd.
end_pods() {
	local task part
	for part in "${parts[@]}"; do
		signal CONT "$part"
	done
	if running kubelet && running containerd && running kube-apiserver && running etcd; then
		timeout 30 "$BIN/kube" kubectl delete --all-namespaces --all --wait=false \
			deployments,jobs,cronjobs,replicasets,daemonsets,statefulsets >/dev/null 2>&1 || true
		timeout 60 "$BIN/kube" kubectl delete pods --all-namespaces --all --grace-period=1 --wait >/dev/null 2>&1 || true
	fi
	signal KILL kubelet
	running containerd || return 0
	for task in $(containers tasks ls -q 2>/dev/null); do
		containers tasks delete -f "$task" >/dev/null 2>&1 || true
	done
	for task in $(containers containers ls -q 2>/dev/null); do
		containers containers delete "$task" >/dev/null 2>&1 || true
	done
}

# The data goes anyway, so nobody is given longer than 2 s; one after the other they took 9 s.
end_parts() {
	local part
	for part in "${parts[@]}"; do
		signal TERM "$part"
	done
	for _ in {1..20}; do
		some_run || return 0
		sleep 0.1
	done
	for part in "${parts[@]}"; do
		signal KILL "$part"
	done
	await 10 'the end of all parts' eval '! some_run'
}

some_run() {
	local part
	for part in "${parts[@]}"; do
		! running "$part" || return 0
	done
	return 1
}

# Shims and containers outlive a containerd that was killed. A shim is known by our socket, a registry of a test by its
# folder, a container by its cgroup.
end_strays() {
	local strays
	mapfile -t strays < <(
		pgrep -f -- "^[^ ]*(containerd-shim-runc-v2 .*-address|docker-registry serve) $RUN/" || true
		cgroups -name cgroup.procs -exec cat {} +
	)
	[ ${#strays[@]} = 0 ] || kill -KILL "${strays[@]}" 2>/dev/null || true
}

end_mounts() {
	local at
	awk -v run="$RUN/" 'index($2, run) == 1 {print $2}' /proc/self/mounts | sort -ru | while read -r at; do
		umount "$at" 2>/dev/null || umount -l "$at" || true
	done
	find /run/netns -name 'cni-*' 2>/dev/null | { grep -vxFf "$RUN/netns.before" || true; } | while read -r at; do
		umount "$at" 2>/dev/null || true
		rm -f "$at"
	done
}

# A cgroup can be removed once the kernel has reaped its last process.
end_cgroups() {
	await 10 'the removal of cgroups' no_cgroups
}

no_cgroups() {
	cgroups -type d -exec rmdir {} +
	[ -z "$(cgroups -type d)" ]
}

# cgroups finds among the pods' cgroups, of version 1 and 2.
cgroups() {
	find /sys/fs/cgroup/kubepods /sys/fs/cgroup/*/kubepods -depth "$@" 2>/dev/null || true
}
