package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/web"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

const evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31mred\x1b[0m\u202egpj.exe\u2066\u200f\x00\x07\x9b\ufeff\xff{{.}}"

// tell fills a site with a stranger's words wherever a stranger has a word, and returns all of its pages.
func tell(s *site, words string) string {
	p := plan("build", 1, "check: unit lint")
	e := &p.Event
	e.Message, e.Author.Name, e.Sender, e.Branch, e.Ref, e.Repo.Name = words, words, words, words, "refs/heads/"+words, words
	p.Pipeline, p.File, p.Stages[0].Name = words, words, words
	s.told = p
	r := life(s.t, p, "unit", "unit-")
	r.Reason, r.Tasks[0].Reason, r.Tasks[0].Summary = words, words, words
	r.Tasks[0].Outputs = map[string]string{words: words}
	r.Told = []run.Told{
		{To: words, State: words, Context: words, Said: words, Text: words, Answer: words, At: now},
		{To: run.StatusListener, State: words, At: now, Error: words},
	}
	s.keep(r)
	s.write(p.ID, "unit", strings.ReplaceAll(words, "\n", " "))
	bad := broken(2)
	bad.Problems = []pipeline.Problem{{File: words, Message: words, Quote: words}}
	failed, _ := run.New(bad)
	s.keep(failed)
	d := triggers.Delivery{ID: "dx", Forge: words, Key: words, Kind: words, Header: http.Header{words: {words}}, Body: []byte("{}"), At: now}
	_, err := s.inbox.Keep(s.t.Context(), d)
	s.must(err)
	s.must(s.inbox.Settle(s.t.Context(), "dx", inbox.Outcome{At: now, Error: words}))
	s.must(s.store.SavePlan(s.t.Context(), store.Plan{Delivery: "dx", Event: *e, Explanations: []store.Explained{explained(words, words, words)}}))
	s.bury("dx", run.Reference{Line: "plan", Delivery: "dx"}, words)
	s.bury("mr-1", run.Reference{Line: "work-local", Run: p.ID, Task: words, Attempt: 1}, words)
	s.bury(p.ID, run.Reference{Line: "report", Run: p.ID}, words)
	var all strings.Builder
	all.Write(s.send("/deliveries/dx/replay", url.Values{"do": {"rehearse"}, "ref": {"told"}}).Body.Bytes())
	all.Write(s.send("/deliveries/dx/replay", url.Values{"do": {"replay"}, "ref": {"x" + words[:min(len(words), 200)]}}).Body.Bytes())
	for _, path := range []string{"/", "/runs/" + p.ID, "/runs/" + bad.ID, "/deliveries", "/deliveries/dx", "/dead"} {
		all.Write(s.get(path).Body.Bytes())
	}
	return all.String()
}

// skeleton is the names of a page's elements.
func skeleton(page string) string {
	return strings.Join(regexp.MustCompile(`</?[a-zA-Z!][a-zA-Z0-9]*`).FindAllString(page, -1), " ")
}

// harmful tells which character of a page should not be in it.
func harmful(page string) (rune, bool) {
	if !utf8.ValidString(page) {
		return utf8.RuneError, true
	}
	for _, r := range page {
		switch {
		case r == '\n', r == '\t', r == '\r':
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\ufeff':
			return r, true
		}
	}
	return 0, false
}

func TestStrangersWordsAreOnlyWords(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	page := tell(s, evil)
	if got, want := skeleton(page), skeleton(tell(newSite(t), "harmless")); got != want {
		t.Errorf("strangers' words make elements: got %s, want %s", got, want)
	}
	if r, bad := harmful(page); bad {
		t.Errorf("a page has %U in it", r)
	}
	s.lacks(page, "<img src=x", "onerror=alert(1)>", `href="javascript`)
	s.has(page, "[U+202E]gpj.exe", "{{.}}", "&lt;script&gt;")
	_, log, _ := strings.Cut(page, `class="lines"`)
	s.lacks(log[:strings.Index(log, "</pre>")], "[31m", "[U+001B]")
}

func FuzzWords(f *testing.F) {
	f.Add(evil)
	f.Add("javascript:alert(1)")
	f.Add("\xff\xfe")
	f.Add("refs/heads/\u2028--></textarea></title>")
	want := 0
	f.Fuzz(func(t *testing.T, words string) {
		page := tell(newSite(t), "w"+words)
		if want == 0 {
			want = len(strings.Fields(skeleton(tell(newSite(t), "harmless"))))
		}
		if got := len(strings.Fields(skeleton(page))); got != want {
			t.Errorf("got %d elements, want %d: %s", got, want, page)
		}
		if r, bad := harmful(page); bad {
			t.Errorf("a page has %U in it", r)
		}
	})
}

func FuzzLog(f *testing.F) {
	f.Add([]byte("2026-11-23T09:30:00Z source fetching\n2026-11-23T09:30:00Z task \x1b]8;;http://x\x07link\x1b]8;;\x07\r\n\n x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newSite(t)
		r := s.keep(life(t, plan("build", 1, "check: unit"), "unit"))
		s.must(s.logs.Append(t.Context(), logs.Key{Run: r.Plan.ID, Task: "unit", Attempt: 1}, 0, data))
		page := s.get("/runs/" + r.Plan.ID).Body.String()
		if bad, is := harmful(page); is {
			t.Errorf("the page has %U in it", bad)
		}
		lines := strings.Count(page, `<span class="l`)
		if want := len(strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")); len(data) > 0 && lines != min(want, 500) {
			t.Errorf("got %d lines, want %d", lines, want)
		}
		if strings.Count(page, "<time>") != lines || strings.Contains(page, "<script>") {
			t.Errorf("a line makes elements: %s", page)
		}
	})
}

// counted is logs that count what is read of them.
type counted struct {
	logs.Logs
	reads, bytes *int
}

func (c counted) Read(ctx context.Context, k logs.Key, offset int64, wait time.Duration) (logs.Chunk, error) {
	chunk, err := c.Logs.Read(ctx, k, offset, wait)
	*c.reads++
	*c.bytes += len(chunk.Data)
	return chunk, err
}

// logPage is the page of a run whose one task wrote that many lines, and what was read for it.
func logPage(t *testing.T, lines int, over bool) (page string, reads, size int) {
	t.Helper()
	s := newSite(t)
	r := s.keep(life(t, plan("build", 1, "check: unit"), "unit"))
	var all strings.Builder
	for n := range lines {
		fmt.Fprintf(&all, "2026-11-23T09:30:00.123456789Z task line %06d %s\n", n, strings.Repeat("中", n%40))
	}
	key := logs.Key{Run: r.Plan.ID, Task: "unit", Attempt: 1}
	s.must(s.logs.Append(t.Context(), key, 0, []byte(all.String())))
	if over {
		s.must(s.logs.End(t.Context(), key))
	}
	cfg := s.config()
	cfg.Logs = counted{s.logs, &reads, &size}
	s.page = web.New(cfg)
	return s.says("/runs/" + r.Plan.ID), reads, size
}

func TestLongLogsShowTheirEnd(t *testing.T) {
	t.Parallel()
	for _, lines := range []int{1, 499, 500, 501, 2000, 2600, 10_000, 60_000, 140_000} {
		for _, over := range []bool{true, false} {
			page, reads, size := logPage(t, lines, over)
			shown := regexp.MustCompile(`line (\d{6})`).FindAllStringSubmatch(page, -1)
			first, last := lines-min(lines, 500), lines-1
			if len(shown) != min(lines, 500) || shown[0][1] != fmt.Sprintf("%06d", first) || shown[len(shown)-1][1] != fmt.Sprintf("%06d", last) {
				t.Errorf("%d lines: got %d of them, from %v to %v, want the last, from %d to %d", lines, len(shown), shown[0], shown[len(shown)-1], first, last)
			}
			if says := strings.Contains(page, "This is the end of a longer log."); says != (lines > 500) {
				t.Errorf("%d lines: says that it is cut: %v", lines, says)
			}
			if reads > 25 || size > 5<<20 {
				t.Errorf("%d lines: %d reads of %d bytes, want few", lines, reads, size)
			}
		}
	}
}

func TestLinesAreShownWhole(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.keep(life(t, plan("build", 1, "check: unit"), "unit"))
	s.write(r.Plan.ID, "unit", strings.Split(strings.Repeat("line "+strings.Repeat("中", 1000)+"|", 1000), "|")...)
	for _, l := range strings.Split(s.says("/runs/"+r.Plan.ID), `<span class="l">`)[1:] {
		if !regexp.MustCompile(`^<time>\d\d:\d\d:\d\d</time>(line 中{1000})?\n`).MatchString(l) {
			t.Errorf("got %.100s, want a line from its beginning", l)
		}
	}
}

func TestFullLogShowsItsEnd(t *testing.T) {
	t.Parallel()
	page, _, size := logPage(t, 200_000, true)
	if !strings.Contains(page, "this log is longer than 16 MiB") || size > 5<<20 {
		t.Errorf("read %d bytes, and the last line is not there", size)
	}
}

// TestManyTasksAreQuick holds a page of many long logs to a size that browsers take, and to a time that grows with it.
func TestManyTasksAreQuick(t *testing.T) {
	t.Parallel()
	page := func(tasks int) (string, time.Duration) {
		s := newSite(t)
		words, names := []string{}, []string{}
		for n := range tasks {
			names = append(names, fmt.Sprintf("t%d", n))
		}
		words = append(words, names...)
		r := s.keep(life(t, plan("build", 1, "+check: "+strings.Join(names, " ")), words...))
		lines := strings.Split(strings.TrimSuffix(strings.Repeat("a line of a log, as long as they are\n", 2000), "\n"), "\n")
		for _, name := range names {
			s.write(r.Plan.ID, name, lines...)
		}
		began := time.Now()
		return s.says("/runs/" + r.Plan.ID), time.Since(began)
	}
	many, took := page(200)
	if got := strings.Count(many, `class="task"`); got != 200 {
		t.Errorf("got %d tasks, want 200", got)
	}
	if got := strings.Count(many, `<span class="l`); got != 200*20 {
		t.Errorf("got %d lines, want 20 of each task", got)
	}
	if took > 30*time.Second || len(many) > 2<<20 { // on a machine that does much else, with the race detector
		t.Errorf("a page of 200 tasks took %v and has %d bytes", took, len(many))
	}
	few, _ := page(50)
	if len(many) > 6*len(few) {
		t.Errorf("200 tasks make %d bytes, 50 make %d: more than their share", len(many), len(few))
	}
}
