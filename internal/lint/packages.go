package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// modulePath is the prefix of our own packages.
const modulePath = "github.com/greenroom/greenroom"

// goPackage is what `go list` prints about one of our packages.
type goPackage struct {
	ImportPath string
	// Doc is the first sentence of the package comment, or "".
	Doc string
	// Imports are the imports of the files without tests, TestImports those of the
	// tests in the package, XTestImports those of the tests in package x_test.
	Imports, TestImports, XTestImports []string
	// Standard is true for packages of the standard library.
	Standard bool
	Error    *struct{ Err string }
}

// path returns the package's directory in the checkout, such as "broker/httpapi".
func (p goPackage) path() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, modulePath), "/")
}

// listPackages returns every package of this module.
func listPackages(ctx context.Context, dir string) ([]goPackage, error) {
	out, err := output(ctx, dir, "go", "list", "-e", "-json=ImportPath,Doc,Imports,TestImports,XTestImports,Standard,Error", "./...")
	if err != nil {
		return nil, err
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("read what go list printed: %w", err)
		}
		if p.Error != nil {
			return nil, fmt.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		}
		all = append(all, p)
	}
}

// packageComments checks that every package has a package comment.
func packageComments(ctx context.Context, t *tree) ([]string, error) {
	all, err := listPackages(ctx, t.dir)
	if err != nil {
		return nil, err
	}
	return commentFindings(all), nil
}

func commentFindings(all []goPackage) []string {
	var findings []string
	for _, p := range all {
		if p.Doc == "" {
			findings = append(findings, p.path()+": has no package comment; write one that describes what the package promises")
		}
	}
	return findings
}

// arrows checks every package's imports.
func arrows(ctx context.Context, t *tree) ([]string, error) {
	all, err := listPackages(ctx, t.dir)
	if err != nil {
		return nil, err
	}
	return arrowFindings(all), nil
}
