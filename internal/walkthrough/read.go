package walkthrough

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// Step is one thing that a reader does, or sees.
type Step struct {
	// Line is where it begins in the document, from 1.
	Line int
	// Commands are shell text; "" where there is nothing to run.
	Commands string
	// Answer is the JSON that the document shows for the commands, "" for none.
	Answer string
	// File is the path of a file to write with Text, instead of commands.
	File, Text string
	// LeftOut is why the commands are not run; "" when they are.
	LeftOut string
}

var (
	programs = regexp.MustCompile(`^(?:[A-Z_]+=\S+ )?(?:bin/)?(?:greenroom|make|curl|nomad|consul|docker|go|git|redis-cli|openssl|kill|tar) \S`)
	left     = regexp.MustCompile(`<!-- not run: (\S.*?) -->`)
	fileLine = regexp.MustCompile(`^# ([\w./-]+\.[a-z]+)\n`)
)

// Read gives a document's steps in their order. An error names the line of what can
// neither be run nor is marked.
func Read(document string) ([]Step, error) {
	source := []byte(document)
	root := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser().Parse(text.NewReader(source))
	r := reader{source: source}
	err := ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.FencedCodeBlock:
			return ast.WalkContinue, r.fenced(n)
		case *ast.CodeBlock:
			if line, shown := r.lines(n); programs.MatchString(shown) {
				return ast.WalkStop, fmt.Errorf("line %d: commands are not seen in an indented block: fence them with ```sh", line)
			}
		case *ast.CodeSpan:
			r.span(n)
		}
		return ast.WalkContinue, nil
	})
	return r.withoutMentions(), err
}

type reader struct {
	source []byte
	steps  []Step
	// spans are the indexes of steps that stand within a sentence.
	spans map[int]bool
}

func (r *reader) fenced(n *ast.FencedCodeBlock) error {
	line, shown := r.lines(n)
	switch language := string(n.Language(r.source)); {
	case language == "sh":
		step := Step{Line: line, Commands: shown}
		if before, ok := n.PreviousSibling().(*ast.HTMLBlock); ok {
			_, comment := r.lines(before)
			step.LeftOut = reason(comment)
		}
		r.steps = append(r.steps, step)
	case language == "json":
		if last := len(r.steps) - 1; last >= 0 && r.steps[last].Commands != "" && r.steps[last].Answer == "" {
			r.steps[last].Answer = shown
			return nil
		}
		return fmt.Errorf("line %d: no commands before it give this answer", line)
	case fileLine.MatchString(shown):
		name := fileLine.FindStringSubmatch(shown)[1]
		if path.IsAbs(name) || strings.Contains(name, "..") {
			return fmt.Errorf("line %d: a file is written below the directory that the reader is in, not at %s", line, name)
		}
		r.steps = append(r.steps, Step{Line: line, File: name, Text: shown})
	default:
		for l := range strings.Lines(shown) {
			if programs.MatchString(l) {
				return fmt.Errorf("line %d: commands are not seen in a block of %q: fence them with ```sh", line, language)
			}
		}
	}
	return nil
}

// span takes a command that stands within a sentence or a table's cell.
func (r *reader) span(n *ast.CodeSpan) {
	var shown strings.Builder
	at := 0
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			if at == 0 {
				at = r.lineOf(t.Segment.Start)
			}
			shown.Write(t.Segment.Value(r.source))
			if t.SoftLineBreak() {
				shown.WriteByte(' ')
			}
		}
	}
	if !programs.MatchString(shown.String()) {
		return
	}
	step := Step{Line: at, Commands: strings.TrimSpace(strings.ReplaceAll(shown.String(), "\n", " ")) + "\n"}
	// What is marked is the whole sentence or cell.
	for s := n.Parent().FirstChild(); s != nil; s = s.NextSibling() {
		if raw, ok := s.(*ast.RawHTML); ok {
			if why := reason(string(raw.Segments.Value(r.source))); why != "" {
				step.LeftOut = why
			}
		}
	}
	if r.spans == nil {
		r.spans = map[int]bool{}
	}
	r.spans[len(r.steps)] = true
	r.steps = append(r.steps, step)
}

// withoutMentions leaves out the spans that name a command of a block, or its beginning:
// the sentence is about that one.
func (r *reader) withoutMentions() (steps []Step) {
	for i, s := range r.steps {
		mention := false
		for j, other := range r.steps {
			if r.spans[i] && s.LeftOut == "" && !r.spans[j] && strings.Contains("\n"+other.Commands, "\n"+strings.TrimSpace(s.Commands)) {
				mention = true
			}
		}
		if !mention {
			steps = append(steps, s)
		}
	}
	return steps
}

func (r *reader) lines(n ast.Node) (line int, shown string) {
	l := n.Lines()
	if l.Len() == 0 {
		return 0, ""
	}
	return r.lineOf(l.At(0).Start), string(l.Value(r.source))
}

func (r *reader) lineOf(offset int) int { return 1 + strings.Count(string(r.source[:offset]), "\n") }

// reason is why something is marked as not run, "" when it is not.
func reason(comment string) string {
	if m := left.FindStringSubmatch(comment); m != nil {
		return m[1]
	}
	return ""
}
