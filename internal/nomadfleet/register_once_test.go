package nomadfleet_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// registering are the methods of Nomad's client that make it evaluate a job, or that
// change one. Deregister is not among them: it ends a session.
var registering = map[string]bool{
	"Register": true, "RegisterOpts": true, "EnforceRegister": true, "Revert": true, "Scale": true,
	"ForceEvaluate": true, "EvaluateWithOpts": true, "Dispatch": true, "DispatchOpts": true,
}

// TestOnlyANewJobIsEverRegistered reads the source of the program: only nomadfleet has
// Nomad's client (a lint holds that), and it has one call that registers a job, which fails
// if the job exists. So no claimed session's job can be registered again.
func TestOnlyANewJobIsEverRegistered(t *testing.T) {
	calls := 0
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		must(err)
		ast.Inspect(file, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Value == `"/v1/jobs"` {
				t.Errorf("%s: a call past the client", files.Position(text.Pos()))
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !registering[method.Sel.Name] {
				return true
			}
			if index, ok := call.Args[1].(*ast.BasicLit); method.Sel.Name != "EnforceRegister" || !ok || index.Value != "0" {
				t.Errorf("%s: %s may register an existing job; a claimed session's job must never be registered again", files.Position(call.Pos()), method.Sel.Name)
			}
			calls++
			return true
		})
		return nil
	})
	must(err)
	if calls != 1 {
		t.Errorf("%d calls register a job, want one", calls)
	}
}
