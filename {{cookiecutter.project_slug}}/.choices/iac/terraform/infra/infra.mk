# Deploying by Terraform: docs/deploying.md
INFRA_VENV    ?= .venv-infra
INFRA_FILES   := $(wildcard infra/*.tf infra/*/*.tf infra/*/*.hcl)
VALIDATED     := .build/terraform/.validated
CHECKOV       := $(INFRA_VENV)/bin/checkov --directory infra --framework terraform --skip-download --compact --quiet

IN_INFRA = $(BIN)/python infra/terraform.py

.PHONY: bootstrap plan deploy destroy build-ecr test-target tools-terraform format-infra

bootstrap: $(INSTALLED) ## the bucket of Terraform's state, once: ENV=dev
	@$(IN_ENV) exec $(BIN)/python infra/state.py --project $(PROJECT) --environment $(ENV)

plan: ## what deploy would change: [TARGET=queue] [ENV=local] [REPORT=plan.txt]
deploy: ## into AWS, or by ENV=local into the shim: [TARGET=queue] [ENV=local]
destroy: ## what deploy has made, the last target first: [TARGET=queue] [ENV=local]
plan deploy destroy: $(INSTALLED) $(NEEDS_$(TARGET))
	@$(IN_ENV) $(REPORTING) $(IN_INFRA) $@ $(WHICH) $(REPORTED)

tools: tools-terraform
tools-terraform:
	@command -v terraform >/dev/null || $(AS_ROOT) sh infra/install.sh

build-ecr: $(INSTALLED) build-local
	@$(IN_ENV) exec $(IN_INFRA) push $(WHICH)

test: $(if $(TARGET),test-target)
test-target: $(INSTALLED) $(NEEDS_$(TARGET))
	@exec $(IN_INFRA) test $(WHICH)

ifneq ($(shell command -v terraform),)
lint: $(VALIDATED)
format: format-infra
endif

format-infra:
	@terraform fmt -recursive infra

$(VALIDATED): $(INFRA_FILES) $(INFRA_VENV)/.installed | $(INSTALLED)
	@terraform fmt -check -diff -recursive infra
	@LOG_LEVEL=ERROR $(COMPILED) $(CHECKOV)
	@$(IN_INFRA) validate $(WHICH) && touch $@ || test $$? = 3  # there is no provider here

$(INFRA_VENV)/.installed: infra/requirements.txt | $(INSTALLED)
	$(PYTHON) -m venv --without-pip $(INFRA_VENV)
	@# of what checkov stands on, most is never used, and what is, is compiled then
	PIP_PYTHON=$(INFRA_VENV)/bin/python $(BIN)/python $(PIP) --no-compile -r infra/requirements.txt
	@touch $@
