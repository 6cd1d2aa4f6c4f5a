# Everything a newcomer needs: Python 3.11 or newer, Java 17 or newer, make and git. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
LOCK := conf/requirements.lock
INSTALLED := $(VENV)/.installed
CLIENTS := tests/clients/.venv/.installed
CODE := millrace batch speed serving jobs
DIST ?= dist
ROOT ?=
TENANT ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup jars doctor demo run test test-clients laws-long faults-long linkage-long bench lint dist lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) jars ## install the locked packages into .venv and fetch the locked jars

$(INSTALLED): $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Millrace needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing): install one, then 'make setup PYTHON=python3.11'" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "'$(PYTHON)' has no venv module: install it (Debian and Ubuntu: apt-get install python3-venv), then 'make setup'" >&2; exit 2; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "installing the packages of $(LOCK) into $(VENV) (a few minutes the first time)"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@touch $@

jars: $(INSTALLED) ## fetch the jars of Spark and the broker, check each against conf/jars.lock
	@$(PY) -m jobs.fetch_jars

doctor: $(INSTALLED) ## say whether this machine can run Millrace, and what mends it
	@$(PY) -m jobs.doctor

demo: setup ## the whole story on real data
	@$(PY) -m jobs.demo $(ARGS)

run: setup ## run all parts on this machine until Ctrl-C (ROOT=folder, ARGS="--config FILE")
	@$(PY) -m jobs.run_local $(if $(ROOT),--root $(ROOT)) $(if $(TENANT),--tenant $(TENANT)) $(ARGS)

test: setup $(CLIENTS) ## all tests except the long tiers (ARGS=tests/guards for a part)
	@$(PY) -m pytest -m "not slow and not node and not browser" $(ARGS)

# Stock clients pin other versions of their libraries than Millrace, so those of Python have an environment of their own.
$(CLIENTS): tests/clients/requirements.lock | $(INSTALLED)
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# Packages come from tests/clients/package-lock.json; Chromium from the system's packages when this is root on Debian, otherwise it must be there.
test-clients: setup $(CLIENTS) ## the stock clients of Node.js and of browsers (needs node, npm and chromium)
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "the clients need Node.js 20 or newer with npm: install both, then 'make test-clients'" >&2; exit 2; }
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || \
		{ echo "the browser clients need chromium on the path: install it, then 'make test-clients'" >&2; exit 2; }
	@npm ci --prefix tests/clients --ignore-scripts --no-audit --no-fund --silent
	@$(PY) -m pytest -m "node or browser" tests/clients $(ARGS)

# What the long tiers raise, and how to raise one figure alone: tests/tiers.py.
laws-long: setup ## the laws over many more random histories, and what is marked slow (hours)
	@MILLRACE_LAWS=long $(PY) -m pytest tests/laws tests/columns tests/batch/test_historical_features.py tests/demo/test_events.py tests/serving/collector/test_arbitrary_dialects.py $(ARGS)

faults-long: setup ## every crash point, several hits and seeds (hours)
	@MILLRACE_FAULTS=long $(PY) -m pytest tests/faults $(ARGS)

linkage-long: setup ## accuracy of the linkage on every labelled set (fetches pseudopeople into .cache; minutes)
	@$(PY) -m pytest -rP tests/batch/linkage/test_accuracy.py $(ARGS)

bench: setup ## measure, as ratios against a baseline of the same run
	@$(PY) -m bench.run $(ARGS)

lint: $(INSTALLED) ## ruff over the tree
	@$(PY) -m ruff check .

dist: setup ## what spark-submit needs, in DIST=dist: millrace.zip (--py-files), jobs, jars and conf
	@rm -rf $(DIST) && mkdir -p $(DIST)/jobs
	@find $(CODE) -type f -not -name '*.pyc' | LC_ALL=C sort | \
		$(PY) -c 'import sys, zipfile; archive = zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED); [archive.write(name) for name in sys.stdin.read().splitlines()]; archive.close()' $(DIST)/millrace.zip
	@cp -R conf $(DIST)/conf && cp jobs/*.py $(DIST)/jobs/ && cp -R "$${MILLRACE_JARS:-.cache/jars}/spark" $(DIST)/jars
	@echo "spark-submit --properties-file $(DIST)/conf/spark-defaults.conf --jars \"\$$(ls $(DIST)/jars/*.jar | paste -sd,)\" --py-files $(DIST)/millrace.zip $(DIST)/jobs/build_batch.py"

lock: $(INSTALLED) ## compile conf/requirements.lock from setup.cfg; pins stay unless ARGS=--upgrade
	@$(PY) -m pip install --quiet --disable-pip-version-check uv
	@$(PY) -m uv pip compile setup.cfg --extra test --universal --python-version 3.11 --generate-hashes --quiet --custom-compile-command "make lock" -o $(LOCK) $(ARGS)
	@$(PY) -m uv pip compile tests/clients/requirements.in --universal --python-version 3.11 --generate-hashes --quiet --custom-compile-command "make lock" -o tests/clients/requirements.lock $(ARGS)

clean: ## remove what was built or cached by tools; .venv, .cache/jars and data stay
	@rm -rf dist build .pytest_cache .ruff_cache .hypothesis
	@find $(CODE) tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
