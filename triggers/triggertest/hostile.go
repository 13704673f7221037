package triggertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/triggers"
)

// Possible tells what is impossible about an event that a Source made. It is written apart from the checks that the
// sources use, so that it can find them wanting.
func Possible(e triggers.Event) error {
	var errs []error
	want := func(ok bool, what string, v any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %.100q", what, fmt.Sprint(v)))
		}
	}
	owner, name, _ := strings.Cut(e.Repo.Name, "/")
	want(owner != "" && name != "" && !strings.ContainsAny(e.Repo.Name, " :\\\"'\n%?#") && !strings.Contains(e.Repo.Name, ".."), "repository", e.Repo.Name)
	want(e.Repo.ID != "" && e.ID != "" && e.Delivery != "" && e.Forge != "", "ids", e)
	want(!e.Time.IsZero(), "time", e.Time)
	want(len(e.Message) <= 64<<10, "message of bytes", len(e.Message))
	want(strings.HasPrefix(e.Ref, "refs/") && !strings.Contains(e.Ref, "..") && !strings.ContainsAny(e.Ref, " \\~^:?*[\x00\n\x7f"), "ref", e.Ref)
	want(e.Branch+e.Tag != "" && !strings.HasPrefix(e.Branch+e.Tag, "-"), "branch or tag", e.Branch+e.Tag)
	if e.Kind == triggers.Deletion {
		want(e.After == "", "a deletion's after", e.After)
	} else {
		want(commit(e.After), "after", e.After)
	}
	want(e.Before == "" || commit(e.Before), "before", e.Before)
	for _, address := range []string{e.URL, e.Repo.WebURL, e.Repo.HTTPURL} {
		u, err := url.Parse(address)
		want(address == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https"), "link", address)
	}
	if (e.Kind == triggers.PullRequest) != (e.Request != nil) {
		errs = append(errs, fmt.Errorf("kind %s, request %+v", e.Kind, e.Request))
	} else if r := e.Request; r != nil {
		want(r.Number > 0 && r.Action != "" && r.SourceBranch != "" && r.TargetBranch != "", "request", *r)
		want(strings.Contains("open closed merged", r.Status) && r.Status != "", "request's status", r.Status)
	}
	if _, err := json.Marshal(e); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func commit(id string) bool {
	return (len(id) == 40 || len(id) == 64) && strings.Trim(id, "0123456789abcdef") == "" && strings.Trim(id, "0") != ""
}

// try parses a body that nobody should act on, and reports an impossible event or an error of no kind.
func (kit Kit) try(t *testing.T, s triggers.Source, what string, d triggers.Delivery) error {
	t.Helper()
	e, err := s.Parse(d)
	switch {
	case err == nil:
		if impossible := Possible(e); impossible != nil {
			t.Errorf("%s: made an impossible event: %v", what, impossible)
		}
	case !errors.Is(err, triggers.ErrPayload) && !errors.Is(err, triggers.ErrIgnored):
		t.Errorf("%s: got %v, want %v or %v", what, err, triggers.ErrPayload, triggers.ErrIgnored)
	}
	return err
}

func (kit Kit) nonsense(t *testing.T) {
	s := kit.source(t)
	bodies := []string{
		"", " ", "null", "{}", "[]", "[null]", "0", `"x"`, "{", "nonsense", "\x00\xff", `{"ref":`, `{"ref":{}}`, `{"repository":[]}`,
		strings.Repeat("[", 1<<20), strings.Repeat(`{"repository":`, 1<<17), strings.Repeat(`{"repository":`, 9000), `{"ref":"` + strings.Repeat("x", 1<<20) + `"}`,
		`{"number":1e999}`, `{"number":-1}`,
	}
	tried := map[string]bool{}
	for _, r := range kit.Recorded {
		kind := kit.delivery(t, s, r, nil).Kind
		if tried[kind] {
			continue
		}
		tried[kind] = true
		for i, body := range bodies {
			if err := kit.try(t, s, fmt.Sprintf("%s, body %d", r.Name, i), kit.delivery(t, s, r, []byte(body))); err == nil {
				t.Errorf("%s: %.40q is an event", r.Name, body)
			}
		}
		whole := bytes.TrimSpace(r.body(t))
		for n := 0; n < len(whole); n += len(whole)/40 + 1 {
			if err := kit.try(t, s, fmt.Sprintf("%s, its first %d bytes", r.Name, n), kit.delivery(t, s, r, whole[:n])); err == nil {
				t.Errorf("%s: its first %d bytes are an event", r.Name, n)
			}
		}
	}
}

// costly are fields that hold lists of what is large when it is decoded.
var costly = []string{"commits", "labels", "assignees", "requested_reviewers", "added"}

func (kit Kit) memory(t *testing.T) {
	s := kit.source(t)
	for _, element := range []string{"null", "{}", "[]", "0"} {
		for _, field := range costly {
			list := fmt.Sprintf("%q:[%s%s]", field, strings.Repeat(element+",", 1<<17), element)
			for _, body := range []string{"{" + list + "}", `{"pull_request":{` + list + "}}", `{"commits":[{` + list + "}]}"} {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				err := kit.try(t, s, field, kit.delivery(t, s, kit.Recorded[0], []byte(body)))
				runtime.ReadMemStats(&after)
				if cost := (after.TotalAlloc - before.TotalAlloc) / uint64(len(body)); err == nil || cost > 20 {
					t.Errorf("%.40s...: got %v for %d bytes a byte, want an error for at most 20", body, err, cost)
				}
			}
		}
	}
}

func (kit Kit) disagreement(t *testing.T) {
	s := kit.source(t)
	for _, r := range kit.Recorded {
		d := kit.delivery(t, s, r, r.body(t))
		for _, other := range kit.Recorded {
			kind := kit.delivery(t, s, other, nil).Kind
			if kind == d.Kind {
				continue
			}
			as := d
			as.Kind = kind
			if err := kit.try(t, s, r.Name+" as "+kind, as); err == nil {
				t.Errorf("%s: taken for a %s", r.Name, kind)
			}
		}
		d.Kind = "star"
		if err := kit.try(t, s, r.Name+" as star", d); !errors.Is(err, triggers.ErrIgnored) {
			t.Errorf("%s of an unknown kind: got %v, want %v", r.Name, err, triggers.ErrIgnored)
		}
	}
}

// strange is what every field is set to, one after the other; the first six also those that tell nothing.
var strange = []any{
	nil,
	map[string]any{},
	[]any{},
	[]any{nil},
	"", 0,
	[]any{map[string]any{}},
	strings.Repeat("n", 70_000),
	-1, 1e18, true, false, "../x", "-x", "a/../../x", "refs/heads/../../x", "refs/heads/-x",
	"refs/heads/a b", "refs/tags/x\ny", "x\x00y", "javascript:alert(1)", "ext::sh -c id", `zzz";echo${IFS}"hello";#`,
	strings.Repeat("n", 253), strings.Repeat("n", 4000), strings.Repeat("0", 40), strings.Repeat("G", 40), "0000-01-01T00:00:00Z",
}

// fields tries one recorded delivery of each kind of event.
func (kit Kit) fields(t *testing.T) {
	s := kit.source(t)
	tried := map[triggers.Kind]bool{}
	for _, r := range kit.Recorded {
		d := kit.delivery(t, s, r, r.body(t))
		e, err := s.Parse(d)
		if err != nil || tried[e.Kind] {
			continue
		}
		tried[e.Kind] = true
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			body := pruned(decode(t, d.Body), func(name string) bool { return kit.tells(name) || !strings.HasSuffix(name, "_url") })
			try := func(path string) {
				d.Body = encode(t, body)
				_ = kit.try(t, s, path, d) // Either way is right, as long as what it makes is possible.
			}
			walk(body, strange[:6], "", try)
			body = pruned(body, kit.tells)
			if d.Body = encode(t, body); kit.try(t, s, "its telling fields", d) != nil {
				t.Fatal("the telling fields alone are no event any more")
			}
			walk(body, strange[6:], "", try)
		})
	}
}

