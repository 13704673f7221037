package spool_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
	"github.com/millrace-ci/millrace/triggers/inbox/meminbox"
	"github.com/millrace-ci/millrace/triggers/inbox/spool"

	"github.com/prometheus/client_golang/prometheus"
)

// TestWholeDeliveries: what comes out of the spool is what went in, byte by byte.
func TestWholeDeliveries(t *testing.T) {
	t.Parallel()
	behind := newMoody(away)
	f := openWith(t, spool.Config{Dir: newDir(t), MaxBytes: 64 << 20}, behind)
	random := make([]byte, 20<<20)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(random)
	bodies := [][]byte{nil, {}, []byte("{}"), []byte("\x00\xff\r\n"), bytes.Repeat([]byte("{}"), 9000), random}
	var want []triggers.Delivery
	for i, body := range bodies {
		d := delivery(i)
		d.Body, d.Hook, d.Ignored = body, "77", "why <&>"
		d.Key = fmt.Sprintf("k%d\x00\xff", i)
		d.Header["X-Odd"] = []string{"", "\"é\\\n", "<&>"}
		d.Scope = triggers.Scope{Repositories: []string{"shop/*", "a/b"}, RepositoryID: "42"}
		want = append(want, d)
		if _, err := f.Keep(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	for stage, in := range map[string]inbox.Inbox{"on disk": f, "drained": behind} {
		if stage == "drained" {
			behind.set(nil)
			f.flush()
		}
		for _, d := range want {
			got, err := f.Get(t.Context(), d.ID)
			if diff := cmp.Diff(inbox.Record{Delivery: d}, got, cmp.Comparer(bytesEqual)); err != nil || diff != "" {
				t.Errorf("%s, %T: %v (-want +got):\n%.2000s", stage, in, err, diff)
			}
		}
	}
}

func bytesEqual(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func TestNextProcessDrains(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	const n = 1000 // more than a segment of 64 KiB
	first := open(t, dir, newMoody(away))
	first.keep(0, n)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if got := first.files(); len(got) < 2 {
		t.Fatalf("the folder holds %v, want several segments", got)
	}
	behind := newMoody(nil)
	second := open(t, dir, behind)
	if got := second.number("millrace_spool_deliveries"); got != n {
		t.Errorf("the spool says that it holds %v, want %d", got, n)
	}
	if got, want := second.number("millrace_spool_since_timestamp_seconds"), float64(noon.Unix()); got != want {
		t.Errorf("since: got %v, want %v", got, want)
	}
	r, err := second.Keep(t.Context(), delivery(n-1))
	if want := (inbox.Receipt{ID: delivery(n - 1).ID, Duplicate: true}); err != nil || r != want {
		t.Errorf("a duplicate of what an earlier process spooled: got %+v, %v, want %+v", r, err, want)
	}
	second.keep(n, n+1) // behind the others
	second.flush()
	if diff := cmp.Diff(ids(0, n+1), second.await(n+1)); diff != "" {
		t.Errorf("put in line (-want +got):\n%s", diff)
	}
	second.behindHas(ids(0, n+1))
	if got := second.files(); len(got) != 0 {
		t.Errorf("the folder holds %v, want nothing", got)
	}
}

// segmentOf is the one segment of a spool that holds n deliveries, and how it is called.
func segmentOf(t *testing.T, n int) (name string, data []byte) {
	t.Helper()
	dir := newDir(t)
	f := open(t, dir, newMoody(away))
	f.keep(0, n)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	name = f.files()[0]
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return name, data
}

// reopen drains a folder that has one file, and returns what was in it.
func reopen(t *testing.T, name string, data []byte) (*fixture, []inbox.Record) {
	t.Helper()
	dir := newDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, dir, meminbox.New())
	f.flush()
	var got []inbox.Record
	unplanned, err := f.Unplanned(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range unplanned {
		r, err := f.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f, got
}

// TestTornAtEveryByte: of a file that ends anywhere, each record that is whole is drained, and nothing else.
func TestTornAtEveryByte(t *testing.T) {
	t.Parallel()
	name, data := segmentOf(t, 3)
	size := (len(data) - spool.HeaderBytes) / 3
	for step, filled := range map[int]bool{1: false, 5: true} { // what is missing may be zeros
		for cut := 0; cut <= len(data); cut += step {
			file := bytes.Clone(data[:cut])
			if filled {
				file = append(file, make([]byte, 200)...)
			}
			f, got := reopen(t, name, file)
			want := max(0, cut-spool.HeaderBytes) / size
			if len(got) != want {
				t.Fatalf("cut after %d bytes (zeros: %v): %d deliveries, want %d", cut, filled, len(got), want)
			}
			if left := f.files(); !filled && len(left) != 0 {
				t.Fatalf("cut after %d bytes: the folder holds %v, want nothing", cut, left)
			}
			if got := f.number("millrace_spooled_total", "damaged"); !filled && got != 0 {
				t.Fatalf("cut after %d bytes: %v are damaged, want none", cut, got)
			}
		}
	}
}

// TestEveryFlippedByte: a damaged byte costs its record at most, is told of, and the file is set aside as it was.
func TestEveryFlippedByte(t *testing.T) {
	t.Parallel()
	name, data := segmentOf(t, 3)
	for i := range data {
		file := bytes.Clone(data)
		file[i] ^= 1 << (i % 8)
		f, got := reopen(t, name, file)
		if len(got) < 2 || i < spool.HeaderBytes && len(got) != 3 {
			t.Fatalf("byte %d: %d deliveries are left of 3", i, len(got))
		}
		for _, r := range got {
			if want := delivery(positions([]string{r.ID})[0]); cmp.Diff(want, r.Delivery) != "" {
				t.Fatalf("byte %d: a delivery was changed: %s", i, cmp.Diff(want, r.Delivery))
			}
		}
		if got, want := f.number("millrace_spooled_total", "damaged"), float64(3-len(got)); got != want && i >= spool.HeaderBytes {
			t.Fatalf("byte %d: %v are damaged, want %v", i, got, want)
		}
		if left := f.files(); len(left) != 1 || left[0] != name+spool.DamagedSuffix {
			t.Fatalf("byte %d: the folder holds %v, want %s", i, left, name+spool.DamagedSuffix)
		}
		if kept, err := os.ReadFile(filepath.Join(f.dir, name+spool.DamagedSuffix)); err != nil || !bytes.Equal(kept, file) {
			t.Fatalf("byte %d: what is set aside is not what was there: %v", i, err)
		}
		if said := f.log.String(); i >= spool.HeaderBytes && !strings.Contains(said, "level=ERROR") {
			t.Fatalf("byte %d: the log says nothing of it:\n%s", i, said)
		}
	}
}

// TestRecordInABody: a sender who writes a record into a body has no delivery of his own made of it.
func TestRecordInABody(t *testing.T) {
	t.Parallel()
	_, other := segmentOf(t, 1)
	dir := newDir(t)
	f := open(t, dir, newMoody(away))
	d := delivery(1)
	d.Body = other[:] // as short as it is it is not compressed
	if _, err := f.Keep(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	f.keep(2, 3)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	name := f.files()[0]
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || !bytes.Contains(data, other) {
		t.Fatalf("the record does not stand in the file: %v", err)
	}
	data[spool.HeaderBytes+9] ^= 1 // the length of the first record
	_, got := reopen(t, name, data)
	if len(got) != 1 || got[0].ID != delivery(2).ID {
		t.Errorf("got %+v, want the second delivery only", got)
	}
}

func TestStrangeFiles(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	newer := append([]byte("MRSPOOL2"), "a mark.."...)
	newer = binary.LittleEndian.AppendUint32(newer, crc32.Checksum(newer, crc32.MakeTable(crc32.Castagnoli)))
	write := map[string][]byte{
		"README": []byte("hello"), "0000000000000001.spool": newer, "0000000000000002.spool": bytes.Repeat([]byte("x"), 100),
		"0000000000000003.spool": {}, "0000000000000004.spool.damaged": []byte("y"), "1.spool": nil, "00000000000000AB.spool": nil,
	}
	for name, data := range write {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "0000000000000005.spool")); err != nil {
		t.Fatal(err)
	}
	behind := newMoody(away)
	f := open(t, dir, behind)
	f.keep(0, 3)
	behind.set(nil)
	f.flush()
	f.behindHas(ids(0, 3))
	want := []string{
		"00000000000000AB.spool", "0000000000000001.spool", "0000000000000002.spool.damaged", "0000000000000004.spool.damaged",
		"0000000000000005.spool", "1.spool", "README",
	}
	if diff := cmp.Diff(want, f.files(), cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	for _, said := range []string{"README", "0000000000000005.spool", "run the Millrace that wrote it"} {
		if !strings.Contains(f.log.String(), said) {
			t.Errorf("the log does not tell of %s:\n%s", said, f.log)
		}
	}
}

func TestNobodyElseReads(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	f := open(t, dir, newMoody(away))
	f.keep(0, 1)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFolderThatCannotBeHad(t *testing.T) {
	t.Parallel()
	taken := newDir(t)
	open(t, taken, meminbox.New())
	file := newDir(t)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{taken: "in use by another millrace", file: "not a directory"} {
		_, err := spool.New(spool.Config{Dir: dir, MaxBytes: 1, Metrics: metrics.NewSpool(prometheus.NewRegistry()), Log: quiet}, meminbox.New())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
