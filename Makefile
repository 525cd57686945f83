# The front door. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

ARCH ?= arm64
STACK ?= tenon
NAME ?= made by hand
SCOPES ?= manage
ENVIRONMENT ?=
TAGS ?=
PARTS ?=
VENV := .local/venv
PYTHON := $(VENV)/bin/python
RELEASE_VENV := .local/release-venv
TEST_RUNNER := $(shell command -v cargo-nextest >/dev/null 2>&1 && echo "cargo nextest run" || echo "cargo test")

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: setup functions ## Start Tenon on a local AWS, show its main job, and stay up until Ctrl-C
	@$(PYTHON) local/run.py run

.PHONY: demo
demo: setup ## Show the main job again against what `make run` started
	@$(PYTHON) local/run.py demo

.PHONY: status
status: setup ## Show how deliveries do in what `make run` started
	@$(PYTHON) local/run.py status

.PHONY: tail
tail: setup ## Follow the errors of the local run, or of TENON_URL with TENON_BACKEND_KEY
	@$(PYTHON) local/tail.py

.PHONY: key
key: setup ## Make an API key of a deployed stack (ENVIRONMENT=id, NAME, SCOPES=manage,engine)
	@STACK='$(STACK)' ENVIRONMENT='$(ENVIRONMENT)' NAME='$(NAME)' SCOPES='$(SCOPES)' $(PYTHON) local/key.py

.PHONY: test
test: setup functions ## Run all tests: unit, store, delivery, and end to end against a deployed template
	@echo "building the tests …"
	@cargo build --locked --quiet --workspace --tests
	@$(PYTHON) local/test.py $(if $(TESTS),,--stack-tests) $(TEST_RUNNER) --locked --workspace $(TESTS)

.PHONY: openapi
openapi: ## Write docs/openapi.json from the handlers
	UPDATE_EXPECT=1 cargo test --locked --quiet --package functions --lib -- served_document_matches_the_handlers

.PHONY: check
check: setup ## Check format, lints and template
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	SAM_CLI_TELEMETRY=0 $(VENV)/bin/sam validate --lint --template template.yaml --region us-east-1
	$(PYTHON) local/sizes.py check

# The functions and what they are compared with are built together, of the same libraries. The one with its symbols, by which
# its crates are told, is put aside before it is built again without.
TARGET := $(or $(CARGO_TARGET_DIR),target)
SYMBOLS := $(TARGET)/bench/forward_errors
.PHONY: bench
bench: setup ## Measure speed, size and cost; writes docs/benchmarks.md and docs/cost.md (PARTS="starts requests …")
	@echo "building all functions for release (the first time takes about half an hour on two cores) …"
	cargo rustc --locked --release --package functions --bin forward_errors -- -C strip=none
	mkdir -p $(dir $(SYMBOLS)) && cp $(TARGET)/release/forward_errors $(SYMBOLS)
	cargo build --locked --release --package functions --package baselines --bins
	cargo build --locked --quiet --workspace --bins
	TENON_PROFILE=release TENON_BINARIES=$(TARGET)/release TENON_SYMBOLS=$(SYMBOLS) \
		$(PYTHON) local/test.py $(TARGET)/debug/bench $(PARTS)
	$(if $(PARTS),,$(PYTHON) local/cost.py)

.PHONY: build
build: $(RELEASE_VENV)/.done ## Build the functions for AWS (ARCH=arm64 or x86_64)
	PATH="$(CURDIR)/$(RELEASE_VENV)/bin:$$PATH" cargo lambda build --locked --release --package functions \
		$(if $(filter arm64,$(ARCH)),--arm64,--x86-64)

.PHONY: deploy
deploy: setup build ## Deploy to the AWS account of your credentials (STACK=name, ARCH=…, TAGS="Team=x CostCenter=y")
	SAM_CLI_TELEMETRY=0 $(VENV)/bin/sam deploy --template-file template.yaml --stack-name $(STACK) --resolve-s3 \
		--capabilities CAPABILITY_IAM --parameter-overrides Architecture=$(ARCH) --tags Stack=$(STACK) $(TAGS) \
		--no-fail-on-empty-changeset

.PHONY: lock
lock: setup ## Pin the Python tools anew, from the names in local/*.in
	$(PYTHON) -m pip install --quiet pip-tools
	for list in local/requirements local/release-requirements; do \
		$(PYTHON) -m piptools compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url \
			--no-emit-find-links --no-emit-trusted-host --output-file $$list.txt $$list.in; \
	done

.PHONY: clean
clean: ## Remove what was built and installed in this folder
	rm -rf target .local .aws-sam

# ---------------------------------------------------------------------------------------------------------------------
# What the targets above need

.PHONY: setup
setup: tools $(VENV)/.done

.PHONY: tools
tools:
	@command -v cargo >/dev/null || { echo "Rust is missing: install it from https://rustup.rs"; exit 1; }
	@command -v python3 >/dev/null || { echo "Python 3 is missing: install python3"; exit 1; }
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed"; exit 1; }
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv is missing: install python3-venv"; exit 1; }
	@command -v cc >/dev/null || { echo "A C compiler is missing: install gcc or clang"; exit 1; }

.PHONY: functions
functions:
	@echo "building the functions (the first time takes some minutes) …"
	@cargo build --locked --workspace --bins

$(VENV)/.done: local/requirements.txt local/axe-requirements.txt
	@echo "installing the local AWS and SAM into $(VENV) …"
	@python3 -m venv --clear $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes $(^:%=-r %)
	@touch $@

$(RELEASE_VENV)/.done: local/release-requirements.txt
	@echo "installing cargo-lambda into $(RELEASE_VENV) …"
	@python3 -m venv --clear $(RELEASE_VENV)
	@$(RELEASE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@
