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
BENCHES ?= ./cmd/greenroom/internal/e2e ./scaler ./broker/gateway
ROWS ?= ^TestMeasure
# Number of runs; each figure is their median.
RUNS ?= 5
# The tests of `make bench-quick`, which measure what an operator waits for.
QUICK ?= Measure(HooksInDocker|ClaimsAgainstTheFloor|ManyClaims|MoreLaunchesThanReady)$$

# Where the demand series for `make bench-sizing` are: NAME.csv, with lines of time,count.
DEMAND ?=

# Where build and sbom write.
BIN ?= bin
# The name of the image.
IMAGE ?= greenroom:local

# What `greenroom version` prints: the newest tag, the commits since, and "-dirty" for changes.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)

# The commit that it was built from, and when that was committed: not the time of the build, so
# that the same commit gives the same bytes.
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)
DATE ?= $(shell TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null)
BUILD := github.com/greenroom/greenroom/internal/buildinfo

.PHONY: help setup dev desktop test deploy-test torture bench bench-quick bench-sizing lint build image sbom generate clean

help: ## Show this help
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Install and build what dev and test need (as root on Debian; otherwise names what is missing)
	@go run -buildvcs=false ./internal/devcluster/setup

dev: setup build ## Run Nomad, Consul, Redis, a scaler and a broker here, with two zones of demo sessions
	@bin/greenroom dev $(ARGS)

desktop: setup ## Build the Docker image of jobspecs/desktop, without a registry, and print its name
	@jobspecs/desktop/build

# The tests write their measurements to a file, which is printed at the end. gotestsum prints
# what failed at once, with its output, instead of when its package has ended. Of some two
# thousand tests on real servers a machine's hiccup breaks one now and then: up to six that
# failed run once more, alone, and those that pass then are named. They are defects, of a
# test or of greenroom, and the output of the failure is there to mend them by.
GOTESTSUM := go tool -modfile=internal/lint/tools.mod gotestsum
test: setup build ## Run every test, against real servers, and print what was measured and the slowest
	@rm -f bin/measured bin/tests.json bin/repeated
	@GREENROOM_MEASURED=$(CURDIR)/bin/measured $(GOTESTSUM) --format pkgname-and-test-fails --format-icons text --hide-summary output,skipped \
		--rerun-fails=1 --rerun-fails-max-failures=6 --rerun-fails-report bin/repeated --packages "$(PACKAGES)" \
		--jsonfile bin/tests.json -- -count=1 -p 2 -timeout 75m; status=$$?; \
	if [ -s bin/repeated ]; then echo "failed and ran once more:"; cat bin/repeated; fi; \
	if [ -f bin/measured ]; then echo "measured:"; cat bin/measured; fi; \
	echo "the twenty slowest tests:"; $(GOTESTSUM) tool slowest --num 20 --jsonfile bin/tests.json; exit $$status

deploy-test: ## Run the tests of a production cluster: identities, failover, regions, upgrades, packages
	@$(MAKE) --no-print-directory test PACKAGES=./deploy/...

torture: setup build ## Break everything at random for 10 minutes (TIME=, SEED= to replay) and check that no user got another's session
	GREENROOM_TORTURE=$(TIME) GREENROOM_SEED=$(SEED) GREENROOM_FAULTS="$(FAULTS)" go test -count=1 -v -timeout 60m -run '^TestTorture$$' ./cmd/greenroom/internal/e2e

# If a measurement fails, the table still shows the ones before it.
bench: setup build ## Measure every figure against its limit, and print which targets are met
	@rm -rf bin/bench && mkdir -p bin/bench
	@GREENROOM_BENCH=$(CURDIR)/bin/bench GREENROOM_BENCH_RUNS=$(RUNS) go test -count=1 -p 1 -v -timeout 120m -run '$(ROWS)' $(BENCHES); status=$$?; \
	go run -buildvcs=false ./internal/benchreport/table bin/bench && exit $$status

bench-quick: setup build ## Measure what an operator waits for, in short rows, and say what that leaves out
	@rm -rf bin/bench-quick && mkdir -p bin/bench-quick
	@GREENROOM_BENCH=$(CURDIR)/bin/bench-quick GREENROOM_BENCH_QUICK=1 go test -count=1 -v -timeout 60m -run '^Test$(QUICK)' ./cmd/greenroom/internal/e2e; status=$$?; \
	go run -buildvcs=false ./internal/benchreport/table bin/bench-quick && \
	echo "one run of short rows. Left out, for make bench to measure: claims without the fence, and" && \
	grep -hoE 'func TestMeasure[A-Za-z]+' $(addsuffix /*_test.go,$(BENCHES)) | grep -vE '$(QUICK)' | sed 's/func TestMeasure/  /' && exit $$status

bench-sizing: ## Print what sizing by demand reaches on the demand series in DEMAND=DIRECTORY, beside its targets
	@go run -buildvcs=false ./scaler/sizing/simulate/table "$(DEMAND)"

lint: ## Check formatting, vet, static analysis, the packages' imports, generated code and the API's contract
	@go run -buildvcs=false ./internal/devcluster/setup lint
	@go run -buildvcs=false ./internal/lint

# Static, because a container or a session may have no libraries; without what only debuggers
# read, and without Gin's MessagePack, which is 6 MB that nothing here speaks. The same source gives
# the same bytes, wherever it lies.
build: ## Build bin/greenroom, bin/demo-session and bin/desktop-bridge
	CGO_ENABLED=0 go build -buildvcs=false -trimpath -tags nomsgpack -ldflags '-s -w -X $(BUILD).version=$(VERSION) -X $(BUILD).commit=$(COMMIT) -X $(BUILD).date=$(DATE)' -o $(BIN)/ ./cmd/...

image: build ## Build the container image greenroom:local (IMAGE= for another name), without a registry
	@IMAGE="$(IMAGE)" deploy/image/build $(BIN)/greenroom

# Read from the binary, so that it has what was linked, and the same binary gives the same bytes.
sbom: build ## Write the CycloneDX bill of materials of bin/greenroom to bin/greenroom.cdx.json
	go tool -modfile=internal/lint/tools.mod cyclonedx-gomod bin -json -std -noserial -notimestamp -output $(BIN)/greenroom.cdx.json $(BIN)/greenroom

generate: ## Regenerate the generated code
	go generate ./...

clean: ## Remove what build made
	rm -rf bin
