# make lab opens the book in working copies, make edit the originals, make restore
# NB=08-nin brings a section back. make doctor says what is installed, what is wrong with
# it and how to mend that. make test runs every cell of every notebook; what needs
# a browser, an installation or hours has targets of its own: test-lab test-site
# test-setup test-lesson. make html builds the reading edition in _build/html.
# make execute NB=08-nin stores a notebook's outputs; make record does so at scale full,
# for hours, and goes on where it was stopped (without NB: sections 05 to 12); make history
# stores only what a training at scale lesson measured. make figures brings the
# interactive figures up to date.
# make bench compares the speed of training; make profile, convergence, growth, lessons and
# start look into it: benchmarks/README.md. GPU=1 takes MXNet's build for a GPU, until GPU=0.
#
# All that is installed stays in this folder: an environment for each kind of work (.venv,
# .venv-html …), .uv, .cache. setup/run.py makes an environment, whole or not at all, and
# starts Python in it.
ARGS ?=
PYTHON3 ?= python3
ifeq ($(origin GPU),command line)
GPU_OPTION := --gpu $(GPU)
endif
RUN := $(PYTHON3) -I setup/run.py $(GPU_OPTION)
PYTHON := $(RUN) .venv
# No other setting of d2lutil in the shell reaches the tests.
PLAIN := env -u D2LUTIL_COMPILE -u D2LUTIL_DTYPE -u D2LUTIL_CHECKPOINT -u D2LUTIL_DATA

.PHONY: lab edit doctor restore test test-lesson test-lab test-site test-setup html bench \
	profile convergence growth lessons start lint execute record figures history clean browser

lab:
	$(PYTHON) -m lab.start $(ARGS)

edit:
	$(PYTHON) -m lab.start --edit $(ARGS)

# Runs whatever is broken, so in no environment of the book.
doctor:
	@$(PYTHON3) -I setup/doctor.py

restore:
	@$(PYTHON) -m lab.restore $(NB)

# Two workers with a thread each: threads that wait for a busy core slow both down.
test: lint
	$(PLAIN) D2LUTIL_SCALE=smoke OMP_NUM_THREADS=1 \
		$(PYTHON) -m pytest -n 2 --dist loadfile $(ARGS)

# One thread each, as the bands were measured.
test-lesson:
	$(PLAIN) D2LUTIL_SCALE=lesson OMP_NUM_THREADS=1 \
		$(PYTHON) -m pytest -n 2 --dist load tests/lesson $(ARGS)

test-lab: browser
	$(RUN) .venv-lab-test -m pytest -rs tests/lab $(ARGS)

test-site: browser html
	$(RUN) .venv-lab-test -m pytest -rs tests/site $(ARGS)

test-setup:
	$(PYTHON) -m pytest -n 2 --dist loadfile -rs tests/setup $(ARGS)

browser:
	@command -v chromium && command -v chromedriver || { \
		echo "This test needs chromium and chromedriver (Debian: chromium-driver)." >&2; \
		exit 1; }

# Built beside its place, so that what is there stays until the new one is whole.
html:
	rm -rf _build/html.new
	mkdir -p _build/html.new
	cp -R notebooks _build/html.new/book
	cp editions/html/how-to-run.md _build/html.new/book
	$(RUN) .venv-html -m sphinx -q -W --keep-going -c editions/html \
		-d _build/html.new/doctrees _build/html.new/book _build/html.new/html
	rm -rf _build/html
	mv _build/html.new/html _build/html
	rm -rf _build/html.new
	@echo "The book: _build/html/index.html"

# TORCH_PYTHON=python3 is an interpreter that has PyTorch, if .venv has none.
ROUNDS ?= 3
NETS ?=
TORCH_PYTHON ?= .venv/bin/python
bench:
	@$(PYTHON) -m benchmarks.run --rounds $(ROUNDS) \
		--torch-python "$(TORCH_PYTHON)" $(NETS)

profile convergence:
	@$(PYTHON) -m benchmarks.$@ $(NETS)

growth lessons start:
	@$(PYTHON) -m benchmarks.$@ --rounds $(ROUNDS)

execute:
	$(PYTHON) -m recording.run $(NB)

# SEED=1, CHECKPOINTS=folder and CELLS="id …" are further settings: recording/run.py.
record:
	$(PYTHON) -m recording.run --record $(NB) $(if $(SEED),--seed $(SEED)) \
		$(if $(CHECKPOINTS),--checkpoints "$(CHECKPOINTS)") $(if $(CELLS),--cells $(CELLS))

figures: browser
	$(RUN) .venv-lab-test -m recording.figures $(FIGURES)

history:
	$(PYTHON) -m recording.run --history $(NB)

lint:
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy d2lutil recording benchmarks lab setup

environment.yml: pyproject.toml uv.lock setup/environment.py
	$(PYTHON) setup/environment.py

clean:
	rm -rf .venv* .uv .cache _build
