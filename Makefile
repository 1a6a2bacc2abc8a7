# Two commands do everything, set-up included: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= $(shell $(PYTHON) -c "import os; print(min(len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count(), 4))")
OUT ?= out
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo serve test soak lint bench peers docs readme wheel clean

help:
	@echo "make demo              generate data, fit, evaluate, recommend; writes out/demo"
	@echo "make test              set up and run linters, type checker and every test once"
	@echo "make serve             answer on http://127.0.0.1:8000 from the demo's bundle"
	@echo "make bench TOPIC=name  measure one topic of benchmarks/ (only rows not yet measured here)"
	@echo "make peers             install the libraries measured against, each in its own environment"
	@echo "make soak              the long forms of the tests"
	@echo "make lint              ruff and mypy only"
	@echo "make docs              regenerate the generated pages and the tables of figures"
	@echo "make wheel             build the wheel and try it outside the checkout on every Python found"

$(VENV)/.pip: 
	@$(PYTHON) -c "import sys; sys.exit(None if sys.version_info >= (3, 11) else 'Serendip needs Python 3.11 or newer. Got ' + sys.version.split()[0] + '. Try make PYTHON=python3.11 …')"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

$(VENV)/.core: $(VENV)/.pip pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable .
	@touch $@

$(VENV)/.serve: $(VENV)/.core
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable ".[serve]"
	@touch $@

$(VENV)/.tune: $(VENV)/.serve
	$(BIN)/python -m pip install --quiet -c constraints.txt --editable ".[index,text,tune]"
	@touch $@

# The index of PyTorch's own builds need not hold what it depends on in the versions pinned here: that comes first.
$(VENV)/.train: $(VENV)/.tune
	$(BIN)/python -m pip install --quiet -c constraints.txt filelock fsspec jinja2 networkx onnx onnxruntime onnxscript setuptools sympy typing_extensions
	$(BIN)/python -m pip install --quiet -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@touch $@

$(VENV)/.dev: $(VENV)/.train
	$(BIN)/python -m pip install --quiet -c constraints.txt --group dev
	@touch $@

demo: $(VENV)/.core
	$(BIN)/serendip demo --out $(OUT)/demo

serve: $(VENV)/.serve
	@test -e $(OUT)/demo/bundle/manifest.json || $(BIN)/serendip demo --out $(OUT)/demo
	$(BIN)/serendip serve --bundle $(OUT)/demo/bundle

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n $(JOBS) -m "not soak"

soak: $(VENV)/.dev
	$(BIN)/python -m pytest -m soak

bench: $(VENV)/.dev
	@test -n "$(TOPIC)" || { echo "Name a topic: make bench TOPIC=spine. Topics:"; ls benchmarks/topics | sed -n 's/\.py$$//p' | grep -v __init__; exit 2; }
	$(BIN)/python -m benchmarks $(TOPIC)

peers:
	$(PYTHON) benchmarks/peers/install.py

docs: $(VENV)/.dev
	$(BIN)/python -m docs.generate

wheel: $(VENV)/.dev
	$(BIN)/python tests/wheel.py

clean:
	rm -rf $(VENV) .peers dist out .pytest_cache .mypy_cache .ruff_cache .hypothesis
