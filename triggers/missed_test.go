package triggers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/triggers"
)

func TestMissed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, sendings, want string }{ // newest first; + arrived, - did not, ? is not acted on
		{"none", "", ""},
		{"all arrived", "b+ a+", ""},
		{"two did not, the oldest is asked for first", "c- b+ a-", "a0 c2"},
		{"arrived in the end", "a+ b+ a- a-", ""},
		{"arrived, and was sent again", "a- a+", ""},
		{"the newest sending is asked for", "a- b+ a-", "a2"},
		{"nothing to act on", "a? b-", "b0"},
		{"sent four times", "a- a- a- a-", "a3"},
		{"sent five times", "a- a- a- a- a-", ""},
	} {
		var list []triggers.Sending
		words := strings.Fields(c.sendings)
		for i, w := range words {
			list = append(list, triggers.Sending{ID: int64(len(words) - 1 - i), Key: w[:1], Arrived: w[1] == '+', Acts: w[1] != '?'})
		}
		var got []string
		for _, s := range triggers.Missed(list) {
			got = append(got, fmt.Sprint(s.Key, s.ID))
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestHears(t *testing.T) {
	t.Parallel()
	c := triggers.ForgeConfig{Name: "hub"}
	for address, want := range map[string]bool{
		"https://ci.example.com/hooks/hub":                 true,
		"https://ci.example.com/hooks/hub/":                true,
		"https://ci.example.com/ci/hooks/hub?repository=7": true,
		"https://ci.example.com/hooks/github":              false,
		"https://ci.example.com/hub":                       false,
		"https://ci.example.com/?x=/hooks/hub":             false,
		"::":                                               false,
		"":                                                 false,
	} {
		if got := c.Hears(address); got != want {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
}
