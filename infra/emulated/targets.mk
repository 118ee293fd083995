# --- A deployed stack, checked from outside ----------------------------------------------------------------------

STACK ?=
REGION ?=

.PHONY: e2e
e2e: setup sam-setup  ## Deploy to an emulated AWS and check it; STACK=name REGION=... checks a real stack
	@PYTHONPATH=layers/shared:. $(PY) -m infra.emulated.run --stack "$(STACK)" --region "$(REGION)"

.PHONY: e2e-mutations
e2e-mutations: setup sam-setup  ## Break the template in a dozen ways; each must turn a check red; ALL=1 deploys each
	@PYTHONPATH=layers/shared:. $(PY) -m infra.emulated.mutations $(if $(ALL),--all)
