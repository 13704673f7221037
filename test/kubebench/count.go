package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientapi "k8s.io/client-go/tools/clientcmd/api"
)

// counter stands between a side and the API server, and counts what is asked, by verb of RBAC and resource. What is timed
// does not go through it.
type counter struct {
	mu     sync.Mutex
	counts map[string]int
}

// count lets a side make a few jobs, and prints what it asks of the API for each.
func (b *bench) count(ctx context.Context, name string, pick func(*bench) side) error {
	c := counter{counts: map[string]int{}}
	through, end, err := b.through(&c)
	if err != nil {
		return err
	}
	defer end()
	through.n = min(b.n, 100)
	if _, err := b.in(ctx, fmt.Sprintf("kubebench-count-%s-%d", name, os.Getpid()), pick(through)); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range slices.Sorted(maps.Keys(c.counts)) {
		fmt.Printf("%s: %-14s %5.2f a job\n", name, call, float64(c.counts[call])/float64(through.n))
	}
	return nil
}

// through is b with c before its API server.
func (b *bench) through(c *counter) (*bench, func(), error) {
	way, err := rest.TransportFor(b.way)
	if err != nil {
		return nil, nil, err
	}
	at, err := url.Parse(b.way.Host)
	if err != nil {
		return nil, nil, err
	}
	proxy := &httputil.ReverseProxy{Transport: way, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at) }}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.add(r)
		proxy.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	dir, err := os.MkdirTemp("", "kubebench")
	if err != nil {
		server.Close()
		return nil, nil, err
	}
	end := func() { server.CloseClientConnections(); server.Close(); _ = os.RemoveAll(dir) }
	file := clientapi.NewConfig()
	file.Clusters["it"] = &clientapi.Cluster{Server: server.URL, CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
	file.Contexts["it"] = &clientapi.Context{Cluster: "it"}
	file.CurrentContext = "it"
	other := *b
	other.kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*file, other.kubeconfig); err != nil {
		end()
		return nil, nil, err
	}
	if other.way, err = reach(other.kubeconfig); err == nil {
		other.client, err = kubernetes.NewForConfig(other.way)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return &other, end, nil
}

// add counts a request. A watch that begins with all that is there is a list.
func (c *counter) add(r *http.Request) {
	_, path, _ := strings.Cut(r.URL.Path, "/namespaces/")
	parts := strings.Split(path, "/") // namespace, resource, name, subresource
	if len(parts) < 2 {
		parts = []string{"", r.URL.Path}
	}
	call := map[string]string{http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete", http.MethodGet: "get"}[r.Method]
	switch query := r.URL.Query(); {
	case query.Get("watch") != "" && query.Get("sendInitialEvents") != "true":
		call = "watch"
	case r.Method == http.MethodGet && len(parts) < 3:
		call = "list"
	}
	call += " " + parts[1]
	if len(parts) > 3 {
		call += "/" + parts[3]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[call]++
}
