# The parts of the lab: how each is started, and how one knows that it is ready. lab.sh sources this file.
# shellcheck shell=bash disable=SC2034,SC2154
# (RUN, BIN, KUBECONFIG and here are lab.sh's; it uses parts and ports.)

parts=(etcd kube-apiserver kube-controller-manager kube-scheduler registry containerd kubelet)
ports=(
	443:kube-apiserver 2379:etcd 2380:etcd 5000:registry 10250:kubelet 10257:kube-controller-manager 10259:kube-scheduler
)
# The node's name resolves to 127.0.0.1, which is where kube-apiserver then finds kubelet, for logs and exec.
node=localhost
registry=127.0.0.1:5000
token=lab-admin

# spawn starts a part detached, and notes its pid and when it was born: pids are used again.
spawn() { # PART COMMAND...
	setsid "${@:2}" >>"$RUN/logs/$1.log" 2>&1 </dev/null 9>&- &
	echo "$! $(born $!)" >"$RUN/pids/$1"
}

born() { awk '$3 != "Z" {print $22}' "/proc/$1/stat" 2>/dev/null; } # PID

pid() { cut -d' ' -f1 "$RUN/pids/$1"; } # PART

running() { # PART
	local pid time
	{ read -r pid time <"$RUN/pids/$1"; } 2>/dev/null && [ -n "$time" ] && [ "$(born "$pid")" = "$time" ]
}

ask() { curl -fsS -m 5 --cacert "$RUN/pki/ca.crt" -H "Authorization: Bearer $token" "$@"; }

pki() (
	cd "$RUN/pki" || exit
	exec 2>"$RUN/logs/pki.log"
	openssl ecparam -name prime256v1 -genkey -noout -out ca.key
	openssl req -x509 -new -key ca.key -subj /CN=lab-ca -days 30 -out ca.crt \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature
	openssl ecparam -name prime256v1 -genkey -noout -out apiserver.key
	openssl req -new -key apiserver.key -subj /CN=kube-apiserver -out apiserver.csr
	openssl x509 -req -in apiserver.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out apiserver.crt -extfile <(
		echo subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
		echo extendedKeyUsage=serverAuth
	)
	openssl ecparam -name prime256v1 -genkey -noout -out sa.key
	openssl ec -in sa.key -pubout -out sa.pub
)

# identities are tokens: who has one is who it says.
identities() {
	umask 077
	cat >"$RUN/tokens.csv" <<-END
		$token,admin,admin,"system:masters"
		kcm-token,system:kube-controller-manager,kcm
		scheduler-token,system:kube-scheduler,scheduler
		kubelet-token,system:node:$node,kubelet,"system:nodes"
	END
	kubeconfig admin "$token"
	kubeconfig kcm kcm-token
	kubeconfig scheduler scheduler-token
	kubeconfig kubelet kubelet-token
	umask 022
}

kubeconfig() { # NAME TOKEN
	cat >"$RUN/$1.kubeconfig" <<-END
		apiVersion: v1
		kind: Config
		clusters: [{name: millrace-lab, cluster: {server: "https://127.0.0.1:443", certificate-authority: "$RUN/pki/ca.crt"}}]
		users: [{name: me, user: {token: "$2"}}]
		contexts: [{name: millrace-lab, context: {cluster: millrace-lab, user: me}}]
		current-context: millrace-lab
	END
}

