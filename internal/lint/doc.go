// Command lint checks that the repository follows its own rules. `make lint` runs
// it from the top of the checkout:
//
//	go run ./internal/lint
//
// It changes nothing in the checkout, runs every step even if an earlier one has
// findings, and exits with 1 if any step has a finding or fails. It says what it
// could not check, such as vulnerabilities without a database. main.go lists the
// steps and their rules.
//
// tools.mod, beside this file, pins the tools that it and the Makefile call. It is separate from
// the program's go.mod, so that a linter's dependencies never become the
// program's. To upgrade a tool:
//
//	go get -tool -modfile=internal/lint/tools.mod mvdan.cc/gofumpt@latest
package main
