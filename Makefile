PYTHON   ?= python3
DATABASE ?= postgres
# Tests at a time; most of them wait for servers.
JOBS     ?= 6

BIN       := .venv/bin
INSTALLED := .venv/.installed
TEMPLATE  := {{cookiecutter.project_slug}}
BENCH     := .venv/.bench

# Caches stay out of the template's tree: cookiecutter would render them.
export RUFF_NO_CACHE = true

# Tests write gigabytes, for a moment: into memory where that has room.
SCRATCH := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 8000000 { print "TMPDIR=/dev/shm" }')

# Terraform is run often, and briefly: to collect its garbage costs a third of its time.
export GOGC ?= 400

# Python, too; and what it compiles is kept, whatever the shell says.
QUICK = PYTHONPATH='$(CURDIR)/tests/quick' PYTHONDONTWRITEBYTECODE=

.DEFAULT_GOAL := help
.PHONY: help demo test tests bench lint soak faults loops format install clean

help: ## this page
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED) ## bake a project and see a file's rows arrive: [DATABASE=mysql]
	@$(BIN)/python tests/demo.py $(DATABASE)

test: $(INSTALLED) ## everything: hooks, every combination of answers, the scenario on real servers
	@$(MAKE) --no-print-directory --jobs 2 tests lint || { echo "make test has failed: by the tests above, or by lint, which speaks first." >&2; exit 1; }

tests: $(INSTALLED)
	@$(SCRATCH) $(QUICK) $(BIN)/pytest -n $(JOBS) --dist worksteal --durations 10 $(TEST_ARGS)

bench: $(BENCH) ## speed against the original way and the limit: [ROWS= RUNS= ONLY=]
	@PYTHONDONTWRITEBYTECODE= PYTHONPATH=tests $(BIN)/python -m bench $(if $(ROWS),--rows '$(ROWS)') $(if $(RUNS),--runs '$(RUNS)') $(if $(ONLY),--only $(ONLY))

lint: $(INSTALLED) ## style and types of the template and of what it renders
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary --cache-dir .build/mypy tests hooks bench
	@$(BIN)/yamllint --strict --config-file '$(TEMPLATE)/.yamllint.yml' .

soak: $(INSTALLED) ## four workers under faults at random: [DATABASE=mysql SEED= MINUTES=]
	@$(BIN)/python tests/soak.py $(DATABASE) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

faults: $(INSTALLED) ## the table of faults in docs/faults.md, made of the tests
	@$(BIN)/python tests/matrix.py

loops: $(INSTALLED) ## the picture of a project's words at work, from a real run
	@$(BIN)/python tests/loops.py

format: $(INSTALLED) ## the code in one style
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

install: $(INSTALLED) ## .venv with everything; the other words run it when they need it

$(INSTALLED): requirements.txt
	@$(PYTHON) '$(TEMPLATE)/infra/doctor.py' --quiet
	@echo "Installing what the template's own checks need, in .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(BENCH): bench/requirements.txt $(INSTALLED)
	@echo "Installing what the bench needs besides"
	@# matplotlib has much that is never used; what is, is compiled then
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -r bench/requirements.txt
	@touch $@

clean: ## forget what was built
	@rm -rf .build
