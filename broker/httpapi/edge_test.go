package httpapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/httpapi/contracttest"
)

// edge is a handler under test. Every answer is checked against the contract.
type edge struct {
	t        *testing.T
	handler  http.Handler
	log      *bytes.Buffer
	entry    *logrus.Entry
	contract *contracttest.Contract
}

func (e *edge) logger() *logrus.Entry { return e.entry }

// closedContract is read once for all tests.
var closedContract = sync.OnceValues(func() (*contracttest.Contract, error) {
	raw, err := os.ReadFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	return contracttest.New(raw)
})

// rooms is a broker behind the edge.
type rooms interface{ broker() httpapi.Broker }

func newEdge(t *testing.T, b rooms, adjust ...func(*httpapi.Options)) *edge {
	t.Helper()
	var log bytes.Buffer
	logger := logrus.New()
	logger.SetOutput(&log)
	logger.SetFormatter(&logrus.JSONFormatter{})
	logger.SetLevel(logrus.DebugLevel)
	o := httpapi.Options{Log: logrus.NewEntry(logger), Registry: prometheus.NewRegistry()}
	for _, a := range adjust {
		a(&o)
	}
	contract, err := closedContract()
	if err != nil {
		t.Fatal(err)
	}
	return &edge{t: t, handler: httpapi.New(b.broker(), o), log: &log, entry: o.Log, contract: contract}
}

// answer is the response to a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) problem(t *testing.T) httpapi.Problem {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("status %d with Content-Type %q, want a problem document; body: %s", a.status, got, a.body)
	}
	var p httpapi.Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("problem document: %v\n%s", err, a.body)
	}
	if p.Status != a.status {
		t.Errorf("the document has status %d, the answer %d", p.Status, a.status)
	}
	return p
}

func (e *edge) do(method, target, body string, adjust ...func(*http.Request)) answer {
	e.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, in)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, a := range adjust {
		a(r)
	}
	w := httptest.NewRecorder()
	e.handler.ServeHTTP(w, r)
	got := answer{status: w.Code, header: w.Header(), body: w.Body.Bytes()}
	e.holdToContract(r, got)
	return got
}

// holdToContract checks an answer against the contract.
func (e *edge) holdToContract(r *http.Request, a answer) {
	e.t.Helper()
	if err := e.contract.Check(r, a.status, a.header, a.body); err != nil {
		e.t.Error(err)
	}
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// expect checks a refusal's status, code and the fields that it names.
func (a answer) expect(t *testing.T, status int, code string, fields ...string) httpapi.Problem {
	t.Helper()
	p := a.problem(t)
	var named []string
	for _, f := range p.Errors {
		named = append(named, f.Field)
		if !strings.Contains(p.Detail, f.Field) {
			t.Errorf("the detail %q does not name the field %q", p.Detail, f.Field)
		}
	}
	if a.status != status || p.Code != code || !slices.Equal(named, fields) {
		t.Errorf("got %d %s naming %q, want %d %s naming %q; detail: %s", a.status, p.Code, named, status, code, fields, p.Detail)
	}
	return p
}
