# `make demo` and `make test` each do all the set-up by themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Several test processes share the cores; more threads in each would only get in each other's way. Processes that tests
# start load what was compiled before, also where the environment has that turned off.
TEST_ENV := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=

INSTALL_BRAIN := $(BIN)/python -m pip install --quiet --no-deps "$$(grep '^deepbet==' constraints.txt)"

INSTALL_AXE := $(BIN)/python -m pip install --quiet --no-deps "$$(grep '^axe-playwright-python==' constraints.txt)"
# Where a browser can be installed, the slow tests install it; elsewhere those of pages are skipped without one.
BROWSER := $(shell [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && echo browser)

.PHONY: demo brain browser test lint fast slow clean

demo: .venv/.installed
	$(BIN)/python train.py name=demo report.faces=true # generated heads, so faces of nobody

# What preprocess=brain needs: the networks of deepbet, without its own programs and what these need.
brain: .venv/.installed
	$(INSTALL_BRAIN)

# What tests of pages in a browser need: Chromium, and the accessibility rules of axe-core, which a wheel carries.
browser: .venv/.installed-dev
	command -v chromium > /dev/null || (apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium > /dev/null)
	$(INSTALL_AXE)

test: lint fast

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fast: .venv/.installed-dev
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not gpu"

# Simulations share the cores test by test; tests of pages, brains, documents and runs file by file, since those of a
# file share what they make. The others kill processes, hold themselves against clocks, or train on two devices.
SIMULATIONS := tests/evaluation tests/volumes
SHARING := tests/brain tests/cohort tests/contract tests/models/classical tests/nets \
	$(addprefix tests/browser/test_, charts_page.py run_pages.py viewer_page.py) \
	$(addprefix tests/cli/test_, folds.py layers.py repeating.py sweep_comparison.py trust.py) \
	$(addprefix tests/faults/test_, cache_damage.py header_edits.py model_damage.py padding.py scan_damage.py) \
	$(addprefix tests/test_, documents.py heatmap_truth.py map.py real_scans.py runs.py)

slow: .venv/.installed-dev $(BROWSER)
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist worksteal -m slow $(SIMULATIONS)
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist loadfile -m slow $(SHARING)
	$(TEST_ENV) $(BIN)/python -m pytest -m slow $(patsubst %,--ignore=%,$(SIMULATIONS) $(SHARING))

clean:
	rm -rf .venv

# torch goes first and by itself: a looser requirement than its pin brings gigabytes of CUDA libraries.
.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(INSTALL_BRAIN)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@
