# The development commands; `make help` lists them.  Needs make, Python 3.11 to 3.14 with venv, and
# a package index for the first run.  Works with GNU make 3.81, which macOS has.

.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CHECKOV := .venv-checkov
FUZZ := .venv-fuzz
CONDA_INDEX := .venv-conda-index
CONDA := .venv-conda
DOCS := .venv-docs
RELEASE := .venv-release
# Makes an environment unless it is current, by a digest of its requirements; clears nothing outside of this clone.
ENVIRONMENT = $(PYTHON) requirements/environment.py

# For make build and make deploy.  Defaults: the template's.
RUNTIME ?= python3.13
ARCHITECTURE ?= arm64
STACK ?= sluice
BUILD_PARAMETERS = Runtime=$(RUNTIME) Architecture=$(ARCHITECTURE)
# For make local-up, and PARAMS for make deploy, too: "Key=Value Key=Value".
LOCAL_PORT ?=
DEBOUNCE_SECONDS ?=
# For make conda-conformance and make clients: a folder with a clone of conda.
CONDA_SOURCE ?=
# For make conda-conformance.  Other numbers write no page.
CHANNELS ?= 2000
# For make bench-flood.
FLOOD_FILES ?= 200000
# For make clients: empty for all of them.
CLIENTS ?=
# For make fuzz.
FUZZ_SECONDS ?= 600
PARAMS ?=
# For make bench.
SIZES ?= 1000 10000
RUNS ?= 3
BENCH ?=
# For make release: the layers that it has.
RUNTIMES ?= python3.11 python3.12 python3.13 python3.14
ARCHITECTURES ?= arm64 x86_64
DIST ?= dist
# For make load.
PACKAGES ?= 10000
SUBDIRS ?= 5
# For make test.  End-to-end tests mostly wait, so one more than most laptops have cores to spare.
WORKERS ?= 3
# For make simulate.  FIRST: empty for seeds that nobody has played before.  It is the first channel
# of make conda-conformance, too.
SEEDS ?= 20000
FIRST ?=
# For make invoke-extract, invoke-merge and invoke-reconcile; empty: all that fit.
EVENT ?=

export SAM_CLI_TELEMETRY = 0
export RUNTIME LOCAL_PORT DEBOUNCE_SECONDS PARAMS FUZZ_SECONDS CONDA_SOURCE

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(VENV)/.current ## Create the virtual environment that the other targets use

.PHONY: always
always:

$(VENV)/.current: always
	@$(ENVIRONMENT) $(VENV) requirements/dev.txt

$(CHECKOV)/.current: always
	@$(ENVIRONMENT) $(CHECKOV) requirements/checkov.txt

$(DOCS)/.current: always
	@$(ENVIRONMENT) $(DOCS) requirements/docs.txt

$(RELEASE)/.current: always
	@$(ENVIRONMENT) $(RELEASE) requirements/release.txt

$(FUZZ)/.current: always
	@$(ENVIRONMENT) $(FUZZ) requirements/fuzz.txt --only-binary :all:

.PHONY: conda-index
conda-index: $(CONDA_INDEX)/.current ## Create the environment of conda-index, for comparisons

$(CONDA_INDEX)/.current: always
	@$(ENVIRONMENT) $(CONDA_INDEX) requirements/conda-index.txt

$(CONDA)/.current: always
	@$(ENVIRONMENT) $(CONDA) requirements/conda.txt

.PHONY: demo
demo: $(VENV)/.current ## Run a demo on this machine: upload packages, index them, install one
	@$(BIN)/python -m local demo

.PHONY: test
test: $(VENV)/.current $(CONDA_INDEX)/.current $(RELEASE)/.current ## Run all tests, including the end-to-end tests in a local AWS
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

.PHONY: ceph
ceph: $(VENV)/.current ## Run the S3 server tests on a Ceph RGW; needs root and apt-get
	@PYTHONPATH=layers/sluice $(BIN)/python -m testkit.real_s3.ceph
	$(BIN)/python -m pytest --s3 ceph tests/store/test_contract.py tests/servers

.PHONY: conformance
conformance: $(VENV)/.current $(CONDA_INDEX)/.current ## Compare with rattler-index and conda-index, and write docs/conformance.md
	@PYTHONPATH=layers/sluice $(BIN)/python -m tests.conformance

.PHONY: clients
clients: $(VENV)/.current ## Test CLIENTS (all) and write docs/reference/clients.md; CONDA_SOURCE=<clone>; needs npm and a C compiler
	@PYTHONPATH=layers/sluice $(BIN)/python -m tests.conformance.client_matrix $(CLIENTS)

