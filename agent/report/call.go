package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// maxFetched bounds the bytes of an answer that was asked for.
const maxFetched = 8 << 20

// Call is a request of an API that speaks JSON.
type Call struct {
	Method, Address string
	Header          http.Header // says who asks
	Body            any         // sent as JSON; nil: nothing is sent
}

// Send makes the call, and decodes the JSON of the answer, of at most 8 MiB, into v; nil: it is of no interest. Errors are
// those of Send, Permanent for what cannot be asked, and worth another try for an answer that is no such JSON.
func (c Call) Send(ctx context.Context, client *http.Client, v any) (http.Header, Answer, error) {
	req, err := c.request(ctx)
	if err != nil {
		return nil, Answer{}, Permanent(err)
	}
	if v == nil {
		answer, err := Send(client, req)
		return nil, answer, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, Answer{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		err := refused(resp, req)
		return nil, AnswerOf(err), err
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxFetched)).Decode(v); err != nil {
		return nil, Answer{Status: resp.StatusCode}, fmt.Errorf("read the answer: %w", err)
	}
	return resp.Header, Answer{Status: resp.StatusCode}, nil
}

func (c Call) request(ctx context.Context) (*http.Request, error) {
	var body io.Reader
	if c.Body != nil {
		data, err := json.Marshal(c.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, c.Method, c.Address, body)
	if err != nil {
		return nil, err
	}
	req.Header = c.Header.Clone()
	if c.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "millrace")
	return req, nil
}

// Get asks for what is at address and decodes it into v; it returns the answer's header. Errors are those of Call.Send.
func Get(ctx context.Context, c *http.Client, address string, header http.Header, v any) (http.Header, error) {
	got, _, err := Call{http.MethodGet, address, header, nil}.Send(ctx, c, v)
	return got, err
}

// Post posts body as JSON. Errors are those of Call.Send.
func Post(ctx context.Context, c *http.Client, address string, header http.Header, body any) (Answer, error) {
	_, answer, err := Call{http.MethodPost, address, header, body}.Send(ctx, c, nil)
	return answer, err
}
