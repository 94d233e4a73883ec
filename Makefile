# Each target makes the virtual environment it needs: `make run` and `make test` are all the set-up there is.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= runs/bbc
CODE   := setup.py $(wildcard */*/native/*.cpp */*/native/*.h)
PEERS  := $(VENV)-peers
DATASETS ?= $(VECFORMER_DATASETS)

.PHONY: run test test-slow fuzz tasks findings null bench bench-accuracy lint clean

run: $(VENV)/.demo            ## the main job on BBC News, with a table and a report at the end
	$(BIN)/vecformer demo --out $(OUT) --overwrite

test: $(VENV)/.dev            ## the whole suite: eight minutes on two new cores, seventeen on two older ones
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(VENV)/.dev       ## the checks that take minutes: figures over several seeds, fuzzing
	$(BIN)/python -m pytest -m slow -s

fuzz: $(VENV)/.dev            ## 10,000 spoilt vector files: each gives vectors or one message
	$(BIN)/python -m pytest -m slow tests/embeddings/formats/test_fuzz_readers.py

TASK = $(BIN)/vecformer run --overwrite -q --out runs/tasks

tasks: $(VENV)/.dev           ## each task on real data, an hour and more; DATASETS names their folder
	$(TASK)/trec6 --data $(DATASETS)/trec6 --source glove --set model.convolutions=[3,5]
	$(TASK)/sst2 --data $(DATASETS)/sst2 --source glove --set model.convolutions=[3,5]
	$(TASK)/sick --data $(DATASETS)/sick --source glove
	$(TASK)/wnut17 --task tagging --data $(DATASETS)/wnut17_ner --source glove
	$(TASK)/squad --task question-answering --data $(DATASETS)/squad_v1_devsplit --source glove --epochs 6 \
	  --set model.positions=rotary --set model.convolutions=[3,5] --set embedding.freeze=true \
	  --set model.dropout=0.2 --set training.batch_size=32
	$(TASK)/shakespeare --task language-model --data $(DATASETS)/tinyshakespeare_lm \
	  --source glove+word2vec,dim=78 --epochs 10 --set data.max_length=64 \
	  --set model.dropout=0.3 --set training.lr=0.002 --set model.positions=rotary
	$(TASK)/multi30k --task translation --data $(DATASETS)/multi30k_en_de --set 'data.languages=["en","de"]' \
	  --source word2vec,epochs=20 --epochs 10 --set data.min_count=2 --set embedding.scale=unit \
	  --set model.d_model=256 --set model.n_layers=3 --set model.d_ff=512 --set model.dropout=0.2 \
	  --set training.batch_size=64 --set training.lr=2e-3

findings: $(VENV)/.dev        ## the grids behind docs/findings, an hour on two cores; DATASETS as for tasks
	$(BIN)/vecformer benchmark speed/grids/initialisation_classification.toml --data $(DATASETS)/trec6 \
	  --out runs/initialisation-classification
	$(BIN)/vecformer benchmark speed/grids/initialisation_translation.toml --data $(DATASETS)/multi30k_en_de \
	  --out runs/initialisation-translation

null: $(VENV)/.dev            ## how often the verdict claims what is not there, simulated and on 300 real runs
	$(BIN)/vecformer benchmark --data $(DATASETS)/trec6 --source random --seeds 300 --limit-train 50 --out runs/null
	$(BIN)/python speed/null_and_power.py --runs runs/null

bench: $(VENV)/.dev $(PEERS)/.made  ## everything beside its peers, an hour, into speed/RESULTS.md
	$(BIN)/python speed/run.py --datasets $(DATASETS) --peer-python $(PEERS)/bin/python

bench-accuracy: BERT = --set model.like=bert --set model.positions=learned
bench-accuracy: $(VENV)/.dev  ## whether speed costs accuracy: the fast path against float32, ten seeds, two data sets and forms
	$(BIN)/vecformer benchmark speed/grids/precision.toml --data bbc --limit-train 250 --out runs/precision-bbc
	$(BIN)/vecformer benchmark speed/grids/precision.toml --data $(DATASETS)/trec6 --out runs/precision-trec6
	$(BIN)/vecformer benchmark speed/grids/precision.toml --data bbc --limit-train 250 $(BERT) \
	  --out runs/precision-bert-bbc
	$(BIN)/vecformer benchmark speed/grids/precision.toml --data $(DATASETS)/trec6 $(BERT) \
	  --out runs/precision-bert-trec6

lint: $(VENV)/.dev            ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:                        ## remove the environment and what tools left behind
	rm -rf $(VENV) $(PEERS) build dist *.egg-info */*/native/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt $(CODE) | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(CODE) | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	touch $@ $(VENV)/.demo

$(PEERS)/.made: speed/peers/requirements.txt constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -r speed/peers/requirements.txt
	touch $@
