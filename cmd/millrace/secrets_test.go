package main

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/test/forgekit"
)

const leaking = `name: leak
on: push
stages:
  - name: s
    tasks:
      - name: t
        uses: script@v1
        with:
          ENV: {TOKEN: {secret: deploy/TOKEN}, HOMELAND: {secret: ours/MILLRACE_TEST_SECRET}}
          SCRIPT: |
            echo "plain: $TOKEN $HOMELAND"
            printf %s "$TOKEN" | base64
            echo "WORD=$TOKEN" >> "$MILLRACE_OUTPUT"
            echo "summary: $TOKEN" > "$MILLRACE_SUMMARY"
            test "$(printf %s "$TOKEN$HOMELAND" | wc -c)" = 42 && echo arrived
`

// TestSecretsAreHidden has a repository that may use secrets print them wherever it can, and another that may not.
func TestSecretsAreHidden(t *testing.T) {
	const token, ours = "kept in a file, 'quoted'", "kept in the daemon"
	t.Setenv("MILLRACE_TEST_SECRET", ours)
	s := newSite(t, `secrets:
  - {name: deploy, file: deploy.env, repositories: [mill/flour]}
  - {name: ours, environment: [MILLRACE_TEST_SECRET]}
`)
	s.write(t, "deploy.env", "# The key of the mill.\nTOKEN=\""+token+"\"\n")
	p := s.serve(t)
	for _, name := range []string{"flour", "bran"} {
		s.pushFile(t, name, leaking)
	}
	said := map[string]string{}
	cl := &client{server: "http://" + s.address}
	p.await(t, "the end of both runs", func() bool {
		var runs struct {
			Items []struct{ ID, Repo, State, Reason string }
		}
		if err := cl.getJSON(t.Context(), "/api/v1/runs", &runs); err != nil {
			t.Fatal(err)
		}
		for _, r := range runs.Items {
			if r.State == "succeeded" || r.State == "failed" {
				said[r.Repo] = s.everything(t, r.ID) + r.State + ": " + r.Reason
			}
		}
		return len(said) == 2
	})
	flour := said["mill/flour"]
	for _, want := range []string{"task plain: *** ***\n", "arrived\n", "WORD", "summary: ***", "succeeded: "} {
		if !strings.Contains(flour, want) {
			t.Errorf("the run that may use the secrets does not tell %q:\n%s", want, flour)
		}
	}
	for _, secret := range []string{token, ours, base64.StdEncoding.EncodeToString([]byte(token)), "in a file"} {
		if strings.Contains(flour+p.out.String(), secret) {
			t.Errorf("%q is shown:\n%s\n%s", secret, flour, p.out)
		}
	}
	if want := "secret `deploy` cannot be used here: it is not for repository mill/bran"; !strings.Contains(said["mill/bran"], want) || !strings.Contains(said["mill/bran"], "failed: ") {
		t.Errorf("the run that may not use the secret: got\n%s\nwant it failed with %q", said["mill/bran"], want)
	}
}

// everything is all that the daemon says of a run, to people and to programs.
func (s site) everything(t *testing.T, id string) string {
	t.Helper()
	var all strings.Builder
	for _, path := range []string{"/api/v1/runs/" + id, "/api/v1/runs/" + id + "/tasks/t/log", "/api/v1/runs/" + id + "/tasks/t/manifest", "/runs/" + id} {
		res, err := http.Get("http://" + s.address + path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&all, res.Body); err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	return all.String()
}

// pushFile pushes a .millrace.yaml to a repository of mill.
func (s site) pushFile(t *testing.T, name, definition string) {
	t.Helper()
	if err := s.forge.CreateRepo("mill", name); err != nil {
		t.Fatal(err)
	}
	s.forge.AddHook("http://"+s.address+"/hooks/gitea", crashSecret)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w, err := forgekit.Clone(ctx, s.forge.CloneURL("mill", name), "main")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err = w.Commit(ctx, "Grind", map[string]string{".millrace.yaml": definition}); err == nil {
		err = w.Push(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadKept(t *testing.T) {
	t.Setenv("MILLRACE_TEST_KEPT", "value")
	dir := site{dir: t.TempDir()}
	dir.write(t, "sound", "A=1\nB='two\nlines'\n")
	dir.write(t, "broken", "A=1\nhunter2\n")
	dir.write(t, "huge", strings.Repeat("#", maxKept+1))
	for _, c := range []struct {
		from runners.Keeper
		want map[string]string
		says string
	}{
		{from: runners.Keeper{File: dir.dir + "/sound"}, want: map[string]string{"A": "1", "B": "two\nlines"}},
		{from: runners.Keeper{Env: []string{"MILLRACE_TEST_KEPT", "MILLRACE_TEST_NOT"}}, want: map[string]string{"MILLRACE_TEST_KEPT": "value"}},
		{from: runners.Keeper{File: dir.dir + "/none"}, says: "no such file"},
		{from: runners.Keeper{File: dir.dir + "/broken"}, says: "line 2"},
		{from: runners.Keeper{File: dir.dir + "/huge"}, says: "too large"},
	} {
		got, err := readKept(c.from)
		checkKept(t, got, c.want, err, c.says)
	}
}

func checkKept(t *testing.T, got map[string][]byte, want map[string]string, err error, says string) {
	t.Helper()
	if says != "" {
		if err == nil || !strings.Contains(err.Error(), runners.ErrRefused.Error()) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got error %v, want a refusal that says %q and no value", err, says)
		}
		return
	}
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %q, error %v, want %q", got, err, want)
	}
	for name, value := range want {
		if string(got[name]) != value {
			t.Errorf("%s: got %q, want %q", name, got[name], value)
		}
	}
}
