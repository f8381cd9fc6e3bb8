# The two commands: `make run` and `make test`. Both set up what they need in .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check --quiet
# The requirement files are complete, so pip need not resolve: where one package names an extra of
# another, old versions of pip look for that package again, and find one without a hash.
INSTALL := $(PIP) install --require-hashes --no-deps
ARGS ?=
# What `make test-pythons` tries; an interpreter of pyenv counts, also one that is not active.
PYTHON_VERSIONS ?= 3.11 3.12 3.13 3.14
# Tests wait for processes and disks more than they compute.
TESTS_AT_ONCE ?= 4
# Rooms of which tests reach every branch; `fail_under` in pyproject.toml is the floor of all.
FULLY_COVERED := domain/*,mail/protocols/*
TESTS := $(VENV)/bin/pytest --numprocesses $(TESTS_AT_ONCE) --dist worksteal
LOCK := $(VENV)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header

.PHONY: run demo test test-all test-pythons coverage soak check format lock audit sbom openapi clean help

run: $(VENV)/.run  ## set everything up and run the service on SQLite in ./data
	@$(VENV)/bin/postwatch up $(ARGS)

demo: $(VENV)/.demo  ## run the service with real mail servers on loopback, healthy and broken
	@$(VENV)/bin/postwatch demo $(ARGS)

test: $(VENV)/.dev  ## set everything up and run the quick tests; ARGS="-k name" chooses some
	@$(TESTS) -m "not thorough" $(ARGS)

test-all: $(VENV)/.dev  ## every test, on both engines wherever that can make a difference
	@$(TESTS) $(ARGS)

test-pythons:  ## the quick tests on each supported Python that is here; ARGS="tests/domain" chooses
	@for version in $(PYTHON_VERSIONS); do \
		python=; \
		for each in "python$$version" $$(ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version".*/bin/python 2>/dev/null); do \
			if "$$each" -c "" 2>/dev/null; then python=$$each; break; fi; \
		done; \
		if [ -z "$$python" ]; then echo "Python $$version: not here, skipped"; continue; fi; \
		echo "Python $$version: $$python"; \
		$(MAKE) --no-print-directory "VENV=.venvs/$$version" "PYTHON=$$python" "ARGS=$(ARGS)" test || exit 1; \
	done

coverage: $(VENV)/.dev  ## the quick tests, and which branches they reach; fails below the floor
	@$(VENV)/bin/coverage erase
	@# Tracing makes a test up to twice as long.
	@$(VENV)/bin/coverage run -m $(TESTS:$(VENV)/bin/%=%) -m "not thorough" --override-ini timeout=300 $(ARGS)
	@$(VENV)/bin/coverage combine --quiet
	@$(VENV)/bin/coverage report
	@$(VENV)/bin/coverage report --include "$(FULLY_COVERED)" --fail-under 100

soak: $(VENV)/.dev  ## kill, fill, tear and cut everything for ten minutes; ARGS="--minutes 60 kills"
	@$(VENV)/bin/python -m soak $(ARGS)

check: $(VENV)/.dev  ## formatting, lint and types, as CI does
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(VENV)/.dev  ## format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

lock: $(VENV)/.dev  ## write the requirement files from pyproject.toml
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra build --output-file requirements-build.lock
	$(LOCK) --extra build --extra demo --output-file requirements-demo.lock
	$(LOCK) --extra build --extra demo --extra dev --output-file requirements-dev.lock

# Both tools run in an environment of their own: what they need is no part of ours.
audit: $(VENV)/.dev  ## look up known vulnerabilities of every locked package; needs a network
	$(VENV)/bin/uv tool run pip-audit@2.10.1 --strict --disable-pip --require-hashes -r requirements-dev.lock

sbom: $(VENV)/.dev  ## write dist/postwatch.cdx.json (CycloneDX) of what an installation gets
	@mkdir -p dist
	$(VENV)/bin/uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py requirements requirements.lock \
		--pyproject pyproject.toml --output-reproducible --output-file dist/postwatch.cdx.json

openapi: $(VENV)/.dev  ## write docs/openapi.json from the tables of the API
	$(VENV)/bin/python -m api.openapi docs/openapi.json

clean:  ## remove the virtual environment; data stays
	rm -rf $(VENV)

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##/\1:/p' Makefile

$(VENV)/bin/python:
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)

# A stamp for each set of packages. The larger sets hold the smaller ones.
$(VENV)/.run: requirements-build.lock pyproject.toml | $(VENV)/bin/python
	@$(INSTALL) -r requirements-build.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.demo: requirements-demo.lock $(VENV)/.run
	@$(INSTALL) -r requirements-demo.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@$(INSTALL) -r requirements-dev.lock
	@touch $@
