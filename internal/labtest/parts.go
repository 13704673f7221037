package labtest

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Part is a process of the lab.
type Part string

// The parts of the lab. Nothing else on the machine stands for one that is down: without APIServer every client is refused,
// without Kubelet no pod starts or ends, without Controllers a Job makes no pod.
const (
	Etcd        Part = "etcd"
	APIServer   Part = "kube-apiserver"
	Controllers Part = "kube-controller-manager"
	Scheduler   Part = "kube-scheduler"
	Images      Part = "registry"
	Containerd  Part = "containerd"
	Kubelet     Part = "kubelet"
)

// Kill ends a part with SIGKILL, as a crash does, and returns when it is gone. When the test ends the part is started
// again. All tests share the lab, so one that kills or pauses is not parallel.
func (l *Lab) Kill(t testing.TB, part Part) {
	t.Helper()
	l.mend(t)
	l.order(t, "kill", string(part))
}

// Start starts a part again and returns when it is ready. One that runs is left alone, one that is paused resumes.
func (l *Lab) Start(t testing.TB, part Part) {
	t.Helper()
	l.order(t, "start", string(part))
}

// Pause stops a part without ending it: connections to it hang instead of being refused. When the test ends it resumes.
func (l *Lab) Pause(t testing.TB, part Part) {
	t.Helper()
	l.mend(t)
	l.order(t, "pause", string(part))
}

// Resume lets a paused part go on.
func (l *Lab) Resume(t testing.TB, part Part) {
	t.Helper()
	l.order(t, "resume", string(part))
}

// mend makes every part run again when the test ends, in an order that works, whatever the order in which they went.
func (l *Lab) mend(t testing.TB) {
	t.Helper()
	t.Cleanup(func() { l.order(t, "mend") })
}

// order has the lab do what words say.
func (l *Lab) order(t testing.TB, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience) // It is also called when the test has ended.
	defer cancel()
	if out, err := exec.CommandContext(ctx, filepath.Join(l.dir, "lab.sh"), words...).CombinedOutput(); err != nil {
		t.Fatalf("labtest: lab.sh %s: %v\n%s", strings.Join(words, " "), err, out)
	}
}
