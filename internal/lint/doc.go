// Command lint holds the repository to its own rules. `make lint` runs it from
// the top of the checkout:
//
//	go run ./internal/lint
//
// It promises to change nothing in the checkout, to run every step even after
// one has found something, and to exit 1 when any step has a finding or cannot
// be carried out. The steps and what each demands are listed in main.go.
//
// The tools that it calls are pinned in tools.mod, beside this file and outside
// the program's own go.mod, so that a linter's dependencies never become the
// program's. To raise one:
//
//	go get -tool -modfile=internal/lint/tools.mod mvdan.cc/gofumpt@latest
package main
