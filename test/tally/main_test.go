package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTally(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		events string
		want   string
		counts counts
	}{
		{
			name: "a package that passed is one line",
			events: `
{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Output":"-test.shuffle 7\n"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}`,
			want:   "ok  \tp\t0.1s\n",
			counts: counts{passed: 2},
		},
		{
			name: "a test that is to be shown is, also when it passed",
			events: `
{"Action":"output","Package":"p","Test":"TestShown","Output":"a_test.go:3: 0 lost\n"}
{"Action":"pass","Package":"p","Test":"TestShown"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}`,
			want:   "a_test.go:3: 0 lost\nok  \tp\t0.1s\n",
			counts: counts{passed: 1},
		},
		{
			name: "a test that passed when it was tried again has passed, and is told",
			events: `
{"Action":"output","Package":"p","Test":"TestA","Output":"a_test.go:3: boom\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
{"Action":"output","Package":"p","Test":"TestA","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}`,
			want:   "a_test.go:3: boom\nFAIL\tp\t0.1s\nok  \tp\t0.1s\n",
			counts: counts{passed: 1},
		},
		{
			name: "a failed test is told with its seed, what passed is not",
			events: `
{"Action":"output","Package":"p","Output":"-test.shuffle 7\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"quiet\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"b_test.go:3: boom\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"FAIL\tp\n"}
{"Action":"fail","Package":"p"}`,
			want:   "b_test.go:3: boom\n-test.shuffle 7\nFAIL\tp\n",
			counts: counts{passed: 1, failed: 1},
		},
		{
			name: "a skipped test is told",
			events: `
{"Action":"output","Package":"p","Test":"TestA","Output":"a_test.go:3: no redis-server\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"ok  \tp\n"}
{"Action":"pass","Package":"p"}`,
			want:   "a_test.go:3: no redis-server\nok  \tp\n",
			counts: counts{skipped: 1},
		},
		{
			name: "a package that does not build counts as one failure",
			events: `
{"Action":"build-output","ImportPath":"p","Output":"p.go:1: undefined: x\n"}
{"Action":"build-fail","ImportPath":"p"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p"}`,
			want:   "p.go:1: undefined: x\nFAIL\tp [build failed]\n",
			counts: counts{failed: 1},
		},
		{
			name: "a package without tests is silent",
			events: `
{"Action":"output","Package":"p","Output":"?   \tp\t[no test files]\n"}
{"Action":"skip","Package":"p"}`,
		},
		{
			name:   "what is no event is passed on",
			events: "\nwarning: no packages",
			want:   "warning: no packages\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			got, err := tally(strings.NewReader(strings.TrimPrefix(tt.events, "\n")), &out, "TestShown")
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.counts {
				t.Errorf("got %+v, want %+v", got, tt.counts)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}
