//go:build lab

package kube_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// scissors cut each stream of a log after so many bytes.
type scissors struct {
	next  http.RoundTripper
	after int64
	cuts  *atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (s scissors) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := s.next.RoundTrip(request)
	if err == nil && strings.HasSuffix(request.URL.Path, "/log") {
		response.Body = &cutStream{response.Body, s.after, s.cuts}
	}
	return response, err
}

type cutStream struct {
	io.ReadCloser
	left int64
	cuts *atomic.Int64
}

// Read implements io.Reader.
func (s *cutStream) Read(p []byte) (int, error) {
	if s.left <= 0 {
		s.cuts.Add(1)
		return 0, errors.New("connection reset by peer")
	}
	n, err := s.ReadCloser.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, err
}

// TestLogIsCut has the connections of a log break off again and again, while the job speaks and after it.
func TestLogIsCut(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	var cuts atomic.Int64
	reach := func(way *rest.Config) {
		way.Wrap(func(next http.RoundTripper) http.RoundTripper { return scissors{next, 250_000, &cuts} })
	}
	p, job := newProcess(t, lab, reach, nil), shell(t, "for i in $(seq 1 100); do seq $((i*200-199)) $((i*200)); sleep 0.1; done")
	w := wait(t, p, job.ID, start(t, p, job))
	w.result(t, runners.Succeeded)
	if got := w.log.Text(t, "task"); got != numbers(20000) {
		t.Errorf("got %d bytes, want the %d that were said", len(got), len(numbers(20000)))
	}
	if cuts.Load() < 4 {
		t.Errorf("the log was cut %d times, want it more often", cuts.Load())
	}
}

// TestLogText has a job say what is hard to copy, and a second wait go on in the middle of it.
func TestLogText(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p, job := newProcess(t, lab, nil, nil), shell(t, `head -c 1048576 /dev/zero | tr '\0' x; echo; printf 'a\377b\r\nc\rd\n\n'; seq 1 20000; printf 'no end'`)
	uid := start(t, p, job)
	w := wait(t, p, job.ID, uid)
	w.result(t, runners.Succeeded)
	got := w.log.Text(t, "task")
	if strings.Count(got, "x") != 1<<20 || !strings.HasSuffix(got, "\na\ufffdb\nc\nd\n\n"+numbers(20000)+"no end\n") {
		t.Errorf("got %d bytes that end with %q", len(got), got[max(0, len(got)-100):])
	}
	whole := w.log.Bytes()
	for _, part := range []int{3, 17, 2} { // In the middle of the long line, and later.
		before := whole[:bytes.LastIndexByte(whole[:len(whole)-len(whole)/part], '\n')+1]
		again := wait(t, p, job.ID, uid, before...)
		again.result(t, runners.Succeeded)
		if diff := cmp.Diff(len(whole), len(again.log.Bytes())); diff != "" || !bytes.Equal(whole, again.log.Bytes()) {
			t.Errorf("resumed behind %d bytes: the logs differ, length (-whole +resumed):\n%s", len(before), diff)
		}
	}
}

// TestLogOrder has the log of the source before that of the command.
func TestLogOrder(t *testing.T) {
	t.Parallel()
	lab, f := labtest.Open(t), newForge(t)
	p, job := newProcess(t, lab, nil, nil), shell(t, "echo built")
	job.Source = f.overHTTP(f.head)
	w := wait(t, p, job.ID, start(t, p, job))
	w.result(t, runners.Succeeded)
	cloned, built := bytes.LastIndex(w.log.Bytes(), []byte(" clone ")), bytes.Index(w.log.Bytes(), []byte(" task built\n"))
	if cloned < 0 || built < cloned {
		t.Errorf("got log %q, want the clone's and then the task's", w.log.Bytes())
	}
}

// TestLogRotates has nobody read while a node throws the older parts of a log away: what is missing is said.
func TestLogRotates(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	const script = `echo first; head -c 1000 /dev/zero | tr '\0' x > x; i=0
		while [ $i -lt 26000 ]; do i=$((i+1)); echo "$i $(cat x)"; [ $((i%1000)) = 0 ] && sleep 0.7; done; echo last; sleep 600`
	first, job := newProcess(t, lab, nil, nil), shell(t, strings.ReplaceAll(script, "$(cat x)", strings.Repeat("x", 1000)))
	job.Grace = 0
	uid := start(t, first, job)
	w := wait(t, first, job.ID, uid)
	w.until(t, " task first\n")
	w.cancel()
	<-w.done
	awaitLine(t, lab, job.ID, "last")
	again := wait(t, first, job.ID, uid, w.log.Bytes()...)
	again.until(t, " task last\n")
	if err := first.Stop(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	again.result(t, runners.Canceled)
	log := again.log.Text(t, "millrace")
	if !strings.Contains(log, "[log gap: task: lines from ") || strings.Count(log, "[log gap") != 1 {
		t.Errorf("got %q, want one line that tells of the gap", log)
	}
	text := again.log.Text(t, "task")
	if !strings.HasPrefix(text, "first\n") || !strings.Contains(text, "\n26000 x") || strings.Count(text, "\n26000 x") != 1 {
		t.Errorf("got %d bytes, want the first line and the last ones", len(text))
	}
}

// awaitLine returns when a job's log ends with a line, as the cluster tells it.
func awaitLine(t *testing.T, lab *labtest.Lab, id, line string) {
	t.Helper()
	pod := podsOf(t, lab, id)[0].Name
	body, err := lab.Client.CoreV1().Pods(lab.Namespace).GetLogs(pod, &corev1.PodLogOptions{Follow: true}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var tail []byte
	for buf := make([]byte, 64<<10); !bytes.HasSuffix(tail, []byte("\n"+line+"\n")); {
		n, err := body.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		tail = append(tail[max(0, len(tail)-len(line)-2):], buf[:n]...)
	}
}

func evict(t *testing.T, lab *labtest.Lab, id string) {
	t.Helper()
	for _, pod := range podsOf(t, lab, id) {
		eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}}
		if err := lab.Client.PolicyV1().Evictions(lab.Namespace).Evict(t.Context(), eviction); err != nil {
			t.Fatal(err)
		}
	}
}
