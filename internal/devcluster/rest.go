package devcluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// httpClient keeps no connection open: nothing of ours may outlive a cluster.
// Every request carries a context with a deadline. Whom it speaks to is known by the
// port on loopback that was given to it, so that it believes any certificate.
var httpClient = &http.Client{Transport: &http.Transport{
	DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
}}

// getJSON reads a document of one of the servers.
func getJSON(ctx context.Context, url string, into any) error {
	return callJSON(ctx, http.MethodGet, url, into)
}

// callJSON sends a request without a body and decodes the reply; into may be
// nil. Any status but 200 is an error that carries the server's words.
func callJSON(ctx context.Context, method, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		words, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
		return fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, words)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
