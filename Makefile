# Set-up and tasks. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

VENV := .venv
PY := $(VENV)/bin/python
export PYTHONPATH := layers/shared

include infra/vocabulary/targets.mk

.PHONY: help
help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "%-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- Set-up -----------------------------------------------------------------------------------------------------
# `make run` installs what it runs, a tenth of what developers need; the rest comes on top when it is asked for.
# An environment that works is kept and brought up to date: somebody may be running from it.

$(VENV)/.ready-to-run: infra/local/requirements.txt infra/cli/requirements.txt layers/shared/requirements.txt \
  infra/find_python.sh infra/install.sh
	@if ! $(PY) -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  python=$$(bash infra/find_python.sh) || exit 1; \
	  echo "Setting up $(VENV) with $$("$$python" --version) (once, under a minute) ..."; \
	  "$$python" -m venv --clear $(VENV) || exit 1; \
	fi
	@bash infra/install.sh $(PY) infra/local/requirements.txt
	@touch $@

# The command line lies in the environment as a link to this checkout.
$(VENV)/bin/llm-router: $(VENV)/.ready-to-run pyproject.toml
	@$(PY) -m pip install --disable-pip-version-check --quiet --no-index --no-build-isolation --no-deps --editable . \
	  2> >(grep -v '^WARNING' >&2)
	@touch $@

$(VENV)/.ready: $(VENV)/bin/llm-router requirements.txt infra/prices/requirements.txt infra/sam/translator_requirements.txt
	@bash infra/install.sh $(PY) requirements.txt
	@bash infra/install.sh $(PY) infra/sam/translator_requirements.txt --no-deps
	@touch $@

.PHONY: setup
setup: $(VENV)/.ready $(VOCABULARY)  ## Create .venv, install the pinned packages, fetch the vocabulary

# --- On this machine --------------------------------------------------------------------------------------------

.PHONY: run
run: $(VENV)/bin/llm-router $(VOCABULARY)  ## The whole router on this machine: PORT, HOST, PROVIDERS_FILE, STATE_DIR
	@PYTHONPATH=layers/shared:. exec $(PY) -m infra.local.run

# --- Quality ----------------------------------------------------------------------------------------------------

.PHONY: check
check: setup  ## Linters and strict types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/mypy functions/router
	@$(VENV)/bin/mypy functions/streaming
	@$(VENV)/bin/mypy functions/stats
	@$(VENV)/bin/cfn-lint template.yaml

.PHONY: format
format: setup  ## Rewrite the code in the house format
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

.PHONY: test
test: setup  ## Unit, integration, contract and end-to-end tests
	@$(PY) -m pytest

.PHONY: faults
faults: setup  ## Meet every fault of a provider at every door; prints what callers got, who was asked, how long it took
	@$(PY) -m pytest tests/faults --show-capture=no --no-header --override-ini timeout=300

.PHONY: command-line-page
command-line-page: setup  ## Rewrite what docs/command-line.md shows of the commands themselves
	@$(PY) -m infra.cli.page

# --- Prices -----------------------------------------------------------------------------------------------------

.PHONY: prices
prices: setup  ## Rewrite the catalogue of prices from the published data and print what changed
	@PYTHONPATH=$(PYTHONPATH):. $(PY) -m infra.prices.update

.PHONY: prices-diff
prices-diff: setup  ## Print how the newest published prices differ from the catalogue, and write nothing
	@PYTHONPATH=$(PYTHONPATH):. $(PY) -m infra.prices.newest

include infra/bench/targets.mk
include infra/browser/targets.mk
include infra/emulated/targets.mk
include infra/proof/targets.mk
include infra/sam/targets.mk
include infra/runtime/targets.mk
include tests/clients/targets.mk
