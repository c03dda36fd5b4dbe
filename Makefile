# The house's commands. `make` alone lists them. Everything is installed into .venv and nowhere else.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

ROOMS  := $(sort $(patsubst %/__init__.py,%,$(filter-out tests/%,$(wildcard */__init__.py))))
CODE   := $(ROOMS) tests $(sort $(dir $(wildcard bench/*.py examples/*.py))) $(wildcard celeryconfig.py)

# ARGS reaches the command: make test ARGS="tests/unit -k meter", make run ARGS=--help
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test fuzz lint audit bench worker gateway simulate lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install Headway and its locked dependencies into .venv

# The stamp is newer than what it was made from, so a second call costs nothing.
# --no-deps: the lock is complete, there is nothing to resolve; pip checks the hash of each file. --no-compile: Python
# compiles what it imports, and most of it is never imported. -qq: errors only. The checkout itself is linked, built with the locked backend.
$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found: install Python 3.11 or newer, or name one: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is $$($(PYTHON) -V 2>&1), Headway needs 3.11 or newer: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) has no venv module: install it (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "making $(VENV) with $$($(PYTHON) -V)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "installing what requirements.lock names (the first time takes up to a minute)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps --no-compile -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-index --no-deps --no-build-isolation -e .
	@touch $@

run: setup ## the main job on real input, in a minute: a campaign, urgent messages, receipts, and the number's verdict
	@$(BIN)/python examples/run.py $(ARGS)

test: setup ## run all tests
	@$(BIN)/python -m pytest --numprocesses 3 $(ARGS)

fuzz: setup ## send the gateway bad requests for longer than `make test` does: SECONDS=60 for each kind
	@FUZZ_SECONDS=$(or $(SECONDS),60) $(BIN)/python -m pytest tests/fuzz $(ARGS)

lint: setup ## check style, types, imports and sizes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/python -m tests.harness.house

audit: ## look the locked dependencies up among known vulnerabilities; asks the network
	@PYTHON=$(PYTHON) .ci/audit

# A file of bench/ that begins with _ helps the others.
bench: setup ## measure, one script after the other
	@set -e; for script in $(sort $(filter-out bench/_%,$(wildcard bench/*.py))); do echo "== $$script"; $(BIN)/python "$$script" $(ARGS); done

worker: setup ## start a worker for the numbers of HEADWAY_NUMBERS
	@exec $(BIN)/headway worker $(ARGS)

gateway: setup ## start the HTTP gateway
	@exec $(BIN)/headway gateway $(ARGS)

simulate: setup ## start the simulator of a WhatsApp number
	@exec $(BIN)/headway simulator $(ARGS)

# Universal: one lock for all platforms and Pythons. No address of an index gets into it.
lock: setup ## resolve the dependencies anew into requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check uv
	@$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 --extra processes \
	  --group build --group dev --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -o requirements.lock

clean: ## remove .venv and caches; the embedded server's data in .headway stays
	@rm -rf $(VENV) .audit .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache dist
	@find . -name __pycache__ -type d -not -path './.headway/*' -prune -exec rm -rf {} +
