# Everything runs in .venv, which the first target that needs it makes.
# A fresh clone needs only make and Python >= 3.11 with its venv module.

# Tried in this order: the default python3 first, since that is the one the user chose.
PYTHON3 ?= python3 python3.14 python3.13 python3.12 python3.11
VENV := .venv
OLDEST := .venv-oldest
PYTHON := $(VENV)/bin/python
LAB_FLAGS ?=
PYTEST_FLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help lab page html test lint notebooks bench proof fuzz evidence mutants oldest clean distclean

# Two installs at once would write into the same .venv.
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

lab: $(VENV)/lab.stamp ## open the story in JupyterLab (LAB_FLAGS=--no-browser)
	$(PYTHON) -m jupyterlab --LabApp.news_url=None \
	    --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
	    --LabApp.default_url=/lab/tree/notebooks/01_story.ipynb $(LAB_FLAGS)

page: $(VENV)/lab.stamp ## write page.html: the story and the talk, for any browser
	$(PYTHON) -m kvmviz page page.html

html: $(VENV)/lab.stamp ## export the notebooks to build/html, with links that lead on there
	$(PYTHON) -m nbconvert --log-level ERROR --to html --output-dir build/html notebooks/*.ipynb
	perl -pi -e 's/(<a href="\w+)\.ipynb"/$$1.html"/g' build/html/*.html
	cp notebooks/flag.md notebooks/story.png build/html
	$(PYTHON) -m kvmviz page build/html/page.html

# A file is one worker's: its JupyterLab starts once. In the order of their names the browser's,
# which take longest, come first.
test: lint ## lint, tests, and the notebooks against their stored outputs
	$(PYTHON) -m pytest -n auto --dist loadfile --no-loadscope-reorder $(PYTEST_FLAGS)
	$(PYTHON) -m pytest -n auto --dist loadfile --nbval --nbval-current-env \
	    --nbval-cell-timeout=120 $(PYTEST_FLAGS) notebooks

lint: $(VENV)/test.stamp ## ruff, the order of imports, and mypy
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-cache --no-logo
	$(PYTHON) -m mypy

notebooks: $(VENV)/test.stamp ## run the notebooks and store their outputs
	$(PYTHON) tests/store_notebooks.py

bench: $(VENV)/bench.stamp ## measure, and print ratios
	$(PYTHON) -m tests.bench

proof: $(VENV)/test.stamp ## structs, texts and Linux's headers against compilers
	$(PYTHON) -m tests.proof

fuzz: $(VENV)/test.stamp ## hostile texts, calls, settings and command lines, 215,000 of them
	$(PYTHON) -m tests.fuzz

evidence: $(VENV)/test.stamp ## take the dumps again on kernels that it builds (KERNEL=6.12-merged-le)
	$(PYTHON) -m tests.evidence $(KERNEL)

mutants: $(VENV)/mutants.stamp ## seed faults, and count those that the tests catch
	$(PYTHON) tests/mutants.py

oldest: $(OLDEST)/stamp ## tests and notebooks on the oldest versions that pyproject.toml allows
	$(OLDEST)/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(PYTEST_FLAGS)
	$(OLDEST)/bin/python -m pytest -n auto --dist loadfile --nbval --nbval-current-env \
	    --nbval-cell-timeout=120 $(PYTEST_FLAGS) notebooks

clean: ## remove caches and build leftovers
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) \
	    -type d -exec rm -rf {} +

distclean: clean ## the same, and .venv
	rm -rf $(VENV) $(OLDEST)

# One stamp for each set of extras, so that `make lab` does not wait for the test tools.
# The tests drive JupyterLab in a browser, so they need what `lab` needs.
$(VENV)/lab.stamp: EXTRAS := lab
$(VENV)/test.stamp: EXTRAS := lab,test
$(VENV)/bench.stamp: EXTRAS := lab,test,bench
$(VENV)/mutants.stamp: EXTRAS := lab,test,mutants
$(VENV)/%.stamp: pyproject.toml | $(VENV)/bin/pip
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@

# uv can ask for the lowest version of what is named; what that brings along is the newest.
$(OLDEST)/stamp: pyproject.toml | $(VENV)/bin/pip
	$(PYTHON) -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(PYTHON) -m uv venv --quiet --clear --python $(PYTHON) $(OLDEST)
	$(PYTHON) -m uv pip install --quiet --python $(OLDEST)/bin/python \
	    --resolution lowest-direct --editable '.[lab,test]'
	@touch $@

# Candidates are run, not only looked up: a version manager's shim exists for versions that are not
# active. Debian's python3 has venv but not ensurepip, and would leave half a .venv behind.
$(VENV)/bin/pip:
	@found=; why='none runs of: $(PYTHON3)'; \
	for python in $(PYTHON3); do \
	    version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) \
	        || continue; \
	    if ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	        case $$why in none\ *) why="$$python is $$version";; esac; \
	    elif ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	        why="$$python has no venv module, on Debian: apt install python3-venv"; \
	    else \
	        found=$$python; break; \
	    fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "kvmviz needs Python >= 3.11 with venv: $$why (another one: make PYTHON3=...)" >&2; \
	    exit 1; \
	fi; \
	[ -e $(VENV) ] && made= || made=$(VENV); \
	trap 'rm -rf $$made; exit 1' INT TERM; \
	if ! "$$found" -m venv $(VENV); then \
	    rm -rf $$made; \
	    echo "kvmviz: $$found -m venv failed, see above" >&2; \
	    exit 1; \
	fi
