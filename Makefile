# Everything starts here: `make demo` and `make test` set up all they need by themselves.
# The only requirement is Python 3.11, 3.12 or 3.13 with pip: the first on PATH that runs, or PYTHON=...

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
ifeq ($(strip $(PYTHON)),)
override PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11; do \
  $$python -c '$(SUPPORTED)' 2>/dev/null && { echo $$python; exit; }; done; echo python3)
endif
VENV ?= .venv
LOCK ?= requirements.lock
ifneq ($(words $(VENV)),1)
$(error VENV is '$(VENV)'; give the path of one directory, without blanks)
endif
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.DEFAULT_GOAL := help
# One process more than cores, because many tests wait for processes of their own.
PYTEST = $(BIN)/python -m pytest -n $$(($$(nproc) + 1)) --dist loadfile --no-loadscope-reorder
.PHONY: help install demo test test-all coverage lint smoke pythons newest format dist schema docs lock clean

# An environment is made again where its Python does not run, is not supported, or is not of PYTHON's version.
MINOR := import sys; print(sys.version_info[:2])
ifneq ($(shell $(BIN)/python -c '$(SUPPORTED)' 2>/dev/null && echo runs),runs)
REMAKE := yes
else ifneq ($(filter command environment,$(firstword $(origin PYTHON))),)
REMAKE := $(shell [ "$$($(BIN)/python -c '$(MINOR)')" = "$$($(PYTHON) -c '$(MINOR)' 2>/dev/null)" ] || echo yes)
endif
ifeq ($(REMAKE),yes)
.PHONY: $(INSTALLED) $(BIN)/python
endif

help:  ## list these commands
	@sed -n 's/^\([a-z-]*\):.*  ## /  make \1\t/p' Makefile | expand -t 17

install: $(INSTALLED)  ## make .venv with exactly requirements.lock and this checkout in it (VENV=DIR for another directory)
	@echo "$(VENV) is ready: . $(BIN)/activate"

demo: $(INSTALLED)  ## synthetic clips -> features -> training -> figures, within minutes on a CPU
	@$(BIN)/python cli.py demo

test: lint  ## lint, types, import contracts and the tests for daily work, on all cores (minutes)
	$(PYTEST) -m "not slow"

test-all: lint  ## the same and every slow test: what continuous integration runs
	$(PYTEST)

coverage: $(INSTALLED)  ## lines and branches of pipeline, trainer and cli.py that the tests run
	$(PYTEST) --cov --cov-report=term-missing:skip-covered

lint: $(INSTALLED)  ## formatting, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

smoke: $(INSTALLED)  ## draw clips, extract, verify, train, evaluate; tests of frames, store and runner (minutes)
	$(BIN)/python -m tests.smoke

pythons:  ## run the smoke on every supported Python of this machine, each in a .venv-VERSION of its own
	@.ci/pythons

newest:  ## run the smoke on the newest version of every package, without requirements.lock
	@$(MAKE) --no-print-directory smoke VENV=.venv-newest LOCK=.venv-newest.lock PYTHON=$(PYTHON)

format: $(INSTALLED)  ## format, and mend what the linter can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

dist: $(INSTALLED)  ## build the wheel, dist/ous-VERSION-py3-none-any.whl, which has the command `ous`
	@$(with_uv) build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist .
	@ls dist/*.whl

schema: $(INSTALLED)  ## write docs/schema.md from pipeline/store/schema.py
	$(BIN)/python -m pipeline.store.schema_page > docs/schema.md

docs: $(INSTALLED)  ## build the documentation site without network, build/site/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/site/index.html"

clean:  ## remove .venv, .venv-* and what the tools write (never caches of features, runs or demo output)
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis \
	  .coverage .coverage.* build dist *.egg-info __pycache__
	find benchmarks docs pipeline tests trainer -name __pycache__ -type d -prune -exec rm -rf {} +

# uv from PATH, or else brought into .venv by pip; with the package index and certificates that pip
# is configured for, which uv does not look up by itself.
define with_uv
uv=$$(command -v uv) || { uv=$(BIN)/uv; \
  [ -x $$uv ] || PIP_USER=0 $(PYTHON) -m pip --python $(BIN)/python install --quiet uv || { \
    echo "make: uv is not on PATH, and pip could not install it into $(VENV); see the lines above." >&2; exit 1; }; }; \
pip_has() { $(PYTHON) -m pip config list 2>/dev/null | sed -n "s/^[^.]*\.$$1='\(.*\)'$$/\1/p" | head -n 1; }; \
index=$${UV_DEFAULT_INDEX:-$${UV_INDEX_URL:-$$(pip_has index-url)}}; \
cert=$${SSL_CERT_FILE:-$$(pip_has cert)}; \
if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$$index"; fi; \
if [ -n "$$cert" ]; then export SSL_CERT_FILE="$$cert"; fi; \
"$$uv"
endef

$(BIN)/python:
	@$(PYTHON) -c '$(SUPPORTED)' || { \
	  echo "make: '$(PYTHON)' is not Python 3.11, 3.12 or 3.13, or does not run; name one that is, by its path where PATH has only the shim of a version manager: make $(MAKECMDGOALS) PYTHON=/usr/bin/python3.12" >&2; exit 1; }
	@if [ -n "$$(ls -A $(VENV) 2>/dev/null)" ] && [ ! -f $(VENV)/pyvenv.cfg ]; then \
	  echo "make: '$(VENV)' holds files that are not of a Python environment; give VENV another directory." >&2; exit 1; fi
	@$(PYTHON) -m venv --clear --without-pip $(VENV) || { \
	  echo "make: '$(PYTHON) -m venv' failed; see the lines above (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }

$(INSTALLED): $(LOCK) | $(BIN)/python
	@echo "Installing $(LOCK) into $(VENV): some minutes and several GB the first time." >&2
	@$(with_uv) pip sync --require-hashes --compile-bytecode --python $(BIN)/python $(LOCK)
	@$(with_uv) pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@

# Any other lock is resolved from pyproject.toml for this Python, each time.
ifneq ($(LOCK),requirements.lock)
.PHONY: $(LOCK)
$(LOCK): | $(BIN)/python
	@rm -f $@
	@$(with_uv) pip compile pyproject.toml --extra dev --extra docs --group lock --python $(BIN)/python \
	  --no-emit-index-url --generate-hashes --quiet --output-file $@
endif

lock: | $(BIN)/python  ## resolve requirements.lock from pyproject.toml (UPGRADE=--upgrade for newer versions)
	@$(with_uv) pip compile pyproject.toml --extra dev --extra docs --group lock --universal --python-version 3.11 \
	  --no-emit-index-url --generate-hashes --custom-compile-command "make lock" $(UPGRADE) \
	  --quiet --output-file requirements.lock
