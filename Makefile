# Each target makes the virtual environment it needs: `make run` and `make test` are all the set-up there is.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= runs/bbc
DATASETS ?= $(VECFORMER_DATASETS)

.PHONY: run test test-slow fuzz bench lint clean

run: $(VENV)/.demo            ## the main job on BBC News, with a table and a report at the end
	$(BIN)/vecformer demo --out $(OUT) --overwrite

test: $(VENV)/.dev            ## the whole suite, in under ten minutes
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(VENV)/.dev       ## the checks that take minutes: figures over several seeds, fuzzing
	$(BIN)/python -m pytest -m slow -s

fuzz: $(VENV)/.dev            ## 10,000 spoilt vector files: each gives vectors or one message
	$(BIN)/python -m pytest -m slow tests/embeddings/test_fuzz_readers.py

bench: $(VENV)/.dev           ## stage one beside gensim, in one run; DATASETS names the folder of real data
	$(BIN)/python benchmarks/read_vectors.py 3
	$(BIN)/python benchmarks/train_vectors.py $(DATASETS)/corpus_en/wikipedia_en_0*.txt.gz --runs 3
	$(BIN)/python benchmarks/intrinsic.py $(DATASETS)

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
