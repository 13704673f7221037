package kube

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/millrace-ci/millrace/runners"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// maxEvidence bounds what Evidence returns, in bytes, but for the line that says so.
const maxEvidence = 256 << 10

// Evidence is runners.Witness's: the Job, its pods, and their events, as YAML documents. Values of Secrets are not in it.
// Of a job that did what it should it is what the watch has heard, and the events of its pod: one call to the API. Of any
// other it is all that the cluster has: two calls, and one for each object's events.
func (r *Runner) Evidence(ctx context.Context, id, uid string) ([]byte, error) {
	if !runners.ValidID(id) {
		return nil, nil
	}
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

// gather finds all that there is to say of a job: nothing if the Job is gone, or another one.
func (r *Runner) gather(ctx context.Context, id string, uid types.UID) ([]any, error) {
	job, pods, uids, err := r.remains(ctx, id, uid)
	if job == nil || err != nil {
		return nil, err
	}
	objects := []any{plainJob(job)}
	for _, pod := range pods {
		objects, uids = append(objects, plainPod(pod)), append(uids, pod.UID)
	}
	events, err := r.listEvents(ctx, uids...)
	if err != nil {
		return nil, err
	}
	return append(objects, eventList(events)), nil
}

// remains is the Job and its pods, as heard of where all is well, and of what else events are asked for. The Job is nil
// if it is gone.
func (r *Runner) remains(ctx context.Context, id string, uid types.UID) (*batchv1.Job, []*corev1.Pod, []types.UID, error) {
	heard := r.watch.job(id)
	pods := r.watch.podsOf(uid)
	if heard != nil && heard.UID == uid && condition(heard, batchv1.JobComplete) != nil && len(pods) > 0 {
		return heard, pods, nil, nil
	}
	job, err := r.get(ctx, id)
	if job == nil || err != nil || job.UID != uid {
		return nil, nil, nil, err
	}
	pods, err = r.listPods(ctx, uid)
	return job, pods, []types.UID{uid}, err
}

// plainJob is a copy that says what it is, without what is only of use to the cluster.
func plainJob(job *batchv1.Job) *batchv1.Job {
	plain := job.DeepCopy()
	plain.ManagedFields, plain.APIVersion, plain.Kind = nil, "batch/v1", "Job"
	return plain
}

// plainPod is plainJob for a pod, also without the job's files: the Job has them too.
func plainPod(pod *corev1.Pod) *corev1.Pod {
	plain := pod.DeepCopy()
	plain.ManagedFields, plain.APIVersion, plain.Kind = nil, "v1", "Pod"
	maps.DeleteFunc(plain.Annotations, func(name, _ string) bool { return strings.HasPrefix(name, noteFile) })
	return plain
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
