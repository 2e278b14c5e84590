# Each target is one command that CONTRIBUTING.md explains. They use the python on the PATH.
.PHONY: build test debug annotate cov asan fuzz stubs bench lint wheel clean

build:     ## compile the extensions in place
	python setup.py build_ext --inplace
test:      ## all tests
	python -m pytest
debug:     ## compile with assertions and bounds checks
	RLFAST_DEBUG=1 python setup.py build_ext --inplace
annotate:  ## compile and write the annotated HTML beside the .pyx files
	RLFAST_ANNOTATE=1 python setup.py build_ext --inplace
cov:       ## coverage of .py and .pyx lines, by the tests that are not about pace
	RLFAST_COVERAGE=1 python setup.py build_ext --inplace
	python -m coverage run -m pytest --ignore tests/capture --ignore tests/cli
	python -m coverage report --show-missing
asan:      ## the tests of the compiled code under AddressSanitizer and UndefinedBehaviorSanitizer
	RLFAST_SANITIZE=1 python setup.py build_ext --inplace
	sh tools/with_sanitizers.sh python -m pytest --capture=sys tests/core tests/test_batch.py tests/test_batches.py \
	  tests/test_bounds.py tests/test_connection.py tests/test_decoder_equality.py tests/test_decoding.py \
	  tests/test_decoding_properties.py tests/test_json_edges.py tests/test_liveness.py tests/capture/test_journal.py \
	  tests/capture/test_recovery.py
fuzz:      ## coverage-guided fuzzing: a minute of the decoder, a minute of the frame loop; needs clang
	python fuzz/build.py
	python -m fuzz --seconds 60
	python -m fuzz --target frames --seconds 60
stubs:     ## the .pyi files against the compiled modules
	python -m mypy.stubtest rlfast._core.arrow rlfast._core.assembly rlfast._core.block rlfast._core.buildinfo rlfast._core.columns \
	  rlfast._core.decode rlfast._core.inflate rlfast._core.journal rlfast._core.messages rlfast._core.objects rlfast._core.plan rlfast._core.reads rlfast._core.structs rlfast._core.waiter rlfast._core.wire rlfast._core.worker --mypy-config-file pyproject.toml
bench:     ## all benchmarks, in short; see python -m benchmarks --help
	python -m benchmarks all --quick
lint:      ## linter, formatter, type checker
	ruff check . && ruff format --check . && mypy
wheel:     ## sdist and wheel into dist/, and a look into both
	python -m build
	python tools/check_dist.py dist
clean:     ## remove what the build made
	rm -rf build dist src/*.egg-info src/rlfast/_core/*.c src/rlfast/_core/*.so src/rlfast/_core/*.html
