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

// Step is either commands to run or a file to write.
type Step struct {
	// Line is where the step begins in the document, from 1.
	Line int
	// Commands are shell text, "" for a file.
	Commands string
	// Answer is the JSON that the document shows as the commands' output, "" for none.
	Answer string
	// File is the path of the file to write, with Text as its content; "" for commands.
	File, Text string
}

var (
	// A brace is the beginning of a block of HCL, such as "consul {", and no argument.
	programs = regexp.MustCompile(`^(?:[A-Z_]+=\S+ )?(?:bin/)?(?:greenroom|make|curl|nomad|consul|docker|go|git|redis-cli|openssl|kill|tar) [^\s{]`)
	fileLine = regexp.MustCompile(`^# ([\w./-]+\.[a-z]+)\n`)
)

// Read returns a document's steps in their order, without the commands that notRun lists.
// An error names the line of a command that stands where it cannot be run, or the entry of
// notRun that the document has no command for.
func Read(document string, notRun ...NotRun) ([]Step, error) {
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
				return ast.WalkStop, fmt.Errorf("line %d: commands in an indented block are not run: fence them with ```sh", line)
			}
		case *ast.CodeSpan:
			r.span(n)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return nil, err
	}
	return leaveOut(r.withoutMentions(), notRun)
}

type reader struct {
	source []byte
	steps  []Step
	// spans has the indexes of the steps that stand within a sentence or a table's cell.
	spans map[int]bool
}

func (r *reader) fenced(n *ast.FencedCodeBlock) error {
	line, shown := r.lines(n)
	switch language := string(n.Language(r.source)); {
	case language == "sh":
		r.steps = append(r.steps, Step{Line: line, Commands: shown})
	case language == "json":
		if last := len(r.steps) - 1; last >= 0 && r.steps[last].Commands != "" && r.steps[last].Answer == "" {
			r.steps[last].Answer = shown
			return nil
		}
		return fmt.Errorf("line %d: no commands before it print this answer", line)
	case fileLine.MatchString(shown):
		name := fileLine.FindStringSubmatch(shown)[1]
		if path.IsAbs(name) || strings.Contains(name, "..") {
			return fmt.Errorf("line %d: a file must be below the reader's directory, and is at %s", line, name)
		}
		r.steps = append(r.steps, Step{Line: line, File: name, Text: shown})
	default:
		for l := range strings.Lines(shown) {
			if programs.MatchString(l) {
				return fmt.Errorf("line %d: commands in a block of %q are not run: fence them with ```sh", line, language)
			}
		}
	}
	return nil
}

// span records a command that stands within a sentence or a table's cell.
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
	if r.spans == nil {
		r.spans = map[int]bool{}
	}
	r.spans[len(r.steps)] = true
	r.steps = append(r.steps, Step{Line: at, Commands: strings.TrimSpace(strings.ReplaceAll(shown.String(), "\n", " ")) + "\n"})
}

// withoutMentions leaves out the spans that equal a command of a block, or its beginning:
// the sentence is about the block's command, which is run or listed there.
func (r *reader) withoutMentions() (steps []Step) {
	for i, s := range r.steps {
		mention := false
		for j, other := range r.steps {
			if r.spans[i] && !r.spans[j] && strings.Contains("\n"+other.Commands, "\n"+strings.TrimSpace(s.Commands)) {
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
