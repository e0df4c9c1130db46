package httpapi

import (
	"context"
	_ "embed" // the contract is served and enforced as it is written
	"fmt"
	"net/http"
	"regexp"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed openapi.yaml
var openapiYAML []byte

// contract is what requests are held to, by method and route.
type contract map[string]operation

// operation is the part of the contract about one operation's requests.
type operation struct {
	// id is its operationId.
	id string
	// body is nil where none is expected.
	body *openapi3.Schema
	// query and header hold the names of the parameters.
	query, header map[string]bool
}

func operationKey(method, route string) string { return method + " " + route }

var pathVariable = regexp.MustCompile(`\{([^}]+)\}`)

// loadContract reads the embedded document, once. It cannot fail once its tests
// have passed, so it panics instead of returning an error to every caller.
var loadContract = sync.OnceValue(func() contract {
	doc := mustLoad()
	c := contract{}
	for path, item := range doc.Paths.Map() {
		route := pathVariable.ReplaceAllString(path, ":$1")
		for method, op := range item.Operations() {
			o := operation{id: op.OperationID, query: map[string]bool{}, header: map[string]bool{}}
			for _, p := range op.Parameters {
				switch p.Value.In {
				case openapi3.ParameterInQuery:
					o.query[p.Value.Name] = true
				case openapi3.ParameterInHeader:
					o.header[http.CanonicalHeaderKey(p.Value.Name)] = true
				}
			}
			if op.RequestBody != nil {
				o.body = op.RequestBody.Value.Content.Get(mediaJSON).Schema.Value
			}
			c[operationKey(method, route)] = o
		}
	}
	return c
})

// mustLoad reads the embedded document.
func mustLoad() *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(openapiYAML)
	if err == nil {
		err = doc.Validate(context.Background())
	}
	if err != nil {
		panic(fmt.Sprintf("httpapi: the embedded openapi.yaml is broken: %v", err))
	}
	return doc
}
