package triggers_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/triggers"
)

var (
	one, two = strings.Repeat("1", 40), strings.Repeat("2", 40)
	none     = strings.Repeat("0", 40)
	at       = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// push is a sound event as a Source hands it to Seal.
func push() triggers.Event {
	return triggers.Event{
		Kind: triggers.Push, Ref: "refs/heads/main", Branch: "main", Before: one, After: two,
		Repo: triggers.Repository{ID: "7", Name: "shop/api", DefaultBranch: "main"},
	}
}

func equal(glob, name string) bool { return glob == name }

func TestSeal(t *testing.T) {
	t.Parallel()
	d := triggers.Delivery{ID: "d1", Forge: "gitea", At: at}
	e := push()
	e.Message = strings.Repeat("x", 64<<10-1) + "é"
	e.URL, e.Repo.WebURL = "javascript:alert(1)", "https://git.example.com/shop/api"
	e.Labels = make([]string, 1000)
	got, err := d.Seal(e, equal)
	if err != nil {
		t.Fatal(err)
	}
	want := push()
	want.ID, want.Delivery, want.Forge, want.Time = "d1", "d1", "gitea", at
	want.Message, want.Repo.WebURL, want.Labels = strings.Repeat("x", 64<<10-1), "https://git.example.com/shop/api", make([]string, 100)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sealed (-want +got):\n%s", diff)
	}
	if !utf8.ValidString(got.Message) {
		t.Error("the message ends in half a character")
	}
}

func TestSealTakesOnlyPossibleTimes(t *testing.T) {
	t.Parallel()
	for told, want := range map[time.Time]time.Time{
		{}: at, time.Unix(0, 0): at, time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC): at,
		time.Date(2026, 1, 1, 2, 0, 0, 0, time.FixedZone("", 7200)): time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		e := push()
		e.Time = told
		got, err := triggers.Delivery{At: at}.Seal(e, equal)
		if err != nil || got.Time != want {
			t.Errorf("%v: got %v, %v, want %v", told, got.Time, err, want)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	request := func(change func(*triggers.Request)) func(*triggers.Event) {
		return func(e *triggers.Event) {
			e.Kind, e.Ref = triggers.PullRequest, "refs/pull/7/head"
			e.Request = &triggers.Request{Number: 7, Action: "opened", Status: "open", SourceBranch: "a", TargetBranch: "b"}
			change(e.Request)
		}
	}
	for name, change := range map[string]func(*triggers.Event){
		"no repository id":  func(e *triggers.Event) { e.Repo.ID = "" },
		"repository":        func(e *triggers.Event) { e.Repo.Name = "shop/.." },
		"no commit":         func(e *triggers.Event) { e.After = "" },
		"commit":            func(e *triggers.Event) { e.After = "--help" },
		"before":            func(e *triggers.Event) { e.Before = none },
		"no branch":         func(e *triggers.Event) { e.Branch = "" },
		"branch":            func(e *triggers.Event) { e.Branch = "../x" },
		"default branch":    func(e *triggers.Event) { e.Repo.DefaultBranch = "-x" },
		"request number":    request(func(r *triggers.Request) { r.Number = 0 }),
		"request action":    request(func(r *triggers.Request) { r.Action = "Opened now" }),
		"no request action": request(func(r *triggers.Request) { r.Action = "" }),
		"request status":    request(func(r *triggers.Request) { r.Status = "" }),
		"source branch":     request(func(r *triggers.Request) { r.SourceBranch = "a b" }),
		"target branch":     request(func(r *triggers.Request) { r.TargetBranch = "" }),
	} {
		e := push()
		change(&e)
		if got, err := (triggers.Delivery{}).Seal(e, equal); !errors.Is(err, triggers.ErrPayload) || !cmp.Equal(got, triggers.Event{}) {
			t.Errorf("%s: got %+v, %v, want %v", name, got, err, triggers.ErrPayload)
		}
	}
}

func TestSealKeepsToTheScope(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scope triggers.Scope
		want  error
	}{
		{triggers.Scope{}, nil},
		{triggers.Scope{Repositories: []string{"shop/web", "shop/api"}}, nil},
		{triggers.Scope{Repositories: []string{"shop/web"}}, triggers.ErrScope},
		{triggers.Scope{RepositoryID: "7"}, nil},
		{triggers.Scope{RepositoryID: "8"}, triggers.ErrScope},
		{triggers.Scope{RepositoryID: "7", Repositories: []string{"shop/web"}}, triggers.ErrScope},
	} {
		if _, err := (triggers.Delivery{Scope: c.scope}).Seal(push(), equal); !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v, want %v", c.scope, err, c.want)
		}
	}
}

func TestRefer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ref, before, after string
		want               string // kind, branch, tag, before, after
		err                error
	}{
		{"refs/heads/a/b", one, two, "push a/b  " + one + " " + two, nil},
		{"refs/heads/a", none, two, "push a   " + two, nil},
		{"refs/heads/a", one, none, "deletion a  " + one + " ", nil},
		{"refs/tags/v1", none, two, "tag  v1  " + two, nil},
		{"refs/tags/v1", one, none, "deletion  v1 " + one + " ", nil},
		{"refs/notes/x", one, two, "", triggers.ErrIgnored},
		{"main", one, two, "", triggers.ErrPayload},
		{"", one, two, "", triggers.ErrPayload},
		{"refs/heads/a", "", two, "", triggers.ErrPayload},
	} {
		e := triggers.Event{Ref: c.ref, Before: c.before, After: c.after}
		err := e.Refer()
		if !errors.Is(err, c.err) {
			t.Errorf("%s: got %v, want %v", c.ref, err, c.err)
		}
		if got := fmt.Sprintf("%s %s %s %s %s", e.Kind, e.Branch, e.Tag, e.Before, e.After); err == nil && got != c.want {
			t.Errorf("%s: got %q, want %q", c.ref, got, c.want)
		}
	}
}

func TestChangedFiles(t *testing.T) {
	t.Parallel()
	many := make([]string, 10_001)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	few := slices.Sorted(slices.Values(many[:10_000]))
	for name, c := range map[string]struct {
		lists [][]string
		want  *[]string
	}{
		"no commits":      {nil, nil},
		"empty commit":    {[][]string{{}, {}, {}}, &[]string{}},
		"union":           {[][]string{{"b", "a"}, {}, {"b"}}, &[]string{"a", "b"}},
		"one is unknown":  {[][]string{{"a"}, nil}, nil},
		"an empty path":   {[][]string{{""}}, nil},
		"too long a path": {[][]string{{strings.Repeat("x", 4097)}}, nil},
		"too many":        {[][]string{many}, nil},
		"just few enough": {[][]string{many[:10_000], many[:10_000]}, &few},
	} {
		if diff := cmp.Diff(c.want, triggers.ChangedFiles(c.lists...)); diff != "" {
			t.Errorf("%s (-want +got):\n%.500s", name, diff)
		}
	}
}