.PHONY: fuzz
fuzz: $(FUZZ)/.current ## Fuzz the package reader for FUZZ_SECONDS (600); Linux on x86_64 only
	@PYTHONPATH=layers/sluice $(FUZZ)/bin/python -m tests.fuzz

.PHONY: conda-conformance
conda-conformance: $(VENV)/.current $(CONDA)/.current ## Compare current_repodata.json with the conda in CONDA_SOURCE
	PYTHONPATH=layers/sluice $(BIN)/python -m tests.conformance.current_repodata \
		--channels $(CHANNELS) --first $(or $(FIRST),0)

# make test plays 800, this as many as one has time for: 20000 take about ten minutes on two cores.
.PHONY: simulate
simulate: $(VENV)/.current ## Simulate the whole system with SEEDS (20000) seeds from FIRST (new ones) on, on all cores
	PYTHONPATH=layers/sluice $(BIN)/python -m tests.simulation --seeds $(SEEDS) $(addprefix --first ,$(FIRST))

.PHONY: hunt
hunt: $(VENV)/.current ## Find the first seed that shows each planted bug, for make test; run after changes to the core
	PYTHONPATH=layers/sluice $(BIN)/python -m tests.simulation --hunt --write

# sam validate translates the template and --lint does not; neither asks AWS anything.
NO_AWS = AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none \
	AWS_ENDPOINT_URL=http://127.0.0.1:9

.PHONY: docs
docs: $(DOCS)/.current ## Build the documentation as a site in .site/; fails on broken links
	PYTHONPATH=. NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --clean
	@echo "file://$(CURDIR)/.site/index.html"

.PHONY: reference
reference: $(VENV)/.current ## Regenerate the pages of docs/reference/ that are made from the source
	@PYTHONPATH=layers/sluice $(BIN)/python -m local.docs

.PHONY: lint
lint: $(VENV)/.current $(CHECKOV)/.current docs ## Run all static checks; changes no file
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	PYTHONPATH=layers/sluice $(BIN)/lint-imports
	$(DOCS)/bin/codespell
	@PYTHONPATH=. $(BIN)/python -m local.docs.wording
	$(NO_AWS) $(BIN)/sam validate
	$(NO_AWS) $(BIN)/sam validate --lint
	$(BIN)/cfn-lint template.yaml
	$(CHECKOV)/bin/checkov --file template.yaml --framework cloudformation \
		--quiet --compact --skip-download

.PHONY: fix
fix: $(VENV)/.current ## Format the code, and fix what ruff can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: bench
bench: $(VENV)/.current ## Measure channels of SIZES (1000 10000), RUNS (3) times, and compare with rattler-index
	PYTHONPATH=layers/sluice $(BIN)/python -m benchmarks \
		--packages $(SIZES) --runs $(RUNS) $(BENCH)

.PHONY: bench-report
bench-report: $(VENV)/.current ## Write tables, plots and costs from the measurements: benchmarks/results.md, docs
	PYTHONPATH=layers/sluice $(BIN)/python -m benchmarks.report
	PYTHONPATH=layers/sluice $(BIN)/python -m benchmarks.cost

.PHONY: coldstart
coldstart: $(VENV)/.current ## Measure the start time of the functions; fails above the budget
	PYTHONPATH=layers/sluice $(BIN)/python -m benchmarks.coldstart

# REPLICAS, and LEADER=--leader for the lease, with which twenty kills take twenty minutes.
REPLICAS ?= 1
LEADER ?=
.PHONY: watch-soak
watch-soak: $(VENV)/.current ## Kill sluice watch 20 times among 5,000 uploads; REPLICAS (1), LEADER=--leader
	PYTHONPATH=layers/sluice $(BIN)/python -m benchmarks.watch_soak --replicas $(REPLICAS) $(LEADER)

.PHONY: load
load: $(VENV)/.current ## Upload PACKAGES (10000) at once to SUBDIRS (5) of the local stack, and measure
	PYTHONPATH=layers/sluice $(BIN)/python -m benchmarks.load \
		--packages $(PACKAGES) --subdirs $(SUBDIRS)

.PHONY: bench-flood
bench-flood: $(VENV)/.current ## Measure an upload after FLOOD_FILES (200000) garbage files; fails above the bounds
	PYTHONPATH=layers/sluice $(BIN)/python -m benchmarks.flood --files $(FLOOD_FILES)

.PHONY: bench-slow-flood
bench-slow-flood: $(VENV)/.current ## Measure uploads on the local stack while another channel gets 200 decompression bombs
	PYTHONPATH=layers/sluice $(BIN)/python -m benchmarks.slow_flood

.PHONY: bench-installable
bench-installable: $(VENV)/.current ## Measure the time from upload to index on the local stack: benchmarks/results-installable.md
	PYTHONPATH=layers/sluice $(BIN)/python -m benchmarks.installable