// telling are the names of the fields that events are made of, at GitHub and Gitea; see Kit.Telling.
var telling = []string{
	"ref", "before", "after", "deleted", "forced", "created", "commits", "head_commit", "total_commits", "added", "removed", "modified", "id", "sha",
	"full_name", "default_branch", "html_url", "clone_url", "compare", "compare_url", "pushed_at", "updated_at", "repository", "pull_request", "number",
	"action", "state", "merged", "head", "base", "repo", "labels", "title", "message", "ref_type", "pusher_type", "sender", "login",
}

func (kit Kit) tells(name string) bool {
	return slices.Contains(telling, name) || slices.Contains(kit.Telling, name)
}

// pruned is v with nothing but the fields that keep wants.
func pruned(v any, keep func(name string) bool) any {
	switch v := v.(type) {
	case map[string]any:
		for name, old := range v {
			if v[name] = pruned(old, keep); !keep(name) {
				delete(v, name)
			}
		}
	case []any:
		for i, old := range v {
			v[i] = pruned(old, keep)
		}
	}
	return v
}

// walk sets every field below v to each of values, one at a time, calls try each time, and puts it back.
func walk(v any, values []any, path string, try func(path string)) {
	visit := func(at string, old any, set func(any)) {
		for _, value := range values {
			set(value)
			try(fmt.Sprintf("%s = %.30q", at, fmt.Sprint(value)))
		}
		set(old)
		walk(old, values, at, try)
	}
	switch v := v.(type) {
	case map[string]any:
		for name, old := range v {
			visit(path+"."+name, old, func(value any) { v[name] = value })
		}
	case []any:
		for i, old := range v {
			visit(fmt.Sprintf("%s[%d]", path, i), old, func(value any) { v[i] = value })
		}
	}
}

func decode(t testing.TB, body []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
