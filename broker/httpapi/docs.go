package httpapi

import (
	"bytes"
	"cmp"
	_ "embed" // the page's template
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

// The contract as it is written, and as a page to read. Neither needs a token, since a
// browser does not send one.
const (
	routeContract = "/v1/openapi.yaml"
	routeDocs     = "/v1/docs"
)

//go:embed docs.html
var docsHTML string

// docsPage renders the embedded contract, once. The page fetches nothing and runs nothing,
// so that it keeps to the policy that it is served with.
var docsPage = sync.OnceValue(func() []byte {
	doc := mustLoad()
	var out bytes.Buffer
	if err := template.Must(template.New("docs").Funcs(template.FuncMap{"markdown": markdown}).Parse(docsHTML)).Execute(&out, docsOf(doc)); err != nil {
		panic("httpapi: the page of the contract cannot be made: " + err.Error())
	}
	return out.Bytes()
})

func docs(c *gin.Context) {
	c.Header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	c.Header("X-Content-Type-Options", "nosniff")
	c.Data(http.StatusOK, "text/html; charset=utf-8", docsPage())
}

// markdown renders a description of the contract. HTML in it is left out, although the
// contract is our own.
func markdown(text string) template.HTML {
	var out bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.Table)).Convert([]byte(text), &out); err != nil {
		panic("httpapi: a description of the contract is not Markdown: " + err.Error())
	}
	return template.HTML(out.String())
}

// The content of the page.
type (
	docsContent struct {
		Title, Version, Description string
		Tags                        []docsTag
		Schemas                     []docsSchema
	}
	docsTag struct {
		Name, Description string
		Operations        []docsOperation
	}
	docsOperation struct {
		ID, Method, Path, Summary, Description string
		// Open: the operation needs no token.
		Open       bool
		Parameters []docsField
		Body       *docsBody
		Responses  []docsResponse
	}
	docsResponse struct {
		Status, Description string
		Headers             []docsField
		Bodies              []docsBody
	}
	docsBody struct {
		Media string
		// Type is the schema's type in words, Schema its name where it has one.
		Type, Schema string
		Examples     []docsExample
	}
	docsExample struct{ Name, Text string }
	docsField   struct {
		Name, In, Type, Schema, Description, Example string
		Required                                     bool
	}
	docsSchema struct {
		Name, Description, Type string
		Fields                  []docsField
	}
)

func docsOf(doc *openapi3.T) docsContent {
	page := docsContent{Title: doc.Info.Title, Version: doc.Info.Version, Description: doc.Info.Description}
	of := map[string][]docsOperation{}
	// In the order of the paths, and within a path in the order of a resource's life.
	methods := []string{http.MethodPost, http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
		item := doc.Paths.Value(path)
		for _, method := range methods {
			if op := item.GetOperation(method); op != nil {
				of[op.Tags[0]] = append(of[op.Tags[0]], operationOf(method, path, item, op))
			}
		}
	}
	for _, tag := range doc.Tags {
		page.Tags = append(page.Tags, docsTag{Name: tag.Name, Description: tag.Description, Operations: of[tag.Name]})
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		s := doc.Components.Schemas[name].Value
		page.Schemas = append(page.Schemas, docsSchema{Name: name, Description: s.Description, Type: typeOf(s), Fields: fieldsOf(s)})
	}
	return page
}

func operationOf(method, path string, item *openapi3.PathItem, op *openapi3.Operation) docsOperation {
	o := docsOperation{
		ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Description: op.Description,
		Open: op.Security != nil && len(*op.Security) == 0,
	}
	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		v := p.Value
		name, _ := schemaName(v.Schema)
		o.Parameters = append(o.Parameters, docsField{
			Name: v.Name, In: v.In, Type: typeOf(v.Schema.Value), Schema: name, Description: v.Description, Required: v.Required,
			Example: inJSON(cmp.Or[any](v.Example, v.Schema.Value.Example)),
		})
	}
	if op.RequestBody != nil {
		bodies := bodiesOf(op.RequestBody.Value.Content)
		o.Body = &bodies[0]
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses.Map())) {
		r := op.Responses.Value(status).Value
		response := docsResponse{Status: status, Description: *r.Description, Bodies: bodiesOf(r.Content)}
		for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
			h := r.Headers[name].Value
			response.Headers = append(response.Headers, docsField{
				Name: name, Type: typeOf(h.Schema.Value), Description: h.Description, Required: h.Required, Example: inJSON(h.Schema.Value.Example),
			})
		}
		if strings.HasSuffix(status, "XX") || status == "default" {
			// They are the same for every operation, and in the table at the top.
			for i := range response.Bodies {
				response.Bodies[i].Examples = nil
			}
		}
		o.Responses = append(o.Responses, response)
	}
	return o
}

func bodiesOf(content openapi3.Content) (bodies []docsBody) {
	for _, media := range slices.Sorted(maps.Keys(content)) {
		m := content[media]
		body := docsBody{Media: media, Type: typeOf(m.Schema.Value)}
		body.Schema, _ = schemaName(m.Schema)
		if m.Example != nil {
			body.Examples = append(body.Examples, docsExample{Text: inJSON(m.Example)})
		}
		for _, name := range slices.Sorted(maps.Keys(m.Examples)) {
			body.Examples = append(body.Examples, docsExample{Name: name, Text: inJSON(m.Examples[name].Value.Value)})
		}
		bodies = append(bodies, body)
	}
	return bodies
}

func fieldsOf(s *openapi3.Schema) (fields []docsField) {
	for _, part := range s.AllOf {
		fields = append(fields, fieldsOf(part.Value)...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		schema, _ := schemaName(p)
		if schema == "" && p.Value.Items != nil {
			schema, _ = schemaName(p.Value.Items)
		}
		fields = append(fields, docsField{
			Name: name, Type: typeOf(p.Value), Schema: schema, Description: p.Value.Description,
			Required: slices.Contains(s.Required, name), Example: inJSON(p.Value.Example),
		})
	}
	return fields
}

// schemaName returns the name of a schema that the contract lists, and whether it does.
func schemaName(ref *openapi3.SchemaRef) (string, bool) {
	return strings.CutPrefix(ref.Ref, "#/components/schemas/")
}

// typeOf returns a schema's type in words.
func typeOf(s *openapi3.Schema) string {
	switch {
	case len(s.AllOf) > 0:
		return "object"
	case len(s.OneOf) > 0:
		names := make([]string, len(s.OneOf))
		for i, ref := range s.OneOf {
			names[i], _ = schemaName(ref)
		}
		return "either of " + strings.Join(names, ", ")
	case s.Type.Is(openapi3.TypeArray):
		return "list of " + typeOf(s.Items.Value)
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = fmt.Sprint(v)
		}
		return "one of " + strings.Join(words, ", ")
	case s.Type.Is(openapi3.TypeObject) && s.AdditionalProperties.Schema != nil:
		return "map of " + typeOf(s.AdditionalProperties.Schema.Value)
	case s.Format == formatDuration:
		return "duration"
	case s.Format == "date-time":
		return "time"
	case s.Type == nil || len(*s.Type) == 0:
		return "anything"
	}
	return (*s.Type)[0]
}

// inJSON returns an example as it is sent; a string is returned as it is.
func inJSON(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic("httpapi: an example of the contract is not JSON: " + err.Error())
	}
	return strings.TrimSpace(out.String())
}
