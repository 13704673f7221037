package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// daemon is the millrace that the demo started, and its log.
type daemon struct {
	url     string
	cmd     *exec.Cmd
	records chan record // closed when the daemon has ended
}

// record is a line of the daemon's log, as far as the demo reads it.
type record struct {
	Time     time.Time
	Msg      string
	Level    string
	Address  string
	Delivery string
	Status   string
	Files    int
	Run      string
	Pipeline string
	Task     string
	Attempt  int
	Job      string
	UID      string
	Class    string
	State    string
	Err      string
}

// startDaemon starts the daemon on a free port of the loopback, and waits until it is ready.
func startDaemon(ctx context.Context, binary, dir, forgeURL string) (*daemon, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "millrace.yaml")
	text := fmt.Sprintf("server: {listen: %q}\ndata: %q\nforges:\n  - {name: gitea, kind: gitea, url: %q, token: %q, webhook_secrets: [%q]}\n",
		address, filepath.Join(dir, "data"), forgeURL, token, secret)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "millrace.log"))
	if err != nil {
		return nil, err
	}
	d := &daemon{url: "http://" + address, cmd: exec.Command(binary, "serve", "-c", config), records: make(chan record, 1000)}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is the demo's, which stops the daemon then
	out, err := d.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	go d.read(out, log)
	for r := range d.records {
		if r.Msg == "ready" {
			return d, nil
		}
		if r.Level == "WARN" {
			fmt.Println(r.Msg)
		}
	}
	return nil, fmt.Errorf("the daemon ended before it was ready: see %s", log.Name())
}

// read parses the daemon's log, and keeps it.
func (d *daemon) read(out io.Reader, log io.WriteCloser) {
	defer close(d.records)
	defer log.Close()
	lines := bufio.NewScanner(io.TeeReader(out, log))
	for lines.Scan() {
		var r record
		if json.Unmarshal(lines.Bytes(), &r) == nil {
			d.records <- r
		}
	}
}

// follow hands the log to p until all steps were seen.
func (d *daemon) follow(ctx context.Context, p *progress) error {
	for {
		select {
		case r, ok := <-d.records:
			if !ok {
				return errors.New("the daemon ended")
			}
			p.see(r)
		case <-time.After(50 * time.Millisecond): // step 2 comes from the forge, not from this log
		case <-ctx.Done():
			return fmt.Errorf("step %d did not come: %w", p.next(), ctx.Err())
		}
		if p.next() > steps {
			return nil
		}
	}
}

// stop asks the daemon to end, and waits until it has.
func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	for range d.records { // read to the end, so that it is not blocked by a full pipe
		continue
	}
	_ = d.cmd.Wait()
}

// freeAddress is 127.0.0.1:8080 where that is free, else another port.
func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:8080")
	if err != nil {
		l, err = lc.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
