package mask_test

import (
	"encoding/base64"
	"testing"

	"github.com/millrace-ci/millrace/agent/mask"
)

// TestCredentialsInside hides what is secret in files that are given as a whole, also where it is printed alone.
func TestCredentialsInside(t *testing.T) {
	t.Parallel()
	kubeconfig := "apiVersion: v1\nkind: Config\nusers:\n- name: deploy\n  user:\n    token: eyJhbGciOi.tail\n    client-key-data: \"S0VZ-of-it\"\n"
	auth := base64.StdEncoding.EncodeToString([]byte("robot:hunter2:x"))
	docker := `{"auths":{"harbor.example.com":{"username":"robot","auth":"` + auth + `"},"b":{"password":"pass-of-b"}}}`
	for _, c := range []struct{ value, text, want string }{
		{kubeconfig, "Authorization: Bearer eyJhbGciOi.tail", "Authorization: Bearer ***"},
		{kubeconfig, "key S0VZ-of-it", "key ***"},
		{docker, "auth " + auth, "auth ***"},
		{docker, "docker login -p hunter2:x -u robot", "docker login -p *** -u robot"},
		{docker, "push to harbor.example.com/shop/api with pass-of-b", "push to harbor.example.com/shop/api with ***"},
		{`{"auth":"not base64!"}`, "not base64!", "***"},
		{`{"token":"abc"}`, "abc", "abc"}, // too short to be hidden
		{"token: {a: [", "token", "token"},
		{"plain:words", "plain words", "plain words"},
	} {
		m, err := mask.New(c.value)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Text(c.text); got != c.want {
			t.Errorf("%.30q hides in %q: got %q, want %q", c.value, c.text, got, c.want)
		}
	}
}
