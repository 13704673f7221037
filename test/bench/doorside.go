package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"gocloud.dev/blob/fileblob"

	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/queue/redisq"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/door"
	"github.com/millrace-ci/millrace/triggers/github"
	"github.com/millrace-ci/millrace/triggers/inbox/bucketinbox"
	"github.com/millrace-ci/millrace/triggers/inbox/redisinbox"
	"github.com/millrace-ci/millrace/triggers/inbox/spool"
)

// doorCommand is how this program calls itself for who answers deliveries: _door SIDE SOCKET FOLDER.
const doorCommand = "_door"

// serveDoor says on which address it answers deliveries, and does so until it is killed.
func serveDoor(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want SIDE SOCKET FOLDER, not %q", args)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	if args[0] == "bare" {
		return (&http.Server{Handler: http.HandlerFunc(bare)}).Serve(l)
	}
	e, err := newEntrance(args[1], args[2])
	if err != nil {
		return err
	}
	return e.serve(ctx, l)
}

// bare reads a delivery, checks its signature, and keeps nothing.
func bare(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	if err != nil || !hmac.Equal([]byte(r.Header.Get("X-Hub-Signature-256")), []byte("sha256="+hex.EncodeToString(mac.Sum(nil)))) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// entrance is what the daemon hears with, as it assembles it, and nobody who plans what is heard.
type entrance struct {
	door  *door.Door
	spool *spool.Spool
	plan  queue.Queue[string]
}

func newEntrance(socket, dir string) (*entrance, error) {
	said, err := os.Create(filepath.Join(dir, "door.log"))
	if err != nil {
		return nil, err
	}
	log, reg := slog.New(slog.NewJSONHandler(said, nil)), prometheus.NewRegistry()
	opt := clientOptions(socket)
	opt.ContextTimeoutEnabled = true
	rdb := redis.NewClient(opt)
	e := &entrance{}
	var errs [4]error
	e.plan, errs[0] = redisq.New[string](rdb, redisq.Config{Name: "plan", Kind: "plan", LeaseTime: leaseTime, Metrics: metrics.NewQueue(reg, "plan"), Log: log})
	box, err := redisinbox.New(redisinbox.Config{Rdb: rdb})
	bucket, bad := fileblob.OpenBucket(filepath.Join(dir, "bucket"), &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite, CreateDir: true})
	hub, strange := github.New(github.Config{Name: "hub", Secrets: triggers.Secrets{{Value: hookSecret}}})
	if err := errors.Join(err, bad, strange); err != nil {
		return nil, err
	}
	e.spool, errs[1] = spool.New(spool.Config{Dir: filepath.Join(dir, "spool"), MaxBytes: 1 << 30, Metrics: metrics.NewSpool(reg), Log: log}, bucketinbox.New(box, bucket))
	e.door, errs[2] = door.New(door.Config{
		Forges: map[string]triggers.Source{"hub": hub}, Inbox: e.spool, Plan: e.push, URL: "http://127.0.0.1", Metrics: metrics.NewDoor(reg, "hub"), Log: log,
	})
	return e, errors.Join(errs[:]...)
}

// push puts deliveries in line, as the agent does.
func (e *entrance) push(ctx context.Context, ids ...string) error {
	items := make([]queue.Item[string], len(ids))
	for i, id := range ids {
		items[i] = queue.Item[string]{ID: id, Value: id}
	}
	return e.plan.Push(ctx, items...)
}

// serve answers until ctx ends.
func (e *entrance) serve(ctx context.Context, l net.Listener) error {
	var all sync.WaitGroup
	all.Go(func() { _ = e.door.Run(ctx) })
	all.Go(func() { _ = e.spool.Run(ctx, e.push) })
	defer all.Wait()
	mux := http.NewServeMux()
	mux.Handle("/hooks/{forge}", e.door)
	srv := &http.Server{ // with the daemon's bounds
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	return srv.Serve(l)
}
