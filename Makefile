# Two commands matter: `make run` starts the application, `make test` runs every test.
# Each makes .venv by itself (with uv where it is installed, else venv and pip) from the locked set.
# PYTHON names the interpreter, 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SDK_VERSION := $(shell sed -n 's/^sdk_version: *//p' README.md)
UV := $(shell command -v uv 2>/dev/null)

.PHONY: run test lint format lock check-locks check-space space openapi docs eval bench shape chaos screenshots clean

run: $(VENV)/run.stamp
	$(BIN)/python app.py

# Two workers share the files; then, with nothing beside them, the tests that need the machine for themselves.
test: $(VENV)/dev.stamp
ifdef TESTS
	$(BIN)/python -m pytest $(TESTS)
else
	failed=0; \
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not alone' || failed=1; \
	$(BIN)/python -m pytest -m alone || failed=1; \
	exit $$failed
endif

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

eval: $(VENV)/dev.stamp
	$(BIN)/python -m rag ingest
	$(BIN)/python -m rag eval tests/evals/sample_book --baselines
	$(BIN)/python -m pytest tests/evals tests/rag/test_talk.py -v

bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks

# What is attacked, and how often: CHAOS='chat: --seed 7'
chaos: $(VENV)/dev.stamp
	$(BIN)/python -m tests.chaos $(CHAOS)

openapi: $(VENV)/dev.stamp
	$(BIN)/python -m web.openapi specs/1-rag-backend/contracts/openapi.yaml

# What the structure of the code is measured by; exit code 1 when a limit is crossed.
shape: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.shape

# The pages that are generated from the code; a test fails when one is stale.
docs: openapi
	$(BIN)/python -m rag settings > .env.example
	$(BIN)/python -m rag settings --markdown > docs/settings.md

screenshots: $(VENV)/dev.stamp
	$(BIN)/python -m tests.browser.screenshots specs/1-rag-backend/screenshots

# The locked sets are resolved together with the gradio that a Space installs, so that what is tested is what runs there.
COMPILE = printf 'gradio[oauth,mcp]==$(SDK_VERSION)\n' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command 'make lock'

lock: $(VENV)/dev.stamp
	$(COMPILE) requirements.txt - -o requirements.lock
	$(COMPILE) requirements-dev.txt - -o requirements-dev.lock -c requirements.lock

check-locks: $(VENV)/dev.stamp
	cp requirements.lock $(VENV)/fresh.lock && $(COMPILE) requirements.txt - -o $(VENV)/fresh.lock
	diff -u requirements.lock $(VENV)/fresh.lock
	cp requirements-dev.lock $(VENV)/fresh-dev.lock
	$(COMPILE) requirements-dev.txt - -o $(VENV)/fresh-dev.lock -c requirements.lock
	diff -u requirements-dev.lock $(VENV)/fresh-dev.lock

# A Space installs requirements.txt in one call with its gradio and these: they must have an answer in common.
SPACE_CALL = "gradio[oauth,mcp]==$(SDK_VERSION)" "uvicorn>=0.14.0" "websockets>=10.4" spaces
SPACE_PYTHON = $(shell sed -n 's/^python_version: *"\(.*\)"/\1/p' README.md)

check-space: $(VENV)/dev.stamp
	rm -f $(VENV)/space.txt
	printf '%s\n' $(SPACE_CALL) | $(BIN)/uv pip compile --quiet --python-version $(SPACE_PYTHON) --python-platform linux \
		--no-annotate --no-header requirements.txt - -o $(VENV)/space.txt
	grep -qx 'gradio==$(SDK_VERSION)' $(VENV)/space.txt

# Only what is committed. The Hub takes images through its large-file storage alone, which `hf` knows and git must be taught.
space: $(VENV)/run.stamp
	@test -n "$(SPACE)" || (echo 'Name it: make space SPACE=you/ask-the-book' >&2; exit 2)
	rm -rf $(VENV)/space && mkdir $(VENV)/space && git archive HEAD | tar -x -C $(VENV)/space
	$(BIN)/hf upload $(SPACE) $(VENV)/space . --type space --commit-message "$$(git log -1 --format=%s)"

$(VENV)/bin/python:
ifdef UV
	uv venv --quiet --seed --python $(PYTHON) $(VENV)
else
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make run PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
endif

$(VENV)/run.stamp: requirements.lock | $(VENV)/bin/python
ifdef UV
	VIRTUAL_ENV=$(VENV) uv pip install --quiet --require-hashes -r requirements.lock
else
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
endif
	touch $@

$(VENV)/dev.stamp: requirements-dev.lock | $(VENV)/bin/python
ifdef UV
	VIRTUAL_ENV=$(VENV) uv pip install --quiet --require-hashes -r requirements-dev.lock
else
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
endif
	touch $@ $(VENV)/run.stamp

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
