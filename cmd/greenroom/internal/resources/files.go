package resources

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/greenroom/greenroom/internal/staging"
)

// FilesError has every finding about resource files that are not valid.
type FilesError struct{ findings []finding }

// finding is one of them; its place has no file name where it is about none.
type finding struct {
	at   hcl.Range
	text string
}

func (f finding) String() string {
	if f.at.Filename == "" {
		return f.text
	}
	return place(f.at) + ": " + f.text
}

// Error implements error: a line for each finding, as file:line: finding.
func (e *FilesError) Error() string {
	var b strings.Builder
	b.WriteString("nothing was changed, these files are not valid:")
	for _, f := range e.findings {
		b.WriteString("\n  " + f.String())
	}
	return b.String()
}

// files is what a set of resource files declares, with findings about it.
type files struct {
	set Set
	// declared is where each resource is, and blocks its block, by "kind name".
	declared map[string]hcl.Range
	blocks   map[string]*hcl.Block
	findings []finding
	// broken are, by block, the arguments that could not be decoded: what follows from that
	// is no finding of its own.
	broken map[*hcl.Block][]string
}

// loadResources decodes and validates all files at the paths. The error is a *FilesError, or
// about reading a file.
func loadResources(paths []string, stdin io.Reader) (*files, error) {
	f := &files{declared: map[string]hcl.Range{}, blocks: map[string]*hcl.Block{}, broken: map[*hcl.Block][]string{}}
	for _, path := range paths {
		files, err := filesAt(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if err := f.load(file, stdin); err != nil {
				return nil, err
			}
		}
	}
	return f, f.err()
}

func (f *files) err() error {
	if len(f.findings) == 0 {
		return nil
	}
	// In the order of a reader's eye; findings about no file come last.
	slices.SortStableFunc(f.findings, func(a, b finding) int {
		return cmp.Or(cmp.Compare(b2i(a.at.Filename == ""), b2i(b.at.Filename == "")), cmp.Compare(a.at.Filename, b.at.Filename), cmp.Compare(a.at.Start.Line, b.at.Start.Line))
	})
	return &FilesError{f.findings}
}

// The endings of file names: a directory holds resource files beside the jobspecs that they
// read.
const (
	resourceSuffix = ".hcl"
	jobspecSuffix  = ".nomad.hcl"
)

// standardInput is the path that stands for standard input.
const standardInput = "-"

// filesAt returns path itself, or the resource files of the directory path by name.
func filesAt(path string) ([]string, error) {
	if path == standardInput {
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w; name a resource file, a directory of them, or %s for standard input with -f", err, standardInput)
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), resourceSuffix) && !strings.HasSuffix(e.Name(), jobspecSuffix) && !e.IsDir() {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: holds no resource files: they end in %s, and not in %s", path, resourceSuffix, jobspecSuffix)
	}
	return files, nil
}

func (f *files) load(path string, stdin io.Reader) error {
	source, dir, err := read(path, stdin)
	if err != nil {
		return err
	}
	parsed, diags := hclsyntax.ParseConfig(source, path, hcl.InitialPos)
	if diags.HasErrors() {
		f.report(diags)
		return nil
	}
	content, diags := parsed.Body.Content(fileSchema)
	f.report(diags)
	eval := &hcl.EvalContext{Functions: map[string]function.Function{"file": fileFunction(dir), chompName: stdlib.ChompFunc}}
	for _, block := range content.Blocks {
		f.add(block, eval)
	}
	return nil
}

func read(path string, stdin io.Reader) (source []byte, dir string, err error) {
	if path == standardInput {
		source, err = io.ReadAll(stdin)
		return source, ".", err
	}
	source, err = os.ReadFile(path)
	return source, filepath.Dir(path), err
}

// chompName is HCL's function that removes the line break at the end of a text, such as that of
// a heredoc.
const chompName = "chomp"

// fileFunction returns HCL's function file, which reads a file relative to dir. It does not
// evaluate the contents: a jobspec's ${...} is for Nomad.
func fileFunction(dir string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			path := args[0].AsString()
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			if !utf8.Valid(b) {
				return cty.NilVal, function.NewArgErrorf(0, "%s is not UTF-8 text", path)
			}
			return cty.StringVal(string(b)), nil
		},
	})
}

