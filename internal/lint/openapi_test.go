package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheContractsLinterFindsWhatIsWrong runs the real linter on a contract with an
// example that its schema does not allow, a response without an example, and a broken
// reference.
func TestTheContractsLinterFindsWhatIsWrong(t *testing.T) {
	top := filepath.Join("..", "..")
	dir := t.TempDir()
	place := func(name string, text []byte) {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"package.json", "package-lock.json", "redocly.yaml"} {
		b, err := os.ReadFile(filepath.Join(top, contractLinter, name))
		if err != nil {
			t.Fatal(err)
		}
		place(filepath.Join(contractLinter, name), b)
	}
	place(contractFile, []byte(`openapi: 3.0.3
info: {title: t, version: 1.0.0}
servers: [{url: /}]
security: []
paths:
  /v1/things:
    get:
      operationId: listThings
      summary: List things
      responses:
        '200':
          description: Them.
          content:
            application/json:
              schema: {$ref: '#/components/schemas/Thing'}
        4XX: {$ref: '#/components/responses/Nowhere'}
components:
  schemas:
    Thing:
      type: object
      properties:
        size: {type: integer, example: large}
`))
	found, err := contract(t.Context(), &tree{dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(found, "\n")
	for _, want := range []string{"no-invalid-schema-examples", "every-body-has-an-example", "no-unresolved-refs", contractFile + ":"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in:\n%s", want, all)
		}
	}
}

// A warning is a finding, although the linter exits with 0.
func TestAWarningOfTheContractsLinterIsAFinding(t *testing.T) {
	got := contractFindings("validating openapi.yaml...\nopenapi.yaml:\n  12:7  warning  some-rule  Mend this.\n\nvalidated in 3ms\n")
	if len(got) != 1 || got[0] != contractFile+":12:7: Mend this. (some-rule)" {
		t.Errorf("got %q", got)
	}
}
