package labtest

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// PrivateRegistry is a registry of one test, which lets nobody in without user and password. It speaks plain HTTP.
type PrivateRegistry struct {
	Addr, User, Password string

	dir   string // has its config.json
	crane string
}

const settings = `version: 0.1
log: {level: info, formatter: json, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}}
auth: {htpasswd: {realm: lab, path: %q}}
http: {addr: "127.0.0.1:0"}
`

// PrivateRegistry starts a registry that ends with the test.
func (l *Lab) PrivateRegistry(t testing.TB) *PrivateRegistry {
	t.Helper()
	// Under the lab's folder `make lab-down` finds it, should this process not live to end it.
	dir, err := os.MkdirTemp(l.dir, "registry-")
	if err != nil {
		t.Fatalf("labtest: make the registry's folder: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &PrivateRegistry{User: "puller", Password: "s3cret-of-the-puller", dir: dir, crane: l.Program(t, "crane")}
	r.start(t)
	r.write(t, "config.json", r.DockerConfig())
	return r
}

// DockerConfig is what a Secret of type kubernetes.io/dockerconfigjson holds, and ~/.docker/config.json.
func (r *PrivateRegistry) DockerConfig() []byte {
	login := map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(r.User + ":" + r.Password))}
	config, err := json.Marshal(map[string]any{"auths": map[string]any{r.Addr: login}})
	if err != nil {
		panic("labtest: write strings as JSON: " + err.Error())
	}
	return config
}

// Copy copies an image of the lab's registry into this one, as path:tag, and returns how a pod names it.
func (r *PrivateRegistry) Copy(t testing.TB, image, as string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	to := r.Addr + "/" + as
	cmd := exec.CommandContext(ctx, r.crane, "--insecure", "copy", image, to)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+r.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("labtest: copy %s to %s: %v\n%s", image, to, err, out)
	}
	return to
}

// start starts the registry, and learns from its log at which port it listens.
func (r *PrivateRegistry) start(t testing.TB) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(r.Password), bcrypt.MinCost)
	if err != nil {
		t.Fatalf("labtest: hash a password: %v", err)
	}
	users := r.write(t, "htpasswd", append([]byte(r.User+":"), hash...))
	cmd := exec.Command("docker-registry", "serve", r.write(t, "config.yaml", fmt.Appendf(nil, settings, r.dir, users)))
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatalf("labtest: start a registry: %v", err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("labtest: start a registry: %v", err)
	}
	found, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		readLog(bufio.NewScanner(log), found)
		_ = cmd.Wait() // We killed it.
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	select {
	case r.Addr = <-found:
	case <-ended:
		t.Fatal("labtest: a registry ended at its start")
	case <-time.After(patience):
		t.Fatalf("labtest: a registry does not listen after %v", patience)
	}
}

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+)`)

// readLog reads a registry's log to its end, and sends the address that it names.
func readLog(log *bufio.Scanner, found chan<- string) {
	for log.Scan() {
		if m := listening.FindStringSubmatch(log.Text()); m != nil {
			found <- m[1]
		}
	}
}

func (r *PrivateRegistry) write(t testing.TB, name string, data []byte) (path string) {
	t.Helper()
	path = filepath.Join(r.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatalf("labtest: write %s: %v", path, err)
	}
	return path
}
