# Deploying by CDK: docs/deploying.md
INFRA_VENV    ?= .venv-infra
INFRA_DONE    := $(INFRA_VENV)/.installed
INFRA_FILES   := $(wildcard infra/*.py infra/*.json infra/*/*.py) infra/tests/deploy.yml
VALIDATED     := .build/cdk/.validated

IN_INFRA = $(BIN)/python infra/cdk.py

.PHONY: bootstrap plan deploy destroy build-ecr test-target

bootstrap: $(INSTALLED) $(INFRA_DONE) ## what CDK needs in an account and region, once: ENV=dev
	@$(IN_ENV) exec $(BIN)/python infra/toolkit.py --environment $(ENV)

plan: ## what deploy would change: [TARGET=queue] [ENV=local] [REPORT=plan.txt]
deploy: ## into AWS, or by ENV=local into the shim: [TARGET=queue] [ENV=local]
destroy: ## what deploy has made, the last target first: [TARGET=queue] [ENV=local]
plan deploy destroy: $(INSTALLED) $(INFRA_DONE) $(NEEDS_$(TARGET))
	@$(IN_ENV) $(REPORTING) $(IN_INFRA) $@ $(WHICH) $(REPORTED)

build-ecr: $(INSTALLED) $(INFRA_DONE) build-local
	@$(IN_ENV) exec $(IN_INFRA) push $(WHICH)

test: $(if $(TARGET),test-target)
test-target: $(INSTALLED) $(INFRA_DONE) $(NEEDS_$(TARGET))
	@exec $(IN_INFRA) test $(WHICH)

lint: $(VALIDATED)
$(VALIDATED): $(INFRA_FILES) $(INFRA_DONE) | $(INSTALLED) $(NEEDS_)
	@$(IN_INFRA) validate $(WHICH) && touch $@

$(INFRA_DONE): infra/requirements.txt infra/package.json | $(INSTALLED)
	$(PYTHON) -m venv --without-pip $(INFRA_VENV)
	@# CDK's library is for all of AWS; what is used of it is compiled at its first use
	PIP_PYTHON=$(INFRA_VENV)/bin/python $(BIN)/python $(PIP) --no-compile -r infra/requirements.txt
	cp infra/package.json $(INFRA_VENV)
	PATH="$(abspath $(INFRA_VENV))/bin:$$PATH" npm install --prefix $(INFRA_VENV) --silent --no-audit --no-fund
	@touch $@
