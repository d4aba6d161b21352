# Everyone uses these targets, CI included. `make run` is all a new user needs.

PYTHON ?= python3
BUDGET ?=
QUALITY_TASKS ?= inflection,language_id
QUALITY_METHODS ?= core
CHECK ?=
STUDIED := legal_license,function_completion
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test test-faults check setup reference methods studies quality bench clean

run: $(STAMP)  ## every task under every core method, then the report
	$(BIN)/python -m harness run --tasks all $(if $(BUDGET),--budget $(BUDGET))

test: $(STAMP)  ## the whole test suite
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test-faults: $(STAMP)  ## kills at random moments, all of them (about 20 minutes)
	$(BIN)/python -m pytest -m faults --numprocesses auto

check: $(STAMP)  ## style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

setup: $(STAMP)  ## the virtual environment alone

reference: $(STAMP)  ## the committed reference run, its report and README's table
	$(BIN)/python -m harness run --tasks all --budget quick --device cpu --results results/reference
	$(BIN)/python -m harness report results/reference --readme README.md

# Seeds that another machine ran whole are kept; what is interrupted goes on where it stopped.
methods: $(STAMP)  ## two tasks under every method with three seeds, beside the committed reference run (hours)
	$(BIN)/python -m harness run --tasks $(STUDIED) --methods all --seeds 3 --budget quick \
		--device cpu --results results/reference
	$(BIN)/python -m harness report results/reference --readme README.md

# Three studies take all their cells from what `methods` ran, of both its tasks. Few examples are tried where a step
# is short too: on legal_license a seed at all sizes takes three hours.
studies: $(STAMP)  ## the six studies beside the committed reference run, in its report (hours)
	for study in 'rank --tasks $(STUDIED)' 'embeddings --tasks $(STUDIED)' 'convergence --tasks $(STUDIED)' \
		quantisation learning-rate 'small-data --tasks inflection' small-data; do \
		$(BIN)/python -m harness study $$study --device cpu --seeds 3 --results results/reference || exit $$?; \
	done
	$(BIN)/python -m harness report results/reference

# The old results go first: a cell that vanished must not be found there. A failed cell (3) is the check's to judge.
quality: $(STAMP)  ## the grid of the regression gate at budget "ci", against results/baseline (docs/gate.md)
	rm -rf results/quality reports/quality
	$(BIN)/python -m harness run --tasks $(QUALITY_TASKS) --methods $(QUALITY_METHODS) --budget ci --device cpu \
		--results results/quality --reports reports/quality || [ $$? -eq 3 ]
	$(BIN)/python -m harness check --baseline results/baseline --candidate results/quality \
		--markdown reports/quality/check.md --json reports/quality/check.json --junit reports/quality/check.xml $(CHECK)

bench: $(STAMP)  ## speed beside what people use today, and benchmarks/README.md's tables (one to two and a half hours)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks.train_speed compare --length 128 --steps 7
	$(BIN)/python -m benchmarks.eval_speed compare
	$(BIN)/python -m benchmarks.profile_steps compare
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.scaling compare

# Bytecode is made on all cores, where pip takes one. Of what is installed some files are for another Python.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Tuneoff needs Python 3.11 or newer; name one with make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -W ignore -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true
	@touch $@

clean:  ## remove the virtual environment
	rm -rf $(VENV)
