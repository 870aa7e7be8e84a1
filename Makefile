# Every task of this repository. `make` alone lists them. Each target installs its prerequisites (hack/need), or names what is
# missing.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.SHELLFLAGS := -eu -c
MAKEFLAGS += --no-print-directory

XTASK := cargo run --quiet --locked -p xtask --
# Tests of one package too: with -p, cargo would choose fewer features of the dependencies, and compile them all again.
TEST := cargo test --locked --workspace

DENY_VERSION := 0.20.2
CACHE := $(CURDIR)/.cache
DENY := $(CACHE)/cargo-deny-$(DENY_VERSION)/bin/cargo-deny
MUTANTS_VERSION := 27.1.0
MUTANTS := $(CACHE)/cargo-mutants-$(MUTANTS_VERSION)/bin/cargo-mutants
ACTIONLINT_VERSION := 1.7.7
ACTIONLINT := $(CACHE)/actionlint-$(ACTIONLINT_VERSION)/actionlint

# Tests in parallel, where they mostly wait: for processes, and for times to end.
WAITING ?= 8

# Seeds of one simulation run, from seed 0. CHATD_SIM_SEED=<n> repeats the seed that a failure printed, with its trace.
SEEDS ?= 1000
LONG_SEEDS ?= 100000
FUZZ_SECONDS ?= 15
SOAK_MINUTES ?= 30
SOAK_ARGUMENTS ?=
BENCH_ARGUMENTS ?=
TO ?= chatd
IMAGES ?=

# A tool from crates.io, into .cache/<tool>-<version>. Unoptimized: it runs for seconds, and an optimized build of it takes minutes.
define install_tool
	@echo "==> $(1) $(2) into .cache (once)"
	@CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=64 \
		CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=true \
		cargo install --locked --quiet "$(1)@$(2)" --root "$(CACHE)/$(1)-$(2)" --target-dir "$(CACHE)/build"
	@rm -rf "$(CACHE)/build"
endef

.PHONY: help
help: ## list the targets
	@echo "make <target>:"
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1	\2/p' $(MAKEFILE_LIST) | while IFS='	' read -r target text; do \
		printf '  %-12s %s\n' "$$target" "$$text"; done

.PHONY: build
build: ## build the optimized binaries target/release/chatd and http-demo
	@hack/need rust cc
	@echo "==> building chatd and http-demo (release)"
	@cargo build --locked --release

.PHONY: demo
demo: ## run Redis and three chatd processes on this machine, until Ctrl-C
	@hack/need rust cc redis nc
	@hack/demo

.PHONY: up
up: ## create a Kubernetes cluster: CLUSTER=current|builtin|kind|k3d|minikube NODES=2
	@hack/need rust cc
	@$(XTASK) up

.PHONY: down
down: ## remove the cluster that up created
	@hack/need rust cc
	@$(XTASK) down

.PHONY: kubectl
kubectl: ## run kubectl on that cluster: make -s kubectl ARGS="get pods -A"
	@$(XTASK) kubectl -- $(ARGS)

.PHONY: env
env: ## print a shell's variables for that cluster: eval "$$(make -s env)"
	@$(XTASK) env

.PHONY: images
images: ## build our images and those of the databases into .cache/images: IMAGES="chatd redis"
	@hack/need rust cc images
	@$(XTASK) images $(IMAGES)

.PHONY: build-arm64
build-arm64: ## our programs and images for arm64, from any machine, and a chat in qemu: the first time 10 minutes
	@hack/arm64

.PHONY: databases
databases: ## install Redis and Postgres in that cluster
	@hack/need rust cc images
	@$(XTASK) databases

.PHONY: tcp-demo
tcp-demo: ## run the operator and three chat pods in a cluster (created if missing), ports 7654 and 8081, until Ctrl-C
	@hack/need rust cc images
	@$(XTASK) tcp-demo

.PHONY: http-demo
http-demo: ## run the HTTP demo of Redis and Postgres in a cluster (created if missing), port 8080, until Ctrl-C
	@hack/need rust cc images
	@$(XTASK) http-demo

