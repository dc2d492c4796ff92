# Every verb makes the environment it needs in .venv, from Python, pip and make alone.
#
# Two stamps inside .venv say what is installed there: `demo` (what `make demo` needs) and `dev`
# (everything, the demo's packages too). Both go stale when pyproject.toml changes.
#
#   make test PYTEST_ARGS="-k lease -x"     arguments for pytest
#   make test WORKERS=0                     one process, no xdist (for pdb)
#   make test PYTHON=python3.13             another interpreter, for a new .venv
#   make bench BENCH_ARGS="--only pairs"    arguments for the benchmark; --help lists them
#   make load LOAD_ARGS="--host redis://localhost:6379/0 --users 200"
#                                           further arguments for locust; the last one counts

PYTHON ?= python3
VENV ?= .venv
# One more than cores: what servers, browsers and clusters are waited for leaves room.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
PYTEST_ARGS ?=
BENCH_ARGS ?=
DEMO_ARGS ?=
LOAD_ARGS ?=

BIN := $(VENV)/bin
DEMO := $(VENV)/.installed-demo
DEV := $(VENV)/.installed-dev

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
# The verbs share one environment, so they take turns even under `make -j`.
.NOTPARALLEL:
.PHONY: help demo test slow lint types format bench load load-async load-http check clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(DEMO) ## run the demo on a server of its own
	$(BIN)/pharox-redis demo $(DEMO_ARGS)

test: $(DEV) ## run the tests, all but the slow ones
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadgroup --no-loadscope-reorder $(PYTEST_ARGS)

slow: $(DEV) ## run the slow tests: long property runs, big pools
	$(BIN)/python -m pytest -m slow --timeout 3600 $(PYTEST_ARGS)

lint: $(DEV) ## check style and layout
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: $(DEV) ## check types
	$(BIN)/python -m mypy

format: $(DEV) ## rewrite the files the way `lint` wants them
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

bench: $(DEV) ## measure, beside what else would do the job; writes into docs/
	$(BIN)/pharox-redis bench --out docs $(BENCH_ARGS)

load: $(DEV) ## one minute of locust on a server of its own; fails if a lease was lost
	$(BIN)/python -m locust -f load_tests/locustfile.py --headless --only-summary \
		--users 60 --spawn-rate 30 --run-time 1m --html build/load/report.html $(LOAD_ARGS)

load-async: $(DEV) ## the same load for asyncio, in one event loop
	$(BIN)/python load_tests/async_load.py --tasks 60 --seconds 60 $(LOAD_ARGS)

load-http: $(DEV) ## the same load through the HTTP service
	$(BIN)/python -m locust -f load_tests/service_locustfile.py --headless --only-summary \
		--users 40 --spawn-rate 20 --run-time 1m --html build/load/http.html $(LOAD_ARGS)

check: lint types test ## everything a change must pass

clean: ## remove the environment, builds and caches
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian ships `python3 -m venv` without the pip it wants to put inside (that is in python3-venv);
# the pip of the machine can put one there all the same.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "pharox-redis needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { \
		$(PYTHON) -m venv --clear --without-pip $(VENV) \
		&& $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	$(BIN)/python -m pip install --quiet --upgrade pip

$(DEMO): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[demo]"
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $(DEMO) $@
