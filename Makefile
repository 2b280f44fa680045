# make repro   data -> panels -> predictors -> comparison -> report, by DVC; prints where the results are
# make studies learning curves, groups left out, stability, realistic input -> reports/studies.html
# make tune    small searches for settings -> reports/tuning.html; larger ones: sclandmarks tune --help
# make test    lint and tests            make lint   ruff, mypy, import-linter
# make ui      MLflow on 127.0.0.1       make bench  what is timed, beside what one would use instead
# Each sets up .venv from the lock first, once. PYTHON=python3.12 picks another interpreter.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
PORT ?= 5000

.PHONY: setup repro studies tune test lint format ui bench lock
.DEFAULT_GOAL := repro

setup:
	@test -n "$(PYTHON)" || { echo "expected python3.11, 3.12 or 3.13 on the PATH; found none" >&2; exit 1; }
	@$(PYTHON) tools/setup_venv.py

repro: setup
	@sclandmarks mend
	dvc repro
	@sclandmarks where

studies: setup
	@sclandmarks mend
	dvc repro studies/dvc.yaml
	@echo reports/studies.html

tune: setup
	@sclandmarks mend
	dvc repro tuning/dvc.yaml
	@echo reports/tuning.html

test: lint
	pytest -n auto --dist worksteal

lint: setup
	ruff check .
	ruff format --check .
	mypy
	lint-imports

format: setup
	ruff check --fix .
	ruff format .

ui: setup
	sclandmarks ui --port $(PORT)

bench: setup
	python benchmarks/core.py

# The lock: every exact version but torch and its CUDA companions, for all platforms. No URL enters it.
lock: setup
	uv pip compile -q pyproject.toml --group dev --universal --override overrides.txt --excludes excludes.txt \
		--no-emit-find-links --no-emit-index-url -o requirements.lock