.PHONY: forward
forward: ## forward the ports of a running demo: TO=chatd or TO=http-demo
	@$(XTASK) forward $(TO)

.PHONY: check
check: ## run before each commit: formatting, clippy, unit and hub tests, 100 seeds of the simulation; a minute
	@hack/need rust cc
	@echo "==> cargo fmt"
	@cargo fmt --all --check
	@echo "==> clippy"
	@cargo clippy --locked --quiet --workspace --all-targets -- -D warnings
	@echo "==> patches of hack/mutants.d"
	@for rule in hack/mutants.d/*.patch; do git apply --check "$$rule"; done
	@echo "==> unit, hub and lease tests, 100 seeds"
	@CHATD_SIM_SEEDS=100 cargo test --locked --quiet --workspace --lib --test hub --test lease --test sim -- --skip every_broken_rule --skip every_missing_sign --skip five_hundred

.PHONY: test
test: ## run everything that CI runs: lints, Rust tests with simulation, fuzzing, pages in a browser, the client package, a real cluster, the operator and its chart
	@hack/need rust cc go redis postgres nc node chromium shellcheck openssl curl python haproxy busybox cluster images pip prometheus
	@hack/test-all

.PHONY: tools
tools: $(DENY) $(ACTIONLINT)

.PHONY: lint
lint: $(DENY) $(ACTIONLINT) ## check formatting, clippy, shellcheck, actionlint, structure, unused dependencies, their licences and sources
	@hack/need rust cc go node shellcheck
	@echo "==> structure"
	@hack/structure
	@echo "==> cargo fmt"
	@cargo fmt --all --check
	@cd fuzz && cargo fmt --check && cargo metadata --locked --format-version 1 >/dev/null
	@cd hack/weave && cargo fmt --check && cargo metadata --locked --format-version 1 >/dev/null
	@echo "==> shellcheck"
	@grep -rlE '^#!/(usr/bin/env |bin/)(ba)?sh' .ci hack $(wildcard bench fuzz/run) | xargs shellcheck
	@echo "==> actionlint"
	@$(ACTIONLINT) -no-color
	@echo "==> patches of hack/mutants.d"
	@hack/mutants copy
	@echo "==> unused dependencies"
	@hack/unused-crates
	@echo "==> cargo deny: bans, licences, sources"
	@$(DENY) --locked check bans licenses sources
	@echo "==> clippy"
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@echo "==> cargo doc"
	@RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet --workspace
	@echo "==> files that a JOIN and a move pass"
	@hack/walk

.PHONY: walk
walk: ## count the files of the hub that a JOIN at the wrong pod and a planned move pass
	@hack/walk

.PHONY: test-rust
test-rust: ## run unit, property, contract and end-to-end tests
	@hack/need rust cc redis postgres nc openssl curl python haproxy
	@echo "==> Rust tests"
	@RUST_TEST_THREADS=$(WAITING) $(TEST)

.PHONY: test-cluster
test-cluster: ## test the built-in cluster and the demos in it, as root or with sudo: minutes, the first time 20
	@hack/need rust cc openssl busybox cluster images node chromium
	@$(XTASK) cluster-program
	@echo "==> the built-in cluster"
	@$(TEST) --test builtin -- --ignored --nocapture --test-threads=1
	@echo "==> images, built twice"
	@$(TEST) --test same -- --ignored --nocapture made_again
	@echo "==> the demos in a cluster of two nodes"
	@$(TEST) --test demos -- --ignored

.PHONY: test-operator
test-operator: ## test the operator on its own real cluster, also under faults, as root or with sudo: minutes
	@hack/need rust cc go openssl busybox cluster images pip prometheus
	@echo "==> the operator on its own cluster"
	@CHATD_CLUSTER_AUDIT=1 hack/with-cluster operator $(MAKE) operator-tests

# On the cluster that KUBECONFIG points at. In parallel, except for the tests that change the cluster or need the whole machine.
.PHONY: operator-tests
operator-tests:
	@$(TEST) --test validation --test versions --test live -- --ignored --test-threads=6 --skip monitoring:: --skip without_a_metrics_server --skip told_within
	@$(TEST) --test live -- --ignored monitoring:: without_a_metrics_server told_within
	@$(TEST) --test cluster -- --ignored
	@$(TEST) --test faults -- --ignored --test-threads=2
	@$(TEST) --test health -- --ignored

.PHONY: test-alerts
test-alerts: ## test when each alert fires, with promtool, and that panels and documented queries have data, with Prometheus
	@hack/need rust cc redis prometheus
	@echo "==> alerts"
	@$(TEST) --test alerts -- --include-ignored
	@$(TEST) --test e2e -- --ignored dashboards::

.PHONY: test-chart
test-chart: ## test the operator's chart with a real helm on its own built-in cluster: CHART_TESTS= selects tests
	@hack/need rust cc openssl busybox cluster images pip
	@echo "==> helm"
	@$(XTASK) helm
	@echo "==> the chart, on its own cluster"
	@hack/with-cluster chart $(TEST) --test chart -- --include-ignored --test-threads=1 --skip rollback:: $(CHART_TESTS)

.PHONY: test-rollback
test-rollback: ## upgrade 200 ChatDeployments from a former commit and roll them back, before a release: 10 minutes, FROM= the commit
	@hack/need rust cc openssl curl busybox cluster images pip
	@$(XTASK) helm
	@echo "==> the operators of this commit and of a former one"
	@cargo build --locked --quiet -p operator
	@hack/former-operator $(FROM)
	@echo "==> upgrade and rollback, on a cluster of their own"
	@CHATD_FORMER="$$(hack/former-operator $(FROM))" hack/with-cluster chart $(TEST) --test chart -- --include-ignored --test-threads=1 rollback::

.PHONY: test-images
test-images: ## check that a clean build of our images in another folder is identical: 15 minutes
	@hack/need rust cc images
	@$(TEST) --test same -- --ignored --nocapture from_another_folder

.PHONY: load
load: ## load image archives into every node of that cluster: ARCHIVES=".cache/images/chatd.oci.tar"
	@$(XTASK) load $(ARCHIVES)

.PHONY: test-sim
# Optimized, it is eight times as fast. The dependencies are those of the other tests: only the crates here are compiled again.
test-sim: ## run the seeded simulation: SEEDS=1000
	@hack/need rust cc
	@echo "==> simulation, $(SEEDS) seeds"
	@CARGO_PROFILE_DEV_OPT_LEVEL=2 CHATD_SIM_SEEDS=$(SEEDS) $(TEST) --test sim -- --nocapture

.PHONY: sim-long
sim-long: ## run the simulation with LONG_SEEDS=100000 seeds
	@$(MAKE) test-sim SEEDS=$(LONG_SEEDS)

.PHONY: test-chaos
test-chaos: ## test real processes under several seeded faults at once, minutes: CHATD_CHAOS_SEED=1 CHATD_CHAOS_STEPS=12
	@hack/need rust cc redis
	@echo "==> seeded faults on real processes"
	@$(TEST) --test e2e -- --ignored --nocapture after_any_faults

.PHONY: soak
soak: ## load a cluster of its own whose pods are killed and drained, and check that nothing grows: SOAK_MINUTES=30, as root
	@hack/need rust cc openssl busybox cluster images
	@cargo build --locked --quiet -p chatctl
	@hack/with-cluster soak $(XTASK) soak --minutes $(SOAK_MINUTES) $(SOAK_ARGUMENTS)

.PHONY: test-fuzz
test-fuzz: ## run every fuzz target, two in parallel: FUZZ_SECONDS=15 for each
	@hack/need rust cc
	@echo "==> fuzz targets, $(FUZZ_SECONDS) s each"
	@fuzz/run all "$(FUZZ_SECONDS)"

.PHONY: test-pages
test-pages: ## test the pages in a headless Chromium, against chatd processes
	@hack/need rust cc redis node chromium openssl
	@echo "==> the pages' test packages"
	@cd chatd/tests/pages && npm ci --no-audit --no-fund --loglevel=error
	@echo "==> building chatd for the pages' tests"
	@$(TEST) --quiet --no-run --test serve
	@echo "==> pages"
	@cd chatd/tests/pages && npm test --silent

.PHONY: test-client
test-client: ## test the JavaScript packages @chatd/client and @chatd/react: types, size, what is published; against chatd under faults: CHATD_CHAOS_SECONDS=60
	@hack/need rust cc redis node chromium openssl
	@echo "==> the client's test packages"
	@cd chatd/tests/pages && npm ci --no-audit --no-fund --loglevel=error
	@cd clients/js/tests && npm ci --no-audit --no-fund --loglevel=error
	@cd clients/react/tests && npm ci --no-audit --no-fund --loglevel=error
	@echo "==> building chatd for the client's tests"
	@$(TEST) --quiet --no-run --test serve
	@echo "==> types"
	@cd clients/js/tests && npm run --silent types
	@cd clients/react/tests && npm run --silent types
	@echo "==> client"
	@cd clients/js/tests && npm test --silent
	@echo "==> hooks"
	@cd clients/react/tests && npm test --silent

.PHONY: mutants
mutants: $(MUTANTS) ## run mutation tests, 30 minutes, and list surviving mutants in target/mutants.md: SEED=1
	@hack/need rust cc node
	@CARGO_MUTANTS="$(MUTANTS)" hack/mutants all $(SEED)

.PHONY: docs
docs: ## regenerate the tables of docs/operations.md from the code
	@hack/need rust cc
	@echo "==> docs/operations.md"
	@UPDATE_DOCS=1 cargo test --locked --quiet -p chatd --test docs
	@UPDATE_DOCS=1 cargo test --locked --quiet -p operator --test docs

.PHONY: bench
bench: build ## measure chatd and comparable servers in one run; BENCH_ARGUMENTS= is passed to bench/run
	@hack/need rust cc redis nats node
	@echo "==> benchmarks"
	@bench/run $(BENCH_ARGUMENTS)

.PHONY: bench-micro
bench-micro: ## measure codec, broadcast, search and the operator's plan alone; BENCH_ARGUMENTS= selects some
	@hack/need rust cc
	@cargo bench --locked --quiet -p chatd -p operator --bench micro -- $(BENCH_ARGUMENTS)

.PHONY: bench-scale
bench-scale: ## measure a deployment with 1,000 to 10,000 rooms: drain, crash, loss of Redis: under 20 minutes; BENCH_ARGUMENTS="--only crash"
	@hack/need rust cc redis
	@echo "==> a large deployment"
	@bench/scale $(BENCH_ARGUMENTS)

.PHONY: bench-apps
bench-apps: ## measure events, join tokens, the server API and webhooks, beside socket.io, bun and centrifugo: under ten minutes; after bench
	@hack/need rust cc redis node
	@echo "==> rooms of applications"
	@bench/apps $(BENCH_ARGUMENTS)

.PHONY: advisories
advisories: $(DENY) ## check dependencies for known vulnerabilities (fetches the advisory database)
	@echo "==> cargo deny: advisories"
	@$(DENY) --locked check advisories

.PHONY: clean
clean: ## remove all build results, including the tools in .cache
	@echo "==> removing target, .cache and node_modules"
	@rm -rf target "$(CACHE)" chatd/tests/pages/node_modules clients/js/tests/node_modules clients/react/tests/node_modules fuzz/target fuzz/corpus fuzz/artifacts

$(DENY):
	@hack/need rust cc
	$(call install_tool,cargo-deny,$(DENY_VERSION))

$(ACTIONLINT):
	@hack/need go
	@echo "==> actionlint $(ACTIONLINT_VERSION) into .cache (once)"
	@GOBIN="$(dir $@)" go install "github.com/rhysd/actionlint/cmd/actionlint@v$(ACTIONLINT_VERSION)"

$(MUTANTS):
	@hack/need rust cc
	$(call install_tool,cargo-mutants,$(MUTANTS_VERSION))
