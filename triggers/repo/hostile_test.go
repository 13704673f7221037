package repo_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/repo"
)

// The types of a pack's objects.
const (
	typeCommit = 1
	typeTree   = 2
	typeBlob   = 3
	typeOffset = 6 // a delta of an earlier object
	typeNamed  = 7 // a delta of an object by its name
)

// packing builds packs, also such as git would never make.
type packing struct {
	bytes.Buffer
	count int
	z     *zlib.Writer
}

func (p *packing) head(kind, size int) {
	b := byte(kind<<4 | size&15)
	for size >>= 4; size > 0; size >>= 7 {
		p.WriteByte(b | 0x80)
		b = byte(size & 0x7f)
	}
	p.WriteByte(b)
	p.count++
}

// object adds an object that says it has size bytes, and returns its offset in the pack.
func (p *packing) object(kind, size int, base, data string) int {
	at := 12 + p.Len()
	p.head(kind, size)
	p.WriteString(base)
	if p.z == nil {
		p.z = zlib.NewWriter(p)
	}
	p.z.Reset(p)
	_, _ = io.WriteString(p.z, data)
	_ = p.z.Close()
	return at
}

func (p *packing) whole(kind int, data string) int { return p.object(kind, len(data), "", data) }

// onto adds a delta of the object at offset base.
func (p *packing) onto(base int, delta string) int {
	n := uint64(12 + p.Len() - base)
	back := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		back = append([]byte{0x80 | byte(n&0x7f)}, back...)
	}
	return p.object(typeOffset, len(delta), string(back), delta)
}

func (p *packing) done() string { return p.saying(p.count) }

// saying ends the pack with a count that may be a lie, and a checksum that is none.
func (p *packing) saying(count int) string {
	head := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(count))
	all := append(head, p.Bytes()...)
	sum := sha1.Sum(all)
	return string(append(all, sum[:]...))
}

// delta says from how much it makes how much, and how.
func delta(from, to int, commands string) string {
	b := binary.AppendUvarint(nil, uint64(from))
	return string(binary.AppendUvarint(b, uint64(to))) + commands
}

func id(kind, data string) string {
	sum := sha1.Sum(fmt.Appendf(nil, "%s %d\x00%s", kind, len(data), data))
	return hex.EncodeToString(sum[:])
}

// wanting begins a pack with a commit whose tree names one definition, and returns it with the commit's id.
func wanting(blob string) (*packing, string) {
	raw, _ := hex.DecodeString(blob)
	tree := "100644 .millrace.yaml\x00" + string(raw)
	commit := "tree " + id("tree", tree) + "\n\nm\n"
	p := new(packing)
	p.whole(typeCommit, commit)
	p.whole(typeTree, tree)
	return p, id("commit", commit)
}

// line is a pkt-line.
func line(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }

// band is s in the side band, on a channel: 1 the pack, 2 progress, 3 an error.
func band(channel byte, s string) string {
	var b strings.Builder
	for len(s) > 0 {
		n := min(len(s), 60000)
		b.WriteString(line(string(channel) + s[:n]))
		s = s[n:]
	}
	return b.String()
}

const (
	advert   = "001e# service=git-upload-pack\n0000"
	accepted = "00000008NAK\n"
)

func refs(commit string) string {
	return advert + line(commit+" HEAD\x00shallow side-band-64k ofs-delta\n") + "0000"
}

// endless says begin, and then more for ever.
type endless struct{ begin, more string }

func (e *endless) Read(p []byte) (int, error) {
	if e.begin == "" {
		e.begin = e.more
	}
	n := copy(p, e.begin)
	e.begin = e.begin[n:]
	return n, nil
}

// served answers every GET with refs and every POST with pack.
func served(refs string, pack func(*http.Request) io.Reader) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		res := &http.Response{StatusCode: 200, Request: r, Header: http.Header{}}
		if r.Method == http.MethodGet {
			res.Header.Set("Content-Type", "application/x-git-upload-pack-advertisement")
			res.Body = io.NopCloser(strings.NewReader(refs))
			return res, nil
		}
		res.Header.Set("Content-Type", "application/x-git-upload-pack-result")
		res.Body = io.NopCloser(pack(r))
		return res, nil
	}
}

