# --- AWS --------------------------------------------------------------------------------------------------------

SAM_VENV := .venv-sam
SAM := $(SAM_VENV)/bin/sam
ARCH ?= arm64
STAGE ?= prod
export SAM_CLI_TELEMETRY := 0

$(SAM_VENV)/.ready: infra/sam/requirements.txt infra/sam/find_python.sh
	@python=$$(bash infra/sam/find_python.sh) || exit 1; \
	echo "Setting up $(SAM_VENV) with AWS SAM (once, about a minute) ..."; \
	"$$python" -m venv --clear $(SAM_VENV)
	@bash infra/install.sh $(SAM_VENV)/bin/python infra/sam/requirements.txt
	@touch $@

.PHONY: sam-setup
sam-setup: $(SAM_VENV)/.ready  ## Create .venv-sam with AWS SAM; needs Python 3.13

# Validating asks AWS nothing, but SAM wants a region all the same.
.PHONY: validate
validate: sam-setup  ## Check the template with SAM and its linter
	@AWS_DEFAULT_REGION="$${AWS_DEFAULT_REGION:-us-east-1}" $(SAM) validate --lint

.PHONY: build
build: sam-setup $(VOCABULARY)  ## Build what is deployed into .aws-sam; ARCH=arm64 or x86_64
	@$(SAM_VENV)/bin/python infra/sam/build.py --arch "$(ARCH)"

.PHONY: test-built
test-built: setup  ## The streaming function of the last build, started as its adapter does; ARCH must be this machine's
	@STREAMING_BUILD=.aws-sam/build $(PY) -m pytest tests/integration/test_streaming_function.py

.PHONY: deploy
deploy: setup sam-setup  ## Build and deploy; STAGE, REGION, ARCH, ALARM_EMAIL, PARAMETERS="Name=value ..."
	@$(PY) -m infra.deploy.deploy --stage "$(STAGE)" --region "$(REGION)" --arch "$(ARCH)" \
	  --alarm-email "$(ALARM_EMAIL)" $(PARAMETERS)

.PHONY: provider-key
provider-key: setup  ## Store a provider's key, typed at a prompt; PROVIDER, STAGE, REGION
	@$(PY) -m infra.deploy.provider_key --provider "$(PROVIDER)" --stage "$(STAGE)" --region "$(REGION)"

.PHONY: teardown
teardown: setup  ## Delete the stack, keep its data; STAGE, REGION, DELETE_DATA=true, CONFIRM=llm-router-<stage>
	@$(PY) -m infra.deploy.teardown --stage "$(STAGE)" --region "$(REGION)" --delete-data "$(DELETE_DATA)" \
	  --confirm "$(CONFIRM)"

# --- sam local --------------------------------------------------------------------------------------------------

EVENT ?= events/generate.json

.PHONY: invoke
invoke: setup sam-setup  ## One event through its function in a container, with `make run` running; EVENT, STATE_DIR
	@PYTHONPATH=layers/shared:. $(PY) -m infra.sam.invoke "$(EVENT)"

.PHONY: invoke-all
invoke-all: setup sam-setup  ## Every event of events/, each held against what its name promises
	@PYTHONPATH=layers/shared:. $(PY) -m infra.sam.invoke

.PHONY: sam-local
sam-local: setup sam-setup  ## Every event and the local API in containers, against a run of its own
	@PYTHONPATH=layers/shared:. $(PY) -m infra.sam.sam_local
