# Everything a person does here is a target; `make` alone explains them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MEMBERS := contracts services/chassis services/crm-sync services/jira-sync services/risk-engine deploy/sandbox
LOCK := deploy/locks/development.txt
# Most tests wait for a broker, a poll or a time-out; each of the JOBS has servers of its own.
JOBS ?= 4
FAULTS := $(wildcard tests/integration/test_*_faults_*.py tests/integration/test_*_kill.py) tests/e2e/test_kill.py
PUBLIC_SPRINTS := $(or $(TROTH_FIXTURES),../shared/fixtures)/sprints-tse2017

.PHONY: help setup demo test check lint backtest bench faults kafka generate lock clean

help: ## Explain every target in one line
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk 'BEGIN {FS = ":.*## "} {printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): $(LOCK) $(addsuffix /pyproject.toml,$(MEMBERS))
	@echo "Installing into $(VENV) (once; a minute or so)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(addprefix -e ,$(MEMBERS))
	@$(BIN)/python -m compileall -q $(MEMBERS)
	@touch $(STAMP)

setup: $(STAMP) ## Create the virtual environment and install everything into it

demo: $(STAMP) ## Run the whole product against simulated Salesforce and Jira (ONCE=1: check the stories and exit)
	@$(BIN)/python -m troth_sandbox.demo $(if $(ONCE),--once)

test: lint ## Run everything: units, contracts, integration on real Kafka and PostgreSQL, end to end (JOBS=4 at a time)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

check: lint ## Lint, types, imports, generated files and unit tests, in about a minute
	@$(BIN)/python -m pytest -q tests/house tests/contracts tests/chassis tests/crm_sync tests/jira_sync tests/risk_engine

lint: $(STAMP) ## Lint, types, imports and generated files only
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m troth_contracts.generate --check
	@$(BIN)/python -m troth_contracts.compatibility

backtest: $(STAMP) ## Hold the forecast against real sprints; fails outside its bands (DATA=folder: report on your own)
	@$(BIN)/python -m risk_engine backtest "$(or $(DATA),$(PUBLIC_SPRINTS))" $(if $(DATA),,--check)

bench: $(STAMP) ## Measure rates, latencies and costs beside a baseline or bound of the same run (ONLY=group, QUICK=1)
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)

faults: $(STAMP) ## Everything a vendor, a network or kill -9 can do, judged by the simulators' logs (FULL=1: at full size)
	@$(if $(FULL),TROTH_FULL=1) $(BIN)/python -m pytest $(if $(FULL),-o timeout=3600) $(FAULTS)

kafka: $(STAMP) ## Run one local Apache Kafka by hand until Ctrl-C
	@$(BIN)/python -m troth_sandbox.brokers

generate: $(STAMP) ## Write schemas, AsyncAPI document and topic table from the contracts
	@$(BIN)/python -m troth_contracts.generate

lock: $(STAMP) ## Resolve the hashed requirement files again
	@$(BIN)/python deploy/locks/lock.py

clean: ## Remove the virtual environment and everything built
	rm -rf $(VENV) build
