SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The first Python that is new enough; name another with `make book PYTHON=/path/to/python3.12`.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PORT ?= 8000
SEED ?= 1
# The PyTorch that `make lock` pins: a deliberate choice, for its size and for the numbers that it gives.
TORCH ?= $(shell sed -n 's/^torch==//p' constraints.txt)

PY := .venv/bin/python
BOOK := .venv/bin/jupyter-book build . -W --keep-going
CREATE_VENV = "$(PYTHON)" -m venv

# $(call logged,LOG,COMMAND): runs the command quietly; where it fails, shows what its log says.
logged = { $(2); } > .cache/$(1).log 2>&1 || { \
	grep -E '(WARNING|ERROR|Error|Exception): ' .cache/$(1).log | uniq | tail -n 40 || tail -n 40 .cache/$(1).log; \
	echo "That failed. The whole log: $(CURDIR)/.cache/$(1).log"; exit 1; } >&2

.PHONY: help
help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

.PHONY: book
book: .venv/.installed ## build the site into _build/html
	@echo "Building the book (its pages run; minutes the first time, seconds when nothing changed) ..."
	@$(call logged,book,$(BOOK))
	@echo "The book is built. Open file://$(CURDIR)/_build/html/index.html, or run: make serve"

.PHONY: test
test: book ## run all tests, on all cores
	@$(PY) -m pytest -n logical --maxprocesses=4 --dist loadgroup --no-loadscope-reorder

.PHONY: check
check: .venv/.installed ## lint, types, unit tests and gates: the daily check
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet . || { echo "Badly formatted files; mend with: make format" >&2; exit 1; }
	@.venv/bin/mypy
	@$(PY) -m pytest -q -m "not slow" -n logical --maxprocesses=4 --dist loadgroup

.PHONY: format
format: .venv/.installed ## format the Python files
	@.venv/bin/ruff check --quiet --fix . && .venv/bin/ruff format --quiet .

.PHONY: serve
serve: book ## build the site and serve it on this machine
	@echo "Serving on http://127.0.0.1:$(PORT)/ (stop with Ctrl-C)"
	@$(PY) -m http.server --bind 127.0.0.1 --directory _build/html $(PORT) > .cache/serve.log 2>&1 \
		|| { tail -n 1 .cache/serve.log >&2; exit 1; }

.PHONY: notebooks
notebooks: .venv/.installed ## write notebooks/ and the README's table of links
	@echo "Writing the notebooks (the solutions run; minutes the first time) ..."
	@rm -rf _build/notebooks && mkdir -p notebooks/student
	@$(call logged,notebooks,$(BOOK) --builder custom --custom-builder notebooks)
	@rm -rf notebooks/student notebooks/solution
	@cp -R _build/notebooks/student _build/notebooks/solution notebooks/
	@PYTHONPATH=book/_ext $(PY) -m coursebook.readme
	@echo "Written: notebooks/student, notebooks/solution, README.md"

.PHONY: pdf
pdf: .venv/.installed ## write the whole book as a PDF, by LaTeX
	@for tool in xelatex latexmk; do command -v "$$tool" > /dev/null || { \
		echo "LaTeX is missing: make pdf needs $$tool. On Debian and Ubuntu: apt install latexmk fonts-freefont-otf \
	texlive-xetex texlive-latex-extra texlive-fonts-recommended" >&2; exit 1; }; done
	@echo "Writing the PDF (minutes) ..."
	@$(call logged,pdf,$(BOOK) --builder latex)
	@$(call logged,latexmk,cd _build/latex && latexmk -xelatex -interaction=nonstopmode -halt-on-error gan-course.tex)
	@cp _build/latex/gan-course.pdf _build/
	@echo "The PDF is written: _build/gan-course.pdf"

.PHONY: lab
lab: .venv/.installed ## open the student notebooks in JupyterLab, as copies in lab/ that keep your answers
	@mkdir -p lab && cp -Rn notebooks/student/. lab/ || true
	@.venv/bin/jupyter lab lab

.PHONY: claims
claims: .venv/.installed ## rerun every claim on other seeds: make claims SEED=7
	@GAN_COURSE_SEED=$(SEED) PYTHONPATH=book/_ext $(PY) -m coursebook.rerun

.PHONY: bench
bench: .venv/.installed ## measure training against plain PyTorch loops (minutes, on a quiet machine)
	@$(PY) -m benchmarks.engine
	@$(PY) -m benchmarks.features

.PHONY: links
links: .venv/.installed ## check the book's links to the outside
	@echo "Checking links ..."
	@$(call logged,links,$(BOOK) --builder linkcheck)

.PHONY: lock
lock: ## write constraints.txt anew, from a fresh environment
	@rm -rf .cache/lock && mkdir -p .cache && $(CREATE_VENV) .cache/lock
	@echo "Installing the newest packages and torch $(TORCH) into .cache/lock ..."
	@$(call logged,lock,.cache/lock/bin/python -m pip install -e '.[book$(,)test]' torch==$(TORCH))
	@{ sed -n '/^#/p' constraints.txt; .cache/lock/bin/python -m pip freeze --exclude-editable \
		| sed 's/+[a-z0-9.]*$$//' | grep -vE '^(cuda|nvidia|triton)'; } > .cache/constraints.txt
	@mv .cache/constraints.txt constraints.txt && rm -rf .cache/lock
	@echo "Written: constraints.txt. Run make test before you commit it."

.PHONY: clean
clean: ## remove all that was built, the environment included
	@rm -rf .venv .cache _build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/site/node_modules

, := ,

.venv/.installed: pyproject.toml constraints.txt
	@mkdir -p .cache
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or newer is needed, and none is on the path." >&2; \
		echo "Where it is elsewhere, name it: make book PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@if ! [ -x .venv/bin/pip ]; then \
		rm -rf .venv; $(CREATE_VENV) .venv > .cache/install.log 2>&1 || { rm -rf .venv; cat .cache/install.log >&2; \
		echo "Python could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; fi
	@echo "Installing the packages into .venv (minutes the first time) ..."
	@$(call logged,install,$(PY) -m pip install -e '.[book$(,)test]' -c constraints.txt)
	@touch $@