func always(s string) func(*http.Request) io.Reader {
	return func(*http.Request) io.Reader { return strings.NewReader(s) }
}

// sending answers every request with a pack, and one for a depth with the boundary before it.
func sending(pack string) func(*http.Request) io.Reader {
	return func(r *http.Request) io.Reader {
		body, _ := io.ReadAll(r.Body)
		answer := accepted + band(1, pack) + "0000"
		if !bytes.Contains(body, []byte("deepen 1")) {
			answer = strings.TrimPrefix(answer, "0000")
		}
		return strings.NewReader(answer)
	}
}

const token = "hunter2-hunter2"

// ask reads from a server that does as it likes.
func ask(t *testing.T, cfg repo.Config, commit string) ([]triggers.File, []triggers.Unreadable, error) {
	t.Helper()
	cfg.TempDir = t.TempDir()
	return repo.New(cfg).Definitions(t.Context(), triggers.Access{URL: "http://forge.test/o/r.git", Username: "u", Password: token},
		triggers.At{Ref: "refs/heads/main", Commit: commit})
}

func TestHostilePacks(t *testing.T) {
	const unit = 64 << 10
	zeros := strings.Repeat("\x00", unit)
	whole := func(kind, size int, data string) func(*packing) string {
		return func(p *packing) string { p.object(kind, size, "", data); return p.done() }
	}
	tests := map[string]struct {
		make func(*packing) string
		want error
		text string
	}{
		"sound, but nothing in it":       {func(*packing) string { return new(packing).done() }, repo.ErrHostile, "lacks commit"},
		"an object of a terabyte":        {whole(typeBlob, 1<<40, zeros), repo.ErrTooLarge, "unpacks to more"},
		"an object longer than it says":  {whole(typeBlob, 10, zeros), repo.ErrHostile, "exceeds declared size"},
		"an object shorter than it says": {whole(typeBlob, 10, "x"), repo.ErrHostile, "1 bytes that should have 10"},
		"no such type":                   {whole(5, 1, "x"), repo.ErrHostile, "type 5"},
		"many large objects": {func(p *packing) string {
			for range 20 {
				p.whole(typeBlob, zeros)
			}
			return p.done()
		}, repo.ErrTooLarge, "unpacks to more"},
		"more objects than it has":  {func(p *packing) string { return p.saying(p.count + 1) }, repo.ErrHostile, ""},
		"fewer objects than it has": {func(p *packing) string { return p.saying(1) }, repo.ErrHostile, "checksum"},
		"billions of objects":       {func(p *packing) string { return p.saying(1 << 31) }, repo.ErrTooLarge, "2147483648 objects"},
		"another checksum":          {func(p *packing) string { s := p.done(); return s[:len(s)-1] + "x" }, repo.ErrHostile, "checksum"},
		"no pack":                   {func(*packing) string { return "<html>" }, repo.ErrHostile, "signature"},
		"half a pack":               {func(p *packing) string { s := p.done(); return s[:len(s)-40] }, nil, "in the middle"},
		"a delta of nothing": {func(p *packing) string {
			p.onto(13, delta(1, 1, "\x01x"))
			return p.done()
		}, repo.ErrHostile, "delta of nothing"},
		"a delta without sizes": {func(p *packing) string {
			p.onto(p.whole(typeBlob, "x"), "\xff")
			return p.done()
		}, repo.ErrHostile, "without sizes"},
		"a delta that does not fit": {func(p *packing) string {
			p.onto(p.whole(typeBlob, "x"), delta(1, 9, "\x01x"))
			return p.done()
		}, repo.ErrHostile, "invalid delta"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, commit := wanting(strings.Repeat("12", 20))
			transport := served(refs(commit), sending(tt.make(p)))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := ask(t, repo.Config{MaxPackBytes: unit, Transport: transport}, commit)
			runtime.ReadMemStats(&after)
			wantError(t, err, tt.want, tt.text)
			if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
				t.Errorf("allocated %d bytes", got)
			}
		})
	}
}

