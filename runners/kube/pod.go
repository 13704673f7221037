package kube

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/millrace-ci/millrace/runners"
)

// Where a container finds its files.
const (
	workDir     = "/workspace"
	passDir     = "/millrace"
	homeDir     = passDir + "/home"
	eventFile   = passDir + "/event/event.json"
	outputFile  = passDir + "/output"
	summaryFile = passDir + "/summary"
)

// Volumes of a pod, and annotations whose values are files of it: small things that are no secret need no object of
// their own.
const (
	workVolume   = "workspace"
	passVolume   = "millrace"
	filesVolume  = "files"
	cloneVolume  = "clone"
	sourceVolume = "clone-secret"

	noteEvent = "file.millrace.dev/event"
	noteUsers = "file.millrace.dev/users"
	noteFile  = "file.millrace.dev/" // and a number
)

const (
	maxEvent    = 128 << 10 // bytes; annotations have 256 KiB together, and runners.MaxFiles goes there too
	maxString   = 128 << 10 // bytes of one argument or variable with its NUL: Linux's MAX_ARG_STRLEN, execve(2)
	messageSize = 4096      // bytes of a container's termination message that a kubelet keeps,
	messageSum  = 12288     // and of all of a pod
)

// draft is a pod in the making. The steps of manifest fill it in order; the first error ends it.
type draft struct {
	cfg       Config
	job       runners.Job
	pod       corev1.PodSpec
	notes     map[string]string // the pod's annotations
	resources corev1.ResourceRequirements
	env       map[string]corev1.EnvVar       // of the container task
	mounts    []corev1.VolumeMount           // of the container task
	items     []corev1.DownwardAPIVolumeFile // of the volume files
}

// fits tells what Kubernetes cannot carry: it would change it silently, or refuse it in words that help nobody.
func (d *draft) fits() error {
	if d.job.Image == "" {
		return errors.New("the task names no image: a task in a cluster needs one")
	}
	for _, label := range []string{d.job.Run, d.job.Task} {
		if problems := validation.IsValidLabelValue(label); len(problems) > 0 {
			return fmt.Errorf("%.80q cannot be a label: %s", label, problems[0])
		}
	}
	if len(d.job.Event) > maxEvent {
		return fmt.Errorf("the event takes %d bytes, at most %d are possible", len(d.job.Event), maxEvent)
	}
	for i, arg := range d.job.Command {
		if err := carries(fmt.Sprintf("argument %d of the command", i), arg); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.job.Env)) {
		if err := carries("the value of "+name, name+"="+d.job.Env[name]); err != nil {
			return err
		}
	}
	return nil
}

// carries tells why a string cannot get into a container.
func carries(what, text string) error {
	if len(text) >= maxString {
		return fmt.Errorf("%s takes %d bytes, Linux takes less than %d: write it to a file", what, len(text), maxString)
	}
	return isText(what, text)
}

func isText(what, text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("%s is not UTF-8 text, and Kubernetes carries nothing else", what)
	}
	return nil
}

// policy fills in what the task asks of the cluster, if the operator allows it.
func (d *draft) policy() error {
	p, asked := d.cfg.Policy, d.job.Pod
	if err := errors.Join(p.account(asked.ServiceAccount), p.root(asked.Root)); err != nil {
		return err
	}
	selector, err := p.selector(asked.NodeSelector)
	if err != nil {
		return err
	}
	tolerations, err := p.tolerations(asked.Tolerations)
	if err != nil {
		return err
	}
	if d.resources, err = p.requirements(asked); err != nil {
		return err
	}
	d.pod = corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		TerminationGracePeriodSeconds: new(seconds(d.job.Grace)),
		ServiceAccountName:            asked.ServiceAccount,
		AutomountServiceAccountToken:  new(asked.APIToken && asked.ServiceAccount != ""),
		EnableServiceLinks:            new(false), // Else every Service of the namespace is environment.
		NodeSelector:                  selector,
		Tolerations:                   tolerations,
		SecurityContext:               podSecurity(asked.Root),
	}
	d.addVolume(workVolume, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
	d.addVolume(passVolume, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
	d.mounts = []corev1.VolumeMount{
		{Name: workVolume, MountPath: workDir},
		{Name: passVolume, MountPath: passDir},
		{Name: passVolume, MountPath: homeDir, SubPath: path.Base(homeDir)},
	}
	return nil
}

// source adds the container that brings the source.
func (d *draft) source() error {
	s := d.job.Source
	if s.URL == "" {
		return nil
	}
	image := d.cfg.place(d.cfg.GitImage)
	c := corev1.Container{
		Name:                     cloneContainer,
		Image:                    image,
		Command:                  []string{"/bin/sh", "-c", literal(cloneScript)},
		WorkingDir:               workDir,
		Env:                      cloneEnv(s),
		Resources:                d.resources,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext:          cloneSecurity(),
		VolumeMounts:             []corev1.VolumeMount{{Name: workVolume, MountPath: workDir}, {Name: cloneVolume, MountPath: cloneDir}},
	}
	d.addVolume(cloneVolume, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}})
	secrets, err := d.cfg.cloneSecrets(d.job)
	if err != nil {
		return err
	}
	if len(secrets) > 0 {
		d.addVolume(sourceVolume, projected(secrets))
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: sourceVolume, MountPath: cloneSecretDir, ReadOnly: true})
	}
	if strings.HasPrefix(s.URL, "ssh://") { // ssh refuses to run as a user that has no name.
		users := fmt.Sprintf("clone:x:%d:%[1]d::%s:/bin/sh\n", userID, cloneDir)
		c.VolumeMounts = append(c.VolumeMounts, d.addFile(noteUsers, users, "/etc/passwd"))
	}
	d.pod.InitContainers = []corev1.Container{c}
	return nil
}
