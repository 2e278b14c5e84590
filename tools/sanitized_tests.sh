#!/bin/sh
# Compile with AddressSanitizer and UndefinedBehaviorSanitizer, and run the tests of what is compiled:
#     sh tools/sanitized_tests.sh PYTHON [argument of pytest ...]
# tests/core/test_simd.py compiles its own C, with sanitizers of its own.
set -eu
python=$1
shift
RLFAST_SANITIZE=1 "$python" setup.py build_ext --inplace
PYTHONPATH=$PWD/src sh tools/with_sanitizers.sh "$python" -m pytest -q -p no:cacheprovider --capture=sys "$@" \
  --ignore tests/core/test_simd.py \
  tests/core tests/test_batch.py tests/test_batches.py tests/test_block_decoding.py tests/test_bounds.py \
  tests/test_compression.py tests/test_connection.py tests/test_decoder_equality.py tests/test_decoding.py \
  tests/test_decoding_properties.py tests/test_hostile_peers.py tests/test_json_edges.py tests/test_liveness.py \
  tests/test_nested.py tests/test_nested_structs.py tests/test_structs.py tests/test_values.py tests/capture/test_journal.py tests/capture/test_recovery.py
