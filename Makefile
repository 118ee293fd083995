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
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "%-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- Set-up -----------------------------------------------------------------------------------------------------
# `make run` installs what it runs, a tenth of what developers need; the rest comes on top when it is asked for.
# An environment that works is kept and brought up to date: somebody may be running from it.

$(VENV)/.ready-to-run: infra/local/requirements.txt layers/shared/requirements.txt infra/find_python.sh infra/install.sh
	@if ! $(PY) -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  python=$$(bash infra/find_python.sh) || exit 1; \
	  echo "Setting up $(VENV) with $$("$$python" --version) (once, under a minute) ..."; \
	  "$$python" -m venv --clear $(VENV) || exit 1; \
	fi
	@bash infra/install.sh $(PY) infra/local/requirements.txt
	@touch $@

$(VENV)/.ready: $(VENV)/.ready-to-run requirements.txt infra/prices/requirements.txt infra/sam/translator_requirements.txt
	@bash infra/install.sh $(PY) requirements.txt
	@bash infra/install.sh $(PY) infra/sam/translator_requirements.txt --no-deps
	@touch $@

.PHONY: setup
setup: $(VENV)/.ready  ## Create .venv and install the pinned packages

# --- On this machine --------------------------------------------------------------------------------------------

.PHONY: run
run: $(VENV)/.ready-to-run  ## The whole router on this machine: PORT, HOST, PROVIDERS_FILE, STATE_DIR
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

# --- Prices -----------------------------------------------------------------------------------------------------

.PHONY: prices
prices: setup  ## Rewrite the catalogue of prices from the published data and print what changed
	@PYTHONPATH=$(PYTHONPATH):. $(PY) -m infra.prices.update

.PHONY: prices-diff
prices-diff: setup  ## Print how the newest published prices differ from the catalogue, and write nothing
	@newest=$$(mktemp -d) && trap 'rm -rf "$$newest"' EXIT && \
	  $(PY) -m pip install --quiet --disable-pip-version-check --progress-bar off --no-deps \
	    --target "$$newest" genai-prices && \
	  PYTHONPATH="$$newest:$(PYTHONPATH):." $(PY) -m infra.prices.update --diff

include infra/bench/targets.mk
include infra/browser/targets.mk
include infra/emulated/targets.mk
include infra/proof/targets.mk
include infra/sam/targets.mk
include infra/runtime/targets.mk
include tests/clients/targets.mk
