# Everything runs in .venv, made from scratch when missing. `make frontier` and `make test` are all a newcomer needs.
PYTHON ?= python3.11
BIN := .venv/bin
# Hub look-ups that cannot succeed cost half a minute each; the main job and the tests need no network.
OFFLINE := HF_HUB_OFFLINE=1

.PHONY: frontier test whole quick fuzz sanitize coverage check bench docs format clean

.venv/ready: pyproject.toml hatch_build.py $(wildcard native/*.h native/*.cpp native/*.py)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet "torch>=2.13,<2.14"
	$(BIN)/pip install --quiet --editable ".[dev]"
	@$(BIN)/python -c "from millis.backends.native import Native; print(Native().missing() or 'backend=native is there')"
	touch $@

frontier: .venv/ready  ## the main job: search the frontier of the bundled corpus and report it
	$(OFFLINE) $(BIN)/millis sweep

test: .venv/ready  ## the tests, three at a time, for some wait; one thread each, for two waiting for each other are slower
	$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadfile --max-worker-restart 0 -m "not whole"

whole: .venv/ready  ## all tests and those that only a release needs: every command of every page, all that is compiled
	$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadfile --max-worker-restart 0

quick: .venv/ready  ## for the inner loop: two minutes of tests, without whole commands, servers, every config and backend
	$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile -m "not slow"

fuzz: .venv/ready  ## 2,000 files of each kind that lie, in place of the few that `make test` reads; half an hour
	$(OFFLINE) OMP_NUM_THREADS=1 MILLIS_FUZZ_CASES=2000 $(BIN)/pytest tests/fuzz -n 2

sanitize: .venv/ready  ## the native part's tests under the address and undefined-behaviour sanitizers of g++
	$(BIN)/python native/build.py --sanitize
	$(OFFLINE) OMP_NUM_THREADS=1 LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0 $(BIN)/pytest tests/backends/plan tests/backends/test_native.py; \
		status=$$?; $(BIN)/python native/build.py; exit $$status

coverage: .venv/ready  ## all tests, and which lines and branches they ran: outputs/coverage/index.html
	$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=html:outputs/coverage \
		--cov-report=term:skip-covered

check: .venv/ready  ## formatting, lint, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: .venv/ready  ## the documentation as a site, in outputs/site
	$(BIN)/sphinx-build -q -W docs outputs/site

bench: .venv/ready  ## do two independent benchmark runs agree, and what does caching the teacher save?
	@status=0; for claim in agreement teacher_cache; do $(OFFLINE) $(BIN)/python benchmarks/$$claim.py || status=1; done; exit $$status

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv outputs/* .coverage* .pytest_cache .ruff_cache .mypy_cache .hypothesis
