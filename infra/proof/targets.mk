# --- The ledger's proof -----------------------------------------------------------------------------------------

REQUESTS ?= 10000
SEED ?= 1

.PHONY: prove-ledger
prove-ledger: setup  ## Kill routers and break DynamoDB under load, then judge the ledger by what was billed; REQUESTS=10000 SEED=1
	@PYTHONPATH=layers/shared:. $(PY) -m infra.proof.run --requests "$(REQUESTS)" --seed "$(SEED)"

.PHONY: prove-ledger-steps
prove-ledger-steps: setup  ## Kill, fail and hang up at each single step of a request and of the aggregation
	@$(PY) -m pytest tests/violence
