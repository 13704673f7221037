package local

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Where a container finds its files.
const (
	containerWork = "/workspace"
	containerPass = "/millrace"
)

// engineFailed is the exit code by which podman and docker tell that the mistake is not the command's (podman-run(1)).
const engineFailed = 125

// FindEngine returns the path of a podman or docker that works, "" where there is none.
func FindEngine(ctx context.Context) string {
	for _, name := range []string{"podman", "docker"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		err = exec.CommandContext(ctx, path, "info").Run() // It fails where docker's daemon does not answer.
		cancel()
		if err == nil {
			return path
		}
	}
	return ""
}

// contained tells whether the task runs in a container of its image.
func (k *keeper) contained() bool { return k.order.Engine != "" && k.order.Job.Image != "" }

// container is the engine's command line for the task. Values go through the engine's environment, so that they are in
// nobody's argv, but for those that would change what the engine itself does.
func (k *keeper) container(dir string) *exec.Cmd {
	job := k.order.Job
	args := []string{
		"run", "--rm", "--name", job.ID, "--security-opt", "label=disable", "--workdir", containerWork,
		"--volume", dir + ":" + containerWork, "--volume", k.folder.path(passDir) + ":" + containerPass,
	}
	if uid := os.Getuid(); uid != 0 && filepath.Base(k.order.Engine) == "docker" {
		args = append(args, "--user", strconv.Itoa(uid)+":"+strconv.Itoa(os.Getgid())) // Else the tree fills with root's files.
	}
	env := map[string]string{"CI": "true"}
	maps.Copy(env, job.Env)
	maps.Copy(env, k.given.Env)
	maps.Copy(env, passing(containerPass))
	cmd := exec.Command(k.order.Engine)
	cmd.Dir, cmd.Env = dir, os.Environ()
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if steersEngine(name) {
			args = append(args, "--env", name+"="+env[name])
			continue
		}
		args = append(args, "--env", name)
		cmd.Env = append(cmd.Env, name+"="+env[name])
	}
	cmd.Args = append(append(append(cmd.Args, args...), job.Image), job.Command...)
	return cmd
}

// steersEngine tells whether podman or docker read a variable of this name for themselves.
func steersEngine(name string) bool {
	for _, prefix := range []string{"DOCKER_", "CONTAINER", "BUILDAH_", "PODMAN_", "XDG_", "REGISTRY_", "SSL_", "TMPDIR", "HOME"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains(inherited, name)
}

// removeContainer ends a container that its command line left behind when it was killed. One whose keeper was killed too
// runs on: it is the engine's child, not ours.
func (k *keeper) removeContainer() {
	if !k.contained() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_ = exec.CommandContext(ctx, k.order.Engine, "rm", "--force", k.order.Job.ID).Run() // Mostly it is gone already.
}
