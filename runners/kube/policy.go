package kube

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/millrace-ci/millrace/runners"
)

// Levels of the Pod Security Standards that a pod may need at most.
const (
	Baseline   = "baseline"
	Restricted = "restricted"
)

// Policy is what a task may ask of the cluster. What it cannot say at all (privileged, hostPath, hostNetwork, nodeName)
// needs no rule. The zero Policy allows root where a template needs it, any resources, and nothing else.
type Policy struct {
	ServiceAccounts []string          // names that a task may run as
	NodeSelector    map[string]string // forced onto every pod
	Tolerations     []string          // as runners.Pod writes them; KEY allows each value and effect of it
	Max, Default    Resources         // of one container
	PodSecurity     string            // Restricted: no task is root. Baseline or "": one whose template needs it is
}

// Resources are Kubernetes quantities, "" where nothing is said.
type Resources struct {
	CPU, Memory string
}

func (p Policy) validate() []error {
	var problems []error
	fail := func(format string, args ...any) { problems = append(problems, fmt.Errorf("policy: "+format, args...)) }
	for _, name := range p.ServiceAccounts {
		if len(validation.IsDNS1123Subdomain(name)) > 0 {
			fail("service account %q is not the name of one", name)
		}
	}
	if err := checkSelector(p.NodeSelector); err != nil {
		fail("%w", err)
	}
	for _, text := range p.Tolerations {
		if _, err := parseToleration(text); err != nil {
			fail("%w", err)
		}
	}
	if _, err := p.requirements(runners.Pod{}); err != nil {
		fail("%w", err)
	}
	if p.PodSecurity != "" && p.PodSecurity != Baseline && p.PodSecurity != Restricted {
		fail("pod security %q is neither %s nor %s", p.PodSecurity, Baseline, Restricted)
	}
	return problems
}

// account tells why a task may not run as the service account that it asks for.
func (p Policy) account(name string) error {
	if name == "" || slices.Contains(p.ServiceAccounts, name) {
		return nil
	}
	return fmt.Errorf("service account %.80q is not allowed: the operator of this runner allows %s", name, listed(p.ServiceAccounts))
}

// root tells why a task may not be root.
func (p Policy) root(wanted bool) error {
	if wanted && p.PodSecurity == Restricted {
		return errors.New("the task's template needs root (Pod Security `baseline`): the operator of this runner allows `restricted` only")
	}
	return nil
}

// selector is the node selector of a pod that asks for this one.
func (p Policy) selector(asked map[string]string) (map[string]string, error) {
	if err := checkSelector(asked); err != nil {
		return nil, err
	}
	merged := maps.Clone(p.NodeSelector)
	for _, key := range slices.Sorted(maps.Keys(asked)) {
		if forced, ok := p.NodeSelector[key]; ok && forced != asked[key] {
			return nil, fmt.Errorf("node selector %s=%s is not allowed: the operator of this runner wants %[1]s=%[3]s", key, asked[key], forced)
		}
		if merged == nil {
			merged = map[string]string{}
		}
		merged[key] = asked[key]
	}
	return merged, nil
}

func checkSelector(selector map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		problems := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(selector[key])...)
		if len(problems) > 0 {
			return fmt.Errorf("node selector %.80q=%.80q is not a label: %s", key, selector[key], problems[0])
		}
	}
	return nil
}

// tolerations is what the pod tolerates.
func (p Policy) tolerations(asked []string) ([]corev1.Toleration, error) {
	var all []corev1.Toleration
	for _, text := range asked {
		t, err := parseToleration(text)
		if err != nil {
			return nil, err
		}
		allowed := slices.ContainsFunc(p.Tolerations, func(rule string) bool {
			r, err := parseToleration(rule)
			return err == nil && covers(r, t)
		})
		if !allowed {
			return nil, fmt.Errorf("toleration %s is not allowed: the operator of this runner allows %s", text, listed(p.Tolerations))
		}
		all = append(all, t)
	}
	return all, nil
}

// parseToleration reads KEY, KEY=VALUE, KEY:EFFECT or KEY=VALUE:EFFECT.
func parseToleration(text string) (corev1.Toleration, error) {
	rest, effect, _ := strings.Cut(text, ":")
	key, value, equal := strings.Cut(rest, "=")
	t := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffect(effect)}
	if equal {
		t.Operator, t.Value = corev1.TolerationOpEqual, value
	}
	effects := []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
	if len(validation.IsQualifiedName(key)) > 0 || len(validation.IsValidLabelValue(value)) > 0 || strings.HasSuffix(text, ":") ||
		effect != "" && !slices.Contains(effects, t.Effect) {
		return t, fmt.Errorf("toleration %.160q is not KEY, KEY=VALUE, KEY:EFFECT or KEY=VALUE:EFFECT", text)
	}
	return t, nil
}

// covers tells whether all that t tolerates is tolerated by the rule.
func covers(rule, t corev1.Toleration) bool {
	return rule.Key == t.Key &&
		(rule.Operator == corev1.TolerationOpExists || rule.Operator == t.Operator && rule.Value == t.Value) &&
		(rule.Effect == "" || rule.Effect == t.Effect)
}

// requirements is what each container of the pod is given: as much as it may use. Where nobody says how much, it may use
// up to the maximum, and nothing is kept free for it.
func (p Policy) requirements(asked runners.Pod) (corev1.ResourceRequirements, error) {
	var all corev1.ResourceRequirements
	for _, r := range []struct {
		name              corev1.ResourceName
		asked, usual, max string
	}{
		{corev1.ResourceCPU, asked.CPU, p.Default.CPU, p.Max.CPU},
		{corev1.ResourceMemory, asked.Memory, p.Default.Memory, p.Max.Memory},
	} {
		limit, err := parseQuantity(r.name, r.max)
		if err != nil {
			return all, err
		}
		request, err := parseQuantity(r.name, cmp.Or(r.asked, r.usual))
		if err != nil {
			return all, err
		}
		switch {
		case request.IsZero() && limit.IsZero():
			continue
		case request.IsZero():
		case !limit.IsZero() && request.Cmp(limit) > 0:
			return all, fmt.Errorf("%s %s is more than the %s that the operator of this runner allows", r.name, cmp.Or(r.asked, r.usual), r.max)
		default:
			limit = request
		}
		if all.Limits == nil {
			all.Limits, all.Requests = corev1.ResourceList{}, corev1.ResourceList{}
		}
		all.Limits[r.name], all.Requests[r.name] = limit, request
	}
	return all, nil
}

// parseQuantity reads a quantity; "" is none.
func parseQuantity(name corev1.ResourceName, text string) (resource.Quantity, error) {
	if text == "" {
		return resource.Quantity{}, nil
	}
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Sign() <= 0 || len(text) > 40 {
		return q, fmt.Errorf("%s %.40q is not a quantity: write 500m or 2, 512Mi or 4Gi", name, text)
	}
	return q, nil
}

// listed is names for people.
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
