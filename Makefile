# Plain POSIX make: recipes print what they do, and a repeated run installs nothing unless what to install changed.
# Another Python: make race PYTHON=python3.12.   Options for the verb: make race ARGS="--seed 1".
PYTHON ?= python3
ARGS ?=
BIN = .venv/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install -qq -c constraints.txt

help:
	@echo "make race      the first race: momentum methods, Adam and friends on real digits"
	@echo "make check     formatter, linter and the fast tests, in a minute"
	@echo "make test      everything: formatter, linter, types, all tests"
	@echo "make bench     every rule beside torch and the limit of memory; ten minutes (ARGS=--quick: one)"
	@echo "make mutation  break every rule in every small way; each must turn a check red"
	@echo "make docs      the pages and pictures of every rule, from the rules themselves; half a minute"
	@echo "make site      the documentation as a site in build/site, which works from disk; half a minute"
	@echo "make clean     remove .venv and the caches"

race: .venv/.race
	@$(BIN)/descend race $(ARGS)

bench: .venv/.race
	@$(BIN)/descend bench $(ARGS)

# tests/long.txt: what `make check` leaves out besides tests marked slow, a file a line.
check: .venv/.test
	@$(BIN)/ruff format --check --output-format concise .
	@$(BIN)/ruff check .
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow" \
	  $$(sed "s|^|--ignore=tests/|" tests/long.txt) $(ARGS)

# Nothing here measures time: that is `descend bench --strict`, on a machine that does nothing else.
test: .venv/.test
	@echo "==> formatter and linter"
	@$(BIN)/ruff format --check --output-format concise .
	@$(BIN)/ruff check .
	@echo "==> types and tests, in two processes"
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal

mutation: .venv/.test
	@$(BIN)/python -m descend.checks.mutate $(ARGS)

docs: .venv/.race
	@$(BIN)/python -m docs.making.pages $(ARGS)

# Warnings are errors: a link that leads nowhere, a page in no table of contents, a picture that is missing.
site: .venv/.site
	@$(BIN)/python -m sphinx -q -W --keep-going docs build/site $(ARGS)
	@echo "build/site/index.html"

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist

.venv/.made:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "descend needs Python 3.11 or newer, and there is no $(PYTHON) here; name one: make race PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit("descend needs Python 3.11 or newer, and $(PYTHON) is %d.%d; name another: make race PYTHON=python3.12" % v[:2] if v < (3, 11) else 0)'
	@echo "==> making .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv
	@touch $@

# The build backend goes in first, from the same constraints: pip's own build environment would ignore them.
.venv/.race: .venv/.made pyproject.toml constraints.txt
	@echo "==> installing descend, torch and scikit-learn into .venv (once; about a minute)"
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation -e '.[torch,lab]'
	@touch $@

.venv/.site: .venv/.race
	@echo "==> installing Sphinx into .venv (once)"
	@$(PIP) --no-build-isolation -e '.[torch,lab,site]'
	@touch $@

.venv/.test: .venv/.race
	@echo "==> installing the test tools into .venv, and the libraries compared with (once; a minute or two)"
	@$(PIP) --no-build-isolation -e '.[torch,lab,data,tune,cluster,site,dev,peers,clients]'
	@touch $@

.PHONY: help race bench check test mutation docs site clean
