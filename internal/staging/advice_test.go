package staging

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
)

// TestEveryConditionHasAdvice reads condition.go, so that a new type is not forgotten.
func TestEveryConditionHasAdvice(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "condition.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		name, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		n++
		if ConditionType(name).Advice() == "" {
			t.Errorf("%s has no advice in advice.go", name)
		}
		return true
	})
	if n != len(advice) || n == 0 {
		t.Errorf("%d types, and advice on %d", n, len(advice))
	}
}
