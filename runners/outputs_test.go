package runners_test

import (
	"maps"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/runners"
)

func TestParseOutputs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, data string
		want       map[string]string
	}{
		{"nothing", "", map[string]string{}},
		{"comments and blank lines", "# a comment\n\n  \t\n  # another\r\n", map[string]string{}},
		{"bare values", "A=1\nb_2 =  two words  \nC=\nD==x=", map[string]string{"A": "1", "b_2": "two words", "C": "", "D": "=x="}},
		{"a comment after a bare value", "A=1 # one\nB=a#b\nC=# none\nD='x' # y", map[string]string{"A": "1", "B": "a#b", "C": "", "D": "x"}},
		{"export", "export A=1\nexport\tB=2\nexport=3\nexported=4", map[string]string{"A": "1", "B": "2", "export": "3", "exported": "4"}},
		{"Windows line ends", "A=1\r\nB='2'\r\n", map[string]string{"A": "1", "B": "2"}},
		{"a byte order mark", "\ufeffA=1", map[string]string{"A": "1"}},
		{"single quotes take all as it is", `A='$x \n "#" \'`, map[string]string{"A": `$x \n "#" \`}},
		{"double quotes unescape", `A="a\n\t\r\"\\\$\d#"`, map[string]string{"A": "a\n\t\r\"\\$\\d#"}},
		{"several lines", "A=\"1\n2\n\"\nB='\n# no comment\nC=3'\nD=4", map[string]string{"A": "1\n2\n", "B": "\n# no comment\nC=3", "D": "4"}},
		{"nothing is substituted", "A=1\nB=$A\nC=\"${A}\"\nD=`id`", map[string]string{"A": "1", "B": "$A", "C": "${A}", "D": "`id`"}},
		{"the last counts", "A=1\nA=2", map[string]string{"A": "2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := runners.ParseOutputs([]byte(c.data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("outputs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseOutputsNamesTheLine(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		"A=1\nno value":        "line 2: expected NAME=value",
		"=1":                   "line 1: expected NAME=value",
		"1A=1":                 "line 1: expected NAME=value",
		"A-B=1":                "line 1: expected NAME=value",
		"\n\nA='1\n2\n3":       "line 3: the quote is never closed",
		"A='1\n2'\nB=\"\\\"":   "line 3: the quote is never closed",
		"A='1\n2'\nB=\"1\" 2":  "line 3: text follows the closing quote",
		"A='1\n2'x\nB=1":       "line 1: text follows the closing quote",
		"# x\nA=\xff":          "line 2: the value of A is not valid UTF-8",
		"A='\x00'":             "line 1: the value of A is not valid UTF-8",
		"export ENV VAR=1":     "line 1: expected NAME=value",
		"A=1\n" + "\x00\x01=1": "line 2: expected NAME=value",
	} {
		got, err := runners.ParseOutputs([]byte(data))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q and error %v, want an error with %q", data, got, err, want)
		}
	}
}

// FuzzParseOutputs holds that whatever is read can be written again, in double quotes, and reads the same.
func FuzzParseOutputs(f *testing.F) {
	for _, seed := range []string{"A=1\n", "export A='x\ny' # z\n", `A="\n\"\$\\"`, "A=\xff", "A='", "#", "\ufeff", "A=b#c #d"} {
		f.Add([]byte(seed))
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := runners.ParseOutputs(data)
		if err != nil {
			if first != nil || !strings.HasPrefix(err.Error(), "line ") {
				t.Fatalf("got %q with error %v, want nothing and a line", first, err)
			}
			return
		}
		var again strings.Builder
		for name, value := range first {
			if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
				t.Fatalf("value of %s is no text: %q", name, value)
			}
			again.WriteString(name + `="` + quote.Replace(value) + "\"\n")
		}
		second, err := runners.ParseOutputs([]byte(again.String()))
		if err != nil || !maps.Equal(first, second) {
			t.Fatalf("got %q and error %v from %q, want %q", second, err, again.String(), first)
		}
	})
}
