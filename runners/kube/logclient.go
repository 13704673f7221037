package kube

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/millrace-ci/millrace/runners/kube/h2"
)

// errNoHTTP2 means that what answers at the cluster's address speaks HTTP/1.1 alone.
var errNoHTTP2 = errors.New("the cluster does not speak HTTP/2 to us")

// logClient opens streams of logs. Where the cluster speaks HTTP/2 to us directly, that is over connections of their own,
// on which thousands cost little; else as every other call is made.
type logClient struct {
	many  coreclient.PodsGetter
	conns *h2.Transport
	plain kubernetes.Interface
	never atomic.Bool // the cluster does not speak HTTP/2, or is not to be asked
}

func newLogClient(reach *rest.Config, plain kubernetes.Interface) (*logClient, error) {
	c := &logClient{plain: plain, conns: h2.New(func(ctx context.Context) (net.Conn, error) { return dialHTTP2(ctx, reach) })}
	c.never.Store(!direct(reach))
	wrapped, err := rest.HTTPWrappersForConfig(reach, c.conns)
	if err != nil {
		return nil, err
	}
	c.many, err = coreclient.NewForConfigAndClient(reach, &http.Client{Transport: wrapped})
	return c, err
}

// open opens a stream, which ends with ctx.
func (c *logClient) open(ctx context.Context, namespace, pod string, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
	if !c.never.Load() {
		body, err := c.many.Pods(namespace).GetLogs(pod, opts).Stream(ctx)
		if !errors.Is(err, errNoHTTP2) {
			return body, err
		}
		c.never.Store(true)
	}
	return c.plain.CoreV1().Pods(namespace).GetLogs(pod, opts).Stream(ctx)
}

// direct tells whether we may dial the cluster ourselves: no proxy stands between, and no program hands out certificates,
// with which connections would have to be changed.
func direct(reach *rest.Config) bool {
	at, _, err := rest.DefaultServerUrlFor(reach)
	if err != nil || at.Scheme != "https" || reach.ExecProvider != nil || reach.AuthProvider != nil {
		return false
	}
	proxy := reach.Proxy
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	by, err := proxy(&http.Request{URL: at})
	return by == nil && err == nil
}

// dialHTTP2 connects to the cluster. Its certificates are read anew each time: they may change. Errors: errNoHTTP2.
func dialHTTP2(ctx context.Context, reach *rest.Config) (net.Conn, error) {
	at, _, err := rest.DefaultServerUrlFor(reach)
	if err != nil {
		return nil, err
	}
	settings, err := rest.TLSConfigFor(reach)
	if err != nil {
		return nil, err
	}
	if settings == nil {
		settings = &tls.Config{}
	}
	if settings.NextProtos = []string{"h2", "http/1.1"}; settings.ServerName == "" {
		settings.ServerName = at.Hostname()
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	dial := reach.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	port := at.Port()
	if port == "" {
		port = "443"
	}
	plain, err := dial(ctx, "tcp", net.JoinHostPort(at.Hostname(), port))
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, settings)
	if err := conn.HandshakeContext(ctx); err != nil {
		plain.Close()
		return nil, fmt.Errorf("tls: %w", err)
	}
	if conn.ConnectionState().NegotiatedProtocol != "h2" {
		conn.Close()
		return nil, errNoHTTP2
	}
	return conn, nil
}
