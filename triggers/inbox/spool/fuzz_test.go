package spool_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/triggers/inbox/spool"
)

// FuzzSegment lets anything at all be the file of a segment: it is read to its end in steps that go forward, and what
// is read is read again from a record that is made of it. resealed gives what was made up the checksums that it needs
// to be looked at.
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
	whole, err := os.ReadFile(filepath.Join(dir, in.files()[0]))
	if err != nil {
		f.Fatal(err)
	}
	if got, err := spool.ReadSegment(whole); err != nil || len(got) != 3 {
		f.Fatalf("a sound segment: got %d deliveries, %v, want 3", len(got), err)
	}
	for _, data := range [][]byte{nil, whole, whole[:len(whole)-5], bytes.Repeat(whole[:40], 3), append(bytes.Clone(whole), 0, 0), make([]byte, 100)} {
		f.Add(data, false)
		f.Add(data, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, resealed bool) {
		if resealed {
			data = spool.Reseal(data)
		}
		got, err := spool.ReadSegment(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range got {
			again, err := spool.RoundTrip(d)
			if diff := cmp.Diff(d, again, cmp.Comparer(bytesEqual)); err != nil || diff != "" {
				t.Errorf("written and read again: %v (-want +got):\n%s", err, diff)
			}
		}
	})
}
