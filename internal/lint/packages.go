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

// goPackage is what the go command says of one of our packages.
type goPackage struct {
	ImportPath string
	// Doc is the package comment's first sentence; "" where there is none.
	Doc string
	// Imports are those of the files that are built, the other two those of the
	// tests inside and outside of the package.
	Imports, TestImports, XTestImports []string
	// Standard is true of the standard library's.
	Standard bool
	Error    *struct{ Err string }
}

// path is the package's place in the checkout, "broker/httpapi".
func (p goPackage) path() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, modulePath), "/")
}

// listPackages lists every package of ours.
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
			findings = append(findings, p.path()+": has no package comment; say in one what it promises")
		}
	}
	return findings
}

func arrows(ctx context.Context, t *tree) ([]string, error) {
	all, err := listPackages(ctx, t.dir)
	if err != nil {
		return nil, err
	}
	return arrowFindings(all), nil
}
