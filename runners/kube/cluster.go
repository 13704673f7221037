package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/flowcontrol"
)

// The rate at which all runners of a cluster together may call its API, where the operator says nothing. Watches and
// logs that are followed count once, when they begin.
const (
	DefaultQPS   = 50
	DefaultBurst = 100
)

// ClusterConfig is how a cluster is reached.
type ClusterConfig struct {
	Kubeconfig string  // path of a kubeconfig; "": as a pod of the cluster itself
	Context    string  // of the kubeconfig; "": its current one
	QPS        float32 // calls a second, 0: DefaultQPS, below 0: no limit
	Burst      int     // calls at once before QPS counts, 0: twice QPS or DefaultBurst
	Log        *slog.Logger
}

// Cluster is one Kubernetes, as seen by one process: a client with one budget of calls, and what it watches. All runners
// of a cluster share one.
type Cluster struct {
	client kubernetes.Interface
	turns  flowcontrol.RateLimiter // of calls, watches and logs that are opened
	log    *slog.Logger

	mu      sync.Mutex
	watches map[string]*watch // by namespace
	running bool
}

// NewCluster reads how the cluster is reached. It does not call it.
func NewCluster(cfg ClusterConfig) (*Cluster, error) {
	if cfg.Log == nil {
		return nil, errors.New("kube cluster: log is missing")
	}
	reach, err := cfg.reach()
	if err != nil {
		return nil, fmt.Errorf("kube cluster: %w", err)
	}
	return newCluster(reach, cfg.Log)
}

// reach is the cluster's address with our credentials and our own limits: client-go's five calls a second are for a
// person.
func (c ClusterConfig) reach() (*rest.Config, error) {
	reach, err := c.load()
	if err != nil {
		return nil, err
	}
	reach.QPS, reach.Burst = c.QPS, c.Burst
	if reach.QPS == 0 {
		reach.QPS = DefaultQPS
	}
	if reach.Burst == 0 {
		reach.Burst = max(DefaultBurst, int(2*reach.QPS))
	}
	reach.UserAgent = "millrace"
	reach.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	reach.ContentType = "application/vnd.kubernetes.protobuf"
	reach.WarningHandler = rest.NoWarnings{} // What they warn of comes true as an event of the Job.
	return reach, nil
}

func (c ClusterConfig) load() (*rest.Config, error) {
	if c.Kubeconfig == "" {
		reach, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("no kubeconfig is set, and this is no pod of a cluster: %w", err)
		}
		return reach, nil
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}
	reach, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.Context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", c.Kubeconfig, err)
	}
	return reach, nil
}

func newCluster(reach *rest.Config, log *slog.Logger) (*Cluster, error) {
	turns := flowcontrol.NewFakeAlwaysRateLimiter()
	if reach.QPS > 0 {
		turns = flowcontrol.NewTokenBucketRateLimiter(reach.QPS, reach.Burst)
	}
	unlimited := rest.CopyConfig(reach)
	unlimited.QPS, unlimited.RateLimiter = -1, nil // We wait ourselves: theirs would wait while a call's time runs.
	client, err := kubernetes.NewForConfig(unlimited)
	if err != nil {
		return nil, fmt.Errorf("kube cluster: %w", err)
	}
	return &Cluster{client: client, turns: turns, log: log, watches: map[string]*watch{}}, nil
}

// call waits for the turn of one call to the API, and then bounds it: what stands in line in a burst is not late. If ctx
// ends first the call fails, and so that who makes it need not ask, its context has ended.
func (c *Cluster) call(ctx context.Context) (context.Context, context.CancelFunc) {
	if err := c.turns.Wait(ctx); err != nil {
		over, end := context.WithCancelCause(ctx)
		end(err)
		return over, func() {}
	}
	return bounded(ctx)
}

// watch returns the watch of a namespace, which all runners of it share.
func (c *Cluster) watch(namespace string) (*watch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.watches[namespace]; w != nil {
		return w, nil
	}
	if c.running {
		return nil, fmt.Errorf("the cluster is watched already, and not namespace %s: make runners before Cluster.Run", namespace)
	}
	w := newWatch(c.client, namespace, c.log)
	c.watches[namespace] = w
	return w, nil
}

// Run watches the namespaces of the cluster's runners until ctx ends. Until it has seen all that is there, Wait and Stop
// wait for it. A cluster that cannot be reached is tried again, for ever; that is logged. It is called once.
func (c *Cluster) Run(ctx context.Context) error {
	c.mu.Lock()
	c.running = true
	var group sync.WaitGroup
	for _, w := range c.watches {
		group.Go(func() { w.run(ctx) })
	}
	c.mu.Unlock()
	group.Wait()
	return nil
}
