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
	  tests/test_decoding_properties.py tests/test_json_edges.py tests/test_liveness.py tests/test_structs.py tests/test_values.py \
	  tests/capture/test_journal.py tests/capture/test_recovery.py
fuzz:      ## coverage-guided fuzzing: a minute of the decoder, a minute of the frame loop; needs clang
	python fuzz/build.py
	python -m fuzz --seconds 60
	python -m fuzz --target frames --seconds 60
stubs:     ## the .pyi files against the compiled modules
	python -m mypy.stubtest --mypy-config-file pyproject.toml $(addprefix rlfast._core., arrow assembly block buildinfo columns \
	  decode inflate journal messages objects plan reads structs uuids values waiter wire worker)
bench:     ## all benchmarks, in short; see python -m benchmarks --help
	python -m benchmarks all --quick
lint:      ## linter, formatter, type checker
	ruff check . && ruff format --check . && mypy
wheel:     ## sdist and wheel into dist/, and a look into both
	python -m build
	python tools/check_dist.py dist
clean:     ## remove what the build made
	rm -rf build dist src/*.egg-info src/rlfast/_core/*.c src/rlfast/_core/*.so src/rlfast/_core/*.html
