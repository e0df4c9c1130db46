// Command generate writes the Nomad Pack of this directory from the job files in ../nomad, so
// that a setting is written once: `go generate ./deploy` runs it.
//
// A template of the pack is a job file in which the default of each variable is the pack's
// variable of that name. What is rendered is thus a job file again, with its checks of values.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// agents are the job files of the pack, in the order in which variables are first described.
var agents = []string{"broker", "scaler", "gateway"}

// own are the variables whose values differ from agent to agent. The pack has one for each,
// with the agent's name before it.
var own = []string{"count", "port", "cpu", "memory"}

// when is the condition under which the pack runs an agent's job; none means always.
var when = map[string]string{
	// A gateway without an address, by which browsers reach it, does not start.
	"gateway": `or (var "gateway_url" .) (var "gateway_domain" .)`,
}

func main() {
	if err := generate("nomad", filepath.Join("pack", "greenroom")); err != nil {
		fmt.Fprintln(os.Stderr, "generate the pack:", err)
		os.Exit(1)
	}
}

// generate reads the job files in jobs and writes the templates and variables of the pack.
func generate(jobs, pack string) error {
	variables := hclwrite.NewEmptyFile()
	variables.Body().AppendUnstructuredTokens(comment("# Code generated from ../../nomad by go generate; DO NOT EDIT.\n"))
	known := map[string]bool{}
	for _, agent := range agents {
		path := filepath.Join(jobs, "greenroom-"+agent+".nomad.hcl")
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.Contains(source, []byte("[[")) || bytes.Contains(source, []byte("]]")) {
			return fmt.Errorf("%s has [[ or ]], with which the pack's templates begin and end their expressions", path)
		}
		job, diagnostics := hclwrite.ParseConfig(source, path, hcl.InitialPos)
		if diagnostics.HasErrors() {
			return diagnostics
		}
		for _, block := range job.Body().Blocks() {
			if block.Type() != "variable" {
				continue
			}
			name := block.Labels()[0]
			if slices.Contains(own, name) {
				name = agent + "_" + name
			}
			if !known[name] {
				known[name] = true
				describe(variables.Body(), name, block.Body())
			}
			block.Body().SetAttributeRaw("default", raw(fmt.Sprintf(`[[ var %q . | toJson ]]`, name)))
		}
		text := fmt.Sprintf("[[- /* Code generated from %s by go generate; DO NOT EDIT. */ -]]\n%s", filepath.ToSlash(filepath.Join("..", "..", "..", path)), job.Bytes())
		if condition := when[agent]; condition != "" {
			text = fmt.Sprintf("[[- if %s -]]\n%s[[- end -]]\n", condition, text)
		}
		if err := os.WriteFile(filepath.Join(pack, "templates", "greenroom-"+agent+".nomad.tpl"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(pack, "variables.hcl"), hclwrite.Format(variables.Bytes()), 0o644)
}

// describe adds a variable to the pack as a job file has it. Checks of its value stay in the job.
func describe(pack *hclwrite.Body, name string, of *hclwrite.Body) {
	pack.AppendNewline()
	block := pack.AppendNewBlock("variable", []string{name}).Body()
	for _, argument := range []string{"description", "type", "default"} {
		if a := of.GetAttribute(argument); a != nil {
			block.SetAttributeRaw(argument, a.Expr().BuildTokens(nil))
		}
	}
}

func raw(text string) hclwrite.Tokens {
	return hclwrite.Tokens{{Type: hclsyntax.TokenIdent, Bytes: []byte(text)}}
}

func comment(text string) hclwrite.Tokens {
	return hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte(strings.TrimLeft(text, "\n"))}}
}
