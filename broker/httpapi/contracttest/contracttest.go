// Package contracttest holds answers to the API's contract, for tests: of the edge by
// itself, and of a whole greenroom. It is stricter than a caller may be: an answer with
// a field that the contract lacks does not pass. It trusts openapi3filter to judge.
package contracttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// mediaEvents is the media type of server-sent events.
const mediaEvents = "text/event-stream"

// mediaPage is the media type of the contract's page.
const mediaPage = "text/html"

// text decodes a body as plain text.
func text(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	b, err := io.ReadAll(body)
	return string(b), err
}

// registered registers the body decoders once: the library keeps them globally.
var registered = sync.OnceFunc(func() {
	openapi3filter.RegisterBodyDecoder(mediaEvents, text)
	openapi3filter.RegisterBodyDecoder(mediaPage, text)
})

// Contract is a contract with every object closed. It may be used concurrently.
type Contract struct {
	doc    *openapi3.T
	router routers.Router

	mu sync.Mutex
	// seen counts the answers that were checked, by operation and status.
	seen map[string]map[int]int
}

// New reads a contract.
func New(raw []byte) (*Contract, error) {
	registered()
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
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
	router, err := legacy.NewRouter(doc)
	if err != nil {
		return nil, err
	}
	return &Contract{doc: doc, router: router, seen: map[string]map[int]int{}}, nil
}

// Check holds an answer to the contract. One to a path or method that the contract does
// not have must be a problem document.
func (c *Contract) Check(r *http.Request, status int, header http.Header, body []byte) error {
	if header.Get("X-Request-Id") == "" {
		return fmt.Errorf("%s %s: no X-Request-Id", r.Method, r.URL)
	}
	route, vars, err := c.find(r)
	if err != nil {
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			return fmt.Errorf("%s %s: %w: %s", r.Method, r.URL, err, body)
		}
		if err := c.doc.Components.Schemas["Problem"].Value.VisitJSON(v); err != nil {
			return fmt.Errorf("%s %s: the answer is no problem document: %w\n%s", r.Method, r.URL, err, body)
		}
		return nil
	}
	c.mu.Lock()
	if c.seen[route.Operation.OperationID] == nil {
		c.seen[route.Operation.OperationID] = map[int]int{}
	}
	c.seen[route.Operation.OperationID][status]++
	c.mu.Unlock()
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: vars, Route: route},
		Status:                 status,
		Header:                 header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateResponse(r.Context(), in); err != nil {
		return fmt.Errorf("%s %s: status %d is not as the contract has it: %w\n%s", r.Method, r.URL, status, err, body)
	}
	return nil
}

// find finds the operation by the path alone, on whatever server.
func (c *Contract) find(r *http.Request) (*routers.Route, map[string]string, error) {
	at := r.Clone(r.Context())
	at.URL.Scheme, at.URL.Host = "", ""
	return c.router.FindRoute(at)
}

// Paths returns the contract's paths with their operations.
func (c *Contract) Paths() map[string]*openapi3.PathItem { return c.doc.Paths.Map() }

// Unseen returns an error that names the operations without a successful answer among
// those that were checked.
func (c *Contract) Unseen() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var missing []string
	for _, item := range c.doc.Paths.Map() {
		for _, op := range item.Operations() {
			served := false
			for status := range c.seen[op.OperationID] {
				served = served || status < 400
			}
			if !served {
				missing = append(missing, op.OperationID)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return errors.New("no answer that went well was seen of " + strings.Join(missing, ", "))
}
