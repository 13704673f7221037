package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	coordination "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// nodeLabel is the label by which pods of a measurement find their node, whose name is its value.
const nodeLabel = "millrace.dev/kubebench"

// hollow is a node that runs nothing: it says of each pod that its containers have started and, unless it holds them,
// that they have ended with 0, and gives out logs of one line. It is a process of its own, so that its memory is not
// counted.
type hollow struct {
	client *kubernetes.Clientset
	name   string
	hold   bool
	ends   chan struct{} // closed when the node ends: logs that are followed end
	work   chan *corev1.Pod
	said   sync.Map // when each container said its line, by the path of its log
}

// startNode starts a node and returns when pods can be put onto it: what it says of each pod that runs on it, one line,
// and a function that ends it.
func (b *bench) startNode(ctx context.Context, name string, hold bool) (running *bufio.Reader, end func(), err error) {
	cmd := exec.CommandContext(ctx, os.Args[0], "node", name, strconv.FormatBool(hold))
	cmd.Stderr = os.Stderr
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	end = sync.OnceFunc(func() {
		lifeline.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // How it ended does not count.
	})
	running = bufio.NewReader(out)
	if _, err := running.ReadString('\n'); err != nil {
		end()
		return nil, nil, errors.New("the node did not come up")
	}
	return running, end, nil
}

// node is the process of a node: it ends with its standard input.
func (b *bench) node(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("node NAME HOLD is for kubebench itself")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &hollow{client: b.client, name: args[0], hold: args[1] == "true", ends: make(chan struct{}), work: make(chan *corev1.Pod, 1<<16)}
	server := httptest.NewUnstartedServer(http.HandlerFunc(h.logs))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	defer close(h.ends)
	if err := h.register(ctx, server.Listener.Addr()); err != nil {
		return err
	}
	defer func() {
		_ = h.client.CoreV1().Nodes().Delete(context.WithoutCancel(ctx), h.name, metav1.DeleteOptions{})
	}()
	var group sync.WaitGroup
	group.Go(func() { h.beat(ctx) })
	for range 16 {
		group.Go(func() { h.play(ctx) })
	}
	h.watch(ctx)
	if err := h.admitted(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
	group.Wait()
	return nil
}

// register makes the Node, whose logs are read at addr.
func (h *hollow) register(ctx context.Context, addr net.Addr) error {
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return err
	}
	room := corev1.ResourceList{
		corev1.ResourcePods: resource.MustParse("200k"), corev1.ResourceCPU: resource.MustParse("1M"),
		corev1.ResourceMemory: resource.MustParse("1Pi"), corev1.ResourceEphemeralStorage: resource.MustParse("1Pi"),
	}
	_ = h.client.CoreV1().Nodes().Delete(ctx, h.name, metav1.DeleteOptions{}) // What a killed measurement left.
	_, err = h.client.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: h.name, Labels: map[string]string{nodeLabel: h.name}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"status": corev1.NodeStatus{
		Capacity: room, Allocatable: room,
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "localhost"}, {Type: corev1.NodeInternalIP, Address: "127.0.0.1"}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(number)}},
		Conditions:      []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Bench", LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}},
	}})
	if err != nil {
		return err
	}
	_, err = h.client.CoreV1().Nodes().Patch(ctx, h.name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// beat keeps the node alive in the eyes of the cluster.
func (h *hollow) beat(ctx context.Context) {
	leases := h.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	lease := &coordination.Lease{ObjectMeta: metav1.ObjectMeta{Name: h.name}}
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = &h.name, new(int32(40))
	for {
		lease.Spec.RenewTime = new(metav1.NowMicro())
		data, err := json.Marshal(lease)
		if err == nil {
			_, err = leases.Patch(ctx, h.name, types.MergePatchType, data, metav1.PatchOptions{})
		}
		if apierrors.IsNotFound(err) {
			_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "node:", err)
		}
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			_ = leases.Delete(context.WithoutCancel(ctx), h.name, metav1.DeleteOptions{})
			return
		}
	}
}

// admitted returns when the cluster lets pods come.
func (h *hollow) admitted(ctx context.Context) error {
	for {
		node, err := h.client.CoreV1().Nodes().Get(ctx, h.name, metav1.GetOptions{})
		if err != nil || len(node.Spec.Taints) == 0 {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch hears of the node's pods.
func (h *hollow) watch(ctx context.Context) {
	mine := func(o *metav1.ListOptions) { o.FieldSelector = "spec.nodeName=" + h.name }
	factory := informers.NewSharedInformerFactoryWithOptions(h.client, 0, informers.WithTweakListOptions(mine))
	pods := factory.Core().V1().Pods().Informer()
	hear := func(object any) {
		if pod, ok := object.(*corev1.Pod); ok {
			h.work <- pod
		}
	}
	_, _ = pods.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: hear, UpdateFunc: func(was, now any) {
		if before, ok := was.(*corev1.Pod); ok && before.DeletionTimestamp == nil && now.(*corev1.Pod).DeletionTimestamp != nil {
			hear(now)
		}
	}})
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
}

// play says what a kubelet would say.
func (h *hollow) play(ctx context.Context) {
	for {
		var pod *corev1.Pod
		select {
		case pod = <-h.work:
		case <-ctx.Done():
			return
		}
		pods := h.client.CoreV1().Pods(pod.Namespace)
		if pod.DeletionTimestamp != nil {
			_ = pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
			continue
		}
		if pod.Status.Phase != corev1.PodPending {
			continue
		}
		now := metav1.Now()
		states := []corev1.ContainerState{{Running: &corev1.ContainerStateRunning{StartedAt: now}}}
		if !h.hold {
			states = append(states, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: now, FinishedAt: now}})
		}
		for _, state := range states {
			if _, err := pods.Patch(ctx, pod.Name, types.StrategicMergePatchType, status(pod, state), metav1.PatchOptions{}, "status"); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "node:", err)
			}
		}
		if h.hold {
			fmt.Println("running")
		}
	}
}

// status is the patch that says of all containers that they are in this state.
func status(pod *corev1.Pod, state corev1.ContainerState) []byte {
	s := corev1.PodStatus{Phase: corev1.PodRunning, StartTime: new(metav1.Now())}
	if state.Terminated != nil {
		s.Phase = corev1.PodSucceeded
	}
	for _, c := range pod.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{Name: c.Name, Image: c.Image, State: state})
	}
	data, err := json.Marshal(map[string]any{"status": s})
	if err != nil {
		panic(err) // It is made of plain values.
	}
	return data
}

// logs serves a kubelet's /containerLogs/NAMESPACE/POD/CONTAINER.
func (h *hollow) logs(w http.ResponseWriter, r *http.Request) {
	at, _ := h.said.LoadOrStore(r.URL.Path, time.Now().UTC().Format(time.RFC3339Nano)) // A log is the same each time.
	_, _ = fmt.Fprintf(w, "%s it is done\n", at)
	if !h.hold || r.URL.Query().Get("follow") != "true" {
		return
	}
	_ = http.NewResponseController(w).Flush()
	select {
	case <-r.Context().Done():
	case <-h.ends:
	}
}
