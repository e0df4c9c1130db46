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

// fileSuffix is the suffix of the files that are read from a directory.
const fileSuffix = ".hcl"

// FilesError lists everything that is wrong with a configuration. A finding names the
// source of the value (file:line, variable or flag) and what is wrong.
type FilesError struct{ Findings []string }

// Error implements error.
func (e *FilesError) Error() string {
	return "the configuration is not valid:\n  " + strings.Join(e.Findings, "\n  ")
}

// fileValue is a setting with its value in a file.
type fileValue struct {
	setting
	text string
	pos  hcl.Range
}

// files collects the values and findings of configuration files.
type files struct {
	values   []fileValue
	findings []string
}

// readFiles reads files, and the .hcl files of directories in the order of their names.
// An error means that a file could not be read. What is wrong in a file is a finding.
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
				return nil, fmt.Errorf("list the directory %s: %w", path, err)
			}
			if len(names) == 0 {
				return nil, fmt.Errorf("the directory %s contains no %s file", path, fileSuffix)
			}
		}
		for _, name := range names {
			source, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			f.readSource(source, name)
		}
	}
	return f, nil
}

func (f *files) readSource(source []byte, name string) {
	parsed, diags := hclsyntax.ParseConfig(source, name, hcl.InitialPos)
	f.addDiagnostics(diags)
	if !diags.HasErrors() {
		f.readBody("", "", parsed.Body)
	}
}

// readBody reads the content of a block. prefix is the block's key with a dot, or "", and label
// its label, or "".
func (f *files) readBody(prefix, label string, body hcl.Body) {
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
				header := hcl.BlockHeaderSchema{Type: name}
				if s.labelled {
					header.LabelNames = []string{"name"}
				}
				schema.Blocks = append(schema.Blocks, header)
			}
			continue
		}
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
		known[name] = s
	}
	content, diags := body.Content(schema)
	f.addDiagnostics(diags)
	for _, a := range sortedByPosition(content.Attributes) {
		f.attribute(known[a.Name], label, a)
	}
	seen := map[string]hcl.Range{}
	for _, block := range content.Blocks {
		name, label := block.Type, ""
		if len(block.Labels) > 0 {
			label = block.Labels[0]
			name += fmt.Sprintf(" %q", label)
		}
		if first, twice := seen[name]; twice {
			f.addFinding(block.DefRange, "%s%s: is there twice; the first is at line %d", prefix, name, first.Start.Line)
		}
		seen[name] = block.DefRange
		f.readBody(prefix+block.Type+".", label, block.Body)
	}
}

func sortedByPosition(attributes hcl.Attributes) []*hcl.Attribute {
	var all []*hcl.Attribute
	for _, a := range attributes {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *hcl.Attribute) int { return a.Range.Start.Byte - b.Range.Start.Byte })
	return all
}

// attribute records a value if it has the setting's type, else a finding. label is that of its
// block, or "".
func (f *files) attribute(s setting, label string, a *hcl.Attribute) {
	v, diags := a.Expr.Value(nil)
	if f.addDiagnostics(diags); diags.HasErrors() {
		return
	}
	hclType := v.Type().FriendlyName()
	if v.IsNull() {
		hclType = "null"
	}
	if v.Type().IsObjectType() {
		hclType = "object"
	}
	if v.Type().IsTupleType() {
		hclType = "list"
	}
	if hclType != s.hclType {
		f.addFinding(a.Range, "%s: must be %s, is %s", s.key, withArticle(s.hclType), withArticle(hclType))
		return
	}
	switch hclType {
	case "object":
		f.object(s, a, v)
		return
	case "list":
		f.list(s, a, v)
		return
	}
	str, err := convert.Convert(v, cty.String)
	if err != nil {
		f.addFinding(a.Range, "%s: %v", s.key, err)
		return
	}
	text := str.AsString()
	if s.path && !filepath.IsAbs(text) {
		text = filepath.Join(filepath.Dir(a.Range.Filename), text)
	}
	if s.labelled {
		text = label + "=" + text
	}
	f.values = append(f.values, fileValue{setting: s, text: text, pos: a.Range})
}

func withArticle(noun string) string {
	if noun == "object" {
		return "an object"
	}
	return "a " + noun
}

// object records an object if all of its values are strings, else a finding.
func (f *files) object(s setting, a *hcl.Attribute, v cty.Value) {
	var lines []string
	for it := v.ElementIterator(); it.Next(); {
		key, value := it.Element()
		if value.Type() != cty.String || value.IsNull() {
			f.addFinding(a.Range, "%s: the value of %s must be a string", s.key, key.AsString())
			return
		}
		lines = append(lines, key.AsString()+"="+value.AsString())
	}
	f.values = append(f.values, fileValue{setting: s, text: strings.Join(lines, "\n"), pos: a.Range})
}

// list records a list if all of its elements are strings, else a finding.
func (f *files) list(s setting, a *hcl.Attribute, v cty.Value) {
	var lines []string
	for it := v.ElementIterator(); it.Next(); {
		_, element := it.Element()
		if element.Type() != cty.String || element.IsNull() {
			f.addFinding(a.Range, "%s: every element must be a string", s.key)
			return
		}
		lines = append(lines, element.AsString())
	}
	f.values = append(f.values, fileValue{setting: s, text: strings.Join(lines, "\n"), pos: a.Range})
}

func (f *files) addDiagnostics(diags hcl.Diagnostics) {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			f.addFinding(*d.Subject, "%s: %s", d.Summary, strings.ReplaceAll(d.Detail, "\n", " "))
		}
	}
}

func (f *files) addFinding(at hcl.Range, format string, args ...any) {
	f.findings = append(f.findings, position(at)+": "+fmt.Sprintf(format, args...))
}

func position(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// Check validates configuration files for every agent that they configure, on top of the
// given defaults. It ignores flags and the environment. The error is a *FilesError if the
// files are not valid, else it says why they could not be read.
func Check(paths []string, defaults map[Kind]Agent) error {
	var findings []string
	for _, kind := range []Kind{Broker, Scaler, Gateway} {
		_, err := (&Loader{kind: kind, defaults: defaults[kind]}).load(paths, func(string) string { return "" })
		var invalid *FilesError
		if errors.As(err, &invalid) {
			for _, finding := range invalid.Findings {
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
