package kube

import (
	"log/slog"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// ClusterOf is a cluster that is reached as reach says, with no limits but its own, through the client that wrap makes.
func ClusterOf(reach *rest.Config, wrap func(kubernetes.Interface) kubernetes.Interface, log *slog.Logger) (*Cluster, error) {
	c, err := newCluster(reach, log)
	if err == nil && wrap != nil {
		c.client = wrap(c.client)
	}
	return c, err
}