// Deltas that claim much, or make much, or never come to an end, are left alone: what only they could make is a file
// that the server did not send.
func TestDeltaBombs(t *testing.T) {
	const unit = 64 << 10
	for name, bomb := range map[string]func(*packing){
		"a terabyte": func(p *packing) {
			p.onto(p.whole(typeBlob, "x"), delta(1, 1<<40, strings.Repeat("\x90\x01", 1000)))
		},
		"many megabytes": func(p *packing) {
			base := p.whole(typeBlob, strings.Repeat("\x00", unit))
			for range 100 {
				p.onto(base, delta(unit, 15*65535, strings.Repeat("\xb0\xff\xff", 15)))
			}
		},
		"one of many megabytes": func(p *packing) {
			p.onto(p.whole(typeBlob, strings.Repeat("\x00", unit)), delta(unit, 400*65535, strings.Repeat("\xb0\xff\xff", 400)))
		},
		"without end": func(p *packing) {
			base := p.whole(typeBlob, "x")
			for range 4200 {
				base = p.onto(base, delta(1, 1, "\x01x"))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, commit := wanting(strings.Repeat("12", 20))
			bomb(p)
			cfg := repo.Config{MaxPackBytes: 2 * unit, Transport: served(refs(commit), sending(p.done()))}
			if name == "one of many megabytes" {
				cfg.MaxPackBytes = 64 * unit // So that it is one object's size that matters.
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			files, bad, err := ask(t, cfg, commit)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 && name != "without end" {
				t.Errorf("allocated %d bytes", got)
			}
			if err != nil || len(files) != 0 {
				t.Fatalf("got %v, %v, want no files, no error", files, err)
			}
			same(t, "unreadable", bad, []triggers.Unreadable{{Path: ".millrace.yaml", Reason: "was not sent by the server, or is too large"}})
		})
	}
}

// A chain of deltas is followed as far as there is memory for it.
func TestLongChain(t *testing.T) {
	t.Parallel()
	p := new(packing)
	base := p.whole(typeBlob, strings.Repeat("x", 100))
	for i := range 20 {
		base = p.onto(base, delta(100+i, 101+i, "\x90"+string(rune(100+i))+"\x01y"))
	}
	for live, want := range map[int64]int{0: 1, 100: 2, 500: 5, 5000: 21} {
		got, err := repo.Count([]byte(p.done()), live, t.TempDir())
		if err != nil || got != want {
			t.Errorf("%d bytes: got %d objects, %v, want %d", live, got, err, want)
		}
	}
	p = new(packing)
	base = p.whole(typeBlob, "x")
	for range 4200 {
		base = p.onto(base, delta(1, 1, "\x01x"))
	}
	got, err := repo.Count([]byte(p.done()), 1<<20, t.TempDir())
	if want := 1 + 4095; err != nil || got != want {
		t.Errorf("got %d objects, %v, want %d", got, err, want)
	}
}

// Deltas may name their base, and the base may come later, or be a delta itself.
func TestNamedDeltas(t *testing.T) {
	blob := "yxx"
	p, commit := wanting(id("blob", blob))
	named := func(base, delta string) {
		raw, _ := hex.DecodeString(base)
		p.object(typeNamed, len(delta), string(raw), delta)
	}
	named(id("blob", "xx"), delta(2, 3, "\x01y\x90\x02"))
	named(id("blob", "x"), delta(1, 2, "\x02xx"))
	p.whole(typeBlob, "x")
	files, bad, err := ask(t, repo.Config{Transport: served(refs(commit), sending(p.done()))}, commit)
	if err != nil || len(bad) != 0 {
		t.Fatalf("got %v, %v, want neither", bad, err)
	}
	same(t, "files", files, []triggers.File{{Path: ".millrace.yaml", Data: []byte(blob)}})
}

func TestHostileTrees(t *testing.T) {
	t.Parallel()
	blob := strings.Repeat("\x12", 20)
	for name, tree := range map[string]string{
		"cut short":    "100644 .millrace.yaml\x00" + blob[:19],
		"no name":      "100644 \x00" + blob,
		"no mode":      "x\x00" + blob,
		"no end":       "100644 .millrace.yaml",
		"name a path":  "100644 ../../etc/x.yaml\x00" + blob,
		"folder a lie": "40000 .millrace\x00" + blob,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			commit := "tree " + id("tree", tree) + "\n"
			var p packing
			p.whole(typeTree, tree)
			p.whole(typeCommit, commit)
			_, _, err := ask(t, repo.Config{Transport: served(refs(id("commit", commit)), sending(p.done()))}, id("commit", commit))
			wantError(t, err, repo.ErrHostile, "tree")
		})
	}
	for _, commit := range []string{"", "tree x\n", "parent " + strings.Repeat("1", 40), "tree " + strings.Repeat("1", 64)} {
		var p packing
		p.whole(typeCommit, commit)
		_, _, err := ask(t, repo.Config{Transport: served(refs(id("commit", commit)), sending(p.done()))}, id("commit", commit))
		wantError(t, err, repo.ErrHostile, "commit without")
	}
}

