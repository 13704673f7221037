package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/kube"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/yaml"
)

const nodeName = "kubebench"

// rate is jobs a second, of one round.
type rate struct{ made, ended float64 }

// side makes jobs in a namespace and sees them end.
type side func(ctx context.Context, namespace string) (rate, error)

// jobs lets both sides make the same jobs and see them end, in turns. Each round has a namespace of its own.
func (b *bench) jobs(ctx context.Context) error {
	_, end, err := b.startNode(ctx, nodeName, false)
	if err != nil {
		return err
	}
	defer end()
	for _, s := range sides {
		if err := b.count(ctx, s.name, s.of); err != nil {
			return err
		}
	}
	rates := map[string][]rate{}
	for round := range b.rounds {
		for i := range sides {
			s := sides[(i+round)%len(sides)] // Who begins has a quieter cluster.
			before := spent()
			r, err := b.in(ctx, fmt.Sprintf("kubebench-%s-%d-%d", s.name, round, os.Getpid()), s.of(b))
			if err != nil {
				return err
			}
			fmt.Printf("round %d  %s  made %6.1f/s  ended %6.1f/s  our processor %5.2f ms a job\n",
				round+1, s.name, r.made, r.ended, float64((spent()-before).Microseconds())/1000/float64(b.n))
			rates[s.name] = append(rates[s.name], r)
		}
	}
	tell("made", rates, func(r rate) float64 { return r.made })
	tell("ended", rates, func(r rate) float64 { return r.ended })
	return nil
}

// spent is the time that processors gave this process.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // It takes no argument that could be wrong.
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var sides = []struct {
	name string
	of   func(*bench) side
}{
	{"bare", func(b *bench) side { return b.bare }},
	{"ours", func(b *bench) side { return b.ours }},
}

// tell prints medians and their ratio.
func tell(what string, rates map[string][]rate, of func(rate) float64) {
	bare, ours := median(rates["bare"], of), median(rates["ours"], of)
	fmt.Printf("%-5s  bare %6.1f/s  ours %6.1f/s  ratio %.2f\n", what, bare, ours, ours/bare)
}

func median(rates []rate, of func(rate) float64) float64 {
	all := make([]float64, 0, len(rates))
	for _, r := range rates {
		all = append(all, of(r))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// in does something in a new namespace, and returns when that is empty again.
func (b *bench) in(ctx context.Context, namespace string, do side) (rate, error) {
	_, err := b.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if err != nil {
		return rate{}, err
	}
	defer func() {
		_ = b.client.CoreV1().Namespaces().Delete(context.WithoutCancel(ctx), namespace, metav1.DeleteOptions{})
	}()
	if err := b.until(ctx, func() (bool, error) {
		_, err := b.client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	}); err != nil {
		return rate{}, err
	}
	r, err := do(ctx, namespace)
	if err != nil {
		return rate{}, err
	}
	background := metav1.DeletePropagationBackground
	err = b.client.BatchV1().Jobs(namespace).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &background}, metav1.ListOptions{})
	if err != nil {
		return rate{}, err
	}
	return r, b.until(ctx, func() (bool, error) {
		pods, err := b.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{Limit: 1})
		return err == nil && len(pods.Items) == 0, err
	})
}

