# Each target makes the virtual environment it needs: `make run` and `make test` are all the set-up there is.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= runs/bbc

.PHONY: run test test-slow lint clean

run: $(VENV)/.demo            ## the main job on BBC News, with a table and a report at the end
	$(BIN)/vecformer demo --out $(OUT) --overwrite

test: $(VENV)/.dev            ## the whole suite, in under ten minutes
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(VENV)/.dev       ## the checks that take minutes: figures over several seeds
	$(BIN)/python -m pytest -m slow -s

lint: $(VENV)/.dev            ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:                        ## remove the environment and what tools left behind
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	touch $@ $(VENV)/.demo
