package kube_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/millrace-ci/millrace/runners/kube"
)

// TestValidate has all problems told at once.
func TestValidate(t *testing.T) {
	t.Parallel()
	if err := config().Validate(); err != nil {
		t.Errorf("got %v for a sound configuration", err)
	}
	err := kube.Config{
		Namespace:      "CI",
		Instance:       "a b",
		GitImage:       "--privileged",
		Mirrors:        map[string]string{"gcr.io": "", "": "a"},
		Registries:     []kube.Registry{{PullSecret: "A"}},
		PendingTimeout: -1,
		Policy: kube.Policy{
			ServiceAccounts: []string{"a b"},
			NodeSelector:    map[string]string{"pool": "a b"},
			Tolerations:     []string{"=x"},
			Max:             kube.Resources{CPU: "2"},
			Default:         kube.Resources{CPU: "4"},
			PodSecurity:     "privileged",
		},
	}.Validate()
	if err == nil {
		t.Fatal("got no error")
	}
	want := strings.TrimSpace(`
cluster is missing
namespace "CI" is not the name of one
instance "a b" is not the value of a label
git image "--privileged" is not the name of an image
mirror "a" of "" is not the name of a host, path or image
mirror "" of "gcr.io" is not the name of a host, path or image
a registry has no host
pull secret "A" of registry  is not the name of a Secret
pending timeout -1ns is negative
log is missing
policy: service account "a b" is not the name of one
policy: node selector "pool"="a b" is not a label: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
policy: toleration "=x" is not KEY, KEY=VALUE, KEY:EFFECT or KEY=VALUE:EFFECT
policy: cpu 4 is more than the 2 that the operator of this runner allows
policy: pod security "privileged" is neither baseline nor restricted`)
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestTolerations(t *testing.T) {
	t.Parallel()
	cfg, job := config(), plain()
	cfg.Policy.Tolerations = []string{"a", "b=1", "example.com/c:NoExecute"}
	job.Pod.Tolerations = []string{"a=x:NoSchedule", "a", "b=1:PreferNoSchedule", "example.com/c=2:NoExecute"}
	made, err := cfg.Manifest(job)
	if err != nil {
		t.Fatal(err)
	}
	want := []corev1.Toleration{
		{Key: "a", Operator: "Equal", Value: "x", Effect: "NoSchedule"},
		{Key: "a", Operator: "Exists"},
		{Key: "b", Operator: "Equal", Value: "1", Effect: "PreferNoSchedule"},
		{Key: "example.com/c", Operator: "Equal", Value: "2", Effect: "NoExecute"},
	}
	if diff := cmp.Diff(want, made.Spec.Template.Spec.Tolerations); diff != "" {
		t.Errorf("tolerations (-want +got):\n%s", diff)
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		max, usual, asked kube.Resources
		limits, requests  string
	}{
		"nothing":             {},
		"asked":               {asked: kube.Resources{CPU: "2", Memory: "1Gi"}, limits: "cpu=2 memory=1Gi", requests: "cpu=2 memory=1Gi"},
		"default":             {usual: kube.Resources{Memory: "1Gi"}, limits: "memory=1Gi", requests: "memory=1Gi"},
		"asked over default":  {usual: kube.Resources{CPU: "1"}, asked: kube.Resources{CPU: "250m"}, limits: "cpu=250m", requests: "cpu=250m"},
		"all of the maximum":  {max: kube.Resources{CPU: "2"}, asked: kube.Resources{CPU: "2000m"}, limits: "cpu=2", requests: "cpu=2"},
		"nothing under a max": {max: kube.Resources{CPU: "4", Memory: "8Gi"}, limits: "cpu=4 memory=8Gi", requests: "cpu=0 memory=0"},
	} {
		cfg, job := config(), plain()
		cfg.Policy.Max, cfg.Policy.Default = c.max, c.usual
		job.Pod.CPU, job.Pod.Memory = c.asked.CPU, c.asked.Memory
		made, err := cfg.Manifest(job)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := made.Spec.Template.Spec.Containers[0].Resources
		if list(got.Limits) != c.limits || list(got.Requests) != c.requests {
			t.Errorf("%s: got limits %q and requests %q, want %q and %q", name, list(got.Limits), list(got.Requests), c.limits, c.requests)
		}
	}
}

func list(resources corev1.ResourceList) string {
	var all []string
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if q, ok := resources[name]; ok {
			all = append(all, string(name)+"="+q.String())
		}
	}
	return strings.Join(all, " ")
}

// FuzzToleration has a rule never allow another key than its own.
func FuzzToleration(f *testing.F) {
	for _, seed := range []string{"a", "a=b", "a:NoSchedule", "example.com/a=b:NoExecute", "=", ":", "a:", "a=b=c"} {
		f.Add(seed, seed)
		f.Add("a", seed)
	}
	f.Fuzz(func(t *testing.T, rule, asked string) {
		cfg, job := config(), plain()
		cfg.Policy.Tolerations, job.Pod.Tolerations = []string{rule}, []string{asked}
		made, err := cfg.Manifest(job)
		if err != nil {
			return
		}
		key := made.Spec.Template.Spec.Tolerations[0].Key
		if rule != key && !strings.HasPrefix(rule, key+"=") && !strings.HasPrefix(rule, key+":") {
			t.Errorf("%q allows %q", rule, asked)
		}
	})
}
