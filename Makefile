# Every command sets up what it needs (once), so a fresh clone needs Python 3.11 or newer, git and make, and nothing else.
SHELL := /bin/sh
PYTHON ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo up down test check lint format openapi bench build deploy lock clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## Install what is pinned into .venv (nothing, when it is there)
	@PYTHON='$(PYTHON)' requirements/install.sh

demo: setup ## Import a feed, let a rule fire, and sync until the credits end, on an embedded stack of its own (FEED=path PRESET=shopify for one of yours)
	@$(BIN)/productsync demo $(if $(FEED),--feed '$(FEED)') $(if $(PRESET),--preset '$(PRESET)')

up: setup ## Start the embedded stack, and leave it running
	@$(BIN)/productsync up

down: setup ## Stop the embedded stack
	@$(BIN)/productsync down

# One worker per processor, four at most: each has an embedded stack of its own. A file is one worker's, so that what
# its tests share is made once.
test: lint ## Everything: lint, types, templates, and all tests, with embedded stacks of their own
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: lint ## The fast gate: lint, types, templates, unit tests
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 tests/unit

lint: setup ## Lint, types and the template alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cfn-lint template.yaml

format: setup ## Mend what the gate's lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

openapi: setup ## Write the OpenAPI document anew, from what the routes say of themselves
	@$(BIN)/python -m functions.api.openapi

bench: setup ## Count requests and write units, and hold them against their bounds
	@$(BIN)/python -m tests.bench

build: setup ## Make the artifacts that go to AWS, in build/
	@$(BIN)/python -m productsync.stack build

deploy: setup ## Deploy to AWS with your credentials (STACK=name PARAMETERS='StarterCredits=100 Currency=USD')
	@$(BIN)/python -m productsync.stack deploy --stack '$(or $(STACK),productsync)' $(if $(PARAMETERS),--parameters $(PARAMETERS))

lock: setup ## Look for newer versions and write the lock files anew
	requirements/lock.sh --upgrade

clean: ## Remove what the commands made (not a running stack's state)
	rm -rf .venv build .mypy_cache .pytest_cache .ruff_cache .hypothesis
