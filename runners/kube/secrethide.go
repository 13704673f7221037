package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/runners"
)

// hider knows the values of the Secrets that a job's containers are given, to hide them. It reads them each time a
// container has started, since a Secret may be made or changed until then, and all that it has read stays hidden. What it
// cannot know is what a Secret was before it was changed, if that was between the start of a container and the first
// Wait that follows the container. It is safe for concurrent use.
type hider struct {
	get   func(ctx context.Context, name string) (*corev1.Secret, error)
	given referenced
	own   string // the attempt's Secret, which never changes

	mu     sync.Mutex
	read   map[string]int // how many values a Secret had, by its name
	values map[string]bool
	untold []string     // values that the log was not told yet
	masker *mask.Masker // of values; nil: it is to be made
}

func newHider(job *batchv1.Job, get func(ctx context.Context, name string) (*corev1.Secret, error)) *hider {
	return &hider{get: get, given: referencedSecrets(job), own: job.Name, read: map[string]int{}, values: map[string]bool{}}
}

// refresh reads the Secrets anew, with one call to the API for each. Errors: runners.ErrRefused for values that cannot be
// hidden, after which nothing may be shown.
func (h *hider) refresh(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(h.given)) {
		if n, _ := h.had(name); name == h.own && n > 0 {
			continue
		}
		secret, err := h.get(ctx, name)
		if err != nil {
			return err
		}
		if err := h.add(name, h.given.values(secret, name)); err != nil {
			return err
		}
	}
	return nil
}

// once is refresh unless all were read before.
func (h *hider) once(ctx context.Context) error {
	for name := range h.given {
		if _, read := h.had(name); !read {
			return h.refresh(ctx)
		}
	}
	return nil
}

func (h *hider) had(name string) (int, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, read := h.read[name]
	return n, read
}

// add adds the values of a Secret, all or none.
func (h *hider) add(name string, values []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var fresh []string
	size := 0
	for _, v := range values {
		if size += len(v); !h.values[v] {
			fresh = append(fresh, v)
		}
	}
	all := slices.AppendSeq(slices.Clone(fresh), maps.Keys(h.values))
	if err := mask.Check(long(all)...); err != nil {
		return fmt.Errorf("%w: Secret %s, of which the task is given %d bytes, cannot be hidden in the log beside the task's other secrets: %w", runners.ErrRefused, name, size, err)
	}
	for _, v := range fresh {
		h.values[v], h.masker = true, nil
	}
	h.untold = append(h.untold, fresh...)
	h.read[name] = len(values)
	return nil
}

// long are those of values that can be hidden. What is shorter is the log's to tell.
func long(values []string) []string {
	return slices.DeleteFunc(values, func(v string) bool { return len(strings.Trim(v, "\r\n")) < mask.MinValue })
}

// tell tells the log what it was not told yet.
func (h *hider) tell(log runners.Log) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.untold) > 0 {
		log.Mask(h.untold...)
	}
	h.untold = nil
}

// words makes the cluster's words one line of a bounded length. First it hides the values in them: half a value, or one
// of which the space inside has changed, would not be found any more.
func (h *hider) words(text string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.masker == nil {
		m, err := mask.New(long(slices.Collect(maps.Keys(h.values)))...)
		if err != nil {
			return "what the cluster says is not shown: " + err.Error()
		}
		h.masker = m
	}
	return oneLine(h.masker.Text(text))
}

// secret gets a Secret. One that is not there has no values to hide: the kubelet does not find it either.
func (r *Runner) secret(ctx context.Context, name string) (*corev1.Secret, error) {
	ctx, cancel := r.call(ctx)
	defer cancel()
	secret, err := r.secrets().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &corev1.Secret{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get secret %s, whose values are to be hidden: %w", name, err)
	}
	return secret, nil
}
