# The only entry: `make` lists the verbs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PORT ?= 3000
HOST ?= 127.0.0.1
REF ?= HEAD~1
NET = lenet
DATA = digits
STORE = models/repository
FULL_SIZE = $(if $(filter file,$(origin STORE)),build/full-size,$(STORE))
NAME =
ARGS =
WHAT =
RUNS = runs/*
VERIFY_PORT ?= 3999
VARIANT ?= cpu
BACKEND ?= docker
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SAMPLE := docs/samples/7.png
export BENTOML_DO_NOT_TRACK := True
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help serve test test-full every-net full-size rollout openapi lint format fuzz train evaluate compare verify bench bench-photographs bench-against bench-overload bench-precision bench-metrics memory screenshot build container image containers compose dashboards rules sbom lock clean

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("ConvServe needs Python 3.11 or newer; set PYTHON=…")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: requirements/serve-cpu.txt | $(VENV)/bin/python
	$(PIP) --require-hashes --requirement requirements/serve-cpu.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt | $(VENV)/bin/python
	$(PIP) --requirement requirements/dev.txt
	@touch $@

serve: $(VENV)/.serve ## serve the default model on http://127.0.0.1:3000 (PORT=…, HOST=…)
	@if (exec 3<>/dev/tcp/$(HOST)/$(PORT)) 2>/dev/null; then \
	  echo "port $(PORT) of $(HOST) is taken: make serve PORT=…" >&2; exit 1; fi; \
	(ask() { exec 3<>/dev/tcp/$(HOST)/$(PORT) && printf 'GET %s HTTP/1.0\r\n\r\n' "$$1" >&3 && cat <&3; }; \
	  until [[ $$(ask /readyz 2>/dev/null) == HTTP/1.?' 200 '* ]]; do kill -0 $$$$ 2>/dev/null || exit; sleep 0.2; done; \
	  name=$${CONVSERVE_DEFAULT_MODEL:-$$(ask /v1/models | grep -o '"name":"[^"]*"' | head -n 1 | cut -d '"' -f 4 || true)}; \
	  image=YOUR-IMAGE.jpg; if [[ $$(ask "/v1/models/$$name") == *'"dataset":"digits"'* ]]; then image=$(SAMPLE); fi; \
	  printf '\nServing %s. Classify an image with:\n\n  curl --data-binary @%s http://%s:%s/v1/classify\n\nCtrl-C ends it.\n\n' \
	    "$${name:-it}" "$$image" $(HOST) $(PORT)) & \
	exec $(BIN)/bentoml serve --host $(HOST) --port $(PORT)

test: $(VENV)/.dev lint ## lint, types and all tests
	$(BIN)/python -m pytest

test-full: $(VENV)/.dev lint ## also the tests that take minutes; writes docs/reports/test-full.md and .json
	$(BIN)/python -m pytest -m '' -p tests.reporting --report docs/reports/test-full

every-net: $(VENV)/.dev ## each network trained on the digits, exported and served; minutes; writes docs/reports/every-net.md
	$(BIN)/python -m pytest -m slow -p tests.reporting --report docs/reports/every-net tests/e2e/test_every_net.py

full-size: $(VENV)/.dev ## AlexNet and VGG16 as in their papers, to an answer over HTTP; half an hour; docs/reports/full-size.md
	$(BIN)/python -m pytest -m slow -p tests.reporting --report docs/reports/full-size tests/e2e/test_full_size.py

rollout: $(VENV)/.dev ## versions changed and refused under load, three networks at once; minutes; writes docs/reports/rollout.md
	$(BIN)/python -m pytest -m '' -p tests.reporting --report docs/reports/rollout tests/e2e/test_rollout.py \
	  tests/e2e/test_bad_versions.py tests/e2e/test_trials.py tests/e2e/test_models.py

openapi: $(VENV)/.dev ## a thousand examples of each operation by schemathesis; minutes; writes docs/reports/openapi.md
	$(BIN)/python -m pytest -m slow -p tests.reporting --report docs/reports/openapi tests/e2e/test_openapi.py

lint: $(VENV)/.dev ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.dev ## format and mend what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

train: $(VENV)/.dev ## train NET (lenet) on DATA (digits, folder:PATH, …) and add it to STORE as NAME; ARGS: more of fit's
	$(BIN)/python -m training fit --net $(NET) --dataset '$(DATA)' --store '$(STORE)' $(if $(NAME),--name '$(NAME)') $(ARGS)

evaluate: $(VENV)/.dev ## figures and pictures of WHAT: a run, a checkpoint, a model file, or a NAME in STORE
	$(BIN)/python -m training evaluate '$(or $(WHAT),$(NAME),$(NET))' --store '$(STORE)' $(ARGS)

compare: $(VENV)/.dev ## RUNS side by side, in build/compare
	$(BIN)/python -m training compare $(RUNS) $(ARGS)

verify: $(VENV)/.dev ## checkpoint, model file NAME in STORE, and a server of its own give the same answers
	@mkdir -p build; state=$$(mktemp -d); \
	CONVSERVE_MODEL_STORE='$(STORE)' CONVSERVE_STATE_DIR=$$state CONVSERVE_DRAIN_DELAY_S=0 \
	  $(BIN)/bentoml serve --host 127.0.0.1 --port $(VERIFY_PORT) >build/verify.log 2>&1 & server=$$!; \
	trap "kill $$server 2>/dev/null; wait $$server 2>/dev/null || true; rm -rf $$state" EXIT; \
	ready() { exec 3<>/dev/tcp/127.0.0.1/$(VERIFY_PORT) && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && read -r answer <&3 \
	  && [[ $$answer == *' 200 '* ]]; }; \
	until ready 2>/dev/null; do kill -0 $$server 2>/dev/null || { cat build/verify.log >&2; exit 1; }; sleep 0.2; done; \
	$(BIN)/python -m training verify '$(or $(NAME),$(NET))' --store '$(STORE)' --url http://127.0.0.1:$(VERIFY_PORT) $(ARGS)

bench: $(VENV)/.dev ## this service, stock BentoML and the ceiling in turn; photographs too where STORE has the networks; build/bench.json
	status=0; $(BIN)/python -m benchmarks.bench --readme || status=$$?; \
	if [[ -d '$(FULL_SIZE)/alexnet' && -d '$(FULL_SIZE)/vgg16' ]]; then \
	  $(BIN)/python -m benchmarks.photographs --store '$(FULL_SIZE)' || status=$$?; \
	else echo "no AlexNet and VGG16 in $(FULL_SIZE): make bench-photographs trains them, in half an hour" >&2; fi; exit $$status

bench-photographs: $(VENV)/.dev ## full-size networks on photographs over HTTP, in 20 minutes (STORE=build/full-size, ARGS='--net vgg16 --sweep lenet'); docs/reports/photographs.json
	$(BIN)/python -m benchmarks.photographs --store '$(FULL_SIZE)' $(ARGS)

bench-against: $(VENV)/.dev ## this tree and REF in turn (REF=<git ref>); writes build/bench-against.json
	$(BIN)/python -m benchmarks.against $(REF)

fuzz: $(VENV)/.dev ## a million damaged requests and images; minutes; writes docs/reports/fuzz.json
	$(BIN)/python -m tests.fuzz.run

bench-overload: $(VENV)/.dev ## more load than it can take, slow and greedy clients, restarts; 25 minutes; writes build/overload.json
	$(BIN)/python -m benchmarks.overload

bench-metrics: $(VENV)/.dev ## what counting costs: with all metrics and without, in turn; fails above 10%; docs/reports/metrics-cost.json
	$(BIN)/python -m benchmarks.metrics_cost

bench-precision: $(VENV)/.dev ## int8 over fp32 of full-size AlexNet and VGG16; trains them first; writes docs/reports/precision.json
	$(BIN)/python -m benchmarks.precision

memory: $(VENV)/.dev ## memory of a worker over 200,000 requests; writes build/memory.json
	$(BIN)/python -m benchmarks.memory

screenshot: $(VENV)/.dev ## the README's picture of the page, taken with the system's Chromium
	$(BIN)/python -m tests.e2e.screenshot

build: $(VENV)/.serve ## a Bento for CPUs; `bentoml build` makes the one for GPUs
	$(BIN)/bentoml build --bentofile bentofile.cpu.yaml

container: $(VENV)/.serve ## the Bento as an image, by BentoML (VARIANT=cpu|gpu, BACKEND=docker|podman|buildah|…)
	tag=$$($(BIN)/bentoml build --bentofile $(if $(filter gpu,$(VARIANT)),bentofile.yaml,bentofile.cpu.yaml) --output tag); \
	$(BIN)/bentoml containerize "$${tag#__tag__:}" --backend $(BACKEND) --image-tag convserve-bento:$(VARIANT)

image: ## the small image of deploy/Dockerfile (VARIANT=cpu|gpu, BACKEND=docker|podman)
	$(BACKEND) build --file deploy/Dockerfile --build-arg VARIANT=$(VARIANT) --tag convserve:$(VARIANT) .

containers: $(VENV)/.dev ## images run locked down, one taking over from the other; writes docs/reports/containers.json (CONTAINER_IMAGE=, BENTO_IMAGE=, CONTAINER_TOOL=)
	$(BIN)/python -m pytest -m '' -p tests.reporting --report docs/reports/containers \
	  tests/deploy/test_container.py tests/deploy/test_handover.py

compose: ## the service, Prometheus and Grafana on this machine (VARIANT=cpu|gpu)
	COMPOSE_PROFILES=$(VARIANT) docker compose --file deploy/compose.yaml up --build

dashboards: $(VENV)/.dev ## write the JSON of Grafana's dashboards from deploy/dashboards
	$(BIN)/python -m deploy.dashboards

rules: $(VENV)/.dev ## check and test the rules and alerts, and write them for the Prometheus operator
	promtool check config deploy/prometheus/prometheus.yml
	promtool test rules tests/deploy/rules_test.yaml
	$(BIN)/python -m deploy.prometheus_rule

sbom: $(VENV)/.dev ## the bill of materials of what serves, CycloneDX (VARIANT=cpu|gpu); writes build/sbom-VARIANT.json
	@mkdir -p build
	PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements requirements/serve-$(VARIANT).txt --pyproject pyproject.toml \
	  --output-reproducible --output-file build/sbom-$(VARIANT).json

lock: $(VENV)/.dev ## pin the requirements anew from pyproject.toml
	for side in cpu gpu; do \
	  $(BIN)/uv pip compile --quiet pyproject.toml --extra serve-$$side --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --no-emit-index-url --custom-compile-command 'make lock' --output-file requirements/serve-$$side.txt; \
	done
	$(BIN)/uv pip compile --quiet pyproject.toml --extra serve-cpu --extra train --extra dev --universal --python-version 3.11 \
	  --no-annotate --no-emit-index-url --custom-compile-command 'make lock' --output-file requirements/dev.txt
	# which CUDA packages torch wants is for torch to say: a CPU build of it wants none
	sed --in-place --regexp-extended '/^(nvidia-(cu|nc|nv)|cuda-|triton=)/d' requirements/dev.txt

clean: ## remove what was made, the environment included
	rm -rf $(VENV) build runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
