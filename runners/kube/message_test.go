package kube_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/millrace-ci/millrace/runners"
)

// FuzzMessage lets a task leave anything at all in its termination message, and its Job ask for anything of it.
func FuzzMessage(f *testing.F) {
	f.Add("A=1\nB='2\n3'\n# millrace: summary\n# Fine\n", "")
	f.Add("r.example.com/a:1@sha256:5\n", `{"IMAGE":"image","IMAGE_DIGEST":"image_digest"}`)
	f.Add("@", `{"":"image","X":"nonsense"}`)
	f.Add("\n# millrace: summary\n", "null")
	f.Add("A=\xff", "[")
	s := recorded(f, "succeeded")
	at := made(s).Add(time.Hour)
	terminated := s.Pods[0].Status.ContainerStatuses[0].State.Terminated
	f.Fuzz(func(t *testing.T, message, asked string) {
		s.Job.Annotations = map[string]string{"millrace.dev/outputs": asked}
		terminated.Message = message
		res := s.Judge(pendingFor, at).Result
		if res == nil || res.Class != runners.Succeeded && (res.Class != runners.Failure || !strings.HasPrefix(res.Reason, "MILLRACE_OUTPUT is not valid: ")) {
			t.Fatalf("got %+v, want a success, or a failure that says why", res)
		}
		for name, value := range res.Outputs {
			if err := runners.CheckOutput(name, value); err != nil || !utf8.ValidString(value) {
				t.Errorf("output %q=%q: %v", name, value, err)
			}
		}
	})
}
