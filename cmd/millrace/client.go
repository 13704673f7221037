package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-ci/millrace/triggers"
)

// client talks to a daemon.
type client struct {
	server string
	token  string
}

// flags adds --server, whose default is MILLRACE_SERVER. MILLRACE_TOKEN is sent where it is set.
func (cl *client) flags(c *cobra.Command) {
	server := os.Getenv("MILLRACE_SERVER")
	if server == "" {
		server = "http://127.0.0.1:8080"
	}
	cl.token = os.Getenv("MILLRACE_TOKEN")
	c.Flags().StringVar(&cl.server, "server", server, "`URL` of the daemon (environment: MILLRACE_SERVER)")
}

// get opens what is at path. The caller closes it.
func (cl *client) get(ctx context.Context, path string) (io.ReadCloser, error) {
	return cl.ask(ctx, http.MethodGet, path)
}

// send asks for something to be done that has no answer but whether it is.
func (cl *client) send(ctx context.Context, method, path string) error {
	body, err := cl.ask(ctx, method, path)
	if err != nil {
		return err
	}
	return body.Close()
}

// ask returns the body of the answer, if that is a success. The caller closes it.
func (cl *client) ask(ctx context.Context, method, path string) (io.ReadCloser, error) {
	if triggers.CheckURL(cl.server) != nil {
		return nil, usage(fmt.Errorf("--server %q: write it like http://127.0.0.1:8080", cl.server))
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(cl.server, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	if cl.token != "" {
		req.Header.Set("Authorization", "Bearer "+cl.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no daemon answers at %s: %w: is `millrace serve` running, and is --server right?", cl.server, cause(err))
	}
	if res.StatusCode/100 == 2 {
		return res.Body, nil
	}
	defer res.Body.Close()
	return nil, refusal(res)
}

// cause is err without the request that it came of.
func cause(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// refusal is the error in an answer that is no success.
func refusal(res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return err
	}
	var p struct{ Detail string }
	if json.Unmarshal(body, &p) == nil && p.Detail != "" {
		return errors.New(p.Detail)
	}
	return fmt.Errorf("the server answers %s: %s", res.Status, strings.TrimSpace(string(body)))
}

// getJSON reads what is at path into v.
func (cl *client) getJSON(ctx context.Context, path string, v any) error {
	return cl.askJSON(ctx, http.MethodGet, path, v)
}

// askJSON reads the answer into v.
func (cl *client) askJSON(ctx context.Context, method, path string, v any) error {
	body, err := cl.ask(ctx, method, path)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return fmt.Errorf("read answer of %s: %w", path, err)
	}
	return nil
}
