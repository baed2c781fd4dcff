# Everything runs inside .venv, which `make setup` makes from the locked requirements; Python 3.11 or newer is all it needs.
# What has "cluster" in its name, and conformance, also needs Go and to be root on Linux.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

BIN := .venv/bin
# Folders with Python in them.
CODE := $(wildcard src tests bench tools testcluster)
# Test processes at once; the files of one folder may share a real Envoy, so a file stays in one process.
WORKERS ?= 2
# How many random requests `make oracle` compares.
REQUESTS ?= 20000
# What `make test-cluster` runs.
TESTS ?= tests/cluster

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Make .venv, or bring it up to date
	@tools/setup.sh

.PHONY: run
run: setup ## Serve examples/hello with its demo backends at http://127.0.0.1:8080/
	@exec $(BIN)/trilithon run examples/hello --demo-backends

.PHONY: test
test: setup ## Check style, layers and types, then run every test that needs no cluster
	@echo 'test: style';  $(BIN)/ruff check --quiet $(CODE); $(BIN)/ruff format --check --quiet $(CODE)
	@echo 'test: layers'; tools/layers.sh
	@echo 'test: types';  $(BIN)/mypy $(CODE)
	@echo 'test: tests';  $(BIN)/python -m pytest --quiet --numprocesses $(WORKERS) --dist loadfile --ignore tests/cluster
	@echo 'test: left out: tests/cluster, which needs a cluster (make test-cluster), and the conformance suite (make conformance)'

.PHONY: fmt
fmt: setup ## Format the code and mend what can be mended by itself
	@$(BIN)/ruff check --fix --quiet $(CODE) || true
	@$(BIN)/ruff format $(CODE)

.PHONY: oracle
oracle: setup ## Compare explain with the real Envoy on many random requests (REQUESTS=20000)
	@$(BIN)/python -m tests.oracle --requests $(REQUESTS)

.PHONY: cluster-build
cluster-build: setup ## Build what a test cluster runs, as far as it is missing (some minutes the first time)
	@tools/cluster_packages.sh
	@$(BIN)/python -m testcluster build

.PHONY: cluster-up
cluster-up: cluster-build ## Bring up a test cluster (TESTCLUSTER=name: one of that name)
	@$(BIN)/python -m testcluster up

.PHONY: cluster-down
cluster-down: setup ## End the test cluster and leave nothing of it behind
	@$(BIN)/python -m testcluster down

.PHONY: cluster-shell
cluster-shell: cluster-up ## Open a shell on the test cluster's node, kubectl and its DNS at hand
	@exec $(BIN)/python -m testcluster shell

.PHONY: test-cluster
test-cluster: cluster-up ## Run the tests that need a cluster (TESTS=tests/cluster/test_x.py: only those)
	@$(BIN)/python -m testcluster exec -- $(abspath $(BIN))/python -m pytest --quiet $(TESTS)
	@echo 'test-cluster: the cluster stays up for the next run; make cluster-down ends it'

.PHONY: conformance
conformance: cluster-up ## Run the official suite (PROFILES=GATEWAY-HTTP RUN=HTTPRouteSimpleSameNamespace IMPLEMENTATION=traefik)
	@$(BIN)/python -m testcluster conformance $(if $(PROFILES),--profiles '$(PROFILES)') $(if $(RUN),--run '$(RUN)') $(if $(IMPLEMENTATION),--implementation $(IMPLEMENTATION)) $(if $(TIMES),--times $(TIMES))

.PHONY: bench
bench: setup ## Measure against Traefik, side by side
	@$(BIN)/python -m bench

.PHONY: bench-cluster
bench-cluster: cluster-build ## Measure against Traefik in a test cluster of its own (ARGS=--quick: 100 routes only)
	@$(BIN)/python -m bench.cluster $(ARGS)

.PHONY: docs
docs: setup ## Build the documentation into site/
	@$(BIN)/zensical build --config-file mkdocs.yml

.PHONY: lock
lock: ## Lock the dependencies anew (UPGRADE=1: to their newest versions)
	@tools/lock.sh

.PHONY: clean
clean: ## Remove everything that can be made again, clusters that are up included
	@for cluster in $(notdir $(wildcard .made/cluster/*)); do $(BIN)/python -m testcluster --name $$cluster down; done
	@rm -rf .venv .made .cache .hypothesis dist build site
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
