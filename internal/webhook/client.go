// Package webhook posts signed messages to the receivers of webhooks.
//
// It promises that one delivery ends within Timeout, reads no more of an answer than its
// status, follows no redirect, and sends a secret nowhere. A message is delivered if the
// receiver answers 2xx; everything else is an error, which names no part of the URL.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// Timeout is how long a receiver may take for a message, from the connection to its answer.
	Timeout = 10 * time.Second
	// maxHeader bounds what is read of an answer's header, and maxAnswer what is read of its
	// body, so that the connection can be used again.
	maxHeader = 16 << 10
	maxAnswer = 16 << 10
	// maxClients bounds the clients that are kept, one for each set of certificates.
	maxClients = 2 * staging.MaxWebhooks
)

// Headers of a message, of Standard Webhooks.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// Client posts messages. The zero value is ready. It may be used concurrently.
type Client struct {
	mu sync.Mutex
	// clients has one for each set of certificates.
	clients map[string]*http.Client
}

// Deliver posts the message about an event, once.
func (c *Client) Deliver(ctx context.Context, w staging.Webhook, e staging.Event) error {
	body, err := staging.WebhookBody(e)
	if err != nil {
		return err
	}
	id, at := staging.MessageID(w.Name, e), time.Now()
	signature, err := w.Sign(id, at, body)
	if err != nil {
		return err
	}
	client, err := c.client(w.CACert)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the webhook's URL cannot be used")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "greenroom-webhook")
	r.Header.Set(HeaderID, id)
	r.Header.Set(HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	r.Header.Set(HeaderSignature, signature)
	answer, err := client.Do(r)
	if err != nil {
		return reason(ctx, err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer) // only so that the connection can be used again
	switch {
	case answer.StatusCode >= 200 && answer.StatusCode <= 299:
		return nil
	case answer.StatusCode >= 300 && answer.StatusCode <= 399:
		return fmt.Errorf("the receiver answered %d: redirects are not followed, change the webhook's url", answer.StatusCode)
	}
	return fmt.Errorf("the receiver answered %d", answer.StatusCode)
}

// reason returns what went wrong without the URL, which may hold a secret.
func reason(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the receiver did not answer within %s", Timeout)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return fmt.Errorf("the receiver cannot be reached: %w", err)
}

// client returns the client that accepts certificates in PEM, beside those of the system.
func (c *Client) client(ca string) (*http.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if client := c.clients[ca]; client != nil {
		return client, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("the webhook's ca_cert has no certificate")
		}
		config.RootCAs = pool
	}
	if len(c.clients) >= maxClients || c.clients == nil {
		for _, old := range c.clients {
			old.CloseIdleConnections()
		}
		c.clients = map[string]*http.Client{}
	}
	client := &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: Timeout / 2}).DialContext,
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    Timeout / 2,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: maxHeader,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.clients[ca] = client
	return client, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, client := range c.clients {
		client.CloseIdleConnections()
	}
	c.clients = nil
}
