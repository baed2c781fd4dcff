# Everything runs inside .venv, which `make setup` makes from the locked requirements; Python 3.11 or newer is all it needs.

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

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Make .venv, or bring it up to date
	@tools/setup.sh

.PHONY: run
run: setup ## Serve examples/hello with its demo backends at http://127.0.0.1:8080/
	@exec $(BIN)/trilithon run examples/hello --demo-backends

.PHONY: test
test: setup ## Check style, layers and types, then run every test
	@echo 'test: style';  $(BIN)/ruff check --quiet $(CODE); $(BIN)/ruff format --check --quiet $(CODE)
	@echo 'test: layers'; tools/layers.sh
	@echo 'test: types';  $(BIN)/mypy $(CODE)
	@echo 'test: tests';  $(BIN)/python -m pytest --quiet --numprocesses $(WORKERS) --dist loadfile

.PHONY: fmt
fmt: setup ## Format the code and mend what can be mended by itself
	@$(BIN)/ruff check --fix --quiet $(CODE) || true
	@$(BIN)/ruff format $(CODE)

.PHONY: oracle
oracle: setup ## Compare explain with the real Envoy on many random requests (REQUESTS=20000)
	@$(BIN)/python -m tests.oracle --requests $(REQUESTS)

.PHONY: bench
bench: setup ## Measure against Traefik, side by side
	@$(BIN)/python -m bench

.PHONY: docs
docs: setup ## Build the documentation into site/
	@$(BIN)/zensical build --config-file mkdocs.yml

.PHONY: lock
lock: ## Lock the dependencies anew (UPGRADE=1: to their newest versions)
	@tools/lock.sh

.PHONY: clean
clean: ## Remove everything that can be made again
	@rm -rf .venv .made .cache .hypothesis dist build site
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
