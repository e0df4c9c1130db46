# greenroom: `make dev` runs everything on this machine, `make test` runs every test.

# Arguments for `make dev`, for example: make dev ARGS="--driver mock --desired 20"
ARGS ?=
# Packages for `make test`.
PACKAGES ?= ./...
# Duration of `make torture`, the seed of an earlier run to replay its faults, and the
# faults to choose from, with commas between; all if empty.
TIME ?= 10m
SEED ?=
FAULTS ?=

# Packages with measurements for `make bench`, and the tests to run in them.
BENCHES ?= ./cmd/greenroom/internal/e2e ./scaler
ROWS ?= ^TestMeasure
# Number of runs; each figure is their median.
RUNS ?= 5

# Where the demand series for `make bench-sizing` are: NAME.csv, with lines of time,count.
DEMAND ?=

# Where build and sbom write.
BIN ?= bin

# What `greenroom version` prints: the newest tag, the commits since, and "-dirty" for changes.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)

.PHONY: help setup dev test torture bench bench-sizing lint build sbom generate clean

help: ## Show this help
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Install and build what dev and test need (as root on Debian; otherwise names what is missing)
	@go run -buildvcs=false ./internal/devcluster/setup

dev: setup build ## Run Nomad, Consul, Redis, a scaler and a broker here, with two zones of demo sessions
	@bin/greenroom dev $(ARGS)

# The tests write their measurements to a file, which is printed at the end, because go
# test hides the output of passing tests.
test: setup build ## Run every test, against real servers, and print what was measured
	@rm -f bin/measured
	GREENROOM_MEASURED=$(CURDIR)/bin/measured go test -count=1 -p 2 -timeout 60m $(PACKAGES)
	@if [ -f bin/measured ]; then echo "measured:"; cat bin/measured; fi

torture: setup build ## Break everything at random for 10 minutes (TIME=, SEED= to replay) and check that no user got another's session
	GREENROOM_TORTURE=$(TIME) GREENROOM_SEED=$(SEED) GREENROOM_FAULTS="$(FAULTS)" go test -count=1 -v -timeout 60m -run '^TestTorture$$' ./cmd/greenroom/internal/e2e

# If a measurement fails, the table still shows the ones before it.
bench: setup build ## Measure every figure against its limit, and print which targets are met
	@rm -rf bin/bench && mkdir -p bin/bench
	@GREENROOM_BENCH=$(CURDIR)/bin/bench GREENROOM_BENCH_RUNS=$(RUNS) go test -count=1 -p 1 -v -timeout 120m -run '$(ROWS)' $(BENCHES); status=$$?; \
	go run -buildvcs=false ./internal/benchreport/table bin/bench && exit $$status

bench-sizing: ## Print what sizing by demand reaches on the demand series in DEMAND=DIRECTORY, beside its targets
	@go run -buildvcs=false ./scaler/sizing/simulate/table "$(DEMAND)"

lint: ## Check formatting, vet, static analysis, the packages' imports, generated code and the API's contract
	@go run -buildvcs=false ./internal/devcluster/setup lint
	@go run -buildvcs=false ./internal/lint

# Link statically, because the demo session's image has no libraries.
build: ## Build bin/greenroom and bin/demo-session
	CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags '-X github.com/greenroom/greenroom/cmd/greenroom/internal/cli.version=$(VERSION)' -o $(BIN)/ ./cmd/...

# Read from the binary, so that it has what was linked, and the same binary gives the same bytes.
sbom: build ## Write the CycloneDX bill of materials of bin/greenroom to bin/greenroom.cdx.json
	go tool -modfile=internal/lint/tools.mod cyclonedx-gomod bin -json -std -noserial -notimestamp -output $(BIN)/greenroom.cdx.json $(BIN)/greenroom

generate: ## Regenerate the generated code
	go generate ./...

clean: ## Remove what build made
	rm -rf bin
