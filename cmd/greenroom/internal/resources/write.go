package resources

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// blockTypes are the structs that the blocks of a resource file are decoded into, so what is
// written here is what apply reads.
var blockTypes = map[string]reflect.Type{
	blockZone: reflect.TypeFor[zoneBlock](), blockImage: reflect.TypeFor[imageBlock](),
	blockGroup: reflect.TypeFor[groupBlock](), blockStaging: reflect.TypeFor[stagingBlock](), blockWebhook: reflect.TypeFor[webhookBlock](),
}

// WriteHCL returns a resource of a kind, which is the word for it in a resource file, as the
// block that apply reads. document is the resource as JSON; what is no setting, such as the
// status of a pool, is left out. A text that is hidden stays (hidden): apply then keeps the
// stored one.
func WriteHCL(kind string, document []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber() // numbers stay as they are, however large
	var fields map[string]any
	if err := d.Decode(&fields); err != nil {
		return nil, fmt.Errorf("a %s of the broker's: %w", kind, err)
	}
	name, _ := fields["name"].(string)
	file := hclwrite.NewEmptyFile()
	block := file.Body().AppendNewBlock(kind, []string{name})
	if err := writeBody(block.Body(), blockTypes[kind], fields); err != nil {
		return nil, fmt.Errorf("%s %q: %w", kind, name, err)
	}
	return hclwrite.Format(file.Bytes()), nil
}

// writeBody writes the fields of an object that the block's struct has: attributes, and after
// them blocks.
func writeBody(body *hclwrite.Body, block reflect.Type, fields map[string]any) error {
	for i := range block.NumField() {
		name, form, _ := strings.Cut(block.Field(i).Tag.Get("hcl"), ",")
		if value, ok := fields[name]; ok && form != "block" {
			tokens, err := tokensOf(value)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			body.SetAttributeRaw(name, tokens)
		}
	}
	for i := range block.NumField() {
		field := block.Field(i)
		name, form, _ := strings.Cut(field.Tag.Get("hcl"), ",")
		if form != "block" {
			continue
		}
		value, ok := fields[name]
		if !ok {
			value = fields[name+"s"] // a block volume_mapping is an item of volume_mappings
		}
		inner := field.Type
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		items, list := value.([]any)
		if !list && value != nil {
			items = []any{value}
		}
		for n, item := range items {
			object, ok := item.(map[string]any)
			if !ok {
				return fmt.Errorf("%s[%d] is no object", name, n)
			}
			if err := writeBody(body.AppendNewBlock(name, nil).Body(), inner, object); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// tokensOf returns a value of JSON as HCL: a text of several lines as a heredoc, an object of
// several fields with a line for each.
func tokensOf(value any) (hclwrite.Tokens, error) {
	switch v := value.(type) {
	case string:
		if tokens := heredoc(v); tokens != nil {
			return tokens, nil
		}
	case []any:
		if hasHeredoc(v) {
			return tupleOf(v)
		}
	case map[string]any:
		if len(v) == 0 {
			break
		}
		var attributes []hclwrite.ObjectAttrTokens
		for _, key := range slices.Sorted(maps.Keys(v)) {
			inner, err := tokensOf(v[key])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			name := hclwrite.TokensForValue(cty.StringVal(key))
			if hclsyntax.ValidIdentifier(key) && !reserved[key] {
				name = hclwrite.TokensForIdentifier(key)
			}
			attributes = append(attributes, hclwrite.ObjectAttrTokens{Name: name, Value: inner})
		}
		return hclwrite.TokensForObject(attributes), nil
	}
	converted, err := ctyOf(value)
	if err != nil {
		return nil, err
	}
	return hclwrite.TokensForValue(converted), nil
}

// reserved are identifiers that mean something else at the beginning of an object.
var reserved = map[string]bool{"for": true, "true": true, "false": true, "null": true}

// ctyOf returns a value of JSON as a value of HCL.
func ctyOf(value any) (cty.Value, error) {
	switch v := value.(type) {
	case nil:
		return cty.NullVal(cty.DynamicPseudoType), nil
	case bool:
		return cty.BoolVal(v), nil
	case string:
		return cty.StringVal(v), nil
	case json.Number:
		return cty.ParseNumberVal(v.String())
	case []any:
		items := make([]cty.Value, len(v))
		for i, item := range v {
			var err error
			if items[i], err = ctyOf(item); err != nil {
				return cty.NilVal, err
			}
		}
		return cty.TupleVal(items), nil
	case map[string]any:
		items := map[string]cty.Value{}
		for key, item := range v {
			var err error
			if items[key], err = ctyOf(item); err != nil {
				return cty.NilVal, err
			}
		}
		return cty.ObjectVal(items), nil
	}
	return cty.NilVal, fmt.Errorf("a value of type %T", value)
}

// heredocEnds are the words that may end a heredoc: the first that does not end it early is taken.
var heredocEnds = []string{"EOT", "EOT2", "EOT3", "EOT4"}

// heredoc returns a text of several lines as a heredoc; nil for a text that a heredoc would
// not keep as it is, which is then quoted. A heredoc ends with a line break: where the text
// does not, chomp removes it.
func heredoc(text string) hclwrite.Tokens {
	lines, ended := strings.CutSuffix(text, "\n")
	if !strings.Contains(lines, "\n") || strings.HasSuffix(text, "\r") { // chomp would remove that, too
		return nil
	}
	body := strings.NewReplacer("${", "$${", "%{", "%%{").Replace(lines) + "\n"
	for _, end := range heredocEnds {
		parsed, diags := hclsyntax.ParseExpression([]byte("<<"+end+"\n"+body+end+"\n"), "", hcl.InitialPos)
		if diags.HasErrors() {
			continue
		}
		value, diags := parsed.Value(nil)
		if diags.HasErrors() || value.Type() != cty.String || value.AsString() != lines+"\n" {
			continue
		}
		tokens := hclwrite.Tokens{
			{Type: hclsyntax.TokenOHeredoc, Bytes: []byte("<<" + end + "\n")},
			{Type: hclsyntax.TokenStringLit, Bytes: []byte(body)},
			{Type: hclsyntax.TokenCHeredoc, Bytes: []byte(end)},
		}
		if !ended {
			tokens = hclwrite.TokensForFunctionCall(chompName, append(tokens, newline()))
		}
		return tokens
	}
	return nil
}

func newline() *hclwrite.Token {
	return &hclwrite.Token{Type: hclsyntax.TokenNewline, Bytes: []byte("\n")}
}

// tupleOf returns a list of which an item is a text of several lines.
func tupleOf(items []any) (hclwrite.Tokens, error) {
	all := make([]hclwrite.Tokens, len(items))
	for i, item := range items {
		tokens, err := tokensOf(item)
		if err != nil {
			return nil, err
		}
		if tokens[len(tokens)-1].Type == hclsyntax.TokenCHeredoc {
			tokens = append(tokens, newline()) // the comma must not stand behind its end
		}
		all[i] = tokens
	}
	return hclwrite.TokensForTuple(all), nil
}

// hasHeredoc reports whether a list has a text of several lines.
func hasHeredoc(items []any) bool {
	return slices.ContainsFunc(items, func(item any) bool {
		text, ok := item.(string)
		return ok && heredoc(text) != nil
	})
}