.PHONY: bench-take-over
bench-take-over: $(VENV)/.current ## Measure the take-over of 500,000 packages on one core; fails above the time or memory bound
	PYTHONPATH=layers/sluice $(BIN)/python -m benchmarks.take_over

.PHONY: bench-million
bench-million: $(VENV)/.current ## Measure a subdir of a million packages, and a bucket of 20,000 subdirs; takes 30 minutes and 16 GiB
	PYTHONPATH=layers/sluice $(BIN)/python -m benchmarks.million

.PHONY: bench-page
bench-page: $(VENV)/.current ## Measure the page of a channel of 30,000 names; fails above the budget; needs Chromium
	PYTHONPATH=layers/sluice $(BIN)/python -m benchmarks.page

.PHONY: page-pictures
page-pictures: $(VENV)/.current ## Update the screenshots in docs/page/; needs Chromium
	@PYTHONPATH=layers/sluice $(BIN)/python -m tests.page

.PHONY: build
build: $(VENV)/.current ## Run sam build for RUNTIME (python3.13) and ARCHITECTURE (arm64)
	SLUICE_RUNTIME=$(RUNTIME) SLUICE_ARCHITECTURE=$(ARCHITECTURE) \
		SLUICE_PYTHON=$(CURDIR)/$(BIN)/python \
		$(BIN)/sam build --parameter-overrides $(BUILD_PARAMETERS)

.PHONY: deploy
deploy: build ## Run sam deploy to the AWS account of your credentials; STACK, PARAMS="Key=Value ..."
	$(BIN)/sam deploy --stack-name $(STACK) --parameter-overrides $(BUILD_PARAMETERS) $(PARAMS)

.PHONY: release
release: $(VENV)/.current $(RELEASE)/.current ## Build package, stack, checksums and notes into DIST (dist), layers for RUNTIMES and ARCHITECTURES
	@PYTHONPATH=layers/sluice $(BIN)/python -m local.release --output "$(DIST)" --tools $(RELEASE) \
		--runtimes $(RUNTIMES) --architectures $(ARCHITECTURES)

.PHONY: local-up
local-up: $(VENV)/.current ## Start the stack in a local AWS: LOCAL_PORT, DEBOUNCE_SECONDS, PARAMS
	@$(BIN)/python -m local up

.PHONY: local-down
local-down: $(VENV)/.current ## Stop the stack of make local-up
	@$(BIN)/python -m local down

.PHONY: invoke-extract
invoke-extract: $(VENV)/.current ## Run sam local invoke with events/extract-*.json, or EVENT=; needs Docker
	@$(BIN)/python -m local invoke extract $(EVENT)

.PHONY: invoke-merge
invoke-merge: $(VENV)/.current ## Run sam local invoke with events/merge-*.json, or EVENT=; needs Docker
	@$(BIN)/python -m local invoke merge $(EVENT)

.PHONY: invoke-reconcile
invoke-reconcile: $(VENV)/.current ## Run sam local invoke with events/reconcile-*.json, or EVENT=; needs Docker
	@$(BIN)/python -m local invoke reconcile $(EVENT)

.PHONY: lock
lock: ## Resolve the requirements again, for every supported Python and platform
	@$(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv
	$(LOCK) requirements/dev.in --output-file requirements/dev.txt
	$(LOCK) layers/sluice/requirements.in --constraint requirements/dev.txt \
		--output-file layers/sluice/requirements.txt
	$(LOCK) requirements/watch.in --constraint requirements/dev.txt \
		--output-file requirements/watch.txt
	$(LOCK) requirements/checkov.in --output-file requirements/checkov.txt
	$(LOCK) requirements/docs.in --output-file requirements/docs.txt
	$(LOCK) requirements/release.in --output-file requirements/release.txt
	$(LOCK) requirements/conda-index.in --constraint requirements/dev.txt \
		--output-file requirements/conda-index.txt
	$(LOCK) requirements/conda.in --constraint requirements/conda-index.txt \
		--output-file requirements/conda.txt
	$(LOCK) requirements/fuzz.in --constraint requirements/dev.txt \
		--output-file requirements/fuzz.txt
	for one in requirements/clients/py-rattler-*.in; do \
		$(LOCK) $$one --output-file $${one%.in}.txt || exit 1; \
	done
	$(LOCK) requirements/clients/conda.in --constraint requirements/dev.txt \
		--output-file requirements/clients/conda.txt
	for one in conda-rattler-solver conda-lock; do \
		$(LOCK) requirements/clients/$$one.in --constraint requirements/clients/conda.txt \
			--output-file requirements/clients/$$one.txt || exit 1; \
	done
	cd requirements/clients && npm install --package-lock-only --ignore-scripts --no-audit --no-fund

LOCK = .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
