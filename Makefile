# The two commands of the README: make lab, make test.  Everything they install stays
# in this folder: .venv (packages), .uv (uv and, if need be, Python), .cache.
ARGS ?=
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
export UV_PYTHON_INSTALL_DIR ?= $(CURDIR)/.uv/python

UV := $(shell command -v uv || echo .uv/bin/uv)
INSTALLED := .venv/.installed

.PHONY: lab test lint clean

lab: $(INSTALLED)
	.venv/bin/jupyter lab --config=lab/jupyter_lab_config.py $(ARGS)

test: $(INSTALLED) lint
	D2LUTIL_SCALE=smoke .venv/bin/pytest -n 2 --dist loadfile $(ARGS)

lint: $(INSTALLED)
	.venv/bin/ruff check

$(INSTALLED): pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen
	touch $@

.uv/bin/uv:
	python3 -m pip install --quiet --no-cache-dir --target .uv uv

clean:
	rm -rf .venv .uv .cache
