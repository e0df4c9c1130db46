package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// topLevel lists what the top of the checkout may hold besides dot-files.
var topLevel = []string{
	"cmd", "scaler", "broker", "jobspecs", "internal", "deploy",
	"go.mod", "go.sum", "Makefile", "README.md",
}

// vagueNames are package names that do not describe their content. Such packages
// collect unrelated code.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "shared"}

// layout checks the checkout's directories.
func layout(_ context.Context, t *tree) ([]string, error) {
	return layoutFindings(t.files), nil
}

func layoutFindings(files []string) []string {
	var findings []string
	seen := map[string]bool{}
	for _, f := range files {
		parts := strings.Split(f, "/")
		top := parts[0]
		if !seen[top] && !strings.HasPrefix(top, ".") && !slices.Contains(topLevel, top) {
			findings = append(findings, fmt.Sprintf("%s: the top level holds only %s and dot-files", top, strings.Join(topLevel, ", ")))
		}
		seen[top] = true
		for i, dir := range parts[:len(parts)-1] {
			at := strings.Join(parts[:i+1], "/")
			if slices.Contains(vagueNames, dir) && !seen[at] {
				seen[at] = true
				findings = append(findings, fmt.Sprintf("%s: name it after its content; a package may not be called %s", at, dir))
			}
		}
	}
	return findings
}