// A server that never comes to an end is left when it has said too much, or taken too long.
func TestEndless(t *testing.T) {
	p, commit := wanting(strings.Repeat("12", 20))
	start := p.saying(1 << 18)
	start = start[:len(start)-20]
	var small packing
	for range 1000 {
		small.whole(typeBlob, "")
	}
	for name, answer := range map[string]*endless{
		"pack":     {accepted + band(1, start), band(1, small.String())},
		"progress": {accepted, band(2, "Counting objects: 12%\r")},
		"shallow":  {"", line("shallow " + strings.Repeat("12", 20))},
		"acks":     {"0000", line("ACK " + strings.Repeat("12", 20))},
		"zeros":    {accepted + band(1, start), band(1, "\x80\x80\x80\x80")},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := ask(t, repo.Config{MaxPackBytes: 64 << 10, Transport: served(refs(commit), func(*http.Request) io.Reader { return answer })}, commit)
			if name == "zeros" {
				wantError(t, err, repo.ErrHostile, "overflow")
				return
			}
			wantError(t, err, repo.ErrTooLarge, "longer than 65536 bytes")
		})
	}
	t.Run("refs", func(t *testing.T) {
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			res, err := served("", always(""))(r)
			res.Body = io.NopCloser(&endless{refs(commit)[:len(refs(commit))-4], line(commit + " refs/heads/x\n")})
			return res, err
		})
		_, _, err := ask(t, repo.Config{Transport: transport}, commit)
		wantError(t, err, repo.ErrTooLarge, "longer than 16777216 bytes")
	})
	t.Run("silence", func(t *testing.T) {
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		_, _, err := ask(t, repo.Config{Timeout: time.Millisecond, Transport: transport}, commit)
		wantError(t, err, nil, "longer than 1ms")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

// What a server says may be shown, but not the token that it was told, nor anything that moves a terminal's cursor.
func TestServerTalks(t *testing.T) {
	t.Parallel()
	_, commit := wanting(strings.Repeat("12", 20))
	for _, answer := range []string{
		accepted + band(3, "no \x1b[31m"+token+"\n"+strings.Repeat("x", 9000)),
		line("ERR no " + token + strings.Repeat("\x1b", 9000)),
		line("ERR no Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+token))),
	} {
		_, _, err := ask(t, repo.Config{Transport: served(refs(commit), always(answer))}, commit)
		wantError(t, err, nil, "***")
		if s := err.Error(); strings.Contains(s, token) || strings.Contains(s, "dTpo") || strings.Contains(s, "\x1b") || len(s) > 1000 {
			t.Errorf("got %q", s)
		}
	}
}

func FuzzPack(f *testing.F) {
	p, commit := wanting(id("blob", "name: a\n"))
	base := p.whole(typeBlob, "name: a\n")
	p.onto(base, delta(8, 9, "\x90\x08\x01x"))
	f.Add([]byte(p.done()))
	f.Add([]byte(new(packing).saying(1 << 31)))
	f.Add([]byte(p.saying(9)))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 20 { // The checksum is made right, so that what comes before it is looked at.
			sum := sha1.Sum(data[:len(data)-20])
			copy(data[len(data)-20:], sum[:])
		}
		objects, err := repo.Unpack(data, dir)
		if err != nil {
			return
		}
		for _, o := range objects {
			if got := id(o.Kind, string(o.Data)); got != o.Hash {
				t.Errorf("%s %q: got %s, want %s", o.Kind, o.Data, o.Hash, got)
			}
			if o.Kind == "commit" {
				_ = repo.Listing(data, o.Hash, dir)
			}
		}
		_ = repo.Listing(data, commit, dir)
	})
}
