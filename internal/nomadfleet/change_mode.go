package nomadfleet

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	nomadapi "github.com/hashicorp/nomad/api"
)

// unsetChangeModes clears the change_mode of each template block that does not name one.
// Nomad's parser fills in its default there, "restart" (measured on 1.10.5, whether or not it
// is asked to add defaults), so only the jobspec's text says what its author wants. Where the
// blocks of the text cannot be matched with the parsed ones, because a dynamic block makes
// them, a "restart" counts as the default.
func unsetChangeModes(job *nomadapi.Job, jobspec string) {
	named := namedChangeModes(jobspec)
	for _, g := range job.TaskGroups {
		for _, t := range g.Tasks {
			names := named[t.Name]
			for i, template := range t.Templates {
				known := len(names) == len(t.Templates)
				if template.ChangeMode != nil && *template.ChangeMode == changeModeRestart && !(known && names[i]) {
					template.ChangeMode = nil
				}
			}
		}
	}
}

// namedChangeModes returns for each task of a jobspec whether its template blocks, in their
// order, name a change_mode.
func namedChangeModes(jobspec string) map[string][]bool {
	named := map[string][]bool{}
	file, diagnostics := hclsyntax.ParseConfig([]byte(jobspec), "", hcl.InitialPos)
	if diagnostics.HasErrors() {
		return named
	}
	var walk func(body *hclsyntax.Body, task string)
	walk = func(body *hclsyntax.Body, task string) {
		for _, block := range body.Blocks {
			inside := task
			switch {
			case block.Type == "task" && len(block.Labels) == 1:
				inside = block.Labels[0]
			case block.Type == "template" && task != "":
				_, names := block.Body.Attributes["change_mode"]
				named[task] = append(named[task], names)
			}
			walk(block.Body, inside)
		}
	}
	if body, ok := file.Body.(*hclsyntax.Body); ok {
		walk(body, "")
	}
	return named
}
