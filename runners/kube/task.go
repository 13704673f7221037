package kube

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// files adds the event and the task's small files.
func (d *draft) files() error {
	if err := isText("the event", string(d.job.Event)); err != nil {
		return err
	}
	d.mounts = append(d.mounts, d.addFile(noteEvent, string(d.job.Event), eventFile))
	for i, at := range slices.Sorted(maps.Keys(d.job.Files)) {
		if err := isText("file "+at, string(d.job.Files[at])); err != nil {
			return err
		}
		d.mounts = append(d.mounts, d.addFile(noteFile+strconv.Itoa(i), string(d.job.Files[at]), at))
	}
	return nil
}

// addFile makes a file of an annotation of the pod.
func (d *draft) addFile(note, data, at string) corev1.VolumeMount {
	if d.notes == nil {
		d.notes = map[string]string{}
	}
	d.notes[note] = data
	name := path.Base(note)
	d.items = append(d.items, corev1.DownwardAPIVolumeFile{
		Path: name, FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations['" + note + "']"},
	})
	return corev1.VolumeMount{Name: filesVolume, MountPath: at, SubPath: name, ReadOnly: true}
}

func (d *draft) addVolume(name string, source corev1.VolumeSource) {
	d.pod.Volumes = append(d.pod.Volumes, corev1.Volume{Name: name, VolumeSource: source})
}

// secrets adds those of the task: to its container, and to no other.
func (d *draft) secrets() error {
	d.env = map[string]corev1.EnvVar{}
	for name, value := range d.job.Env {
		d.env[name] = corev1.EnvVar{Name: name, Value: literal(value)}
	}
	for i, s := range d.job.Secrets {
		if s.Env != "" {
			variable, err := d.cfg.variable(d.job, i)
			if err != nil {
				return err
			}
			d.env[s.Env] = variable
			continue
		}
		source, err := d.cfg.folder(d.job, i)
		if err != nil {
			return err
		}
		name := "secret-" + strconv.Itoa(i)
		d.addVolume(name, source)
		d.mounts = append(d.mounts, corev1.VolumeMount{Name: name, MountPath: s.Path, ReadOnly: true})
	}
	return nil
}

// task adds the container of the command, and what all containers of the pod have together.
func (d *draft) task() error {
	if err := checkMounts(d.mounts); err != nil {
		return err
	}
	image := d.cfg.place(d.job.Image)
	images := []string{image}
	for _, c := range d.pod.InitContainers {
		images = append(images, c.Image)
	}
	d.addVolume(filesVolume, corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: d.items}})
	d.pod.ImagePullSecrets = d.cfg.pullSecrets(images...)
	d.pod.Containers = []corev1.Container{{
		Name:            taskContainer,
		Image:           image,
		Command:         argv(d.job),
		WorkingDir:      workDir,
		Env:             d.variables(),
		Resources:       d.resources,
		SecurityContext: taskSecurity(d.job.Pod.Root),
		VolumeMounts:    d.mounts,
	}}
	return nil
}

// variables are the task's environment: what we say stands above what the task says, but for HOME and CI.
func (d *draft) variables() []corev1.EnvVar {
	env := map[string]corev1.EnvVar{}
	set := func(name, value string) { env[name] = corev1.EnvVar{Name: name, Value: value} }
	set("HOME", homeDir)
	set("CI", "true")
	maps.Copy(env, d.env)
	limit := min(messageSize, messageSum/(len(d.pod.InitContainers)+1)) - 1
	set("MILLRACE_EVENT", eventFile)
	set("MILLRACE_OUTPUT_LIMIT", strconv.Itoa(limit))
	set("MILLRACE_OUTPUT", corev1.TerminationMessagePathDefault)
	if d.job.Pod.Shell {
		set("MILLRACE_OUTPUT", outputFile)
		set("MILLRACE_SUMMARY", summaryFile)
	}
	// git works in no repository of another user, and the working directory is the kubelet's (git-config(1),
	// safe.directory, GIT_CONFIG_COUNT).
	set("GIT_CONFIG_COUNT", "1")
	set("GIT_CONFIG_KEY_0", "safe.directory")
	set("GIT_CONFIG_VALUE_0", workDir)
	var all []corev1.EnvVar
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, env[name])
	}
	return all
}

// checkMounts tells why files cannot stand where the task wants them.
func checkMounts(mounts []corev1.VolumeMount) error {
	for i, m := range mounts {
		at := m.MountPath
		for _, dir := range []string{"/proc", "/sys", "/dev"} {
			if within(at, dir) {
				return fmt.Errorf("nothing can be put at %s: %s is the system's", at, dir)
			}
		}
		for _, other := range mounts[:i] {
			if at == other.MountPath {
				return fmt.Errorf("two things are to be at %s", at)
			}
		}
		for _, other := range mounts {
			if at != other.MountPath && within(at, other.MountPath) && (other.ReadOnly || strings.HasPrefix(at, passDir+"/") && !ours(at)) {
				return fmt.Errorf("nothing can be put at %s: %s is something else's", at, other.MountPath)
			}
		}
	}
	return nil
}

// ours tells whether what stands at this place is put there by us.
func ours(at string) bool { return at == homeDir || at == eventFile }

// within tells whether path at is dir or lies in it.
func within(at, dir string) bool { return at == dir || strings.HasPrefix(at, dir+"/") }
