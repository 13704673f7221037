package triggertest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// Redeliverer asks a forge to send again what never arrived.
type Redeliverer interface {
	Redeliver(ctx context.Context, repo string, since time.Time) (asked int, err error)
}

// Forge is a forge of a test, whose token is t0ken.
type Forge struct {
	Repo string
	// New makes the forge called name, of which the hooks are that end in /hooks/NAME.
	New func(name string, token triggers.Secret) (Redeliverer, error)
	// AddHook has what happens in Repo told to url.
	AddHook func(url string)
	// Push makes a push to Repo.
	Push func()
	// Await waits until n deliveries were sent, whatever came back.
	Await func(n int)
	// KeyHeader is the header that is the same when a delivery is sent again.
	KeyHeader string
	// Greets is how many deliveries a hook causes by being added.
	Greets int
}

// door answers every delivery with a status, and keeps the key of each.
type door struct {
	mu     sync.Mutex
	status int
	keys   []string
}

func (d *door) answer(status int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status = status
}

func (d *door) heard() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.keys, " ")
}

// RunRedeliver tries the laws about asking again, each on a forge that has just been started and has no hooks.
func RunRedeliver(t *testing.T, start func(t *testing.T) Forge) {
	for name, law := range map[string]func(Forge, *testing.T){
		"what never arrived comes again, once": Forge.again,
		"what fails for good is left":          Forge.left,
		"others' hooks are left alone":         Forge.others,
		"nothing is asked for in vain":         Forge.vain,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			law(start(t), t)
		})
	}
}

// open opens a door for the forge called hub, which answers with status.
func (f Forge) open(t *testing.T, status int, path string) *door {
	t.Helper()
	d := &door{status: status}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.keys = append(d.keys, r.Header.Get(f.KeyHeader)); d.status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(d.status)
	}))
	t.Cleanup(s.Close)
	f.AddHook(s.URL + path)
	return d
}

// redeliver asks for what was missed, and wants asked of it.
func (f Forge) redeliver(t *testing.T, since time.Time, want int) {
	t.Helper()
	r, err := f.New("hub", "")
	if err == nil {
		_, err = r.Redeliver(t.Context(), f.Repo, since)
	}
	if !report.IsPermanent(err) || !strings.Contains(err.Error(), "token") {
		t.Errorf("without a token: got %v", err)
	}
	if r, err = f.New("hub", "t0ken"); err != nil {
		t.Fatal(err)
	}
	if asked, err := r.Redeliver(t.Context(), f.Repo, since); err != nil || asked != want {
		t.Fatalf("redeliver: asked for %d, %v, want %d", asked, err, want)
	}
}

func (f Forge) again(t *testing.T) {
	start := time.Now().Add(-time.Minute)
	d := f.open(t, http.StatusAccepted, "/hooks/hub?repository=7")
	f.Push()
	f.Await(f.Greets + 1)
	d.answer(http.StatusServiceUnavailable)
	f.Push()
	f.Await(f.Greets + 2)
	d.answer(0)
	f.Push()
	f.Await(f.Greets + 3)
	d.answer(http.StatusAccepted)
	missed := strings.Fields(d.heard())[f.Greets+1:]
	f.redeliver(t, time.Now().Add(time.Minute), 0) // All that was before that.
	f.redeliver(t, start, 2)
	f.Await(f.Greets + 5)
	if got, want := strings.Fields(d.heard())[f.Greets+3:], missed; strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("came again: %v, want %v, the oldest first", got, want)
	}
	f.redeliver(t, start, 0)
}

func (f Forge) left(t *testing.T) {
	f.open(t, http.StatusBadGateway, "/hooks/hub")
	f.Push()
	f.Await(f.Greets + 1)
	for n := range 4 {
		f.redeliver(t, time.Time{}, 1)
		f.Await(f.Greets + 2 + n)
	}
	f.redeliver(t, time.Time{}, 0)
}

func (f Forge) others(t *testing.T) {
	d := f.open(t, http.StatusBadGateway, "/hooks/lab")
	f.Push()
	f.Await(f.Greets + 1)
	f.redeliver(t, time.Time{}, 0)
	if got := len(strings.Fields(d.heard())); got != f.Greets+1 {
		t.Errorf("another's hook was told %d times", got)
	}
}

func (f Forge) vain(t *testing.T) {
	r, err := f.New("hub", "t0ken")
	if err != nil {
		t.Fatal(err)
	}
	for _, repo := range []string{"", "../x", "shop/nothing"} {
		if asked, err := r.Redeliver(t.Context(), repo, time.Time{}); !report.IsPermanent(err) || asked != 0 {
			t.Errorf("%q: got %d, %v, want a permanent error", repo, asked, err)
		}
	}
	if r, err = f.New("hub", "0ther"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Redeliver(t.Context(), f.Repo, time.Time{}); !report.IsPermanent(err) || strings.Contains(err.Error(), "0ther") || !strings.Contains(err.Error(), "make a new one") {
		t.Errorf("a wrong token: got %v", err)
	}
}
