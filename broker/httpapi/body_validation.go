package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/greenroom/greenroom/internal/staging"
)

// fault is one error in a body.
type fault struct {
	code Code
	staging.FieldError
}

// sameNameTwice makes the decoder accept duplicate names, so that the walk can report them.
var sameNameTwice = jsontext.AllowDuplicateNames(true)

// faultsOf checks a body against its schema. encoding/json alone accepts too much: it
// matches names whatever their case, takes the last of two equal names and null for
// anything, and does not name the field that it refuses. Its tokens are slow, too;
// jsontext is its successor by the same authors.
//
// It supports the parts of a schema that our request bodies use: objects, maps, free
// objects, arrays, strings, integers and their bounds, numbers, booleans and the format
// of durations.
//
// It returns the first maxFaults, and how many more there are.
func faultsOf(body []byte, schema *openapi3.Schema) (first []fault, more int) {
	if why := notJSON(body); why != "" {
		return []fault{{CodeMalformedBody, staging.FieldError{Message: why}}}, 0
	}
	w := walk{dec: jsontext.NewDecoder(bytes.NewBuffer(body), sameNameTwice)}
	w.value("", schema)
	return w.faults, w.unsaid
}

// maxFaults bounds the faults in an answer: each names the fields that there are, so that an
// answer would be many times as large as a body of unknown fields. maxFaultField bounds the
// bytes of a field's name in it, which is the caller's.
const (
	maxFaults     = 20
	maxFaultField = 200
)

// notJSON returns why a body is not one JSON value, "" when it is.
func notJSON(body []byte) string {
	if jsontext.Value(body).IsValid(sameNameTwice) {
		return ""
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return "the body is empty; send a JSON object"
	}
	if !utf8.Valid(body) {
		return "the body is not UTF-8"
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), sameNameTwice)
	at, err := int64(0), dec.SkipValue()
	if err == nil {
		at, err = dec.InputOffset(), errMoreThanOne
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		at, err = syntax.ByteOffset, syntax.Err
	}
	line := 1 + bytes.Count(body[:min(int(at), len(body))], []byte("\n"))
	return fmt.Sprintf("the body is not one JSON value: %v (line %d, byte %d)", err, line, at+1)
}

var errMoreThanOne = errors.New("something follows it")

// walk goes through a body that is valid JSON, so that reading its tokens cannot fail.
type walk struct {
	dec    *jsontext.Decoder
	faults []fault
	// unsaid counts the faults beyond maxFaults.
	unsaid int
}

func (w *walk) fault(code Code, field, format string, args ...any) {
	if len(w.faults) == maxFaults {
		w.unsaid++
		return
	}
	if len(field) > maxFaultField {
		field = strings.ToValidUTF8(field[:maxFaultField], "") + "..."
	}
	w.faults = append(w.faults, fault{code, staging.FieldError{Field: field, Message: fmt.Sprintf(format, args...)}})
}

// token reads the next token, which is valid until the one after it is read.
func (w *walk) token() jsontext.Token {
	t, err := w.dec.ReadToken()
	if err != nil {
		panic("httpapi: a body that was valid JSON no longer is: " + err.Error())
	}
	return t
}

// more reports whether the open object or list has another member.
func (w *walk) more() bool {
	k := w.dec.PeekKind()
	return k != '}' && k != ']'
}

