package agenttest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// callTimeout bounds one call of the API. It is not an expectation.
const callTimeout = 5 * time.Minute

// API calls a broker's API.
type API struct {
	// URL is the broker's, without a slash at its end.
	URL string
	// Token is sent as a bearer token unless it is empty.
	Token string
	// Client sends the requests; nil stands for one that follows no redirect.
	Client *http.Client
	// Check looks at every answer, if it is set; its error is the call's.
	Check func(request *http.Request, answer *http.Response, body []byte) error
}

// Reply is an answer of the API.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// direct follows no redirect: an answer is what was asked for.
var direct = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Call sends a request. body is JSON text, or "" for none; headers are names and values in turn.
func (a API) Call(method, path, body string, headers ...string) (Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, a.URL+path, strings.NewReader(body))
	if err != nil {
		return Reply{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.Token != "" {
		req.Header.Set("Authorization", "Bearer "+a.Token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := a.Client
	if client == nil {
		client = direct
	}
	res, err := client.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && a.Check != nil {
		err = a.Check(req, res, b)
	}
	return Reply{res.StatusCode, res.Header, b}, err
}

// Ask is Call for an answer that must have a status. A body that is no text is sent as JSON. It
// decodes the answer into into unless that is nil.
func (a API) Ask(t testing.TB, method, path string, body any, status int, into any, headers ...string) Reply {
	t.Helper()
	text := ""
	switch b := body.(type) {
	case nil:
	case string:
		text = b
	default:
		j, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		text = string(j)
	}
	r, err := a.Call(method, path, text, headers...)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != status {
		t.Fatalf("%s %s: status %d, want %d\n%s", method, path, r.Status, status, r.Body)
	}
	if into != nil {
		if err := json.Unmarshal(r.Body, into); err != nil {
			t.Fatalf("%s %s: %v\n%s", method, path, err, r.Body)
		}
	}
	return r
}

// UntilReady waits until a pool has so many ready sessions.
func (a API) UntilReady(t testing.TB, pool string, ready int) {
	t.Helper()
	Until(t, fmt.Sprintf("pool %s has %d ready sessions", pool, ready), func() (bool, string) {
		var p struct {
			Ready int `json:"ready_sessions"`
		}
		answer := a.Ask(t, http.MethodGet, "/v1/staging/"+pool, nil, http.StatusOK, &p)
		return p.Ready >= ready, string(answer.Body)
	})
}
