package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/greenroom/greenroom/internal/staging"
)

// fault is one thing that is wrong with a body.
type fault struct {
	code Code
	staging.FieldError
}

// faultsOf holds a body to its schema. encoding/json alone is too forgiving: it
// matches names whatever their case, takes the last of two equal names and null
// for anything, and does not name the field whose value it cannot take.
//
// It knows the parts of a schema that our request bodies use: objects, maps,
// free objects, arrays, strings, integers and their bounds, numbers, booleans and the format of durations.
func faultsOf(body []byte, schema *openapi3.Schema) []fault {
	if why := notJSON(body); why != "" {
		return []fault{{CodeMalformedBody, staging.FieldError{Message: why}}}
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	w := walk{dec: dec}
	w.value("", schema)
	return w.faults
}

// notJSON says why a body is not one JSON value, "" when it is.
func notJSON(body []byte) string {
	if len(bytes.TrimSpace(body)) == 0 {
		return "the body is empty; send a JSON object"
	}
	if !utf8.Valid(body) {
		return "the body is not UTF-8"
	}
	if json.Valid(body) {
		return ""
	}
	var whole json.RawMessage
	err := json.Unmarshal(body, &whole)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		// The offset counts the bytes read, the one in the way included.
		line := 1 + bytes.Count(body[:min(int(syntax.Offset), len(body))], []byte("\n"))
		return fmt.Sprintf("the body is not one JSON value: %v (line %d, byte %d)", err, line, syntax.Offset)
	}
	return "the body is not one JSON value: " + err.Error()
}

// walk goes through a body that is known to be valid JSON, so that reading its
// tokens cannot fail.
type walk struct {
	dec    *json.Decoder
	faults []fault
}

func (w *walk) fault(code Code, field, format string, args ...any) {
	w.faults = append(w.faults, fault{code, staging.FieldError{Field: field, Message: fmt.Sprintf(format, args...)}})
}

func (w *walk) token() json.Token {
	t, err := w.dec.Token()
	if err != nil {
		panic("httpapi: a body that was valid JSON no longer is: " + err.Error())
	}
	return t
}

// skip goes past a value, or past the rest of one whose opening token was read.
func (w *walk) skip(opened json.Token) {
	depth := 0
	for t := opened; ; t = w.token() {
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return
		}
	}
}

func (w *walk) value(path string, s *openapi3.Schema) {
	t := w.token()
	switch {
	case s.Type.Is(openapi3.TypeObject) && t == json.Delim('{'):
		w.object(path, s)
	case s.Type.Is(openapi3.TypeArray) && t == json.Delim('['):
		for i := 0; w.dec.More(); i++ {
			w.value(fmt.Sprintf("%s[%d]", path, i), s.Items.Value)
		}
		w.token()
	case s.Type.Is(openapi3.TypeString) && isString(t):
		w.text(path, t.(string), s)
	case s.Type.Is(openapi3.TypeInteger) && isInteger(t):
		w.bounded(path, t.(json.Number), s)
	case s.Type.Is(openapi3.TypeNumber) && isNumber(t):
	case s.Type.Is(openapi3.TypeBoolean) && isBoolean(t):
	default:
		w.skip(t)
		if path == "" {
			w.fault(CodeInvalidType, "", "the body must be %s, is %s", wanted(s), found(t))
			return
		}
		w.fault(CodeInvalidType, path, "must be %s, is %s", wanted(s), found(t))
	}
}

func (w *walk) object(path string, s *openapi3.Schema) {
	if free := s.AdditionalProperties.Has; free != nil && *free {
		// Whatever is in it is not ours to know.
		w.free(path)
		return
	}
	seen := map[string]bool{}
	for w.dec.More() {
		name := w.token().(string)
		at := name
		if path != "" {
			at = path + "." + name
		}
		if seen[name] {
			w.fault(CodeDuplicateField, at, "is there twice; send it once")
		}
		seen[name] = true
		if property, ok := s.Properties[name]; ok {
			w.value(at, property.Value)
		} else if every := s.AdditionalProperties.Schema; every != nil {
			w.value(at, every.Value)
		} else {
			w.skip(w.token())
			w.fault(CodeUnknownField, at, "is not a field here; the fields are %s",
				strings.Join(slices.Sorted(maps.Keys(s.Properties)), ", "))
		}
	}
	w.token()
	for _, name := range s.Required {
		if !seen[name] {
			if path != "" {
				name = path + "." + name
			}
			w.fault(CodeInvalidField, name, "is required")
		}
	}
}

// free goes through an object of which any content will do, but no name twice.
func (w *walk) free(path string) {
	seen := map[string]bool{}
	for w.dec.More() {
		name := w.token().(string)
		if seen[name] {
			w.fault(CodeDuplicateField, path+"."+name, "is there twice; send it once")
		}
		seen[name] = true
		w.skip(w.token())
	}
	w.token()
}

// formatDuration is the contract's name for a duration as Go writes it.
const formatDuration = "go-duration"

func (w *walk) text(path, value string, s *openapi3.Schema) {
	if s.Format != formatDuration {
		return
	}
	if _, err := staging.ParseDuration(value); err != nil {
		w.fault(CodeInvalidField, path, "%v", err)
	}
}

// bounded holds a whole number to the bounds that its schema gives, where it gives both:
// once decoded, a 0 that was sent could not be told from one that was left out.
func (w *walk) bounded(path string, n json.Number, s *openapi3.Schema) {
	if s.Min == nil || s.Max == nil {
		return
	}
	if v, err := n.Float64(); err != nil || v < *s.Min || v > *s.Max {
		w.fault(CodeInvalidField, path, "must be between %v and %v, is %s", *s.Min, *s.Max, n)
	}
}

func isString(t json.Token) bool { _, ok := t.(string); return ok }

func isBoolean(t json.Token) bool { _, ok := t.(bool); return ok }

func isInteger(t json.Token) bool {
	n, ok := t.(json.Number)
	if !ok {
		return false
	}
	_, err := strconv.Atoi(n.String())
	return err == nil
}

func isNumber(t json.Token) bool {
	n, ok := t.(json.Number)
	if !ok {
		return false
	}
	_, err := n.Float64()
	return err == nil
}

func wanted(s *openapi3.Schema) string {
	switch {
	case s.Type.Is(openapi3.TypeObject):
		return "an object"
	case s.Type.Is(openapi3.TypeArray):
		return "a list"
	case s.Type.Is(openapi3.TypeInteger):
		return "a whole number"
	case s.Type.Is(openapi3.TypeNumber):
		return "a number"
	case s.Type.Is(openapi3.TypeBoolean):
		return "true or false"
	case s.Format == formatDuration:
		return `a duration in quotes, such as "24h"`
	}
	return "a string"
}

func found(t json.Token) string {
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return "an object"
		}
		return "a list"
	case json.Number:
		return t.String()
	case bool:
		return strconv.FormatBool(t)
	case string:
		return "a string"
	}
	return "null (leave the field out instead)"
}
