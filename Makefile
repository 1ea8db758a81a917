# A newcomer has Python >= 3.11, git and make; every target sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
PACKAGES := openrtb_schemas bidder sagemaker_local model loadtest
SHELL := /bin/sh
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-annotate \
	--custom-compile-command "make lock"

.PHONY: help setup demo serve loadtest bench test check coverage microbench infra format docs lock clean
.DEFAULT_GOAL := help

help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## The virtual environment, with dependencies locked by hash

$(STAMP): requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "This needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(STAMP) ## Train a small model, start everything on loopback, play an exchange, show the figures
	@$(BIN)/python -m loadtest demo

serve: $(STAMP) ## The same set-up, left running in the foreground until Ctrl-C
	@$(BIN)/python -m loadtest serve

loadtest: $(STAMP) ## A load of 500 requests/s for 20 s against a stack of its own, with a report in .cache/loadtest.html
	@$(BIN)/python -m loadtest run --json .cache/loadtest.json --html .cache/loadtest.html

bench: $(STAMP) ## What a bid costs, beside the bidder that most would write first: twenty minutes, or BENCH=--quick
	@$(BIN)/python -m loadtest bench $(BENCH)

test: $(STAMP) ## All tests
	@$(BIN)/python -m pytest

check: $(STAMP) ## Lint, formatting, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

coverage: $(STAMP) ## The tests again, with the coverage of the bidder and its schemas (at least 90 %)
	@$(BIN)/python -m pytest --cov --cov-report=term --cov-fail-under=90

microbench: $(STAMP) ## What each stage of a bid costs, beside a yardstick; fails where one has become dearer
	@$(BIN)/python -m tests.benchmarks

infra: .venv-infra/.ready .cache/bin/helm .cache/bin/kubeconform ## Synthesise the AWS templates, render the chart, check and test both (needs Node.js and Go)
	.venv-infra/bin/mypy --config-file infra/mypy.ini
	.venv-infra/bin/python -m pytest -c infra/pytest.ini tests/infra

.venv-infra/.ready: requirements/infra.txt
	$(PYTHON) -m venv .venv-infra
	.venv-infra/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/infra.txt
	@touch $@

# What renders and checks the chart; built from source, as Go's checksum database has it. Some minutes the first time.
.cache/bin/helm: PACKAGE := helm.sh/helm/v3/cmd/helm@v3.22.0
.cache/bin/kubeconform: PACKAGE := github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0
.cache/bin/helm .cache/bin/kubeconform:
	@if command -v go >/dev/null; then echo "go install $(PACKAGE)"; GOBIN="$(CURDIR)/.cache/bin" go install $(PACKAGE); else false; fi || \
		echo "$(@F) could not be built (it needs Go): the tests of the chart will be skipped, and say so"

format: $(STAMP) ## Format the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## Write docs/openrtb.md anew, from what the bidder does
	@$(BIN)/python docs/make_openrtb.py

lock: $(STAMP) ## Lock the dependencies anew, by hash, for every platform
	$(LOCK) pyproject.toml -o requirements/bidder.txt
	$(LOCK) --group model -o requirements/model.txt
	$(LOCK) --group sagemaker_local -o requirements/sagemaker_local.txt
	$(LOCK) pyproject.toml --group dev -o requirements/dev.txt
	$(LOCK) --group infra -o requirements/infra.txt

clean: ## Remove what the targets made, but for the virtual environment
	rm -rf .cache build cdk.out .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
