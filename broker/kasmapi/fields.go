package kasmapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// fields are what a JSON object of a request has. Each reading takes a field out; what is left in
// the end has no counterpart. The first error is kept, and end returns it, so that a verb reads all
// of its fields in a row.
type fields struct {
	// at is the path of the object, with a dot at its end; "" for the body.
	at   string
	left map[string]any
	err  *error
	// within are the objects inside that were read.
	within []*fields
}

// parseBody parses the body of a request: one JSON object, with each name once.
func parseBody(body []byte) (*fields, error) {
	var err error
	f := &fields{err: &err, left: map[string]any{}}
	if len(body) == 0 {
		return f, nil
	}
	if !jsontext.Value(body).IsValid() {
		return nil, refuse(http.StatusBadRequest, "the body must be one JSON object in UTF-8, with each name once")
	}
	if err := json.Unmarshal(body, &f.left); err != nil || f.left == nil {
		return nil, refuse(http.StatusBadRequest, "the body must be a JSON object")
	}
	return f, nil
}

func (f *fields) fail(name, format string, args ...any) {
	if *f.err == nil {
		*f.err = refuse(http.StatusBadRequest, "%s%s %s", f.at, clipped(name), fmt.Sprintf(format, args...))
	}
}

// maxName bounds the bytes of a field's name in an error, which is the caller's.
const maxName = 100

func clipped(name string) string {
	if len(name) > maxName {
		return strings.ToValidUTF8(name[:maxName], "") + "..."
	}
	return name
}

// take returns the value of a field; nil if it is not there, or null.
func (f *fields) take(name string) any {
	v := f.left[name]
	delete(f.left, name)
	return v
}

// text returns a text; "" if it is not there, or null.
func (f *fields) text(name string) string {
	switch v := f.take(name).(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		f.fail(name, "must be a string, is %s", inWords(v))
		return ""
	}
}

// id returns an id; ok is false if none was sent.
func (f *fields) id(name string) (u uuid, ok bool) {
	text := f.text(name)
	if text == "" {
		return u, false
	}
	if u, ok = parseUUID(text); !ok {
		f.fail(name, "must be an id of 32 hexadecimal digits, with dashes or without")
	}
	return u, ok
}

// needed returns an id that must be there.
func (f *fields) needed(name string) uuid {
	u, ok := f.id(name)
	if !ok {
		f.fail(name, "must be sent")
	}
	return u
}

// flag returns true or false; nil if it is not there, or null.
func (f *fields) flag(name string) *bool {
	switch v := f.take(name).(type) {
	case nil:
		return nil
	case bool:
		return &v
	default:
		f.fail(name, "must be true or false, is %s", inWords(v))
		return nil
	}
}

// number returns a number of at least 0; nil if it is not there, or null.
func (f *fields) number(name string) *float64 {
	switch v := f.take(name).(type) {
	case nil:
		return nil
	case float64:
		if v < 0 {
			f.fail(name, "must be at least 0, is %v", v)
		}
		return &v
	default:
		f.fail(name, "must be a number, is %s", inWords(v))
		return nil
	}
}

// whole returns a whole number of at least 0; nil if it is not there, or null.
func (f *fields) whole(name string) *int {
	v := f.number(name)
	if v == nil {
		return nil
	}
	if *v != math.Trunc(*v) || *v > math.MaxInt32 {
		f.fail(name, "must be a whole number, and no large one, is %v", *v)
		return nil
	}
	n := int(*v)
	return &n
}

// texts returns an object whose values are texts.
func (f *fields) texts(name string) map[string]string {
	within, all := f.object(name), map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(within.left)) {
		all[key] = within.text(key)
	}
	return all
}

// object returns an object; one without fields if it is not there, or null.
func (f *fields) object(name string) *fields {
	within := &fields{at: f.at + name + ".", err: f.err}
	f.within = append(f.within, within)
	switch v := f.take(name).(type) {
	case nil:
	case map[string]any:
		within.left = v
	default:
		f.fail(name, "must be an object, is %s", inWords(v))
	}
	if within.left == nil {
		within.left = map[string]any{}
	}
	return within
}

// end returns the first error of the readings, and else one for what was not read and is not empty.
// Clients send fields that they do not use, as null or empty.
func (f *fields) end() error {
	if *f.err != nil {
		return *f.err
	}
	for _, name := range slices.Sorted(maps.Keys(f.left)) {
		if !empty(f.left[name]) {
			return refuse(http.StatusBadRequest, "%s%s has no counterpart in greenroom: leave it out, or send null", f.at, clipped(name))
		}
	}
	for _, within := range f.within {
		if err := within.end(); err != nil {
			return err
		}
	}
	return nil
}

// empty reports whether a value asks for nothing.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, within := range v {
			if !empty(within) {
				return false
			}
		}
		return true
	}
	return false
}

func inWords(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case bool:
		return "true or false"
	case float64:
		return "a number"
	case []any:
		return "a list"
	}
	return "an object"
}
