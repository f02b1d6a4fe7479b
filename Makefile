# Everything runs in .venv, made on first use from the hash-locked requirements.
# Another Python: make PYTHON=python3.12 demo

PYTHON ?= python3
UV ?= uv
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)
# Without byte code every process compiles a thousand modules at its start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench lock clean

help:
	@echo 'make demo    run a chain over two stand-in servers (ARGS=--yes decides by itself)'
	@echo 'make test    run the test suite (ARGS="-k store" runs a part)'
	@echo 'make lint    check style, types and the imports between folders'
	@echo 'make bench   measure, and write benchmarks/results.json'
	@echo 'make lock    lock the requirements anew (needs uv)'
	@echo 'make clean   remove .venv and caches; data/ stays'

demo: $(VENV)/.runtime
	@exec $(BIN)/comfychain demo $(ARGS)

# Two at once, file by file: much of a test's time is waiting for other processes.
test: $(VENV)/.dev
	@exec $(BIN)/python -m pytest -ra -n 2 --dist loadfile $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	@exec $(BIN)/python -m benchmarks $(ARGS)

$(VENV)/.created:
	@PYTHON="$(PYTHON)" sh deploy/check-python
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The stamps are touched last, so an interrupted installation is taken up again.
$(VENV)/.runtime: $(VENV)/.created requirements/runtime.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

# One resolution for all platforms and Python versions; no index host stands in the files.
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock' pyproject.toml requirements/build.in

lock:
	$(LOCK) -o requirements/runtime.txt
	$(LOCK) --extra dev --extra video -c requirements/runtime.txt -o requirements/dev.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
