# The two commands of the README: make lab, make test.  Everything they install stays
# in this folder: .venv (packages), .uv (uv and, if need be, Python), .cache.
# make execute NB=08-nin runs a notebook from a fresh kernel and stores its outputs.
# make record NB=08-nin does so at scale full, for hours; started again, it goes on where
# it was stopped. Without NB: sections 05 to 12, the cheapest first.
# make html builds the reading edition in _build/html, from the stored outputs, in an
# environment of its own (.venv-book); make test-html checks it.
# make bench compares the speed of training, make profile says where the time of a step
# goes, make convergence draws the loss in bfloat16; benchmarks/README.md has it all.
ARGS ?=
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
export UV_PYTHON_INSTALL_DIR ?= $(CURDIR)/.uv/python

UV := $(shell command -v uv || echo .uv/bin/uv)
INSTALLED := .venv/.installed
BOOK_INSTALLED := .venv-book/.installed

.PHONY: lab edit restore test test-lab html test-html bench profile convergence lint execute record clean

lab: $(INSTALLED)
	.venv/bin/python -m lab.start $(ARGS)

# The originals, for authors.
edit: $(INSTALLED)
	.venv/bin/python -m lab.start --edit $(ARGS)

# Brings originals back to the copies that `make lab` opens: make restore NB=08-nin.
restore: $(INSTALLED)
	@.venv/bin/python -m lab.restore $(NB)

# Two workers with a thread each: threads that wait for a busy core slow both down. No
# other setting of d2lutil in the shell reaches the tests.
test: $(INSTALLED) lint
	env -u D2LUTIL_COMPILE -u D2LUTIL_DTYPE -u D2LUTIL_CHECKPOINT -u D2LUTIL_DATA \
		D2LUTIL_SCALE=smoke OMP_NUM_THREADS=1 .venv/bin/pytest -n 2 --dist loadfile $(ARGS)

# Drives JupyterLab in Chromium; skipped where the system has none.
test-lab: $(INSTALLED)
	$(UV) sync --frozen --inexact --group lab-test
	.venv/bin/pytest -rs tests/lab $(ARGS)

html: $(BOOK_INSTALLED)
	rm -rf _build
	.venv-book/bin/sphinx-build -q -W --keep-going -c editions/html -d _build/doctrees \
		notebooks _build/html
	@echo "The book: _build/html/index.html"

test-html: html $(INSTALLED)
	.venv/bin/pytest tests/site $(ARGS)

# TORCH_PYTHON=python3 is an interpreter that has PyTorch, if .venv has none.
ROUNDS ?= 3
NETS ?=
TORCH_PYTHON ?= .venv/bin/python
bench: $(INSTALLED)
	@$(UV) sync --quiet --frozen --inexact --group bench
	@.venv/bin/python -m benchmarks.run --rounds $(ROUNDS) \
		--torch-python "$(TORCH_PYTHON)" $(NETS)

profile: $(INSTALLED)
	@.venv/bin/python -m benchmarks.profile $(NETS)

convergence: $(INSTALLED)
	@.venv/bin/python -m benchmarks.convergence $(NETS)

execute: $(INSTALLED)
	.venv/bin/python -m recording.run $(NB)

record: $(INSTALLED)
	.venv/bin/python -m recording.run --record $(NB)

lint: $(INSTALLED)
	.venv/bin/ruff check

$(INSTALLED): pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen
	touch $@

$(BOOK_INSTALLED): pyproject.toml uv.lock | $(UV)
	UV_PROJECT_ENVIRONMENT=.venv-book $(UV) sync --frozen --only-group book
	touch $@

.uv/bin/uv:
	python3 -m pip install --quiet --no-cache-dir --target .uv uv

clean:
	rm -rf .venv .venv-book .uv .cache _build
