# greenroom: `make dev` runs it all on this machine, `make test` tests it all.

# Arguments for `make dev`, for example: make dev ARGS="--driver mock --desired 20"
ARGS ?=
# Packages for `make test`.
PACKAGES ?= ./...
# How long `make torture` goes on, and the seed of an earlier run to replay its faults.
TIME ?= 10m
SEED ?=

# Packages with measurements for `make bench`, and which of them to take.
BENCHES ?= ./cmd/greenroom/internal/e2e ./scaler
ROWS ?= ^TestMeasure
# How many runs each figure is the median of.
RUNS ?= 5

.PHONY: help setup dev test torture bench lint build generate clean

help: ## Show this help
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## Install and build what dev and test need (as root on Debian; else says what is missing)
	@go run -buildvcs=false ./internal/devcluster/setup

dev: setup build ## Run Nomad, Consul, Redis, a scaler and a broker here, with two zones of demo sessions
	@bin/greenroom dev $(ARGS)

# What the tests measured is printed at the end: go test hides what passing tests print.
test: setup build ## Run every test, against real servers, and print what was measured
	@rm -f bin/measured
	GREENROOM_MEASURED=$(CURDIR)/bin/measured go test -count=1 -p 2 -timeout 40m $(PACKAGES)
	@if [ -f bin/measured ]; then echo "measured:"; cat bin/measured; fi

torture: setup build ## Break everything at random for 10 minutes (TIME=, SEED= to replay) and check that nobody got another's session
	GREENROOM_TORTURE=$(TIME) GREENROOM_SEED=$(SEED) go test -count=1 -v -timeout 60m -run '^TestTorture$$' ./cmd/greenroom/internal/e2e

# The table is printed also of what was measured before something failed.
bench: setup build ## Measure every figure against its limit, and print a table with targets and verdicts
	@rm -rf bin/bench && mkdir -p bin/bench
	@GREENROOM_BENCH=$(CURDIR)/bin/bench GREENROOM_BENCH_RUNS=$(RUNS) go test -count=1 -p 1 -v -timeout 120m -run '$(ROWS)' $(BENCHES); status=$$?; \
	go run -buildvcs=false ./internal/benchreport/table bin/bench && exit $$status

lint: ## Check formatting, vet, static analysis, the packages' arrows, generated code and the API's contract
	@go run -buildvcs=false ./internal/devcluster/setup lint
	@go run -buildvcs=false ./internal/lint

# Static programs: the demo session's image holds no library.
build: ## Build bin/greenroom and bin/demo-session
	CGO_ENABLED=0 go build -buildvcs=false -trimpath -o bin/ ./cmd/...

generate: ## Write the generated code anew
	go generate ./...

clean: ## Remove what build made
	rm -rf bin
