# Set-up and tasks. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

VENV := .venv
PY := $(VENV)/bin/python
export PYTHONPATH := layers/shared

.PHONY: help
help:  ## List the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# --- Set-up -----------------------------------------------------------------------------------------------------

$(VENV)/.ready: requirements.txt infra/local/requirements.txt layers/shared/requirements.txt infra/find_python.sh
	@python=$$(bash infra/find_python.sh); \
	echo "Setting up $(VENV) with $$($$python --version) (once, about a minute) ..."; \
	$$python -m venv --clear $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --progress-bar off -r requirements.txt
	@touch $@

.PHONY: setup
setup: $(VENV)/.ready  ## Create .venv and install the pinned packages

# --- On this machine --------------------------------------------------------------------------------------------

.PHONY: run
run: setup  ## The whole router on this machine: PORT, HOST, PROVIDERS_FILE, STATE_DIR
	@PYTHONPATH=layers/shared:. exec $(PY) -m infra.local.run

# --- Quality ----------------------------------------------------------------------------------------------------

.PHONY: check
check: setup  ## Linters and strict types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/mypy functions/router
	@$(VENV)/bin/mypy functions/stats
	@$(VENV)/bin/cfn-lint template.yaml

.PHONY: format
format: setup  ## Rewrite the code in the house format
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

.PHONY: test
test: setup  ## Unit, integration, contract and end-to-end tests
	@$(PY) -m pytest

# --- Prices -----------------------------------------------------------------------------------------------------

.PHONY: prices
prices: setup  ## Rewrite the catalogue of prices from the published data and print what changed
	@$(PY) -m pip install --quiet --disable-pip-version-check --progress-bar off -r infra/prices/requirements.txt
	@$(PY) infra/prices/update.py

include infra/bench/targets.mk
include infra/browser/targets.mk
include infra/sam/targets.mk
