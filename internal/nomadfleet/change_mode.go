package nomadfleet

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	nomadapi "github.com/hashicorp/nomad/api"
)

// unsetChangeModes clears the change_mode of each template and vault block that does not
// name one. Nomad's parser fills in its default there, "restart" (1.10.5, whether or not it
// is asked to add defaults), so only the jobspec's text says what its author wants. Where
// the template blocks of the text cannot be matched with the parsed ones, because a dynamic
// block makes them, a "restart" counts as the default.
func unsetChangeModes(job *nomadapi.Job, jobspec string) {
	named := namedChangeModes(jobspec)
	unset := func(mode **string, named bool) {
		if *mode != nil && **mode == changeModeRestart && !named {
			*mode = nil
		}
	}
	for _, g := range job.TaskGroups {
		for _, t := range g.Tasks {
			names := named[t.Name]
			known := len(names.templates) == len(t.Templates)
			for i, template := range t.Templates {
				unset(&template.ChangeMode, known && names.templates[i])
			}
			if t.Vault != nil {
				unset(&t.Vault.ChangeMode, names.vault)
			}
		}
	}
}

// changeModes says which blocks of a task name a change_mode: its template blocks in their
// order, and the vault block that applies to it.
type changeModes struct {
	templates []bool
	vault     bool
}

// namedChangeModes returns the named change modes of each task of a jobspec.
func namedChangeModes(jobspec string) map[string]changeModes {
	named := map[string]changeModes{}
	file, diagnostics := hclsyntax.ParseConfig([]byte(jobspec), "", hcl.InitialPos)
	if diagnostics.HasErrors() {
		return named
	}
	names := func(block *hclsyntax.Block) bool {
		_, ok := block.Body.Attributes["change_mode"]
		return ok
	}
	// vault is whether the vault block that surrounds body names a change_mode: a job's or a
	// group's applies to all tasks without one.
	var walk func(body *hclsyntax.Body, vault bool)
	walk = func(body *hclsyntax.Body, vault bool) {
		for _, block := range body.Blocks {
			if block.Type == "vault" {
				vault = names(block)
			}
		}
		for _, block := range body.Blocks {
			if block.Type != "task" || len(block.Labels) != 1 {
				walk(block.Body, vault)
				continue
			}
			task := changeModes{vault: vault}
			for _, inside := range block.Body.Blocks {
				switch inside.Type {
				case "template":
					task.templates = append(task.templates, names(inside))
				case "vault":
					task.vault = names(inside)
				}
			}
			named[block.Labels[0]] = task
		}
	}
	if body, ok := file.Body.(*hclsyntax.Body); ok {
		walk(body, false)
	}
	return named
}
