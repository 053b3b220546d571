# Every target sets up .venv by itself; PYTHON=python3.12 chooses the interpreter, ARGS goes to the command.
.PHONY: demo test test-all crash proof fuzz check format bench lock setup clean

BIN := .venv/bin

setup:
	@./scripts/setup.sh

demo: setup
	$(BIN)/glancedb demo $(ARGS)

test: setup
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-all: setup
	$(BIN)/python -m pytest -n 2 --all-modes --slow $(ARGS)

# hundreds of kills, thousands of power cuts: minutes
crash: setup
	$(BIN)/python -m tests.crash $(ARGS)

# a million queries and thresholds, decided by certified codes and by the scores themselves: minutes
proof: setup
	$(BIN)/python -m tests.proof $(ARGS)

# random queries, answered by DuckDB, by PostgreSQL where there is one, and by us: minutes
fuzz: setup
	$(BIN)/python -m tests.generator $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	$(BIN)/python -m bench $(ARGS)

# needs uv; names no registry
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--group dev --group bench --no-emit-package glancedb --output-file requirements.lock \
		pyproject.toml clients/python/pyproject.toml

clean:
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-data demo-output
