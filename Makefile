# Kinema: two commands are enough, `make demo` and `make test`. Needs Python 3.11 or newer, pip and make.

VENV := .venv
BIN := $(VENV)/bin
# Of the tests; one for each core, up to four (each needs up to 3 GB).
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -lt 4 ] && echo $$n || echo 4)
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal
PROMPT := a red ball rolls left over a green hill at sunset

.DEFAULT_GOAL := help
.PHONY: help demo demo-channel test test-all lint fix clean

help:
	@echo "make demo   install into $(VENV) and make demo.mp4 and demo.png from a sentence"
	@echo "make demo-channel   a television channel on air at localhost, with its page; Ctrl-C stops it"
	@echo "make test   install what tests need and run the default ones, in minutes"
	@echo "make test-all   every test: those marked slow too, and those for a GPU where there is one"
	@echo "make lint   check style and types"
	@echo "make fix    correct style where that can be done by itself"
	@echo "make clean  remove $(VENV), caches and the demo"

$(BIN)/python:
	@found=; \
	for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	    if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$name; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "Kinema needs Python 3.11 or newer; `python3 --version 2>/dev/null || echo no python3` is what was found." >&2; \
	    exit 1; \
	fi; \
	echo "$$found -m venv $(VENV)"; \
	$$found -m venv $(VENV)

# A stamp is newer than what it was installed from, so that nothing is installed twice.
$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV): minutes, and silent, the first time."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/installed-for-channel: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[channel]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-for-tests: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps spandrel einops  # without torchvision
	@touch $@ $(VENV)/installed $(VENV)/installed-for-channel

demo: $(VENV)/installed
	@$(BIN)/kinema generate "$(PROMPT)" --seed 3 --upscale 4 -o demo.mp4 --sheet demo.png
	@echo "The film is `pwd`/demo.mp4, its contact sheet `pwd`/demo.png"
	@echo "Next:  . $(BIN)/activate            so that \`kinema\` can be typed as it is (or type $(BIN)/kinema)"
	@echo "       kinema samples                inputs for the examples of README.md, and what to type with each"

demo-channel: $(VENV)/installed-for-channel
	@$(BIN)/kinema channel demo $(if $(PORT),--port $(PORT))

test: $(VENV)/installed-for-tests
	$(PYTEST) $(PYTEST_ARGS)

test-all: $(VENV)/installed-for-tests
	$(PYTEST) -m '' $(PYTEST_ARGS)

lint: $(VENV)/installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers $(WORKERS)

fix: $(VENV)/installed-for-tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis demo.mp4 demo.mp4.json demo.png
	find . -name __pycache__ -prune -exec rm -rf {} +
