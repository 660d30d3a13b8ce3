# `make demo` and `make test` each do all the set-up by themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Several test processes share the cores; more threads in each would only get in each other's way.
TEST_ENV := OMP_NUM_THREADS=1

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

# Simulations share the cores; the other slow tests start processes of their own, or kill them.
slow: .venv/.installed-dev $(BROWSER)
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist worksteal -m slow tests/evaluation tests/volumes
	$(TEST_ENV) $(BIN)/python -m pytest -m slow --ignore tests/evaluation --ignore tests/volumes

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
