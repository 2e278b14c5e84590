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
	sh tools/sanitized_tests.sh python
fuzz:      ## coverage-guided fuzzing: a minute of the decoder, a minute of the frame loop; needs clang
	python fuzz/build.py
	python -m fuzz --seconds 60
	python -m fuzz --target frames --seconds 60
stubs:     ## the .pyi files against the compiled modules
	python -m mypy.stubtest rlfast._core --mypy-config-file pyproject.toml
bench:     ## all benchmarks, in short; see python -m benchmarks --help
	python -m benchmarks all --quick
lint:      ## linter, formatter, type checker
	ruff check . && ruff format --check . && mypy
wheel:     ## sdist and wheel into dist/, and a look into both
	python -m build
	python tools/check_dist.py dist
clean:     ## remove what the build made
	rm -rf build dist src/*.egg-info src/rlfast/_core/*.c src/rlfast/_core/*.so src/rlfast/_core/*.html
