package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
)

// maxMethods is how many methods an interface may declare. A consumer, and every fake of
// the interface, has to know all of them.
const maxMethods = 12

// interfaces checks the size of every interface in hand-written Go files without tests.
func interfaces(_ context.Context, t *tree) ([]string, error) {
	var findings []string
	for _, f := range t.files {
		if !strings.HasSuffix(f, ".go") || strings.HasSuffix(f, "_test.go") {
			continue
		}
		source, err := os.ReadFile(t.path(f))
		if err != nil {
			return nil, err
		}
		if generatedMark.Match(source) {
			continue
		}
		found, err := interfaceFindings(f, source)
		if err != nil {
			return nil, err
		}
		findings = append(findings, found...)
	}
	return findings, nil
}

// interfaceFindings returns a finding for every interface in a Go file that declares more
// than maxMethods methods. Embedded interfaces do not count: each is checked where it is
// declared, and consumers can use it alone.
func interfaceFindings(file string, source []byte) ([]string, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var findings []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		declared, ok := spec.Type.(*ast.InterfaceType)
		if !ok {
			return true
		}
		methods := 0
		for _, m := range declared.Methods.List {
			methods += len(m.Names)
		}
		if methods > maxMethods {
			findings = append(findings, fmt.Sprintf("%s: interface %s has %d methods; split it for its consumers, at most %d each", file, spec.Name.Name, methods, maxMethods))
		}
		return true
	})
	return findings, nil
}
