package resources

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// nodeProperty returns a property of nodes as Nomad spells it, such as ${meta.rack}. In a resource
// file that is a reference to a variable: it is taken by its name. "$${meta.rack}" is the same.
func (f *files) nodeProperty(e hcl.Expression, eval *hcl.EvalContext) string {
	if e == nil {
		return ""
	}
	if wrapped, ok := e.(*hclsyntax.TemplateWrapExpr); ok {
		if name := propertyName(wrapped.Wrapped); name != "" {
			return "${" + name + "}"
		}
	}
	var text *string
	f.report(gohcl.DecodeExpression(e, eval, &text))
	if text == nil {
		return ""
	}
	return *text
}

// propertyName returns the name of a reference, such as meta.rack; "" for anything else.
func propertyName(e hclsyntax.Expression) string {
	reference, ok := e.(*hclsyntax.ScopeTraversalExpr)
	if !ok {
		return ""
	}
	var names []string
	for _, step := range reference.Traversal {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			names = append(names, s.Name)
		case hcl.TraverseAttr:
			names = append(names, s.Name)
		default:
			return ""
		}
	}
	return strings.Join(names, ".")
}
