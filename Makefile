# Each target does all its own set-up.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DATA ?= .fitmatrix/demo
NODE := deploy/setup/node.sh
WEB_LIBRARIES := orchestrator/web/libraries
PAGE_SOURCES := $(shell find webpayloads -path webpayloads/node_modules -prune -o -path webpayloads/dist -prune -o \
	-path webpayloads/models -prune -o -type f -print 2>/dev/null)

.PHONY: help
help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# ---- set-up -------------------------------------------------------------------------------------

$(BIN)/python:
	@deploy/setup/python.sh $(PYTHON) $(VENV)

$(VENV)/.installed: $(BIN)/python requirements/dev.txt pyproject.toml
	@echo "· Python packages"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# torch alone is not in the lock: its CPU build and its default build carry one version and different files.
$(VENV)/.models: $(VENV)/.installed requirements/models.txt
	@echo "· packages for building models (PyTorch among them: this takes a while)"
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(PIP) install torch==2.13.0
	@$(PIP) install --no-deps --require-hashes -r requirements/models.txt
	@touch $@

webpayloads/node_modules/.installed: webpayloads/package-lock.json webpayloads/.npmrc | $(VENV)/.installed
	@echo "· packages of the model pages"
	@$(NODE) npm --prefix webpayloads ci --no-fund --no-audit --no-update-notifier --loglevel=error
	@touch $@

# Served as they are: there is nothing to build.
$(WEB_LIBRARIES)/node_modules/.installed: $(WEB_LIBRARIES)/package-lock.json $(WEB_LIBRARIES)/.npmrc | $(VENV)/.installed
	@echo "· libraries of the coordinator's pages"
	@$(NODE) npm --prefix $(WEB_LIBRARIES) ci --no-fund --no-audit --no-update-notifier --loglevel=error
	@touch $@

$(VENV)/.pages: webpayloads/node_modules/.installed $(PAGE_SOURCES)
	@echo "· model pages"
	@$(NODE) npm --prefix webpayloads run --silent build
	@touch $@

agents/webview_host/dist/webviewhost.apk: agents/webview_host/AndroidManifest.xml $(wildcard agents/webview_host/smali/*) \
		$(wildcard agents/webview_host/res/xml/*) agents/webview_host/build.sh
	@echo "· WebView host app"
	@agents/webview_host/build.sh

.PHONY: setup pages browser webview-host models
setup: $(VENV)/.installed

pages: $(VENV)/.pages $(WEB_LIBRARIES)/node_modules/.installed ## Build the model pages, get what the coordinator's load

browser: ## Find Chrome or Chromium with its driver, or install them
	@deploy/setup/browser.sh

webview-host: agents/webview_host/dist/webviewhost.apk ## Build the app that shows pages in a phone's WebView

models: $(VENV)/.models ## Build the models that need neither a hub nor a licence to accept
	@$(BIN)/fitmatrix models build --data $(DATA)

# ---- use ----------------------------------------------------------------------------------------

.PHONY: demo up
demo: setup pages browser models ## Run real models in a real browser and show the matrix
	@$(BIN)/python deploy/demo/demo.py --data $(DATA)

up: setup pages browser ## Serve the demo's data for looking around, until Ctrl-C
	@$(BIN)/fitmatrix up --data $(DATA) --devices deploy/demo/devices.yaml

# ---- check --------------------------------------------------------------------------------------

.PHONY: test chaos bench lint types docs lock clean
# PYTEST takes further arguments, such as '--numprocesses 0 tests/unit' for those of one folder in one process.
test: setup pages browser $(VENV)/.models ## Run every test
	@deploy/setup/promtool.sh
	@deploy/setup/postgres.sh
	@deploy/setup/network.sh
	@deploy/setup/android.sh
	@deploy/setup/nginx.sh
	@deploy/setup/compose.sh
	@$(MAKE) webview-host
	@$(NODE) npm --prefix webpayloads test
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(PYTEST)

# SEED=n repeats a torment; without it each one is another.
chaos: setup pages ## Break everything at random for about 10 minutes and look at what is left
	@deploy/setup/postgres.sh
	@FITMATRIX_PROPERTY_FACTOR=10 $(BIN)/python -m pytest -q tests/properties $(if $(SEED),--hypothesis-seed=$(SEED))
	@$(BIN)/python -m tests.chaos $(SEED)

# BENCH takes further arguments, such as --list, --heavy or --rounds 20.
bench: setup pages browser $(VENV)/.models ## Measure docs/benchmarks.json anew; one figure alone: ONLY=name
	@deploy/setup/nginx.sh || true
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only '$(ONLY)') $(BENCH)

lint: setup webpayloads/node_modules/.installed ## Check style, types, imports, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(NODE) npm --prefix webpayloads run --silent check-types
	@$(NODE) npm --prefix webpayloads run --silent lint
	@deploy/setup/check-generated.sh

types: setup webpayloads/node_modules/.installed ## Generate the pages' types from the contract
	@$(BIN)/python -m orchestrator.contract.schema > webpayloads/contract.schema.json
	@$(NODE) npm --prefix webpayloads run --silent types

# The theme says at every build that its support ends in May 2027; docs/dependencies.md says it once.
docs: setup ## Build docs/ as a site, in build/docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict --config-file deploy/docs/mkdocs.yml
	@echo "To read it: python3 -m http.server --directory build/docs"

lock: $(BIN)/python ## Pin every dependency anew
	@$(PIP) install uv
	@deploy/setup/lock.sh $(BIN)/uv

clean: ## Remove everything that set-up made, but not the data
	rm -rf $(VENV) build $(WEB_LIBRARIES)/node_modules webpayloads/node_modules webpayloads/dist agents/webview_host/dist .mypy_cache .ruff_cache .pytest_cache
