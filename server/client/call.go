package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	callTimeout = time.Minute // for one attempt
	maxAnswer   = 64 << 20    // bytes
	maxAttempts = 4
)

// A call is one request of the API with a JSON answer.
type call struct {
	method, path string
	body         any // nil for none
	headers      map[string]string
	// again says that the request may be sent again if its answer was lost.
	again bool
}

// do makes the call and decodes the answer's data.
func (c *Client) do(ctx context.Context, q call, data any) error {
	var body []byte
	if q.body != nil {
		var err error
		if body, err = json.Marshal(q.body); err != nil {
			return fmt.Errorf("client: encode request: %w", err)
		}
	}
	var wait backoff
	for attempt := 1; ; attempt++ {
		err := c.try(ctx, q, body, data)
		if err == nil || attempt == maxAttempts || ctx.Err() != nil || !mayTryAgain(err, q.again) {
			return err
		}
		if err := sleep(ctx, max(wait.next(), retryAfterOf(err))); err != nil {
			return err
		}
	}
}

// mayTryAgain reports whether a failed call may be made again. A request that
// the server turned away for now certainly did nothing.
func mayTryAgain(err error, again bool) bool {
	var answer *Error
	if errors.As(err, &answer) {
		return answer.temporary() && (again || answer.Status != http.StatusBadGateway && answer.Status != http.StatusGatewayTimeout)
	}
	return again
}

func retryAfterOf(err error) time.Duration {
	var answer *Error
	if errors.As(err, &answer) {
		return answer.RetryAfter
	}
	return 0
}

func (c *Client) try(ctx context.Context, q call, body []byte, data any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := c.request(ctx, q.method, q.path, body)
	if err != nil {
		return err
	}
	for name, value := range q.headers {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer resp.Body.Close()
	c.noteExpiry(resp)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return readError(resp)
	}
	envelope := struct {
		Data any `json:"data"`
	}{data}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("client: read answer: %w", err)
	}
	if err := json.Unmarshal(answer, &envelope); err != nil {
		return fmt.Errorf("client: decode answer: %w", err)
	}
	return nil
}

// noteExpiry tells when the key expires, if the answer says so.
func (c *Client) noteExpiry(resp *http.Response) {
	if at, err := time.Parse(time.RFC3339, resp.Header.Get("Rdev-Key-Expires")); err == nil {
		c.expires(at)
	}
}

func (c *Client) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if c.header != nil {
		req.Header = c.header.Clone()
	}
	req.Header.Set("Authorization", "Bearer "+*c.key)
	req.Header.Set("User-Agent", c.userAgent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}
