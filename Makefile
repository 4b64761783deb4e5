# `make` alone lists what there is. Every target does its own set-up in .venv.
PYTHON ?= python3
VENV := .venv
NODE := $(VENV)/node
BIN := $(VENV)/bin
ARGS ?=
LOCK := $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.PHONY: help demo test verify update lock bench bench-check micro parity real-cluster faults soak fuzz audit clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run  ## this machine as a cluster: kubectl top on its own processes (ARGS=--once, ARGS='--nodes 100')
	@$(BIN)/pymetrics-server demo $(ARGS)

test: $(VENV)/.dev $(NODE)/.clients  ## all tests
	@PYTHONASYNCIODEBUG= $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

verify: $(VENV)/.dev  ## format, lint, security lint, types, import contracts, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/bandit -q -c pyproject.toml -r pymetrics_server
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml
	@$(BIN)/python -m pytest -q tests/test_repo.py tests/options/test_flags_page.py tests/manifests/test_one_file.py
	@$(BIN)/python -m pytest -q -k golden tests/test_cli.py
	@$(BIN)/python -m benchmarks.counted

update: $(VENV)/.dev  ## mend what verify would complain of: format, safe lint fixes, golden files
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q -k golden; true

lock: $(VENV)/.dev  ## what the image is made of, by hash, from pyproject.toml (needs PyPI; ARGS=--upgrade for newer versions)
	@$(LOCK) $(ARGS) -o requirements.lock pyproject.toml
	@$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" | \
	  $(LOCK) $(ARGS) -o requirements-build.lock -

bench: $(VENV)/.bench  ## measure the server on a simulated fleet (NODES=1000 PEER=/path/to/metrics-server ARGS='--repeat 3')
	@$(BIN)/python -m benchmarks.measure --nodes $(or $(NODES),100) $(if $(PEER),--peer $(PEER)) \
	  --json build/bench/$(or $(NODES),100)$(if $(PEER),,-alone).json $(ARGS)
	@$(if $(PEER),$(BIN)/python -m benchmarks.page $$(ls build/bench/*.json | grep -v -- -alone))

bench-check: $(VENV)/.dev  ## instructions per operation against benchmarks/baseline.json (needs valgrind; ARGS=--record)
	@$(BIN)/python -m benchmarks.counted $(ARGS)

micro: $(VENV)/.dev  ## time per operation, by pyperf (ARGS=--fast)
	@$(BIN)/python -m benchmarks.micro $(ARGS)

parity: $(VENV)/.dev  ## compare every answer with the original's (PEER=/path/to/metrics-server)
	@PARITY_PEER=$(PEER) $(BIN)/python -m tests.parity $(ARGS)

real-cluster: $(VENV)/.dev  ## on a real kube-apiserver (ASSETS=/folder/of/etcd,kube-apiserver,kubectl PEER=/path/to/metrics-server)
	@KUBEBUILDER_ASSETS=$(ASSETS) METRICS_SERVER=$(PEER) $(BIN)/python -m pytest tests/cluster/real tests/certs tests/manifests -rP $(ARGS)

faults: $(VENV)/.dev  ## a server while its cluster goes wrong, scene by scene; writes docs/reliability.md (ARGS='--only 410')
	@$(BIN)/python -m benchmarks.faults $(or $(ARGS),--page)

soak: $(VENV)/.dev  ## an hour in a cluster that changes, is asked and fails (ARGS='--minutes 5 --nodes 100')
	@$(BIN)/python -m benchmarks.faults.soak $(ARGS)

fuzz: $(VENV)/.dev  ## all that strangers send, from chance bytes (SECONDS=600); better with `pip install atheris`
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(if $(FOUND),--found $(FOUND))

# A package that the index does not know is one that was not audited: only an audit of all of them says so much.
audit: $(VENV)/.dev  ## known faults of what is installed; needs PyPI, or ARGS='-s osv'
	@packages=$$(mktemp) && trap 'rm -f $$packages' EXIT && \
	$(BIN)/python -m pip freeze --disable-pip-version-check --exclude-editable > $$packages && \
	$(BIN)/pip-audit --strict --no-deps --disable-pip -r $$packages $(ARGS) || \
	{ echo "No clean audit: either faults are listed above, or the advisory service was not reached."; exit 1; }

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed; on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.run: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.run

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev,bench]'
	@touch $@ $(VENV)/.dev $(VENV)/.run

# The JavaScript client that a test reads with. Where there is no npm, or no registry, the test says so and skips.
$(NODE)/.clients: Makefile
	@mkdir -p $(NODE)
	@if ! command -v npm >/dev/null || ! command -v node >/dev/null; then exit 0; fi; \
	echo "Installing into $(NODE) ..."; \
	npm install --prefix $(NODE) --no-save --no-package-lock --no-audit --no-fund --no-update-notifier --ignore-scripts \
	  --fetch-retries=1 --fetch-timeout=60000 --loglevel=error @kubernetes/client-node@1 && touch $@ || echo "... without it"
