# --- Real clients -----------------------------------------------------------------------------------------------
# OpenAI's own SDKs and others, each as its users install it, in an environment of their own.

CLIENTS_VENV := .venv-clients
CLIENTS_NODE := tests/clients/node
CLIENT ?=
STREAMING_BUILD ?=

$(CLIENTS_VENV)/.ready: tests/clients/requirements.txt infra/find_python.sh infra/install.sh
	@python=$$(bash infra/find_python.sh) || exit 1; \
	echo "Setting up $(CLIENTS_VENV) with the clients and Node (once, a minute) ..."; \
	"$$python" -m venv --clear $(CLIENTS_VENV)
	@bash infra/install.sh $(CLIENTS_VENV)/bin/python tests/clients/requirements.txt
	@touch $@

$(CLIENTS_NODE)/node_modules/.ready: $(CLIENTS_NODE)/package-lock.json $(CLIENTS_VENV)/.ready
	@echo "Installing the packages of $(CLIENTS_NODE)/package-lock.json ..."
	@PATH="$(CURDIR)/$(CLIENTS_VENV)/bin:$$PATH" npm ci --prefix $(CLIENTS_NODE) --silent
	@touch $@

.PHONY: curl
curl:
	@command -v curl >/dev/null || { \
	  echo "Installing curl from the system's packages (asks for sudo when you are not root) ..."; \
	  $(AS_ROOT) apt-get update -qq; \
	  $(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends curl; \
	}

.PHONY: test-clients
test-clients: setup curl $(CLIENTS_VENV)/.ready $(CLIENTS_NODE)/node_modules/.ready  ## Real clients against the router; CLIENT=curl for one, STREAMING_BUILD=.aws-sam/build
	@STREAMING_BUILD="$(STREAMING_BUILD)" $(CLIENTS_VENV)/bin/python -m pytest $(if $(CLIENT),tests/clients/test_$(CLIENT).py,tests/clients)
