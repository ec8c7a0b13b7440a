# Each target sets up the environment that it needs, in .venv.
PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test docs clean

demo: $(VENV)/.demo
	$(VENV)/bin/python -m sklearn_annoser demo $(if $(DATA),--data $(DATA))

# One thread a test process: two processes on two cores.
test: $(VENV)/.test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2

# The site, in docs/_build/html; a warning is an error.
docs: $(VENV)/.docs
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[plot]"
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[dev]"
	touch $@

$(VENV)/.docs: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) demo docs/_build docs/gallery docs/generated docs/sg_execution_times.rst