// until asks again and again.
func (b *bench) until(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// each calls do for all numbers below n, some at once, and returns the first error.
func (b *bench) each(do func(i int) error) error {
	numbers, problems := make(chan int), make(chan error, b.n)
	var group sync.WaitGroup
	for range b.workers {
		group.Go(func() {
			for i := range numbers {
				if err := do(i); err != nil {
					problems <- err
				}
			}
		})
	}
	for i := range b.n {
		numbers <- i
	}
	close(numbers)
	group.Wait()
	close(problems)
	return <-problems
}

// bare makes the Jobs that ours makes, by nothing but client-go, and hears of their end from one informer.
func (b *bench) bare(ctx context.Context, namespace string) (rate, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	made, err := b.manifests(namespace)
	if err != nil {
		return rate{}, err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(b.client, 0, informers.WithNamespace(namespace))
	ended := make(chan struct{}, b.n)
	_, err = factory.Batch().V1().Jobs().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: func(was, now any) {
		before, after := was.(*batchv1.Job), now.(*batchv1.Job)
		if before.Status.CompletionTime == nil && after.Status.CompletionTime != nil {
			ended <- struct{}{}
		}
	}})
	if err != nil {
		return rate{}, err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	start := time.Now()
	if err := b.each(func(i int) error {
		_, err := b.client.BatchV1().Jobs(namespace).Create(ctx, made[i], metav1.CreateOptions{})
		return err
	}); err != nil {
		return rate{}, err
	}
	created := time.Since(start)
	for range b.n {
		<-ended
	}
	return b.rate(created, time.Since(start)), nil
}

// manifests are the Jobs of one round, ready to be sent.
func (b *bench) manifests(namespace string) ([]*batchv1.Job, error) {
	cfg := b.config(namespace)
	var all []*batchv1.Job
	for i := range b.n {
		text, err := cfg.Render(benchJob(i))
		if err != nil {
			return nil, err
		}
		job := &batchv1.Job{}
		if err := yaml.UnmarshalStrict(text, job); err != nil {
			return nil, err
		}
		all = append(all, job)
	}
	return all, nil
}

// config is how our runner makes jobs.
func (b *bench) config(namespace string) kube.Config {
	return kube.Config{
		Namespace: namespace, GitImage: "none", Log: b.log,
		Policy: kube.Policy{NodeSelector: map[string]string{nodeLabel: nodeName}},
	}
}

func (b *bench) rate(made, ended time.Duration) rate {
	return rate{made: float64(b.n) / made.Seconds(), ended: float64(b.n) / ended.Seconds()}
}

// ours runs the jobs as an agent's worker does: Start, and Wait for the result and the log.
func (b *bench) ours(ctx context.Context, namespace string) (rate, error) {
	r, end, err := b.runner(ctx, namespace)
	if err != nil {
		return rate{}, err
	}
	defer end()
	results := make(chan error, b.n)
	start := time.Now()
	if err := b.each(func(i int) error {
		job := benchJob(i)
		uid, err := r.Start(ctx, job)
		if err != nil {
			return err
		}
		go func() {
			res, err := r.Wait(ctx, job.ID, uid, nowhere{})
			if err == nil && res.Class != runners.Succeeded {
				err = fmt.Errorf("job %s: %+v", job.ID, res)
			}
			results <- err
		}()
		return nil
	}); err != nil {
		return rate{}, err
	}
	made := time.Since(start)
	for range b.n {
		if err := <-results; err != nil {
			return rate{}, err
		}
	}
	return b.rate(made, time.Since(start)), nil
}

// runner makes a runner without a limit of its own, and returns what ends it.
func (b *bench) runner(ctx context.Context, namespace string) (*kube.Runner, func(), error) {
	cluster, err := kube.NewCluster(kube.ClusterConfig{Kubeconfig: b.kubeconfig, QPS: -1, Log: b.log})
	if err != nil {
		return nil, nil, err
	}
	cfg := b.config(namespace)
	cfg.Cluster = cluster
	r, err := kube.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { _ = cluster.Run(ctx) })
	return r, func() { cancel(); group.Wait() }, nil
}

func benchJob(i int) runners.Job {
	run := fmt.Sprintf("kubebench%011d", i)
	return runners.Job{
		ID: runners.JobID(run, 1, "test"), Run: run, Task: "test", Attempt: 1,
		Image: "none", Command: []string{"true"}, Env: map[string]string{"CI": "true", "GIT_BRANCH": "main"},
		Event: []byte(`{"id":"kubebench"}`), Timeout: time.Hour, Grace: 30 * time.Second, Pod: runners.Pod{Shell: true},
	}
}

// nowhere is a log that keeps nothing.
type nowhere struct{}

// Write implements io.Writer.
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// Mask implements runners.Log.
func (nowhere) Mask(...string) {}

// Resume implements runners.Log.
func (nowhere) Resume() (string, error) { return "", nil }
