# Everything a user or the CI does, by name. `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

TARGET := $(or $(CARGO_TARGET_DIR),target)
SEAWALL := $(TARGET)/release/seawall
OUT ?= out
DATA ?= data
CAMPAIGN ?= examples/double11/campaign.yaml
REHEARSAL ?= examples/double11/rehearsal.yaml
# Real data for development; the parts that use it say so and pass when it is not there.
export SEAWALL_DATA ?= ../shared/data

# Fixed seeds find what broke; fresh ones find what was never right. A failure prints its seed.
SIM_SEEDS_FIXED ?= 2000
SIM_SEEDS_FRESH ?= 3000
SIM_FRESH_FROM ?= $(shell date +%s%N)
CRASH_ROUNDS ?= 20
CRASH_ROUNDS_MANY ?= 300

# What `make test` is, in this order; .ci/run goes through the same list.
TEST_PARTS := fmt lint unit binaries sim crash-some recipes schema slow browser envoy ofrep toxiproxy realdata

.PHONY: help
help: ## this list
	@echo "make TARGET, where TARGET is one of"
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: setup
setup: ## what `make rehearsal` needs on a fresh Debian 12 (installs packages through apt)
	@tools/setup.sh build

.PHONY: setup-test
setup-test: ## the same for `make test`
	@tools/setup.sh test

.PHONY: build
build: setup ## the release binary
	cargo build --release --locked -p seawall

# The simulator is built with the binary: alone it would choose other features and compile twice.
.PHONY: binaries
binaries: ## the release binary and the simulator
	cargo build --release --locked -p seawall -p sim

.PHONY: rehearsal
rehearsal: build ## the main job: flood the bundled campaign, kill the shop, take its bank away, audit the books
	@mkdir -p $(OUT)
	$(SEAWALL) rehearse $(REHEARSAL) --out $(OUT)

.PHONY: up
up: build ## the shop on http://127.0.0.1:8080, admin listener on 8081, data in ./data (DATA=…)
	$(SEAWALL) up --data $(DATA) --campaign $(CAMPAIGN)

.PHONY: test
test: setup-test $(TEST_PARTS) ## everything: format, lints, unit, integration, simulation, browser

.PHONY: test-parts
test-parts:
	@echo $(TEST_PARTS)

.PHONY: fmt
fmt: ## formatting is as rustfmt wants it
	cargo fmt --all --check

.PHONY: lint
lint: ## clippy, no warning allowed
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: unit
unit: ## unit, integration and tidy tests
	cargo test --workspace --locked --no-fail-fast

.PHONY: sim
sim: binaries ## the simulator on fixed and on fresh seeds
	$(TARGET)/release/sim --from 1 --seeds $(SIM_SEEDS_FIXED)
	$(TARGET)/release/sim --from $(SIM_FRESH_FROM) --seeds $(SIM_SEEDS_FRESH)

# The test drives the release binary; it is built with the others, so nothing compiles twice.
CRASH_TEST := SEAWALL_BIN=$(abspath $(SEAWALL)) cargo test --workspace --locked --test it -- --nocapture crash

.PHONY: crash-some
crash-some: binaries ## SIGKILL the real binary at random moments under load, 20 times
	SEAWALL_CRASH_ROUNDS=$(CRASH_ROUNDS) $(CRASH_TEST)

.PHONY: crash
crash: binaries ## the same, hundreds of times
	SEAWALL_CRASH_ROUNDS=$(CRASH_ROUNDS_MANY) $(CRASH_TEST)

.PHONY: recipes
recipes: binaries ## every curl and wrk recipe of docs/clients.md, run as written
	SEAWALL_BIN=$(abspath $(SEAWALL)) tools/recipes.sh

.PHONY: schema
schema: binaries ## schemathesis against the OpenAPI document, bounded
	SEAWALL_BIN=$(abspath $(SEAWALL)) tools/schema.sh

.PHONY: slow
slow: binaries ## slowhttptest against the door, three ways, while healthy clients are served
	SEAWALL_BIN=$(abspath $(SEAWALL)) tools/slow.sh

.PHONY: browser
browser: binaries ## pages in a real browser
	cd tests/browser && SEAWALL_BIN=$(abspath $(SEAWALL)) npm test --silent

.PHONY: envoy
envoy: binaries ## the real Envoy asks `seawall gateway --rls` about limits, and reads a plan's files
	SEAWALL_BIN=$(abspath $(SEAWALL)) tools/envoy.sh
	SEAWALL_BIN=$(abspath $(SEAWALL)) tools/proxies.sh