# Its data goes with the lab, so it need not be safe on a disk.
run_etcd() {
	spawn etcd "$BIN/kube" etcd --name lab --data-dir "$RUN/etcd" --unsafe-no-fsync --log-level warn \
		--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
		--listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
		--initial-cluster lab=http://127.0.0.1:2380
}
ready_etcd() { ask http://127.0.0.1:2379/health; }

# The range of services starts at 127.0.0.1, so the service `kubernetes` is this very server, and pods on the host's
# network find it without a kube-proxy.
run_kube_apiserver() {
	spawn kube-apiserver "$BIN/kube" kube-apiserver \
		--etcd-servers http://127.0.0.1:2379 \
		--bind-address 127.0.0.1 --secure-port 443 --endpoint-reconciler-type none \
		--service-cluster-ip-range 127.0.0.0/24 \
		--tls-cert-file "$RUN/pki/apiserver.crt" --tls-private-key-file "$RUN/pki/apiserver.key" \
		--service-account-issuer https://kubernetes.default.svc \
		--service-account-key-file "$RUN/pki/sa.pub" --service-account-signing-key-file "$RUN/pki/sa.key" \
		--token-auth-file "$RUN/tokens.csv" --authorization-mode Node,RBAC \
		--kubelet-preferred-address-types Hostname --allow-privileged \
		--feature-gates MutatingAdmissionPolicy=true --runtime-config admissionregistration.k8s.io/v1beta1=true \
		--max-requests-inflight 0 --max-mutating-requests-inflight 0 --enable-priority-and-fairness=false \
		--profiling=false --v=1
}
ready_kube_apiserver() { ask https://127.0.0.1:443/readyz; }

run_kube_controller_manager() {
	spawn kube-controller-manager "$BIN/kube" kube-controller-manager --kubeconfig "$RUN/kcm.kubeconfig" \
		--leader-elect=false --bind-address 127.0.0.1 --secure-port 10257 \
		--service-account-private-key-file "$RUN/pki/sa.key" --root-ca-file "$RUN/pki/ca.crt" \
		--use-service-account-credentials=true --allocate-node-cidrs=false \
		--kube-api-qps 2000 --kube-api-burst 4000 --concurrent-job-syncs 20 --v=1
}
# Until the ServiceAccount is there no pod can be made.
ready_kube_controller_manager() {
	ask -k https://127.0.0.1:10257/healthz && ask https://127.0.0.1:443/api/v1/namespaces/default/serviceaccounts/default
}

run_kube_scheduler() {
	spawn kube-scheduler "$BIN/kube" kube-scheduler --kubeconfig "$RUN/scheduler.kubeconfig" \
		--leader-elect=false --bind-address 127.0.0.1 --secure-port 10259 --kube-api-qps 2000 --kube-api-burst 4000 --v=1
}
ready_kube_scheduler() { ask -k https://127.0.0.1:10259/readyz; }

# Images are made once, kept beside the programs, and copied into a run: what a test pushes never reaches the cache.
run_registry() {
	local key made
	key=$({
		cat "$here/images.sh" "$here/../../go.sum" && go env GOVERSION
		dpkg-query -W git openssh-client ansible-core busybox-static ca-certificates redis-server
	} | sha256sum | cut -c1-16)
	made=$(dirname "$BIN")/images-$key
	[ -e "$RUN/registry" ] || [ ! -e "$made" ] || cp -a "$made" "$RUN/registry"
	cat >"$RUN/registry.yaml" <<-END
		version: 0.1
		log: {level: warn, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: "$RUN/registry"}, delete: {enabled: true}}
		http: {addr: "$registry"}
	END
	spawn registry docker-registry serve "$RUN/registry.yaml"
	[ ! -e "$made" ] || return 0
	await 20 registry ready_registry
	"$here/images.sh" "$BIN" "$registry" >"$RUN/logs/images.log" 2>&1 || fail "images were not made; see $RUN/logs/images.log"
	rm -rf "$made.new"
	cp -a "$RUN/registry" "$made.new"
	mv "$made.new" "$made"
	say "images are made"
}
ready_registry() { ask "http://$registry/v2/"; }

# restrict_oom_score_adj: where root lacks CAP_SYS_RESOURCE runc could not lower it, and every sandbox would fail.
# A pod that is not on the host's network gets one of its own (ptp), which leads to this machine and no further.
run_containerd() {
	mkdir -p "$RUN/cni"
	cat >"$RUN/cni/10-lab.conflist" <<-END
		{"cniVersion": "0.4.0", "name": "lab", "plugins": [{"type": "ptp", "ipMasq": false,
		 "ipam": {"type": "host-local", "dataDir": "$RUN/cni-ipam", "ranges": [[{"subnet": "10.88.0.0/16"}]]}}]}
	END
	cat >"$RUN/containerd.toml" <<-END
		version = 2
		root = "$RUN/containerd/root"
		state = "$RUN/containerd/state"
		disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
		  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt"]
		[grpc]
		  address = "$RUN/containerd.sock"
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "$registry/pause:1"
		  stream_server_address = "127.0.0.1"
		  max_concurrent_downloads = 8
		  restrict_oom_score_adj = true
		  [plugins."io.containerd.grpc.v1.cri".cni]
		    bin_dir = "/usr/lib/cni"
		    conf_dir = "$RUN/cni"
		  [plugins."io.containerd.grpc.v1.cri".containerd]
		    snapshotter = "overlayfs"
		    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		      runtime_type = "io.containerd.runc.v2"
		      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
		        SystemdCgroup = false
	END
	spawn containerd containerd -c "$RUN/containerd.toml"
}
ready_containerd() { containers version; }

containers() { timeout 20 ctr -a "$RUN/containerd.sock" -n k8s.io "$@"; }

run_kubelet() {
	mkdir -p "$RUN/kubelet" "$RUN/podlogs"
	await 30 containerd ready_containerd
	cat >"$RUN/kubelet.yaml" <<-END
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		address: 127.0.0.1
		port: 10250
		healthzPort: 0
		readOnlyPort: 0
		authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
		authorization: {mode: AlwaysAllow}
		containerRuntimeEndpoint: unix://$RUN/containerd.sock
		cgroupDriver: cgroupfs
		failCgroupV1: false
		failSwapOn: false
		makeIPTablesUtilChains: false
		podLogsDir: $RUN/podlogs
		resolvConf: ""
		maxPods: 250
		serializeImagePulls: false
		imageGCHighThresholdPercent: 100
		imageGCLowThresholdPercent: 99
		evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
		enforceNodeAllocatable: [pods]
		kubeAPIQPS: 500
		kubeAPIBurst: 1000
		registryPullQPS: 0
		eventRecordQPS: 0
		nodeStatusReportFrequency: 1m
	END
	spawn kubelet "$BIN/kube" kubelet --config "$RUN/kubelet.yaml" --kubeconfig "$RUN/kubelet.kubeconfig" \
		--root-dir "$RUN/kubelet" --cert-dir "$RUN/kubelet/pki" --hostname-override "$node" --v=2
}
ready_kubelet() { ask -k https://127.0.0.1:10250/healthz; }

node_ready() {
	"$BIN/kube" kubectl get node "$node" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}' | grep -q True
}

policy_works() {
	"$BIN/kube" kubectl -n lab run asks --image none --dry-run=server -o jsonpath='{.spec.hostNetwork}' | grep -q true
}
