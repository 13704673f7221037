package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/millrace-ci/millrace/runners"
)

const (
	maxPassed   = 64 << 10 // bytes of MILLRACE_OUTPUT and of MILLRACE_SUMMARY
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

var errTimeout = errors.New("timed out")

// command runs the job's command to its end, whichever that is.
func (k *keeper) command(ctx context.Context) runners.Result {
	output, input, err := os.Pipe()
	if err != nil {
		return runners.Result{Class: runners.Infrastructure, ExitCode: -1, Reason: err.Error()}
	}
	defer output.Close()
	cmd := k.build()
	cmd.Stdout, cmd.Stderr = input, input
	startedAt := time.Now().UTC()
	g, err := startGroup(cmd)
	input.Close()
	if err != nil {
		return k.unstarted(err)
	}
	out, copied := k.log.writer(taskName), make(chan struct{})
	go func() {
		defer close(copied)
		masked := k.hide.Writer(out)
		_, _ = io.Copy(masked, output) // It ends with the deadline below at the latest.
		_ = masked.Close()
	}()
	why := k.await(ctx, g)
	g.close()
	k.removeContainer()
	_ = output.SetReadDeadline(time.Now().Add(5 * time.Second)) // Only what could not be killed still writes.
	<-copied
	out.end()
	return k.verdict(g.state(), why, startedAt)
}

// await returns when the command has ended, and why it was made to, or nil.
func (k *keeper) await(ctx context.Context, g *group) error {
	if k.order.Job.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, k.order.Job.Timeout, errTimeout)
		defer cancel()
	}
	select {
	case <-g.ended:
		return nil
	case <-ctx.Done():
		k.log.printf(taskName, "%v: asking the command to end, it has %s", context.Cause(ctx), k.order.Job.Grace)
		g.end(k.order.Job.Grace)
		return context.Cause(ctx)
	}
}

// unstarted is the result of a command that the system does not start.
func (k *keeper) unstarted(err error) runners.Result {
	reason := fmt.Sprintf("cannot start %.200q: %v", k.order.Job.Command[0], err)
	k.log.printf(taskName, "%s", reason)
	if exhausted(err) {
		return runners.Result{Class: runners.Infrastructure, ExitCode: -1, Reason: reason}
	}
	return runners.Result{Class: runners.Failure, ExitCode: cannotStart(err), Reason: reason}
}

// verdict tells how the command ended.
func (k *keeper) verdict(state *os.ProcessState, why error, startedAt time.Time) runners.Result {
	code, reason := outcome(state)
	res := runners.Result{Class: runners.Succeeded, ExitCode: code, Reason: reason, StartedAt: startedAt}
	switch {
	case errors.Is(why, errStopped):
		res.Class, res.Reason = runners.Canceled, errStopped.Error()
	case why != nil:
		res.Class, res.Reason = runners.Timeout, fmt.Sprintf("ran longer than its timeout of %s", k.order.Job.Timeout)
	case code == engineFailed && k.contained():
		res.Class, res.ExitCode, res.Reason = runners.Infrastructure, -1, "the container could not be started, the log says why"
	case code != 0:
		res.Class = runners.Failure
	}
	if state == nil {
		res.Reason += ", and " + reason
	}
	var err error
	if res.Outputs, err = k.outputs(); err != nil && res.Class == runners.Succeeded {
		res.Class, res.Reason = runners.Failure, "MILLRACE_OUTPUT is not valid: "+err.Error()
		k.log.printf(taskName, "%s", res.Reason)
	}
	res.Summary = k.summary()
	return res
}

// build makes the process that the command becomes.
func (k *keeper) build() *exec.Cmd {
	job, dir := k.order.Job, k.folder.path(workDir)
	if k.order.InPlace != "" {
		dir = k.order.InPlace
	}
	if k.contained() {
		return k.container(dir)
	}
	env := map[string]string{"PATH": defaultPath, "HOME": k.folder.path(homeDir), "LANG": "C.UTF-8", "CI": "true"}
	maps.Copy(env, k.order.Env)
	maps.Copy(env, job.Env)
	maps.Copy(env, k.given.Env)
	maps.Copy(env, passing(k.folder.path(passDir)))
	_ = os.Setenv("PATH", env["PATH"]) // The command is looked up where its own children will be.
	cmd := exec.Command(job.Command[0], job.Command[1:]...)
	cmd.Dir, cmd.Env = dir, list(env)
	return cmd
}

// passing is the environment that names the files in folder dir.
func passing(dir string) map[string]string {
	return map[string]string{
		"MILLRACE_EVENT":        dir + "/" + eventFile,
		"MILLRACE_OUTPUT":       dir + "/" + outputFile,
		"MILLRACE_SUMMARY":      dir + "/" + summaryFile,
		"MILLRACE_OUTPUT_LIMIT": strconv.Itoa(maxPassed),
	}
}

// list is env as exec wants it, in order of names.
func list(env map[string]string) []string {
	all := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, name+"="+env[name])
	}
	return all
}

func (k *keeper) outputs() (map[string]string, error) {
	data, err := k.passed(outputFile)
	if err != nil {
		return nil, err
	}
	if len(data) > maxPassed {
		return nil, fmt.Errorf("it is larger than %d bytes", maxPassed)
	}
	outputs, err := runners.ParseOutputs(data)
	if len(outputs) == 0 {
		return nil, err
	}
	return outputs, err
}

// summary is what the task wrote for people, cut where it is too long, "" where it cannot be read.
func (k *keeper) summary() string {
	data, err := k.passed(summaryFile)
	if err != nil {
		k.log.printf(taskName, "MILLRACE_SUMMARY is not shown: %v", err)
		return ""
	}
	const note = "\n\n(cut: a summary has at most 64 KiB)\n"
	data = bytes.ToValidUTF8(data, []byte("?"))
	if len(data) > maxPassed {
		data = append(data[:wholeRunes(data, maxPassed-len(note))], note...)
	}
	return string(data)
}

// passed reads a file that the task may have replaced by anything, up to one byte more than it may have.
func (k *keeper) passed(name string) ([]byte, error) {
	file, err := os.OpenFile(k.folder.path(passDir, name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errors.New("it is not a plain file")
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("it is not a plain file")
	}
	return io.ReadAll(io.LimitReader(file, maxPassed+1))
}
