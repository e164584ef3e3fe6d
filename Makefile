# The first two commands of a new user: `make demo`, `make test`. Everything lives in .venv, dist and out of this checkout.
# Stamps inside .venv make a second run fast; they depend on pyproject.toml and constraints.txt alone (editable install).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
TORCH ?= 2.13.0
TEST_WORKERS ?= 2
PYTEST_ARGS ?=
# The first interpreter that is 3.11 to 3.13 and can make virtual environments; `make demo PYTHON=...` names another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& { echo $$p; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check
MODELS_REQUIRED := $(if $(CI),1,0)
# CI measures coverage and holds the floor of pyproject.toml; Python 3.12 on does so at almost no cost (sys.monitoring).
COVERAGE := $(if $(CI),--cov --cov-report=term)
COVERAGE_CORE = $(shell $(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")')

.PHONY: help demo test lint format hooks models docs wheel check-wheel constraints clean

help:  ## Say what there is to make.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

demo: $(VENV)/.runtime  ## Install mien and make a sheet of 64 labelled faces (under three minutes).
	@echo "mien: 64 faces, either sex, ages 20 to 70"
	@$(BIN)/mien crowd --count 64 --sex any --age 20-70 --seed 1 --out out/demo --sheet --force >/dev/null
	@test -s out/demo/sheet.png
	@echo "$(CURDIR)/out/demo/sheet.png"

test: lint models  ## Set up everything, then ruff, mypy and the whole test suite.
	OMP_NUM_THREADS=1 MIEN_REQUIRE_MODELS=$(MODELS_REQUIRED) COVERAGE_CORE=$(COVERAGE_CORE) \
		$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder $(COVERAGE) $(PYTEST_ARGS)

lint: $(VENV)/.dev  ## ruff and mypy, changing nothing.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## Let ruff mend and lay out the code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: $(VENV)/.dev  ## Let git run ruff before each commit (pre-commit).
	$(BIN)/pre-commit install

models: $(VENV)/.dev  ## Bring the networks of others into the cache (MIEN_CACHE, or the user's).
	@$(BIN)/mien models fetch || { \
		if [ "$(MODELS_REQUIRED)" = 1 ]; then \
			echo "make: the networks are required in CI" >&2; exit 1; fi; \
		echo "make: going on without what could not be fetched; the tests that need it will skip" >&2; }

docs: $(VENV)/.docs  ## Build the pages and the reference in out/docs (no network; warnings are errors).
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q --strict
	@echo "$(CURDIR)/out/docs/index.html"

wheel: $(VENV)/.dev  ## Build dist/mien-*.whl, weights inside.
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null
	@ls -l dist

check-wheel: wheel  ## Install that wheel in an empty environment outside the checkout and make faces with it.
	bash .ci/check-wheel dist/*.whl "$(abspath $(BIN)/python)"

constraints:  ## Write constraints.txt anew from today's releases (use Python 3.11).
	bash .ci/renew-constraints "$(PYTHON)" "$(TORCH)"

clean:  ## Remove everything that this file made.
	rm -rf $(VENV) build dist out/demo out/docs .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 to 3.13 with venv found; install one (Debian: python3-venv)" \
		"or name it: make demo PYTHON=/path/to/python3.12" >&2; exit 2; }
	@echo "mien: virtual environment $(VENV) from $$($(PYTHON) --version)"
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The demo needs the runtime only: torch, numpy, OpenCV, Pillow and six small packages.
$(VENV)/.runtime: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt "torch==$(TORCH)" -e .
	@touch $@

# `--group` needs a newer pip than Python 3.11 brings along.
$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt pip
	$(PIP) install -q -c constraints.txt "torch==$(TORCH)" -e '.[all]' --group dev
	@touch $@ $(VENV)/.runtime

# Pages are made from the text of the sources: mien itself is not needed.
$(VENV)/.docs: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt pip
	$(PIP) install -q -c constraints.txt --group docs
	@touch $@
