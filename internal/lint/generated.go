package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// generatedMark is the line that marks a Go file as written by a program:
// https://go.dev/s/generatedcode
var generatedMark = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// handWritten reports whether a Go file has no mark of generated code.
func handWritten(t *tree, file string) (bool, error) {
	b, err := os.ReadFile(t.path(file))
	if err != nil {
		return false, err
	}
	return !generatedMark.Match(b), nil
}

// generated runs `go generate` in a copy of the checkout and returns a finding for
// every file that changes. It uses a copy so that the checkout stays as it is, even
// if a generator fails halfway.
func generated(ctx context.Context, t *tree) ([]string, error) {
	dir, err := os.MkdirTemp("", "greenroom-lint-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := t.copyTo(dir); err != nil {
		return nil, fmt.Errorf("copy the checkout: %w", err)
	}
	if _, err := output(ctx, dir, "go", "generate", "./..."); err != nil {
		return nil, err
	}
	return t.differences(dir)
}

// copyTo copies every file of the tree to dir.
func (t *tree) copyTo(dir string) error {
	for _, f := range t.files {
		b, err := os.ReadFile(t.path(f))
		if err != nil {
			return err
		}
		info, err := os.Stat(t.path(f))
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(f))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, b, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// differences returns a finding for every file that differs between the tree and dir.
func (t *tree) differences(dir string) ([]string, error) {
	var findings []string
	for _, f := range t.files {
		was, err := os.ReadFile(t.path(f))
		if err != nil {
			return nil, err
		}
		is, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			findings = append(findings, f+": go generate removes it; run: make generate")
		case err != nil:
			return nil, err
		case !bytes.Equal(was, is):
			findings = append(findings, fmt.Sprintf("%s: is not current (line %d is the first to differ); run: make generate", f, firstDifference(was, is)))
		}
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if f := filepath.ToSlash(rel); !slices.Contains(t.files, f) {
			findings = append(findings, f+": go generate writes it, but it is not in the checkout; run: make generate")
		}
		return nil
	})
	return findings, err
}

// firstDifference returns the number, from 1, of the first line that differs
// between a and b.
func firstDifference(a, b []byte) int {
	la, lb := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range min(len(la), len(lb)) {
		if la[i] != lb[i] {
			return i + 1
		}
	}
	return min(len(la), len(lb)) + 1
}
