package resources

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// Difference is one field of a change, as greenroom plan --json prints it. Before or After
// is absent where the field is not set.
type Difference struct {
	Field  string `json:"field"`
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// differences returns the fields in which two resources differ, each as its JSON ("" for
// none), ordered by their names in the API.
func differences(before, after string) []Difference {
	old, new := flat(before), flat(after)
	fields := maps.Clone(old)
	maps.Copy(fields, new)
	var all []Difference
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if field == "name" || reflect.DeepEqual(old[field], new[field]) {
			continue
		}
		all = append(all, Difference{field, old[field], new[field]})
	}
	return all
}

// flat returns the fields of a JSON object by their paths, such as
// exec_config.assign.cmd. A list of plain values is one field.
func flat(text string) map[string]any {
	fields := map[string]any{}
	if text == "" {
		return fields
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		panic("greenroom: a resource that is no JSON object: " + err.Error())
	}
	flatten("", object, fields)
	return fields
}

func flatten(path string, value any, into map[string]any) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			at := name
			if path != "" {
				at = path + "." + name
			}
			flatten(at, inner, into)
		}
	case []any:
		if !slices.ContainsFunc(v, func(e any) bool { _, object := e.(map[string]any); return object }) {
			into[path] = v
			return
		}
		for i, inner := range v {
			flatten(fmt.Sprintf("%s[%d]", path, i), inner, into)
		}
	default:
		into[path] = v
	}
}

// printDifference prints a field's change for a person: in one line, or the changed lines
// of a text with several. A field of a created resource has no value before.
func printDifference(w io.Writer, d Difference, created bool) {
	before, wasText := d.Before.(string)
	after, isText := d.After.(string)
	if wasText && isText && strings.Contains(before+after, "\n") {
		fmt.Fprintf(w, "    %s:\n", d.Field)
		for _, line := range unified(before, after) {
			fmt.Fprintf(w, "      %s\n", line)
		}
		return
	}
	switch {
	case created:
		fmt.Fprintf(w, "    %s: %s\n", d.Field, shown(d.After))
	case d.Before == nil:
		fmt.Fprintf(w, "    %s: (not set) -> %s\n", d.Field, shown(d.After))
	case d.After == nil:
		fmt.Fprintf(w, "    %s: %s -> (not set)\n", d.Field, shown(d.Before))
	default:
		fmt.Fprintf(w, "    %s: %s -> %s\n", d.Field, shown(d.Before), shown(d.After))
	}
}

// shown returns a value in one line; for a text of several lines, their number.
func shown(v any) string {
	if s, ok := v.(string); ok {
		if s == staging.Hidden || s == staging.HiddenChanged {
			return s
		}
		if n := strings.Count(strings.TrimSuffix(s, "\n"), "\n"); n > 0 {
			return fmt.Sprintf("(%d lines)", n+1)
		}
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// printFields prints the fields of a change.
func printFields(w io.Writer, ch change) {
	for _, d := range ch.Fields {
		printDifference(w, d, ch.Action == actionCreate)
	}
}

// PrintConfigChange prints a change of a staging config that was made, as greenroom apply
// does.
func PrintConfigChange(w io.Writer, before, after staging.Config) {
	ch := change{Kind: blockStaging, Name: after.Name, Action: actionNone, Fields: differences(asText(before), asText(after))}
	if len(ch.Fields) > 0 {
		ch.Action = actionUpdate
	}
	printDone(w, ch)
	printFields(w, ch)
}

// printDone prints in one line a change that was made.
func printDone(w io.Writer, ch change) {
	fmt.Fprintf(w, "%s %q %s\n", ch.Kind, ch.Name, ch.Action.done())
}
