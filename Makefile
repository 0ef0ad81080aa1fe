# `make` lists what there is. Two commands matter: `make run` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_TRACKING_URI ?= sqlite:///mlflow.db
# Where it is set, each process compiles MLflow anew before its first line.
export PYTHONDONTWRITEBYTECODE :=

DATA ?= data/sample/by-day
EXPERIMENT ?= experiments/default.yaml
PORT ?= 5000

.PHONY: help run test ui bench soak check format lock package clean

help:  ## this list
	@grep -hE '^[a-z]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*  ## /  make \1\t/' | expand -t 18

run: $(VENV)/runtime  ## prepare, sweep, register, promote and score DATA (default: the bundled sample)
	mlflow run . --env-manager local --experiment-name "$$(basename "$(EXPERIMENT)" .yaml)" -P "data=$(DATA)" -P "experiment=$(EXPERIMENT)"

# A worker that dies is not replaced: pytest-xdist would wait for ever (its issue 784).
test: $(VENV)/tools  ## every test; those on the real data where it is present
	pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 --durations 15

ui: $(VENV)/runtime  ## the MLflow UI on the project's store, at http://127.0.0.1:PORT (default: 5000)
	@python -c "import socket, sys; sys.exit(socket.socket().connect_ex(('127.0.0.1', $(PORT))) == 0)" \
		|| { echo "port $(PORT) is taken: choose another, as in make ui PORT=$$(($(PORT) + 1))" >&2; exit 2; }
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --backend-store-uri $(MLFLOW_TRACKING_URI) --host 127.0.0.1 --port $(PORT)

bench: $(VENV)/tools  ## measure side by side, write docs/benchmarks.md
	python -m benchmarks

soak: $(VENV)/tools  ## the long fault-injection runs
	pytest -m soak

check: $(VENV)/tools  ## format, lint, types, import layers
	ruff format --check .
	ruff check .
	mypy
	lint-imports

format: $(VENV)/tools  ## mend what a tool can mend
	ruff check --fix .
	ruff format .

lock: $(VENV)/tools  ## make requirements*.txt anew from pyproject.toml
	uv pip compile pyproject.toml -o requirements.txt --universal --python-version 3.11 --no-header -q --upgrade
	uv pip compile --group dev -c requirements.txt -o requirements-dev.txt --universal --python-version 3.11 --no-header -q --upgrade

package: $(VENV)/tools  ## the wheel, and an environment archive for a cluster, into dist/
	rm -rf build dist
	uv build --quiet --wheel --out-dir dist
	uv venv --quiet --relocatable --python $(PYTHON) build/environment
	uv pip install --quiet --python build/environment/bin/python -r requirements.txt
	uv pip install --quiet --python build/environment/bin/python --no-deps dist/*.whl
	tar -czf dist/environment.tar.gz --exclude=./lib/python*/site-packages/pyspark/jars -C build/environment .
	ls -lh dist

clean:  ## remove the environment and what runs have left, the tracking store too
	rm -rf $(VENV) build dist mlflow.db optuna.db optuna.journal* mlruns mlartifacts output data/prepared spark-warehouse

$(VENV)/runtime: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv -c requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	-$(BIN)/python -m retail_clusters.infra.class_archive
	touch $@

$(VENV)/tools: $(VENV)/runtime requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements-dev.txt
	touch $@
