package reporttest

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millrace-ci/millrace/agent/report"
)

// Status is how a forge's API takes a Kit's Notice as a commit status.
type Status struct {
	Path, Auth string         // of the request, Auth the whole header
	Body       map[string]any // but for its "state"
	Words      map[report.State]string
	MaxText    int // characters of its "description"
}

// RunStatus tries the laws of a Notifier that sets commit statuses.
func RunStatus(t *testing.T, kit Kit, want Status) {
	t.Run("each state is told in the forge's word", func(t *testing.T) { kit.words(t, want) })
	t.Run("a long text is cut", func(t *testing.T) { kit.cut(t, want) })
}

// states are all that there are.
var states = []report.State{
	report.Pending, report.Running, report.Succeeded, report.Failed, report.Broken, report.Canceled, report.NotAffected,
	report.Skipped, report.Ignored,
}

func (kit Kit) words(t *testing.T, want Status) {
	for _, state := range states {
		got := kit.sent(t, func(n *report.Notice) { n.State = state })
		body := maps.Clone(want.Body)
		body["state"] = want.Words[state]
		diff(t, string(state)+": body", body, decode(t, got.Body))
		got.Body = ""
		diff(t, string(state), Request{Method: http.MethodPost, Path: want.Path, Auth: want.Auth}, got)
	}
}

func (kit Kit) cut(t *testing.T, want Status) {
	for _, length := range []int{want.MaxText, want.MaxText + 1, 10 * want.MaxText} {
		got := kit.sent(t, func(n *report.Notice) { n.Text = strings.Repeat("é", length) })
		text, _ := decode(t, got.Body)["description"].(string)
		if utf8.RuneCountInString(text) != want.MaxText || strings.HasSuffix(text, "é…") != (length > want.MaxText) {
			t.Errorf("%d characters: got %d, %q, want %d", length, utf8.RuneCountInString(text), text, want.MaxText)
		}
	}
}

func decode(t *testing.T, body string) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
