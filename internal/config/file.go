package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// fileSuffix is that of the files that are read of a directory.
const fileSuffix = ".hcl"

// FilesError says everything that is wrong with a configuration, a line for each:
// where it was said (file:line, the variable or the flag), and what is wrong.
type FilesError struct{ Findings []string }

// Error implements error.
func (e *FilesError) Error() string {
	return "the configuration is not valid:\n  " + strings.Join(e.Findings, "\n  ")
}

// said is a setting with the value that a file gives it.
type said struct {
	setting
	text  string
	place hcl.Range
}

// files gathers what configuration files say.
type files struct {
	said     []said
	findings []string
}

// readFiles reads files, and the .hcl files of directories by name. Errors are
// about reading them; what is wrong inside them is among the findings.
func readFiles(paths []string) (*files, error) {
	f := &files{}
	for _, path := range paths {
		names := []string{path}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			if names, err = filepath.Glob(filepath.Join(path, "*"+fileSuffix)); err != nil {
				return nil, err
			}
			if len(names) == 0 {
				return nil, fmt.Errorf("%s: holds no configuration: its files end in %s", path, fileSuffix)
			}
		}
		for _, name := range names {
			source, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			f.read(source, name)
		}
	}
	return f, nil
}

func (f *files) read(source []byte, name string) {
	parsed, diags := hclsyntax.ParseConfig(source, name, hcl.InitialPos)
	f.report(diags)
	if !diags.HasErrors() {
		f.body("", parsed.Body)
	}
}

// body reads what is inside a block, prefix being the block's key and a dot.
func (f *files) body(prefix string, body hcl.Body) {
	schema := &hcl.BodySchema{}
	known := map[string]setting{}
	for _, s := range settings {
		rest, inside := strings.CutPrefix(s.key, prefix)
		if !inside || s.key == "" {
			continue
		}
		name, _, block := strings.Cut(rest, ".")
		if block {
			if !slices.ContainsFunc(schema.Blocks, func(b hcl.BlockHeaderSchema) bool { return b.Type == name }) {
				schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: name})
			}
			continue
		}
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
		known[name] = s
	}
	content, diags := body.Content(schema)
	f.report(diags)
	for _, a := range inOrder(content.Attributes) {
		f.attribute(known[a.Name], a)
	}
	seen := map[string]hcl.Range{}
	for _, block := range content.Blocks {
		if first, twice := seen[block.Type]; twice {
			f.find(block.DefRange, "%s%s: is there twice; it began at line %d", prefix, block.Type, first.Start.Line)
		}
		seen[block.Type] = block.DefRange
		f.body(prefix+block.Type+".", block.Body)
	}
}

func inOrder(attributes hcl.Attributes) []*hcl.Attribute {
	var all []*hcl.Attribute
	for _, a := range attributes {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *hcl.Attribute) int { return a.Range.Start.Byte - b.Range.Start.Byte })
	return all
}

// attribute notes a value that is of the right type.
func (f *files) attribute(s setting, a *hcl.Attribute) {
	v, diags := a.Expr.Value(nil)
	if f.report(diags); diags.HasErrors() {
		return
	}
	is := v.Type().FriendlyName()
	if v.IsNull() {
		is = "null"
	}
	if v.Type().IsObjectType() {
		is = "object"
	}
	if is != s.is {
		f.find(a.Range, "%s: must be %s, is %s", s.key, article(s.is), article(is))
		return
	}
	if is == "object" {
		f.object(s, a, v)
		return
	}
	str, err := convert.Convert(v, cty.String)
	if err != nil {
		f.find(a.Range, "%s: %v", s.key, err)
		return
	}
	text := str.AsString()
	if s.path && !filepath.IsAbs(text) {
		text = filepath.Join(filepath.Dir(a.Range.Filename), text)
	}
	f.said = append(f.said, said{setting: s, text: text, place: a.Range})
}

func article(noun string) string {
	if noun == "object" {
		return "an object"
	}
	return "a " + noun
}

// object notes an object whose values are strings.
func (f *files) object(s setting, a *hcl.Attribute, v cty.Value) {
	var lines []string
	for it := v.ElementIterator(); it.Next(); {
		key, value := it.Element()
		if value.Type() != cty.String || value.IsNull() {
			f.find(a.Range, "%s: the value of %s must be a string", s.key, key.AsString())
			return
		}
		lines = append(lines, key.AsString()+"="+value.AsString())
	}
	f.said = append(f.said, said{setting: s, text: strings.Join(lines, "\n"), place: a.Range})
}

func (f *files) report(diags hcl.Diagnostics) {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			f.find(*d.Subject, "%s: %s", d.Summary, strings.ReplaceAll(d.Detail, "\n", " "))
		}
	}
}

func (f *files) find(at hcl.Range, format string, args ...any) {
	f.findings = append(f.findings, place(at)+": "+fmt.Sprintf(format, args...))
}

func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// Check says what is wrong with configuration files, for every agent that they
// configure, over the defaults given: nil, a *FilesError, or an error about reading them.
// Neither flags nor the environment are looked at.
func Check(paths []string, defaults map[Kind]Agent) error {
	var findings []string
	for _, kind := range []Kind{Broker, Scaler} {
		_, err := (&Loader{kind: kind, defaults: defaults[kind]}).load(paths, func(string) string { return "" })
		var wrong *FilesError
		if errors.As(err, &wrong) {
			for _, finding := range wrong.Findings {
				if !slices.Contains(findings, finding) {
					findings = append(findings, finding)
				}
			}
		} else if err != nil {
			return err
		}
	}
	if len(findings) == 0 {
		return nil
	}
	return &FilesError{findings}
}
