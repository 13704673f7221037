package kube

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/millrace-ci/millrace/runners"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// maxEvidence bounds what Evidence returns, in bytes, but for the line that says so.
const maxEvidence = 256 << 10

// Evidence is runners.Witness's: the Job, its pods, and their events, as YAML documents. It makes two calls to the API and
// one for each object's events. Values of Secrets are not in it.
func (r *Runner) Evidence(ctx context.Context, id, uid string) ([]byte, error) {
	if !runners.ValidID(id) {
		return nil, nil
	}
	ctx, cancel := call(ctx)
	defer cancel()
	objects, err := r.gather(ctx, id, types.UID(uid))
	if err != nil {
		return nil, fmt.Errorf("gather evidence of job %s: %w", id, err)
	}
	if len(objects) == 0 {
		return nil, nil
	}
	text, err := documents(objects)
	if err != nil {
		return nil, fmt.Errorf("write evidence of job %s: %w", id, err)
	}
	how := fmt.Sprintf("# To repeat it by hand, give the kept manifest another metadata.name and make it:\n"+
		"# kubectl --namespace %s create --filename manifest.yaml\n", r.cfg.Namespace)
	return append([]byte(how), text...), nil
}

// gather asks for all that there is of a job: none if the Job is gone, or another one.
func (r *Runner) gather(ctx context.Context, id string, uid types.UID) ([]any, error) {
	job, err := r.jobs().Get(ctx, id, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && job.UID != uid {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get job: %w", err)
	}
	pods, err := r.pods().List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(job.Spec.Selector)})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	job.ManagedFields, job.APIVersion, job.Kind = nil, "batch/v1", "Job"
	objects, uids := []any{job}, []types.UID{job.UID}
	for i := range pods.Items {
		pod := &pods.Items[i]
		pod.ManagedFields, pod.APIVersion, pod.Kind = nil, "v1", "Pod"
		for name := range pod.Annotations {
			if strings.HasPrefix(name, noteFile) { // Files: the Job has them too.
				delete(pod.Annotations, name)
			}
		}
		objects, uids = append(objects, pod), append(uids, pod.UID)
	}
	events, err := listEvents(ctx, r.cfg.Cluster.client, r.cfg.Namespace, uids...)
	if err != nil {
		return nil, err
	}
	return append(objects, eventList(events)), nil
}

// eventList is events as one object, each without what is only of use to the cluster.
func eventList(events []corev1.Event) *corev1.EventList {
	list := &corev1.EventList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "EventList"}, Items: events}
	for i := range list.Items {
		list.Items[i].ManagedFields = nil
	}
	return list
}

// documents writes objects as YAML, as many as there is room for.
func documents(objects []any) ([]byte, error) {
	var out bytes.Buffer
	for i, object := range objects {
		text, err := yaml.Marshal(object)
		if err != nil {
			return nil, err
		}
		if out.Len()+len(text) > maxEvidence {
			fmt.Fprintf(&out, "# %d of %d objects are left out: more than %d bytes are not kept.\n", len(objects)-i, len(objects), maxEvidence)
			break
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}
