# Shortcuts for those who change things; readers need only start.py (README.md).
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url
ABOUT_PINS := tests/test_packaging.py::test_nothing_that_a_pinned_package_needs_is_missing
CHAPTERS := $(shell find notebooks -name '*.md' -not -path '*/.ipynb_checkpoints/*')

.PHONY: lab test quick book claims notebooks lock upgrade oldest newest wheels clean

lab:            ## open the live book
	python3 start.py lab

test:           ## run all tests
	python3 start.py test

quick:          ## the tests without browser, notebooks and slow ones
	$(BIN)/python -m pytest tests -m "not browser and not slow"

book:           ## build the book into book/_build/html
	$(BIN)/nde-lab book

claims:         ## what the papers say, what we measure
	$(BIN)/nde-lab claims

notebooks:      ## write each ipynb again from its Markdown source
	$(BIN)/jupytext --update --to ipynb $(CHAPTERS)

lock:           ## pin what pyproject.toml asks for, keeping the pins that still fit
	$(LOCK) --extra lab --extra data --extra book --extra cluster --extra test --group build pyproject.toml -o requirements.lock
	$(LOCK) --extra lab --extra data --group build -c requirements.lock pyproject.toml -o requirements-lab.lock

upgrade:        ## pin the newest versions
	rm -f requirements.lock requirements-lab.lock
	$(MAKE) lock

# The suite with other versions than the pinned ones, in an environment of its own; one test is about the pins.
oldest: RESOLUTION := lowest-direct
oldest: WARNINGS := default
newest: RESOLUTION := highest
newest: WARNINGS := error
oldest newest: $(BIN)/uv ## test the lowest, the highest versions that pyproject.toml allows
	$(BIN)/uv venv --clear build/$@
	$(BIN)/uv pip install --python build/$@ --resolution $(RESOLUTION) --group build -e ".[lab,data,book,cluster,test]"
	build/$@/bin/python -m pytest -W $(WARNINGS) --deselect $(ABOUT_PINS)

$(BIN)/uv:
	test -x $(BIN)/python || python3 -m venv .venv
	$(BIN)/python -m pip install --quiet "$$(sed -n 's/^UV = "\(.*\)"/\1/p' start.py)"

wheels:         ## fill wheels/ for machines without a network
	$(BIN)/python -m pip download --dest wheels --no-deps --only-binary :all: --require-hashes -r requirements-lab.lock
	$(BIN)/python -m pip download --dest wheels --no-deps --only-binary :all: "$$(sed -n 's/^UV = "\(.*\)"/\1/p' start.py)"

clean:          ## remove what was built; .venv stays
	rm -rf book/_build build dist .pytest_cache .hypothesis
