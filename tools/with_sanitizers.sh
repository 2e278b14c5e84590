#!/bin/sh
# Run a command with the sanitizers' run-time libraries, for extensions built with RLFAST_SANITIZE=1.
# Leaks are not looked for: the interpreter itself never frees some of its memory.
set -eu
libraries="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
LD_PRELOAD="$libraries" exec "$@"
