# Koppel. `make help` lists what there is. Needs make and Python 3.11 or newer with venv.
PYTHON ?= python3
ARGS ?=
# Test processes side by side; tests of one real system stay together.
JOBS ?= 2
# Simulated lives that `make chaos` plays: how many, and the first seed.
SEEDS ?= 5000
START ?= 0
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help venv demo test chaos lint format bench lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  STORE=postgres WORKERS=3 make demo with workers on a PostgreSQL of its own"
	@echo "  SEEDS=20000 START=5000 make chaos with so many seeds from that one on"
	@echo "  ARGS=... is handed on, for example: make demo ARGS=--reset, make test ARGS='-k merge'"

venv: ## Make .venv from the lock, or find it up to date
	@$(PYTHON) lab/bootstrap.py

demo: venv ## Bring up a real CRM and a real ERP with demo data, and couple them
	@$(BIN)/python -m lab.demo $(if $(STORE),--store $(STORE)) $(if $(WORKERS),--workers $(WORKERS)) $(ARGS)

test: venv ## Run every test, the real systems among them
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

chaos: venv ## Play thousands of simulated lives with faults; what fails is kept as a scenario
	@$(BIN)/python -m koppel.testing.simulation --seeds $(SEEDS) --start $(START) --jobs $(JOBS) \
	  --kept tests/scenarios/kept $(ARGS)

lint: venv ## Check style, formatting, floors, types and dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy
	@$(BIN)/python -m lab.audit

format: venv ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: venv ## Measure; prints a table and writes bench/results/*.json
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes \
	  -r requirements-bench.lock
	@$(BIN)/python -m bench $(ARGS)

lock: venv ## Renew the locks from pyproject.toml
	@for pair in requirements.lock: requirements-dev.lock:--group=dev; do \
	  $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --custom-compile-command "make lock" \
	    pyproject.toml $${pair#*:} -o $${pair%%:*} || exit 1; \
	done
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-deps --no-emit-index-url --custom-compile-command "make lock" \
	  --group pyproject.toml:bench -o requirements-bench.lock

clean: ## Remove .venv, the lab with its databases, and all caches
	@if [ -d .lab ] && [ -x $(BIN)/python ]; then $(BIN)/python -m lab.demo --stop; fi
	@rm -rf .venv .venv.lock .lab .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
