package main

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
)

// client is noVNC's module that the page imports.
const client = "core/rfb.js"

// imported finds the modules that a module imports, by their paths relative to it.
var imported = regexp.MustCompile(`(?m)^\s*(?:import|export)\s(?:[^'";]*\sfrom\s)?\s*['"](\.[^'"]+)['"]`)

// modules returns the paths of every module that noVNC's client is made of, itself first. The
// page names them all, so that a browser loads them at once: otherwise it would find each only in
// another one, a round trip to a far session at a time.
func modules(noVNC fs.FS) ([]string, error) {
	found := []string{client}
	for i := 0; i < len(found); i++ {
		content, err := fs.ReadFile(noVNC, found[i])
		if err != nil {
			return nil, fmt.Errorf("noVNC is not whole: %w", err)
		}
		for _, m := range imported.FindAllSubmatch(content, -1) {
			if at := path.Join(path.Dir(found[i]), string(m[1])); !slices.Contains(found, at) {
				found = append(found, at)
			}
		}
	}
	return found, nil
}
