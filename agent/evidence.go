package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/runners"
)

// keepManifest keeps what the attempt becomes at its runner, where that can be said. Errors: runners.ErrRefused.
func (w *worker) keepManifest(job runners.Job, log *logWriter) error {
	renderer, ok := w.runner.(runners.Renderer)
	if !ok {
		return nil
	}
	manifest, err := renderer.Render(job)
	if err != nil {
		return fmt.Errorf("render job: %w", err)
	}
	if err := log.keep(logs.Manifest, manifest); err != nil {
		return fmt.Errorf("keep manifest: %w", err)
	}
	return nil
}

// rehearse ends an attempt that is only to show what it would run. Its log has the time of the start and the manifest
// that was kept first: one who does it again writes the same, also if the manifest would be another one by now.
func (w *worker) rehearse(at time.Time, log *logWriter) (*runners.Result, error) {
	manifest, err := log.kept(logs.Manifest)
	if err != nil {
		return nil, err
	}
	stamp := at.UTC().Format(time.RFC3339Nano)
	lines := "dry run: nothing is started. This is what would be:\n" + string(manifest)
	if len(manifest) == 0 {
		lines = "dry run: nothing is started"
	}
	var b strings.Builder
	for line := range strings.Lines(lines) {
		fmt.Fprintf(&b, "%s millrace %s\n", stamp, strings.TrimSuffix(line, "\n"))
	}
	if _, err := log.Write([]byte(b.String())); err != nil {
		return nil, err
	}
	if err := log.close(); err != nil {
		return nil, err
	}
	return &runners.Result{Class: runners.Succeeded, Reason: "dry run: nothing was started", StartedAt: at, EndedAt: w.now()}, nil
}

// witness keeps what the runner saw of the job. It is for people who look for a cause: without it the attempt has ended
// all the same.
func (w *worker) witness(ctx context.Context, at Attempt, uid string, log *logWriter) {
	witness, ok := w.runner.(runners.Witness)
	if !ok {
		return
	}
	evidence, err := witness.Evidence(ctx, at.job(), uid)
	if err == nil && len(evidence) > 0 {
		err = log.keep(logs.Evidence, evidence)
	}
	if err != nil {
		w.cfg.Log.WarnContext(ctx, "evidence not kept", "run", at.Run, "task", at.Task, "attempt", at.Attempt, "err", log.conceal(err))
	}
}
