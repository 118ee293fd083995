# --- The ledger's proof -----------------------------------------------------------------------------------------

REQUESTS ?= 10000
SEED ?= 1

.PHONY: prove-ledger
prove-ledger: setup  ## Kill routers, break DynamoDB and providers, then hold the ledger to what was billed; REQUESTS=10000 SEED=1
	@PYTHONPATH=layers/shared:. $(PY) -m infra.proof.run --requests "$(REQUESTS)" --seed "$(SEED)"
