package spool_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/triggers/inbox/meminbox"
	"github.com/millrace-ci/millrace/triggers/inbox/spool"
)

// FuzzSegment lets anything at all be the file of a segment: it is read to its end, and nothing else of the folder is
// lost for it. resealed gives what was made up the checksums that it needs to be looked at.
func FuzzSegment(f *testing.F) {
	dir := newDir(f)
	in := open(f, dir, newMoody(away))
	in.keep(0, 2)
	large := delivery(2)
	large.Body = bytes.Repeat([]byte("{}"), 1000)
	if _, err := in.Keep(f.Context(), large); err != nil {
		f.Fatal(err)
	}
	if err := in.Close(); err != nil {
		f.Fatal(err)
	}
	name := in.files()[0]
	whole, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		f.Fatal(err)
	}
	for _, data := range [][]byte{nil, whole, whole[:len(whole)-5], bytes.Repeat(whole[:40], 3), append(bytes.Clone(whole), 0, 0)} {
		f.Add(data, false)
		f.Add(data, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, resealed bool) {
		if resealed {
			data = spool.Reseal(data)
		}
		dir := t.TempDir()
		for file, content := range map[string][]byte{"0000000000000001.spool": data, "0000000000000002.spool": whole} {
			if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := spool.New(spool.Config{
			Dir: dir, MaxBytes: 1 << 30, Metrics: metrics.NewSpool(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
		}, meminbox.New())
		if err != nil {
			t.Fatal(err)
		}
		flushed := fixture{Spool: s, t: t, dir: dir, drained: make(chan []string, 10_000)}
		flushed.run()()
		if r, err := s.Get(t.Context(), large.ID); err != nil || r.ID != large.ID {
			t.Errorf("the other segment was not drained: %v", err)
		}
		for _, left := range flushed.files() {
			if left != "0000000000000001.spool.damaged" && left != "0000000000000001.spool" {
				t.Errorf("%s is left", left)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
