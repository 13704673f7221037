// Command kubebench measures runners/kube against a real API server, with a node that runs nothing (see node): what is
// measured is Millrace and the control plane. It needs KUBECONFIG, of the lab (`make lab-up`), and calls nothing else.
//
//	kubebench jobs    1,000 short jobs, against a bare loop that creates the same Jobs without a rate limit, in turns: calls
//	                  to the API for each job, and ratios
//	kubebench track   10,000 jobs that run and are waited for, with and without (-logs=false) following their logs: memory
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// bench is what all measurements share.
type bench struct {
	kubeconfig string
	way        *rest.Config          // to it, without a limit
	client     *kubernetes.Clientset // of way
	n          int
	rounds     int
	workers    int
	logs       bool
	profile    string
	log        *slog.Logger
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "kubebench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("say what to measure: jobs or track")
	}
	what, flags := args[0], flag.NewFlagSet("kubebench", flag.ContinueOnError)
	b := bench{kubeconfig: os.Getenv("KUBECONFIG"), log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	flags.IntVar(&b.n, "n", map[string]int{"jobs": 1000, "track": 10_000}[what], "jobs in one round")
	flags.IntVar(&b.rounds, "rounds", 5, "rounds of each side")
	flags.IntVar(&b.workers, "workers", 16, "jobs that are made at once")
	flags.BoolVar(&b.logs, "logs", true, "track: follow the jobs' logs too")
	flags.StringVar(&b.profile, "profile", "", "track: a file for a profile of the heap at the end")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var err error
	if b.way, err = reach(b.kubeconfig); err != nil {
		return fmt.Errorf("KUBECONFIG: %w", err)
	}
	if b.client, err = kubernetes.NewForConfig(b.way); err != nil {
		return err
	}
	switch what {
	case "jobs":
		return b.measure(ctx, b.jobs)
	case "track":
		return b.measure(ctx, b.track)
	case "node":
		return b.node(ctx, flags.Args())
	}
	return fmt.Errorf("there is no measurement %q", what)
}

// reach is the way to a cluster, as Millrace goes it: protobuf, and here no limit to the rate of calls.
func reach(kubeconfig string) (*rest.Config, error) {
	way, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	way.QPS, way.WarningHandler = -1, rest.NoWarnings{}
	way.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	way.ContentType = "application/vnd.kubernetes.protobuf"
	return way, nil
}

// measure says where it measures, and does it.
func (b *bench) measure(ctx context.Context, what func(context.Context) error) error {
	version, err := b.client.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	load, _ := os.ReadFile("/proc/loadavg") // Some systems have none.
	fmt.Printf("%s, Kubernetes %s, %d cores, load %s\n", runtime.Version(), version.GitVersion, runtime.NumCPU(), strings.TrimSpace(string(load)))
	return what(ctx)
}
