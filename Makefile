# Two commands for a newcomer:  make demo   and   make test.  Both set up what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.cairn-setup
CLIENTS := .clients/.installed
ATTEMPTS ?= 6
# more than cores: tests wait for other processes as often as they compute
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo test clients check format docs site clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with everything the locked versions ask for

$(STAMP): pyproject.toml uv.lock
	@echo "cairn: setting up $(VENV) from uv.lock (about 1.3 GB on disk, one to three minutes on a fast network)"
	@PYTHON="$(PYTHON)" sh scripts/setup.sh "$(VENV)"
	@touch $@

demo: setup ## Climb a matmul kernel for TPU v5p with the embedded tuner, on this machine, without a TPU
	@echo "cairn: $(ATTEMPTS) attempts on kernels/matmul; each is judged for real, all in all about a minute"
	@$(BIN)/cairn climb kernels/matmul --agent tuner --target tpu-v5p --attempts $(ATTEMPTS)

test: setup clients ## Run every test and every check (linters, types, layers, documentation)
	@echo "cairn: running all tests and checks, about fifteen minutes on two cores"
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal --durations 20

clients: ## Install the coding assistants that tests drive, when npm is there; tests that need one skip without it
	@if ! command -v npm >/dev/null 2>&1; then \
	    echo "cairn: no npm, so the tests that drive a real coding assistant are skipped"; \
	elif ! $(MAKE) --no-print-directory $(CLIENTS); then \
	    echo "cairn: npm cannot install them, so the tests that drive a real coding assistant are skipped"; fi

$(CLIENTS): tests/clients/package.json tests/clients/package-lock.json
	@echo "cairn: installing the coding assistants of the tests and GitHub's API description into .clients (about 1.3 GB)"
	@mkdir -p .clients && cp tests/clients/package.json tests/clients/package-lock.json .clients/
	@cd .clients && npm ci --silent --no-audit --no-fund
	@touch $@

check: setup ## Linters, formatting, types and generated documentation only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m compileall -q scripts kernels src tests benchmarks
	@$(BIN)/pytest -q tests/test_layers.py tests/test_docs.py

format: setup ## Format the code and regenerate the documentation
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(MAKE) --no-print-directory docs

docs: setup ## Regenerate the generated parts of README.md and docs/
	@$(BIN)/cog -r README.md docs/cli.md docs/judge.md docs/targets.md docs/report.md docs/formats.md docs/climb.md docs/agents.md docs/gdnctl.md

site: setup ## Build the documentation as a site in build/site; a link that leads nowhere ends it
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict && echo "cairn: open build/site/index.html"

clean: ## Remove environments, caches and runs; branches of climbs stay
	@rm -rf $(VENV) .clients .cairn build .mypy_cache .ruff_cache .pytest_cache .hypothesis