// add decodes a block and validates it as far as that needs no broker.
func (f *files) add(block *hcl.Block, eval *hcl.EvalContext) {
	name := block.Labels[0]
	id := block.Type + " " + name
	if first, twice := f.declared[id]; twice {
		f.find(block.DefRange, "%s %q is already declared at %s", block.Type, name, place(first))
		return
	}
	f.declared[id], f.blocks[id] = block.DefRange, block
	f.invalid(block, f.resource(block, name, eval))
}

// decode decodes a block as far as it can, and reports what it cannot: each argument once,
// since what follows from its first finding says nothing new.
func (f *files) decode(block *hcl.Block, eval *hcl.EvalContext, into any) {
	for _, d := range gohcl.DecodeBody(block.Body, eval, into) {
		if d.Severity != hcl.DiagError || d.Subject == nil {
			continue
		}
		path, text := argumentOf(block, d)
		if f.isBroken(block, path) {
			continue
		}
		f.broken[block] = append(f.broken[block], path)
		f.about(block, *d.Subject, path, text)
	}
}

// isBroken reports whether a field is, or is in, an argument that could not be decoded.
func (f *files) isBroken(block *hcl.Block, field string) bool {
	// The API has a list volume_mappings where a file has a block volume_mapping for each.
	field = strings.Replace(field, "volume_mappings[", "volume_mapping[", 1)
	return slices.ContainsFunc(f.broken[block], func(path string) bool {
		return field == path || strings.HasPrefix(field, path+".") || strings.HasPrefix(field, path+"[")
	})
}

// about adds a finding about a field of a block.
func (f *files) about(block *hcl.Block, at hcl.Range, field, text string) {
	f.find(at, "%s %q: %s %s", block.Type, block.Labels[0], field, text)
}

func (f *files) duration(block *hcl.Block, field, text string) staging.Duration {
	d, err := staging.ParseDuration(text)
	if err != nil {
		f.about(block, rangeOf(block, field), field, err.Error())
		f.broken[block] = append(f.broken[block], field)
	}
	return d
}

// durationIfSet is the same for a field whose absence differs from 0s.
func (f *files) durationIfSet(block *hcl.Block, field string, text *string) *staging.Duration {
	if text == nil {
		return nil
	}
	d := f.duration(block, field, *text)
	return &d
}

// invalid adds the findings of validation, each at its own line.
func (f *files) invalid(block *hcl.Block, err error) {
	var invalid *staging.InvalidError
	if !errors.As(err, &invalid) {
		return
	}
	for _, field := range invalid.Fields {
		if !f.isBroken(block, field.Field) {
			f.about(block, rangeOf(block, field.Field), field.Field, field.Message)
		}
	}
}

func (f *files) report(diags hcl.Diagnostics) {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		text := d.Summary
		if d.Detail != "" {
			text += ": " + strings.ReplaceAll(d.Detail, "\n", " ")
		}
		var at hcl.Range
		if d.Subject != nil {
			at = *d.Subject
		}
		f.find(at, "%s", text)
	}
}

func (f *files) find(at hcl.Range, format string, args ...any) {
	f.findings = append(f.findings, finding{at, fmt.Sprintf(format, args...)})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// rangeOf returns where a field, such as exec_config.assign.cmd[1], is in a block: its
// attribute, or the innermost existing block on the way to it.
func rangeOf(block *hcl.Block, field string) hcl.Range {
	if field == "name" {
		return block.LabelRanges[0]
	}
	at := block.DefRange
	body, ok := block.Body.(*hclsyntax.Body)
	for _, part := range strings.Split(field, ".") {
		if !ok {
			return at
		}
		part, index, _ := strings.Cut(part, "[")
		nth, _ := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if a, found := body.Attributes[part]; found {
			return a.SrcRange
		}
		var inner []*hclsyntax.Block
		for _, b := range body.Blocks {
			// A list such as volume_mappings in the API is a block volume_mapping for each
			// item in a file.
			if b.Type == part || b.Type+"s" == part {
				inner = append(inner, b)
			}
		}
		if nth >= len(inner) {
			return at
		}
		at, body = inner[nth].DefRange(), inner[nth].Body
	}
	return at
}
