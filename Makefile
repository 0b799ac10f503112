# Two commands for a stranger: `make demo` and `make test`. Both install what they need first (.ci/setup).

PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
INSTALLED := .venv/.installed
LONG := tests/faults/test_membership.py tests/faults/test_keys.py tests/faults/test_recovery.py \
        tests/faults/test_join_demo.py

.PHONY: help demo test test-long lint format bench bench-quick clean

help:  ## Show the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || true

$(INSTALLED): pyproject.toml .ci/setup
	@sh .ci/setup

demo: $(INSTALLED)  ## Four members, one real day, every promise checked (ARGS="--exit" to stop at the end)
	@.venv/bin/consortium demo $(ARGS)

test: $(INSTALLED)  ## Unit, property, port, integration and fault tests
	@$(PYTEST) $(LONG:%=--ignore %) $(ARGS)

test-long: $(INSTALLED)  ## Faults that take minutes: members that join and leave, keys that change under load
	@$(PYTEST) $(LONG) $(ARGS)

lint: $(INSTALLED)  ## ruff, mypy --strict, import-linter
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports

format: $(INSTALLED)  ## Format the code
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

bench: $(INSTALLED)  ## Measure speed and size; writes benchmarks/results/latest.json
	@$(PYTHON) -m benchmarks $(ARGS)

bench-quick: $(INSTALLED)  ## The same in a minute
	@$(PYTHON) -m benchmarks --quick $(ARGS)

clean:  ## Remove what the commands above made
	rm -rf .venv .demo .bench build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
