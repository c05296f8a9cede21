# Everything runs in .venv, which needs only Python >= 3.11 and a package index.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

.PHONY: demo test test-all lint clean
.DELETE_ON_ERROR:

demo: $(READY)
	$(BIN)/python -m examples.gusto.demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "not lengthy"

# With the faults that take minutes to show.
test-all: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadscope

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo-output

# Installed again only when pyproject.toml is newer than the last installation.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $(PYTHON) is too old: Python >= 3.11 is required;" \
	       "name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@