// skip reads to the end of a value; its first token was read.
func (w *walk) skip(opened jsontext.Kind) {
	depth := 0
	for k := opened; ; k = w.token().Kind() {
		switch k {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if depth == 0 {
			return
		}
	}
}

// pass reads past the next value.
func (w *walk) pass() { w.skip(w.token().Kind()) }

func (w *walk) value(path string, s *openapi3.Schema) {
	t := w.token()
	kind := t.Kind()
	switch {
	case s.Type.Is(openapi3.TypeObject) && kind == '{':
		w.object(path, s)
	case s.Type.Is(openapi3.TypeArray) && kind == '[':
		for i := 0; w.more(); i++ {
			w.value(fmt.Sprintf("%s[%d]", path, i), s.Items.Value)
		}
		w.token()
	case s.Type.Is(openapi3.TypeString) && kind == '"':
		if s.Format == formatDuration {
			w.duration(path, t.String())
		}
	case s.Type.Is(openapi3.TypeInteger) && kind == '0' && isInteger(t):
		w.bounded(path, t, s)
	case s.Type.Is(openapi3.TypeNumber) && kind == '0' && isNumber(t):
	case s.Type.Is(openapi3.TypeBoolean) && (kind == 't' || kind == 'f'):
	default:
		got := found(t)
		w.skip(kind)
		if path == "" {
			w.fault(CodeInvalidType, "", "the body must be %s, is %s", wanted(s), got)
			return
		}
		w.fault(CodeInvalidType, path, "must be %s, is %s", wanted(s), got)
	}
}

func (w *walk) object(path string, s *openapi3.Schema) {
	if free := s.AdditionalProperties.Has; free != nil && *free {
		// Any content is allowed.
		w.free(path)
		return
	}
	var seen names
	for w.more() {
		name := w.token().String()
		at := name
		if path != "" {
			at = path + "." + name
		}
		if !seen.add(name) {
			w.fault(CodeDuplicateField, at, "is there twice; send it once")
		}
		if property, ok := s.Properties[name]; ok {
			w.value(at, property.Value)
		} else if every := s.AdditionalProperties.Schema; every != nil {
			w.value(at, every.Value)
		} else {
			w.pass()
			w.fault(CodeUnknownField, at, "is not a field here; the fields are %s",
				strings.Join(slices.Sorted(maps.Keys(s.Properties)), ", "))
		}
	}
	w.token()
	for _, name := range s.Required {
		if !seen.has(name) {
			if path != "" {
				name = path + "." + name
			}
			w.fault(CodeInvalidField, name, "is required")
		}
	}
}

// free goes through an object with any content, and reports duplicate names in it.
func (w *walk) free(path string) {
	var seen names
	for w.more() {
		name := w.token().String()
		if !seen.add(name) {
			w.fault(CodeDuplicateField, path+"."+name, "is there twice; send it once")
		}
		w.pass()
	}
	w.token()
}

// names are the names in one object. Most objects have few, and need no map.
type names struct {
	few  []string
	many map[string]bool
}

// fewNames is up to how many names are searched one by one.
const fewNames = 16

func (n *names) has(name string) bool { return n.many[name] || slices.Contains(n.few, name) }

// add adds a name, and reports whether it is new.
func (n *names) add(name string) bool {
	if n.has(name) {
		return false
	}
	if len(n.few) < fewNames {
		n.few = append(n.few, name)
		return true
	}
	if n.many == nil {
		n.many = map[string]bool{}
	}
	n.many[name] = true
	return true
}

// formatDuration is the contract's name for a duration as Go writes it.
const formatDuration = "go-duration"

func (w *walk) duration(path, value string) {
	if _, err := staging.ParseDuration(value); err != nil {
		w.fault(CodeInvalidField, path, "%v", err)
	}
}

// bounded checks a whole number against its schema's bounds, where the schema has both.
// That must happen here: once decoded, a 0 that was sent looks like one that was left out.
func (w *walk) bounded(path string, n jsontext.Token, s *openapi3.Schema) {
	if s.Min == nil || s.Max == nil {
		return
	}
	// A number beyond a float's range is infinite, and so is out of bounds too.
	if v, _ := n.Float(); v < *s.Min || v > *s.Max {
		w.fault(CodeInvalidField, path, "must be between %v and %v, is %s", *s.Min, *s.Max, n)
	}
}

func isInteger(n jsontext.Token) bool {
	_, err := strconv.Atoi(n.String())
	return err == nil
}

func isNumber(n jsontext.Token) bool {
	_, err := strconv.ParseFloat(n.String(), 64)
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

func found(t jsontext.Token) string {
	switch t.Kind() {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '0', 't', 'f':
		return t.String()
	case '"':
		return "a string"
	}
	return "null (leave the field out instead)"
}
