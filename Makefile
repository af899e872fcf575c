# The menu of the template's own checks. A generated project has a Makefile of its own.

PYTHON   ?= python3
DATABASE ?= postgres
# Tests at a time: most of them wait for servers.
JOBS     ?= 6

# Of `make update`.
export ANSWERS VERSION

# cookiecutter would copy caches inside the template's tree.
export RUFF_NO_CACHE = true
export PYTHONDONTWRITEBYTECODE = 1

.DEFAULT_GOAL := help
.PHONY: help demo update test lint format lock faults formats values loops bench soak \
        mutants install clean

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' Makefile

demo update test lint format lock faults formats values loops soak mutants: .venv/pyvenv.cfg

demo: ## Bake a project and load a file of 1,000 clicks in it: [DATABASE=mysql]
	@.venv/bin/python tests/demo.py $(DATABASE)

update: ## Update a project from before `make update`: PROJECT=../loader [VERSION=] [ANSWERS=]
	@PYTHONPATH='{{cookiecutter.project_slug}}' PYTHONDONTWRITEBYTECODE=1 .venv/bin/python \
	  -m tools update --project='$(PROJECT)' --template='$(CURDIR)'

test: lint ## Run lint, then all tests, or some: [TEST_ARGS='-k mistakes'] [SKIPS=refused]
	@.venv/bin/pytest --numprocesses $(JOBS) --dist worksteal --durations 10 $(TEST_ARGS)

lint: ## Check style and types of hooks, tests and bench, and all YAML
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy --no-error-summary --cache-dir .build/mypy tests hooks bench
	@.venv/bin/yamllint --strict --config-file '{{cookiecutter.project_slug}}/.yamllint.yml' .

format: ## Format all code
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format --quiet .

lock: ## Lock all packages of the template and of its projects again: [LOCK_ARGS=--upgrade]
	@.venv/bin/python tests/locks.py $(LOCK_ARGS)

faults: ## Update docs/faults.md from the tests
	@.venv/bin/python tests/faults_page.py

formats: ## Update the page of file formats of projects from the tests
	@.venv/bin/python tests/formats_page.py

values: ## Update docs/values.md of projects from the tests
	@.venv/bin/python tests/value_cases.py

loops: ## Record the picture in a project's README again
	@.venv/bin/python tests/draw_loops.py

soak: ## Run workers under random faults: [DATABASE=mysql] [SEED=7] [MINUTES=30]
	@.venv/bin/python tests/soak.py $(DATABASE) $(SEED:%=--seed=%) $(MINUTES:%=--minutes=%)

mutants: ## Measure which mistakes the unit tests notice: [FILE=src/lib/rows.py] [COUNT=10] [SEED=7]
	@.venv/bin/python tests/mutants.py $(FILE:%=--file='%') $(COUNT:%=--count=%) \
	  $(SEED:%=--seed=%) $(DATABASE:%=--database=%)

bench: .venv/.bench ## Measure speed and update docs/bench.md: [ROWS= RUNS= ONLY='loading loops']
	@PYTHONPATH=tests .venv/bin/python -m bench $(ROWS:%=--rows=%) $(RUNS:%=--runs=%) \
	  $(if $(ONLY),--only $(ONLY))

install: .venv/pyvenv.cfg ## Install what these targets need; they do so themselves

.venv/pyvenv.cfg: requirements.txt
	@echo 'Installing what the checks of the template need into .venv'
	@$(PYTHON) -m venv --clear .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  --requirement requirements.txt || { rm -r .venv; exit 1; }
	@touch $@

.venv/.bench: bench/requirements.txt .venv/pyvenv.cfg
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  --requirement bench/requirements.txt
	@touch $@

clean: ## Delete everything that was built
	@rm -rf .build
