# --- Lambda's runtime -------------------------------------------------------------------------------------------
# The built functions under AWS's Runtime Interface Emulator, which comes with AWS SAM.

RUNTIME_VENV := .build/runtime/venv

$(RUNTIME_VENV)/.ready: infra/runtime/requirements.txt infra/sam/find_python.sh
	@python=$$(bash infra/sam/find_python.sh) || exit 1; \
	"$$python" -m venv --clear $(RUNTIME_VENV)
	@bash infra/install.sh $(RUNTIME_VENV)/bin/python infra/runtime/requirements.txt
	@touch $@

.PHONY: runtime-build
runtime-build: sam-setup $(RUNTIME_VENV)/.ready $(VOCABULARY)
	@PYTHONPATH=. $(SAM_VENV)/bin/python -m infra.runtime.build

.PHONY: test-runtime
test-runtime: setup runtime-build  ## The built functions in Lambda's own runtime, with the template's limits
	@$(PY) -m pytest tests/runtime

.PHONY: sizes
sizes: setup runtime-build  ## Measure start, memory and speed by memory size, and rewrite docs/sizing.md; needs root
	@PYTHONPATH=layers/shared:. $(PY) -m infra.runtime.sizes
