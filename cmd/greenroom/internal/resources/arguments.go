package resources

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

var (
	missingArgument = regexp.MustCompile(`^The argument "([^"]+)" is required`)
	unknownArgument = regexp.MustCompile(`^An argument named "([^"]+)" is not expected here\.`)
)

// argumentOf returns the path of the argument or block in a resource's block that a diagnostic
// of its decoding is about, such as exec_config.assign.cmd, and what is wrong with it, to be
// read after the path.
func argumentOf(block *hcl.Block, d *hcl.Diagnostic) (path, text string) {
	detail := strings.ReplaceAll(d.Detail, "\n", " ")
	within := pathAt(block, d.Subject.Start)
	if m := missingArgument.FindStringSubmatch(detail); m != nil {
		return joinPath(within, m[1]), "must be given"
	}
	if m := unknownArgument.FindStringSubmatch(detail); m != nil {
		return joinPath(strings.TrimSuffix(strings.TrimSuffix(within, m[1]), "."), m[1]), "is no argument here." + strings.TrimPrefix(detail, m[0])
	}
	if value, ok := strings.CutPrefix(detail, "Unsuitable value: "); ok {
		if strings.HasPrefix(value, "value must be a whole number") {
			return within, "must be a whole number" // the library adds the bounds of its own type
		}
		return within, "cannot be used: " + strings.TrimSuffix(value, ".")
	}
	return within, "is not valid: " + strings.TrimSpace(d.Summary+": "+detail)
}

// repeated are the blocks of which a resource has a list.
var repeated = map[string]bool{"schedule": true, "volume_mapping": true}

// pathAt returns the path of the innermost argument or block that a position is in; "" for the
// resource's block itself.
func pathAt(block *hcl.Block, pos hcl.Pos) string {
	body, ok := block.Body.(*hclsyntax.Body)
	path := ""
	for ok {
		for name, a := range body.Attributes {
			if a.SrcRange.ContainsPos(pos) {
				return joinPath(path, name)
			}
		}
		var inner *hclsyntax.Block
		nth := map[string]int{}
		for _, b := range body.Blocks {
			if hcl.RangeBetween(b.TypeRange, b.CloseBraceRange).ContainsPos(pos) {
				inner = b
				break
			}
			nth[b.Type]++
		}
		if inner == nil {
			return path
		}
		name := inner.Type
		if repeated[name] {
			name = fmt.Sprintf("%s[%d]", name, nth[name])
		}
		path, body = joinPath(path, name), inner.Body
	}
	return path
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
