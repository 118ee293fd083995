# --- Speed and size ---------------------------------------------------------------------------------------------

BENCH_VENV := .build/bench
ROUNDS ?= 25

$(BENCH_VENV)/.ready: infra/bench/requirements.txt layers/shared/requirements.txt \
  functions/streaming/requirements.txt infra/find_python.sh
	@python=$$(bash infra/find_python.sh) || exit 1; \
	echo "Setting up $(BENCH_VENV) with what is deployed (once, ten seconds) ..."; \
	"$$python" -m venv --clear $(BENCH_VENV)
	@bash infra/install.sh $(BENCH_VENV)/bin/python infra/bench/requirements.txt
	@touch $@

.PHONY: bench
bench: setup $(BENCH_VENV)/.ready  ## Measure cold start, memory, overhead and size; ROUNDS=25
	@PYTHONPATH=layers/shared:. $(PY) -m infra.bench.bench --python $(BENCH_VENV)/bin/python --rounds "$(ROUNDS)"
	@$(MAKE) bench-trim

.PHONY: bench-trim
bench-trim: setup  ## What trimming keeps of what is needed, and how long it takes
	@PYTHONPATH=layers/shared:. $(PY) -m infra.bench.trimming.run

ROUTERS ?= 8
DOWN_S ?= 60

.PHONY: bench-fleet
bench-fleet: setup  ## Router processes while a provider and DynamoDB go down; ROUTERS=8 DOWN_S=60
	@PYTHONPATH=layers/shared:. $(PY) -m infra.bench.fleet.run --routers "$(ROUTERS)" --down-s "$(DOWN_S)"

RECORDS ?= 100000

.PHONY: bench-aggregation
bench-aggregation: setup  ## Aggregate a long history, then a little more; RECORDS=100000
	@PYTHONPATH=layers/shared:. $(PY) -m infra.bench.aggregation.run --records "$(RECORDS)"
