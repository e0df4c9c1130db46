package devcluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// httpClient keeps no connection open, so that nothing outlives a cluster. Its requests
// have a deadline in their context. It accepts any certificate: the servers listen on
// ports of loopback that this cluster has leased.
var httpClient = &http.Client{Transport: &http.Transport{
	DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
}}

// getJSON requests a JSON document from a server and decodes it.
func getJSON(ctx context.Context, url string, into any) error {
	return callJSON(ctx, http.MethodGet, url, into)
}

// callJSON sends a request without a body and decodes the reply into into, which may be
// nil. For any status except 200 it returns an error with the start of the reply.
func callJSON(ctx context.Context, method, url string, into any) error {
	return sendJSON(ctx, method, url, "", nil, into)
}

// sendJSON is callJSON for a request with a Nomad token, "" for none, and with a body, nil
// for none.
func sendJSON(ctx context.Context, method, url, token string, body, into any) error {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("X-Nomad-Token", token)
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		reply, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
		return fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, reply)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