.PHONY: ofrep
ofrep: binaries ## the real OpenFeature client asks the door about its flags
	cd tests/ofrep && SEAWALL_BIN=$(abspath $(SEAWALL)) npm test --silent

.PHONY: toxiproxy
toxiproxy: binaries ## the real clients of Toxiproxy drive `seawall faults`
	SEAWALL_BIN=$(abspath $(SEAWALL)) tools/toxiproxy.sh

.PHONY: realdata
realdata: binaries ## a real catalogue imported and a real shop's orders replayed (when the data is there)
	SEAWALL_BIN=$(abspath $(SEAWALL)) tools/realdata.sh

# Property tests stand in for fuzz targets: cargo-fuzz needs a nightly compiler, and this does not.
# All tests of readers have "any_bytes" in their names; `make unit` runs 256 cases of each.
FUZZ_CASES ?= 100000
FUZZ_SECONDS ?= 120
.PHONY: fuzz
fuzz: ## every reader of ours on FUZZ_CASES arbitrary and nearly good inputs, FUZZ_SECONDS a crate at most
	for crate in wire journal host shop gateway rls; do \
	  cargo test --locked --no-run -p $$crate && \
	  { PROPTEST_CASES=$(FUZZ_CASES) timeout $(FUZZ_SECONDS) cargo test --locked -p $$crate any_bytes || [ $$? = 124 ]; } || exit 1; \
	done

.PHONY: knee
knee: ## the search against targets of known capacity, three shapes: within 5 %, each in under five minutes
	SEAWALL_KNEE=full cargo test --workspace --locked --test knee -- --nocapture

SOAK_S ?= 600
.PHONY: soak
soak: binaries ## a load run of SOAK_S seconds whose memory must stay flat
	SOAK_S=$(SOAK_S) SEAWALL_BIN=$(abspath $(SEAWALL)) tools/soak.sh

.PHONY: k6
k6: binaries ## the real k6 as the generator of a search (when it can be installed)
	SEAWALL_BIN=$(abspath $(SEAWALL)) tools/k6.sh

IDLE ?= 100000
.PHONY: idle
idle: binaries ## IDLE idle connections at the door, or as many as the machine allows: memory of each
	SEAWALL_IDLE=$(IDLE) SEAWALL_BIN=$(abspath $(SEAWALL)) \
	  cargo test --workspace --locked --test it -- --nocapture idle_connections_cost

# Examples are the measurements: they print, they are not part of the product.
.PHONY: bench
bench: build ## our own figures, in process, into out/bench/own.txt; over HTTP: bench-peers
	@mkdir -p $(OUT)/bench
	cargo build --release --locked -p sale --example speed
	cargo build --release --locked -p journal --example sync
	cargo build --release --locked -p engine --example durable
	cargo build --release --locked -p store --example catchup
	bench/own.sh $(TARGET)/release $(OUT)/bench | tee $(OUT)/bench/own.txt

.PHONY: bench-peers
bench-peers: ## nginx, haproxy, Redis and PostgreSQL beside us in one run (QUICK=1: two minutes)
	@tools/setup.sh bench
	cargo build --release --locked -p seawall
	SEAWALL_BIN=$(abspath $(SEAWALL)) OUT=$(OUT)/bench bench/peers.sh

.PHONY: bench-gateway
bench-gateway: ## the front door beside nginx, haproxy and Envoy, each with a limit per user (QUICK=1: a minute)
	@tools/setup.sh bench
	cargo build --release --locked -p seawall
	cargo build --release --locked -p gateway --example forward
	SEAWALL_BIN=$(abspath $(SEAWALL)) FORWARD_BIN=$(abspath $(TARGET))/release/examples/forward OUT=$(OUT)/bench bench/gateway.sh

.PHONY: bench-load
bench-load: ## our generator, wrk and k6 against one nginx: do they agree (QUICK=1: less than a minute)
	@tools/setup.sh bench
	cargo build --release --locked -p seawall
	SEAWALL_BIN=$(abspath $(SEAWALL)) OUT=$(OUT)/bench bench/load.sh

.PHONY: deny
deny: ## licences, duplicates, advisories and sources of what we depend on
	@command -v cargo-deny >/dev/null || [ -x $(TARGET)/tools/bin/cargo-deny ] || \
	  cargo install --locked --root $(TARGET)/tools cargo-deny@0.20.2
	PATH="$(abspath $(TARGET))/tools/bin:$$PATH" cargo deny check

.PHONY: clean
clean: ## all that was built and reported; never ./data
	cargo clean
	rm -rf $(OUT) tests/browser/node_modules tests/ofrep/node_modules tests/toxiproxy/node_modules
