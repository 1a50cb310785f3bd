# Shortcuts for those who change things; readers need only start.py (README.md).
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url
CHAPTERS := $(shell find notebooks -name '*.md' -not -path '*/.ipynb_checkpoints/*')

.PHONY: lab test quick book claims notebooks lock upgrade wheels clean

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

wheels:         ## fill wheels/ for machines without a network
	$(BIN)/python -m pip download --dest wheels --no-deps --only-binary :all: --require-hashes -r requirements-lab.lock
	$(BIN)/python -m pip download --dest wheels --no-deps --only-binary :all: "$$(sed -n 's/^UV = "\(.*\)"/\1/p' start.py)"

clean:          ## remove what was built; .venv stays
	rm -rf book/_build build dist .pytest_cache .hypothesis
