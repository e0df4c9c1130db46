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
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/httpapi"
)

// edge is a handler under test: whatever it answers is held to the contract.
type edge struct {
	t       *testing.T
	handler http.Handler
	log     *bytes.Buffer
	entry   *logrus.Entry
	doc     *openapi3.T
	router  routers.Router
}

func (e *edge) logger() *logrus.Entry { return e.entry }

func newEdge(t *testing.T, b httpapi.Broker, adjust ...func(*httpapi.Options)) *edge {
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
	doc := closedContract(t)
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &edge{t: t, handler: httpapi.New(b, o), log: &log, entry: o.Log, doc: doc, router: router}
}

// closedContract is the contract with every object closed, so that an answer
// with a field that the contract lacks does not pass. A caller must not do
// this: fields may be added.
func closedContract(t *testing.T) *openapi3.T {
	t.Helper()
	raw, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range doc.Components.Schemas {
		s := ref.Value
		for _, part := range s.AllOf {
			if s.Properties == nil {
				s.Properties = openapi3.Schemas{}
				s.Type = &openapi3.Types{openapi3.TypeObject}
			}
			for name, p := range part.Value.Properties {
				s.Properties[name] = p
			}
			s.Required = append(s.Required, part.Value.Required...)
		}
		s.AllOf = nil
	}
	for _, ref := range doc.Components.Schemas {
		if s := ref.Value; len(s.Properties) > 0 {
			closed := false
			s.AdditionalProperties = openapi3.AdditionalProperties{Has: &closed}
		}
	}
	return doc
}

// answer is what came back.
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
		t.Errorf("the document says status %d, the answer %d", p.Status, a.status)
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

// holdToContract validates an answer. One to a path or method that the
// contract does not have must be a problem document.
func (e *edge) holdToContract(r *http.Request, a answer) {
	e.t.Helper()
	if a.header.Get("X-Request-Id") == "" {
		e.t.Errorf("%s %s: no X-Request-Id", r.Method, r.URL)
	}
	route, vars, err := e.router.FindRoute(r)
	if err != nil {
		var v any
		if err := json.Unmarshal(a.body, &v); err != nil {
			e.t.Fatalf("%s %s: %v: %s", r.Method, r.URL, err, a.body)
		}
		if err := e.doc.Components.Schemas["Problem"].Value.VisitJSON(v); err != nil {
			e.t.Errorf("%s %s: the answer is no problem document: %v\n%s", r.Method, r.URL, err, a.body)
		}
		return
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: vars, Route: route},
		Status:                 a.status,
		Header:                 a.header,
		Body:                   io.NopCloser(bytes.NewReader(a.body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateResponse(r.Context(), in); err != nil {
		e.t.Errorf("%s %s: status %d is not as the contract has it: %v\n%s", r.Method, r.URL, a.status, err, a.body)
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
