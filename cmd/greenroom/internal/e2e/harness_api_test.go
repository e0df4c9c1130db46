package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi/contracttest"
)

// reply is an answer of the API.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// direct follows no redirect: an answer is what was asked for.
var direct = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// call sends a request to the API; body is JSON text, or "" for none. An answer that breaks
// openapi.yaml is an error.
func (d *devProcess) call(method, path, body string, headers ...string) (reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, d.Broker+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := direct.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil {
		err = heldToContract(req, res, b)
	}
	return reply{res.StatusCode, res.Header, b}, err
}

// held is the API's contract, which every answer in every test is checked against.
var held struct {
	once     sync.Once
	contract *contracttest.Contract
	err      error
}

func heldToContract(req *http.Request, res *http.Response, body []byte) error {
	held.once.Do(func() {
		var raw []byte
		if raw, held.err = os.ReadFile("../../../../broker/httpapi/openapi.yaml"); held.err == nil {
			held.contract, held.err = contracttest.New(raw)
		}
	})
	if held.err != nil {
		return held.err
	}
	return held.contract.Check(req, res.StatusCode, res.Header, body)
}

// ask is call for an answer that must have a status. It decodes the body into into unless
// that is nil.
func (d *devProcess) ask(t *testing.T, method, path string, body any, status int, into any, headers ...string) reply {
	t.Helper()
	text := ""
	switch b := body.(type) {
	case nil:
	case string:
		text = b
	default:
		j, err := json.Marshal(b)
		must(t, err)
		text = string(j)
	}
	r, err := d.call(method, path, text, headers...)
	must(t, err)
	if r.status != status {
		t.Fatalf("%s %s: status %d, want %d\n%s", method, path, r.status, status, r.body)
	}
	if into != nil {
		must(t, json.Unmarshal(r.body, into))
	}
	return r
}

// jsonText returns a value as JSON text.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
