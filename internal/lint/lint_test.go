package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checkout makes a git checkout with the given files.
func checkout(t *testing.T, files map[string]string) *tree {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git := exec.Command("git", "init", "-q")
	git.Dir = dir
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	tr, err := openTree(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

const goMod = "module " + modulePath + "\n\ngo 1.26\n"

func TestTopLevelAndVagueNames(t *testing.T) {
	found := layoutFindings([]string{
		"go.mod", "README.md", ".ci/run", ".gitignore", "cmd/greenroom/main.go",
		"notes.txt", "pkg/a.go", "pkg/b.go", "internal/util/a.go", "internal/util/b.go",
	})
	if len(found) != 3 || !strings.HasPrefix(found[0], "notes.txt: ") || !strings.HasPrefix(found[1], "pkg: ") || !strings.HasPrefix(found[2], "internal/util: ") {
		t.Errorf("want findings about notes.txt, pkg and internal/util, got %q", found)
	}
}

func TestAPackageWithoutACommentIsFound(t *testing.T) {
	tr := checkout(t, map[string]string{
		"go.mod":               goMod,
		"broker/broker.go":     "// Package broker has a comment.\npackage broker\n",
		"scaler/scaler.go":     "package scaler\n",
		"internal/hook/run.go": "package hook\n\n// Run runs.\nfunc Run() {}\n",
	})
	found, err := packageComments(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || !strings.HasPrefix(found[0], "internal/hook: ") || !strings.HasPrefix(found[1], "scaler: ") {
		t.Errorf("want findings about internal/hook and scaler, got %q", found)
	}
}

func TestArrowsAreReadFromSource(t *testing.T) {
	tr := checkout(t, map[string]string{
		"go.mod":                  goMod,
		"scaler/scaler.go":        "// Package scaler is made up.\npackage scaler\n\nimport _ \"" + own("internal/hook") + "\"\n",
		"internal/hook/hook.go":   "// Package hook is made up.\npackage hook\n",
		"internal/hook/x_test.go": "package hook\n\nimport _ \"" + own("scaler/sizing") + "\"\n",
		"scaler/sizing/size.go":   "// Package sizing is made up.\npackage sizing\n",
	})
	found, err := arrows(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || !strings.HasPrefix(found[0], "scaler imports ") {
		t.Errorf("want a finding about scaler, got %q", found)
	}
}

func TestGeneratedFilesThatAreNotCurrentAreFoundAndLeftAlone(t *testing.T) {
	tr := checkout(t, map[string]string{
		"go.mod":            goMod,
		"broker/broker.go":  "// Package broker is made up.\npackage broker\n\n//go:generate cp source.txt current.gen.txt\n//go:generate cp source.txt stale.gen.txt\n//go:generate cp source.txt missing.gen.txt\n",
		"broker/source.txt": "one\ntwo\n", "broker/current.gen.txt": "one\ntwo\n", "broker/stale.gen.txt": "one\n2\n",
	})
	found, err := generated(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || !strings.HasPrefix(found[0], "broker/stale.gen.txt: is not current (line 2 ") || !strings.HasPrefix(found[1], "broker/missing.gen.txt: go generate writes it") {
		t.Errorf("want findings about stale.gen.txt and missing.gen.txt, got %q", found)
	}
	after, err := openTree(t.Context(), tr.dir)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(tr.path("broker/stale.gen.txt")); err != nil || string(b) != "one\n2\n" || !slices.Equal(after.files, tr.files) {
		t.Errorf("the check changed the checkout: stale.gen.txt holds %q (%v), files %v", b, err, after.files)
	}
}

func TestABrokenGeneratorIsReported(t *testing.T) {
	tr := checkout(t, map[string]string{
		"go.mod":           goMod,
		"broker/broker.go": "// Package broker is made up.\npackage broker\n\n//go:generate cp no-such-file x\n",
	})
	if _, err := generated(t.Context(), tr); err == nil || !strings.Contains(err.Error(), "no-such-file") {
		t.Errorf("want the generator's message, got %v", err)
	}
}

func TestShellThatDoesNotParseIsFound(t *testing.T) {
	tr := checkout(t, map[string]string{
		"go.mod":          goMod,
		".ci/run":         "#!/usr/bin/env bash\nif true; then\n",
		"deploy/good.sh":  "echo good\n",
		"deploy/text.txt": "if true; then\n",
	})
	found, err := shellSyntax(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 || !slices.ContainsFunc(found, func(s string) bool { return strings.HasPrefix(s, ".ci/run: line ") }) ||
		slices.ContainsFunc(found, func(s string) bool { return strings.HasPrefix(s, "deploy/") }) {
		t.Errorf("want findings about .ci/run alone, got %q", found)
	}
}

func TestVetAndTidyFindings(t *testing.T) {
	files := map[string]string{
		"go.mod":           goMod + "\nrequire example.org/never/used v1.0.0\n",
		"broker/broker.go": "// Package broker is made up.\npackage broker\n\nimport \"fmt\"\n\n// Say says.\nfunc Say() { fmt.Printf(\"%d\\n\", \"text\") }\n",
	}
	want := []string{"go.mod: -require example.org/never/used v1.0.0", "run: go mod tidy"}
	if found, err := tidy(t.Context(), checkout(t, files)); err != nil || !slices.Equal(found, want) {
		t.Errorf("tidy: want %q, got %q, %v", want, found, err)
	}
	files["go.mod"] = goMod
	tr := checkout(t, files)
	if found, err := tidy(t.Context(), tr); err != nil || len(found) > 0 {
		t.Errorf("tidy: want none, got %q, %v", found, err)
	}
	if found, err := vet(t.Context(), tr); err != nil || len(found) != 1 || !strings.Contains(found[0], "broker.go:7:") {
		t.Errorf("vet: want a finding at line 7, got %q, %v", found, err)
	}
}

func TestEveryStepRunsAndTheResultIsReadable(t *testing.T) {
	var out strings.Builder
	clean := runSteps(t.Context(), &out, &tree{}, []step{
		{"first", "finds", func(context.Context, *tree) ([]string, error) { return []string{"a.go: is wrong"}, nil }},
		{"second", "breaks", func(context.Context, *tree) ([]string, error) { return nil, errors.New("no such tool") }},
		{"third", "is clean", func(_ context.Context, t *tree) ([]string, error) {
			t.notChecked("the far side")
			return nil, nil
		}},
	})
	if clean {
		t.Error("reported as clean")
	}
	for _, want := range []string{"1 to fix", "    a.go: is wrong\n", "could not run", "no such tool", "is clean ... ok (", "    not checked: the far side\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, out.String())
		}
	}
	if !runSteps(t.Context(), &out, &tree{}, nil) {
		t.Error("no steps: want clean")
	}
}
